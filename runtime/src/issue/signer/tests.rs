//! Signers that work, and signers that are wrong: none of the latter mints.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PSS_SHA256, RsaKeyPair,
    },
};

use super::*;
use crate::issue::{Issuer, SigningKey};

/// Signs with a key in memory, and changes the signature.
struct Device {
    key: Arc<SigningKey>,
    public: PublicJwk,
    change: fn(Vec<u8>) -> Vec<u8>,
}

impl Signer for Device {
    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message).map(self.change).map_err(|error| SignError::new(error.to_string()))
    }
}

fn device(key: SigningKey) -> Device {
    Device { public: key.public_jwk().unwrap(), key: Arc::new(key), change: |signature| signature }
}

fn mint(signer: impl Signer) -> Result<String, IssueError> {
    let key = SigningKey::from_signer(signer).unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    Ok(issuer.token_for("orders").mint()?.as_str().to_owned())
}

const PAIRS: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS512];

#[test]
fn token_of_a_signer_verifies_with_its_public_key() {
    for algorithm in PAIRS {
        let device = device(SigningKey::generate(algorithm).unwrap());
        let key = device.public.verifying_key().unwrap();
        let token = mint(device).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
        assert!(key.verifies(algorithm, signed.as_bytes(), &signature), "{algorithm}");
    }
}

#[test]
fn signature_of_another_key_becomes_no_token() {
    for algorithm in PAIRS {
        let other = SigningKey::generate(algorithm).unwrap();
        let device = Device {
            public: other.public_jwk().unwrap(),
            ..device(SigningKey::generate(algorithm).unwrap())
        };
        let kid = device.public.kid().to_string();
        let error = mint(device).unwrap_err().to_string();
        assert!(error.contains(&format!("not an {algorithm} signature of the key `{kid}`")), "{error}");
    }
}

#[test]
fn damaged_signature_becomes_no_token() {
    let changes: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |_| Vec::new(),
        |mut signature| {
            signature[0] ^= 1;
            signature
        },
        |mut signature| {
            signature.pop();
            signature
        },
        |mut signature| {
            signature.push(0);
            signature
        },
        |_| vec![0; 64],
    ];
    for algorithm in PAIRS {
        let key = Arc::new(SigningKey::generate(algorithm).unwrap());
        for change in changes {
            let device = Device { public: key.public_jwk().unwrap(), key: Arc::clone(&key), change };
            assert!(mint(device).is_err(), "{algorithm}");
        }
    }
}

#[test]
fn pss_signature_is_not_taken_for_pkcs1() {
    struct Wrong(RsaKeyPair);
    impl Signer for Wrong {
        fn public_jwk(&self) -> PublicJwk {
            PublicJwk::from_der(Algorithm::RS256, self.0.public_key().as_der().unwrap().as_ref()).unwrap()
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            let mut signature = vec![0; self.0.public_modulus_len()];
            self.0.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
            Ok(signature)
        }
    }
    let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    assert!(mint(Wrong(key)).is_err());
}

/// A device that returns DER, as most do.
struct Der {
    key: EcdsaKeyPair,
    algorithm: Algorithm,
}

