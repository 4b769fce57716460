//! Forges tokens at the byte level: signs text that no issuer would write, uses public bytes as secrets, and
//! changes signatures as numbers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{Algorithm, issue::SigningKey};

use super::{Signer, TokenDraft, base64url};
use crate::fail::OrFail;

/// Receives `r`, `s` and the order of the group.
type EditEcdsa = fn(Vec<u8>, Vec<u8>, &[u8]) -> Vec<u8>;

impl TokenDraft {
    /// Replaces header and payload, given their encoded texts, and signs the result.
    pub(crate) fn resigned(self, write: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        let signer = self.signer.clone();
        self.edit_token(move |token| {
            let mut segments = token.split('.');
            let (header, payload) =
                (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
            let signed = write(header, payload);
            format!("{signed}.{}", base64url(signer.sign(signed.as_bytes())))
        })
    }

    /// Keeps header and payload, and signs a different message, made from the encoded header and the decoded
    /// payload.
    pub(crate) fn signed_over(
        self,
        message: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let signer = self.signer.clone();
        self.edit_token(move |token| {
            let mut segments = token.split('.');
            let (header, payload) =
                (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
            let plain = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
            format!("{header}.{payload}.{}", base64url(signer.sign(&message(header, &plain))))
        })
    }

    /// Encodes these bytes in place of the claims, and signs them.
    pub(crate) fn payload_bytes(self, payload: impl Into<Vec<u8>>) -> Self {
        let payload = base64url(payload.into());
        self.resigned(move |header, _| format!("{header}.{payload}"))
    }

    /// Encodes these bytes in place of the header, and signs them.
    pub(crate) fn header_bytes(self, header: impl Into<Vec<u8>>) -> Self {
        let header = base64url(header.into());
        self.resigned(move |_, payload| format!("{header}.{payload}"))
    }

    /// Signs by HMAC with any bytes, also none, and names that algorithm in the header.
    pub(crate) fn signed_by_secret(self, algorithm: Algorithm, secret: impl Into<Vec<u8>>) -> Self {
        let signer = Signer::Secret(algorithm, secret.into());
        Self { signer, ..self }.algorithm_header(algorithm.as_str())
    }

    /// Signs with the right key under another algorithm, if the key supports it.
    pub(crate) fn signed_under_other_algorithm(self) -> Option<Self> {
        use Algorithm::*;
        let own = self.authority.key().algorithm();
        let other = match own {
            HS256 | HS384 => HS512,
            HS512 => HS256,
            RS256 => RS512,
            RS384 | RS512 => RS256,
            PS256 => PS512,
            PS384 | PS512 => PS256,
            // An elliptic-curve key has one algorithm.
            _ => return None,
        };
        Some(self.signed_under(other))
    }

    /// Signs with the right RSA key under the other padding.
    pub(crate) fn signed_under_other_padding(self) -> Option<Self> {
        use Algorithm::*;
        let other = match self.authority.key().algorithm() {
            RS256 => PS256,
            RS384 => PS384,
            RS512 => PS512,
            PS256 => RS256,
            PS384 => RS384,
            PS512 => RS512,
            _ => return None,
        };
        Some(self.signed_under(other))
    }

    fn signed_under(self, other: Algorithm) -> Self {
        let secret = self.authority.key().to_secret_bytes().or_fail("the key is not in memory");
        if other.is_symmetric() {
            return self.signed_by_secret(other, secret.to_vec());
        }
        let key = SigningKey::from_pem(other, &secret).or_fail("the key for another algorithm");
        let signer = Signer::Key(key.into());
        Self { signer, ..self }.algorithm_header(other.as_str())
    }

    /// Changes the two halves of an ECDSA signature; `None` for another algorithm.
    pub(crate) fn edit_ecdsa(self, edit: EditEcdsa) -> Option<Self> {
        let order: &'static [u8] = match self.authority.key().algorithm() {
            Algorithm::ES256 => &P256_ORDER,
            Algorithm::ES384 => &P384_ORDER,
            _ => return None,
        };
        Some(self.edit_signature(move |mut r| {
            let s = r.split_off(r.len() / 2);
            edit(r, s, order)
        }))
    }

    /// Adds the group's order to the scalar of an Ed25519 signature: the same number for a verifier that does
    /// not check its range.
    pub(crate) fn add_ed25519_order(self) -> Option<Self> {
        if !matches!(self.authority.key().algorithm(), Algorithm::EdDSA | Algorithm::Ed25519) {
            return None;
        }
        Some(self.edit_signature(|mut bytes| {
            let mut carry = 0_u16;
            for (byte, order) in bytes.iter_mut().skip(32).zip(ED25519_ORDER) {
                carry += u16::from(*byte) + u16::from(order);
                let [_, low] = carry.to_be_bytes();
                *byte = low;
                carry >>= 8;
            }
            bytes
        }))
    }
}

/// An ECDSA signature in the format of TLS and X.509 (RFC 3279 section 2.2.3).
pub(crate) fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let (r, s) = (der_integer(r), der_integer(s));
    let body = [r, s].concat();
    [vec![0x30, length(&body)], body].concat()
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    let mut digits = number.get(start..).unwrap_or_default().to_vec();
    if digits.first().is_none_or(|first| first & 0x80 != 0) {
        digits.insert(0, 0);
    }
    [vec![0x02, length(&digits)], digits].concat()
}

/// Two numbers of 48 bytes stay below 128, from which on DER needs two bytes for a length.
fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap_or(0x7f)
}

/// FIPS 186-5, P-256: the order of the group, big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// FIPS 186-5, P-384.
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
    0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// RFC 8032 section 5.1: the order of the group, little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10,
];
