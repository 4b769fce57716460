//! Public keys of a token as JWKs, and the parameters of a new key.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectHandle},
    session::Session,
};
use serde_json::json;
use service_only::{Algorithm, issue::PublicJwk};

use super::Fault;

/// Object identifiers of curves in DER, as `CKA_EC_PARAMS` has them.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// The name of the curve as a `PrintableString`, which PKCS#11 3.0 allows and SoftHSM expects.
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

const DEFAULT_RSA_BITS: u32 = 3072;

/// The mechanisms that create a key, with their parameters: the first that the token accepts is used.
pub(super) fn generation(
    algorithm: Algorithm,
    rsa_bits: Option<u32>,
) -> Vec<(Mechanism<'static>, Vec<Attribute>)> {
    let curve = |parameters: &[u8]| vec![Attribute::EcParams(parameters.to_vec())];
    match algorithm {
        Algorithm::ES256 => vec![(Mechanism::EccKeyPairGen, curve(P256))],
        Algorithm::ES384 => vec![(Mechanism::EccKeyPairGen, curve(P384))],
        Algorithm::EdDSA | Algorithm::Ed25519 => vec![
            (Mechanism::EccEdwardsKeyPairGen, curve(ED25519)),
            (Mechanism::EccEdwardsKeyPairGen, curve(ED25519_NAME)),
        ],
        _ if algorithm.is_symmetric() => Vec::new(),
        _ => {
            let bits = rsa_bits.unwrap_or(DEFAULT_RSA_BITS);
            let parameters = vec![
                Attribute::ModulusBits(u64::from(bits).into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ];
            vec![(Mechanism::RsaPkcsKeyPairGen, parameters)]
        }
    }
}

/// Reads a public key.
pub(super) fn read(session: &Session, key: ObjectHandle, algorithm: Algorithm) -> Result<PublicJwk, Fault> {
    let wanted = [
        AttributeType::KeyType,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
        AttributeType::EcParams,
        AttributeType::EcPoint,
    ];
    let (mut kind, mut n, mut e, mut curve, mut point) = (None, None, None, None, None);
    for attribute in session.get_attributes(key, &wanted).map_err(Fault::Pkcs11)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Modulus(found) => n = Some(found),
            Attribute::PublicExponent(found) => e = Some(found),
            Attribute::EcParams(found) => curve = Some(found),
            Attribute::EcPoint(found) => point = Some(found),
            _ => {}
        }
    }
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = match (kind, n, e, point) {
        (Some(KeyType::RSA), Some(n), Some(e), _) => json!({ "kty": "RSA", "n": text(&n), "e": text(&e) }),
        (Some(KeyType::EC), _, _, Some(point)) => {
            let (crv, length) = match curve.as_deref() {
                Some(P256) => ("P-256", 32),
                Some(P384) => ("P-384", 48),
                _ => return Err(Fault::Other("the key is on another curve than P-256 and P-384".to_owned())),
            };
            let (x, y) = inner(&point, 1 + 2 * length)
                .and_then(|point| point.strip_prefix(&[4])?.split_at_checked(length))
                .ok_or_else(|| Fault::Other("the point of the key is compressed or damaged".to_owned()))?;
            json!({ "kty": "EC", "crv": crv, "x": text(x), "y": text(y) })
        }
        (Some(KeyType::EC_EDWARDS), _, _, Some(point)) => {
            let x = inner(&point, 32)
                .ok_or_else(|| Fault::Other("the key is not on Ed25519, or damaged".to_owned()))?;
            json!({ "kty": "OKP", "crv": "Ed25519", "x": text(x) })
        }
        _ => return Err(Fault::Other("the public key is not one of RSA, EC or Ed25519".to_owned())),
    };
    PublicJwk::from_jwk(algorithm, jwk.to_string().as_bytes())
        .map_err(|error| Fault::Other(error.to_string()))
}

/// The bytes of a point. PKCS#11 2.40 wraps them in an octet string, and some tokens do not.
fn inner(point: &[u8], length: usize) -> Option<&[u8]> {
    match point {
        [4, found, rest @ ..] if usize::from(*found) == rest.len() && rest.len() == length => Some(rest),
        // The bit string of RFC 8410.
        [3, found, 0, rest @ ..] if usize::from(*found) == rest.len() + 1 && rest.len() == length => {
            Some(rest)
        }
        raw if raw.len() == length => Some(raw),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_is_read_with_and_without_its_wrapping() {
        let raw = [7; 32];
        assert_eq!(inner(&raw, 32), Some(&raw[..]));
        assert_eq!(inner(&[&[4, 32], &raw[..]].concat(), 32), Some(&raw[..]));
        assert_eq!(inner(&[&[3, 33, 0], &raw[..]].concat(), 32), Some(&raw[..]));
        for wrong in [&[4, 31][..], &[4, 33], &[3, 32, 0], &[]] {
            assert_eq!(inner(&[wrong, &raw[..31]].concat(), 32), None);
        }
        // An uncompressed point begins with 4, as an octet string does.
        let point = [&[4][..], &[65; 64]].concat();
        assert_eq!(inner(&point, 65), Some(&point[..]));
    }
}
