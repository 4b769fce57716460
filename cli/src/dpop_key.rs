//! Public keys of callers, to which tokens are bound (RFC 9449 section 6.1).

use std::path::Path;

use service_only::Algorithm;
use service_only::issue::PublicJwk;

use crate::bounded_file;
use crate::problem::{Outcome, Problem, ProblemCode};

/// One algorithm for each type of key. The thumbprint does not depend on it.
const OF_EACH_TYPE: [Algorithm; 4] = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256];

/// Reads the RFC 7638 thumbprint of a public key, in PEM or as a JWK.
pub(crate) fn thumbprint(path: &Path) -> Outcome<[u8; 32]> {
    let bytes = bounded_file::read(path)?;
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let read = |algorithm| match is_json {
        true => PublicJwk::from_jwk(algorithm, &bytes),
        false => PublicJwk::from_pem(algorithm, &bytes),
    };
    let mut unread = String::new();
    for algorithm in OF_EACH_TYPE {
        match read(algorithm) {
            Ok(jwk) => return Ok(jwk.thumbprint()),
            Err(error) if unread.is_empty() => unread = error.to_string(),
            Err(_) => {}
        }
    }
    Err(Problem::new(ProblemCode::BadKey, format!("`{}`: {unread}", path.display())).help(
        "name the public key of the caller: in PEM, as `openssl pkey -in FILE -pubout` writes it, or a JWK",
    ))
}
