//! The RFC 7638 thumbprint of a public key: the name of a key without a name, and what a token is bound to.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::weak::significant;

/// The members of a public JWK that its type requires.
pub(crate) enum RequiredMembers<'k> {
    Rsa { n: &'k [u8], e: &'k [u8] },
    Ec { crv: &'static str, x: &'k [u8], y: &'k [u8] },
    Ed25519 { x: &'k [u8] },
}

impl RequiredMembers<'_> {
    /// Computes the thumbprint. RFC 7638 section 3: the required members in lexicographic order, hashed.
    pub(crate) fn thumbprint(&self) -> [u8; 32] {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match *self {
            Self::Rsa { n, e } => {
                let (n, e) = (text(significant(n)), text(significant(e)));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Self::Ec { crv, x, y } => {
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        };
        sha256(&[members.as_bytes()])
    }
}

/// SHA-256 of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    // A digest of SHA-256 has this length, so both have equal lengths.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
