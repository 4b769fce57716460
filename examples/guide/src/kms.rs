//! A signer for a key management service, with a service in memory for its test.

use aws_lc_rs::{
    digest::{Digest, SHA256},
    encoding::AsDer,
    signature::{EcdsaKeyPair, KeyPair},
};
use service_only::{
    Algorithm,
    issue::{PublicJwk, SignError, Signer, SigningKey, message_digest},
};

struct KmsSigner {
    kms: Kms,
    key: String,
    public: PublicJwk,
}

impl KmsSigner {
    fn open(kms: Kms, key: &str) -> Result<SigningKey, Box<dyn std::error::Error>> {
        let public = PublicJwk::from_der(Algorithm::ES256, &kms.public_key(key)?)?;
        Ok(SigningKey::from_signer(Self { kms, key: key.to_owned(), public })?)
    }
}

impl Signer for KmsSigner {
    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let digest = message_digest(self.public.algorithm(), message)
            .ok_or_else(|| SignError::new("Ed25519 signs the message itself"))?;
        self.kms.sign_digest(&self.key, &digest).map_err(|error| {
            let why = format!("key `{}`: {error}; check the role of this service", self.key);
            SignError::new(why).caused_by(error)
        })
    }
}

/// A service in memory. It signs hashes and returns DER, as most do.
struct Kms {
    key: EcdsaKeyPair,
    allowed: bool,
}

impl Kms {
    fn public_key(&self, _: &str) -> Result<Vec<u8>, std::io::Error> {
        self.key.public_key().as_der().map(|der| der.as_ref().to_vec()).map_err(std::io::Error::other)
    }

    fn sign_digest(&self, _: &str, digest: &[u8]) -> Result<Vec<u8>, std::io::Error> {
        if !self.allowed {
            return Err(std::io::Error::other("access denied"));
        }
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(std::io::Error::other)?;
        self.key
            .sign_digest(&digest)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(std::io::Error::other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    use service_only::{Verifier, issue::Issuer};

    use super::*;

    fn mint(allowed: bool) -> Result<(), String> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = KmsSigner::open(Kms { key, allowed }, "alias/tokens").unwrap();
        let verifying = key.verifying_key();
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
        let token = issuer.token_for("orders").mint().map_err(|error| error.to_string())?;
        let verifier = Verifier::builder().issuer("bakery-auth").keys(verifying).build().unwrap();
        verifier.verify(token.as_str()).map(drop).map_err(|denial| denial.to_string())
    }

    #[test]
    fn token_of_a_key_management_service_is_accepted() {
        mint(true).unwrap();
    }

    #[test]
    fn refusal_of_the_service_names_the_key() {
        let error = mint(false).unwrap_err();
        assert!(error.contains("key `alias/tokens`: access denied; check the role"), "{error}");
    }
}
