//! One key, parsed once for one algorithm, which checks signatures.

use aws_lc_rs::{encoding::AsDer, hmac, rsa, signature as sig};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};

use super::{Algorithm, KeyError, algorithm::KeyType, identity, weak};
use crate::{denial::quoted, text};

/// A key that the backend has parsed. jsonwebtoken's own verifiers copy the key for each token and parse
/// RSA keys every time. This type does neither, and threads can share it.
#[derive(Clone)]
pub(crate) enum Prepared {
    Secret(Box<hmac::Key>),
    Public(sig::ParsedPublicKey),
}

impl Prepared {
    /// Takes the material out of jsonwebtoken's key: a secret, `n` and `e`, a SEC 1 point, or the 32
    /// bytes of an Ed25519 key.
    pub(crate) fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, KeyError> {
        match (algorithm.key_type(), key.kind()) {
            (KeyType::Secret, DecodingKeyKind::SecretOrDer(secret)) => {
                let hash = hmac_algorithm(algorithm).ok_or_else(|| mismatch(algorithm))?;
                Ok(Self::Secret(Box::new(hmac::Key::new(hash, secret))))
            }
            (KeyType::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                // RFC 7518 section 6.3.1.1 warns of leading zero octets, which Java writes as a sign.
                let (n, e) = (weak::significant(n), weak::significant(e));
                weak::check_rsa(n, e)?;
                let parameters = rsa_parameters(algorithm).ok_or_else(|| mismatch(algorithm))?;
                let components = rsa::PublicKeyComponents { n, e };
                let parsed = components.to_parsed_public_key(parameters);
                Ok(Self::Public(
                    parsed.map_err(|_| KeyError::unusable("the RSA modulus and exponent are not a key"))?,
                ))
            }
            (KeyType::P256 | KeyType::P384 | KeyType::Ed25519, DecodingKeyKind::SecretOrDer(point)) => {
                if algorithm.key_type() == KeyType::Ed25519 {
                    weak::check_ed25519(point)?;
                }
                let verification = verification_algorithm(algorithm).ok_or_else(|| mismatch(algorithm))?;
                let parsed = sig::ParsedPublicKey::new(verification, point);
                Ok(Self::Public(parsed.map_err(|_| not_a_point(algorithm))?))
            }
            _ => Err(mismatch(algorithm)),
        }
    }

    pub(crate) fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let text = text::decode(pem).ok();
        let block = one_public_block(text.as_deref().map_or(pem, str::as_bytes))?;
        let der = block.contents();
        let mismatch = || KeyError::unusable(identity::mismatch(algorithm, block.tag(), der));
        match algorithm.key_type() {
            KeyType::Secret => Err(KeyError::unusable(format!(
                "{algorithm} uses a secret, and the file holds a public key; a public key is never a secret"
            ))),
            KeyType::Rsa if identity::excludes(algorithm, der) => Err(mismatch()),
            KeyType::Rsa => {
                let key = rsa::PublicKey::from_der(der).map_err(|_| mismatch())?;
                let parts = rsa::PublicKeyComponents::<Vec<u8>>::from(&key);
                Self::new(algorithm, &DecodingKey::from_rsa_raw_components(&parts.n, &parts.e))
            }
            KeyType::P256 | KeyType::P384 | KeyType::Ed25519 => {
                let verification = verification_algorithm(algorithm).ok_or_else(mismatch)?;
                let parsed = sig::ParsedPublicKey::new(verification, der).map_err(|_| mismatch())?;
                if algorithm.key_type() == KeyType::Ed25519 {
                    // RFC 8410 section 4: the key is the last 32 bytes of the structure.
                    weak::check_ed25519(der.last_chunk::<32>().ok_or_else(mismatch)?)?;
                }
                Ok(Self::Public(parsed))
            }
        }
    }

    /// Checks a signature, in constant time for secrets.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// Whether both hold the same secret, compared in constant time, or the same public key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            // The backend hides secrets. Two secrets that compute the same code for one message are the same.
            (Self::Secret(own), Self::Secret(other)) => {
                let message = b"service-only: is this the same secret?";
                hmac::verify(other, message, hmac::sign(own, message).as_ref()).is_ok()
            }
            (Self::Public(own), Self::Public(other)) => own
                .as_der()
                .ok()
                .zip(other.as_der().ok())
                .is_some_and(|(own, other)| own.as_ref() == other.as_ref()),
            _ => false,
        }
    }
}

fn mismatch(algorithm: Algorithm) -> KeyError {
    KeyError::unusable(format!("the key is not one for {algorithm}"))
}

fn not_a_point(algorithm: Algorithm) -> KeyError {
    KeyError::unusable(format!("its coordinates are not a point of the curve of {algorithm}"))
}

fn one_public_block(text: &[u8]) -> Result<pem::Pem, KeyError> {
    let remedy = "expected one PEM block `PUBLIC KEY`, or `RSA PUBLIC KEY`";
    let mut blocks =
        pem::parse_many(text).map_err(|error| KeyError::unusable(format!("not PEM: {error}; {remedy}")))?;
    let Some(block) = blocks.pop() else {
        return Err(KeyError::unusable(format!("no PEM block: {}; {remedy}", identity::without_pem(text))));
    };
    if !blocks.is_empty() {
        return Err(KeyError::unusable(format!("more than one PEM block; {remedy}")));
    }
    match block.tag() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Ok(block),
        tag if tag.ends_with("PRIVATE KEY") => Err(KeyError::unusable(
            "this is a private key, and a verifier needs the public one: `openssl pkey -in FILE -pubout` writes it",
        )),
        "CERTIFICATE" => Err(KeyError::unusable(
            "this is a certificate, which is not supported: `openssl x509 -in FILE -pubkey -noout` writes its key",
        )),
        tag => Err(KeyError::unusable(format!("the PEM block is `{}`; {remedy}", quoted(tag)))),
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// The sizes in the names are the limits of aws-lc-rs; this crate's limits are in `weak`.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static sig::RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&sig::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&sig::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&sig::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&sig::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&sig::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&sig::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn verification_algorithm(algorithm: Algorithm) -> Option<&'static dyn sig::VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&sig::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&sig::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA | Algorithm::Ed25519 => Some(&sig::ED25519),
        _ => None,
    }
}
