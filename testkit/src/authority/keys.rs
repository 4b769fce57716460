//! The keys of a test: new ones, and ones derived from a seed.

use aws_lc_rs::{
    digest,
    encoding::{AsDer, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RsaKeyPair,
    },
};
use service_only::{
    Algorithm::{self, ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512},
    issue::SigningKey,
};
use uuid::Uuid;

use crate::fail::OrFail;

#[track_caller]
pub(crate) fn generate(algorithm: Algorithm) -> SigningKey {
    match algorithm {
        RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => SigningKey::generate_rsa(algorithm, 2048),
        _ => SigningKey::generate(algorithm),
    }
    .or_fail("a new key")
}

/// Derives an Ed25519 key, the only asymmetric key that the backend creates from given bytes.
#[track_caller]
pub(crate) fn seeded(purpose: &str, seed: u64) -> SigningKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes(purpose, &[seed])).or_fail("a key from a seed");
    let document = pair.to_pkcs8v1().or_fail("a key from a seed");
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
    SigningKey::from_pem(EdDSA, pem.as_bytes()).or_fail("a key from a seed")
}

/// The public half of `key` as a `PUBLIC KEY` block (RFC 5280); an HMAC secret has none.
#[track_caller]
pub(crate) fn public_pem(key: &SigningKey) -> Option<String> {
    let private = || {
        let secret = key.to_secret_bytes().or_fail("the key is not in memory");
        pem::parse(secret.as_slice()).or_fail("the key as PEM").into_contents()
    };
    let public: PublicKeyX509Der<'_> = match key.algorithm() {
        HS256 | HS384 | HS512 => return None,
        RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => {
            RsaKeyPair::from_pkcs8(&private()).or_fail("an RSA key").public_key().as_der()
        }
        ES256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private());
            pair.or_fail("a P-256 key").public_key().as_der()
        }
        ES384 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &private());
            pair.or_fail("a P-384 key").public_key().as_der()
        }
        // `EdDSA` and `Ed25519`.
        _ => Ed25519KeyPair::from_pkcs8(&private()).or_fail("an Ed25519 key").public_key().as_der(),
    }
    .or_fail("the public key as DER");
    Some(pem::encode(&pem::Pem::new("PUBLIC KEY", public.as_ref())))
}

pub(crate) fn seeded_uuid(seed: u64, count: u64) -> Uuid {
    let bytes = bytes("jti", &[seed, count]);
    uuid::Builder::from_random_bytes(*bytes.first_chunk().unwrap_or(&[0; 16])).into_uuid()
}

fn bytes(purpose: &str, numbers: &[u64]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(purpose.as_bytes());
    for number in numbers {
        context.update(&number.to_be_bytes());
    }
    *context.finish().as_ref().first_chunk().unwrap_or(&[0; 32])
}