impl Signer for Der {
    fn public_jwk(&self) -> PublicJwk {
        PublicJwk::from_der(self.algorithm, self.key.public_key().as_der().unwrap().as_ref()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

#[test]
fn ecdsa_signature_in_der_is_converted() {
    for (algorithm, signing) in [
        (Algorithm::ES256, &ECDSA_P256_SHA256_ASN1_SIGNING),
        (Algorithm::ES384, &ECDSA_P384_SHA384_ASN1_SIGNING),
    ] {
        // Some of these numbers have a leading zero, or fewer bytes than the curve.
        for _ in 0..100 {
            let key = EcdsaKeyPair::generate(signing).unwrap();
            mint(Der { key, algorithm }).unwrap();
        }
    }
}

#[test]
fn der_with_extra_bytes_or_long_numbers_is_not_a_signature() {
    let valid = [0x30, 0x06, 0x02, 0x01, 0x05, 0x02, 0x01, 0x07];
    let fixed = fixed_ecdsa(Algorithm::ES256, &valid).unwrap();
    assert_eq!((fixed.len(), fixed[31], fixed[63]), (64, 5, 7));
    assert_eq!(fixed_ecdsa(Algorithm::RS256, &valid), None);
    assert_eq!(fixed_ecdsa(Algorithm::ES256, &[&valid[..], &[0]].concat()), None);
    let mut long = vec![0x30, 0x26, 0x02, 0x21];
    long.extend([0x7f; 33]);
    long.extend([0x02, 0x01, 0x07]);
    assert_eq!(fixed_ecdsa(Algorithm::ES256, &long), None);
}

#[test]
fn error_of_a_signer_keeps_its_source() {
    struct Broken(PublicJwk);
    impl Signer for Broken {
        fn public_jwk(&self) -> PublicJwk {
            self.0.clone()
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
            Err(SignError::new("slot 3 is empty; insert the token").caused_by("CKR_TOKEN_NOT_PRESENT"))
        }
    }
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let error = mint(Broken(key.public_jwk().unwrap())).unwrap_err();
    assert_eq!(error.to_string(), "the signer failed: slot 3 is empty; insert the token");
    assert_eq!(error.source().unwrap().to_string(), "CKR_TOKEN_NOT_PRESENT");
}

#[test]
fn key_elsewhere_has_no_secret_bytes_and_a_public_half() {
    let device = device(SigningKey::generate(Algorithm::EdDSA).unwrap().with_kid("tokens-2026"));
    let public = device.public.clone();
    let key = SigningKey::from_signer(Box::new(device) as Box<dyn Signer>).unwrap();
    assert!(key.to_secret_bytes().is_none());
    assert_eq!((key.kid().as_str(), key.public_jwk()), ("tokens-2026", Some(public)));
    assert!(format!("{key:?}").contains("tokens-2026"));
}

#[test]
fn public_key_is_the_same_from_pem_and_from_a_jwk() {
    for algorithm in PAIRS {
        let public = SigningKey::generate(algorithm).unwrap().public_jwk().unwrap();
        let json = serde_json::to_vec(&public).unwrap();
        assert_eq!(PublicJwk::from_jwk(algorithm, &json).unwrap(), public);
    }
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let der = key.public_key().as_der().unwrap();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()));
    let public = PublicJwk::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap();
    assert_eq!(PublicJwk::from_der(Algorithm::ES256, der.as_ref()).unwrap(), public);
    let set = crate::KeySet::from_jwks(PublicJwk::set([&public]).as_bytes()).unwrap();
    assert_eq!(set.keys()[0].kid(), Some(public.kid()));
}

#[test]
fn private_wrong_or_weak_jwk_is_not_a_public_key() {
    let public = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk().unwrap();
    let json = serde_json::to_string(&public).unwrap();
    let refused =
        |algorithm, json: &str| PublicJwk::from_jwk(algorithm, json.as_bytes()).unwrap_err().to_string();
    assert!(
        refused(Algorithm::ES256, &json.replace("\"kty\"", "\"d\":\"AQ\",\"kty\""))
            .contains("private key (`d`)")
    );
    assert!(refused(Algorithm::ES384, &json).contains("the JWK is for ES256, not for ES384"));
    assert!(refused(Algorithm::ES256, &format!("{json},{json}")).contains("not the members of a JWK"));
    assert!(refused(Algorithm::RS256, r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#).contains("fewer than 2048"));
    assert!(
        PublicJwk::from_jwk(Algorithm::ES256, b"[]").is_err()
            && PublicJwk::from_jwk(Algorithm::HS256, b"{}").is_err()
    );
}

#[test]
fn digest_is_that_of_the_algorithm() {
    for (algorithm, length) in [
        (Algorithm::ES256, Some(32)),
        (Algorithm::RS384, Some(48)),
        (Algorithm::PS512, Some(64)),
        (Algorithm::EdDSA, None),
        (Algorithm::HS256, None),
    ] {
        assert_eq!(message_digest(algorithm, b"message").map(|digest| digest.len()), length);
    }
}
