//! Tokens as services send them, and as many as are wanted, all different.

use service_only::{
    Algorithm, Verifier, VerifyingKey,
    audit::AuditSink,
    issue::{Issuer, SigningKey},
};

// A URL, and an audience, because some peers take nothing else.
pub const ISSUER: &str = "https://auth.example.com/";
pub const AUDIENCE: &str = "bakery";
pub const SERVICE: &str = "tenant-deletion-orchestrator";
pub const SCOPE: &str = "tenants:delete";

/// Text, because some peers take no other secrets.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef";

/// Those that every peer of note has.
pub const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

pub fn signing_key(algorithm: Algorithm) -> SigningKey {
    match algorithm {
        Algorithm::HS256 => SigningKey::hmac(algorithm, SECRET),
        Algorithm::RS256 => SigningKey::generate_rsa(algorithm, 2048),
        _ => SigningKey::generate(algorithm),
    }
    .unwrap()
}

pub fn issuer(key: SigningKey) -> Issuer {
    Issuer::builder().issuer(ISSUER).audience(AUDIENCE).key(key).build().unwrap()
}

/// One service's tokens.
pub fn mint(issuer: &Issuer, count: usize) -> Vec<String> {
    (0..count).map(|_| token(issuer, SERVICE)).collect()
}

pub fn token(issuer: &Issuer, service: &str) -> String {
    issuer.token_for(service).scope(SCOPE).mint().unwrap().as_str().to_owned()
}

pub fn verifier(keys: impl service_only::keys::KeySource, audit: impl AuditSink) -> Verifier {
    Verifier::builder().issuer(ISSUER).audience(AUDIENCE).keys(keys).audit(audit).build().unwrap()
}

/// A secret of its own for each number, named by it.
pub fn numbered_key(number: usize) -> SigningKey {
    let secret = format!("{number:064}");
    SigningKey::hmac(Algorithm::HS256, secret.as_bytes()).unwrap().with_kid(format!("key-{number}"))
}

pub fn numbered_verifying_key(number: usize) -> VerifyingKey {
    numbered_key(number).verifying_key()
}
