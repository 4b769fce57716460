//! Refuses keys that would work but are too weak.

mod roca;

use curve25519_dalek::edwards::CompressedEdwardsY;

use super::{Algorithm, KeyError};

/// See [`VerifyingKey::MIN_RSA_BITS`].
pub(crate) const MIN_RSA_BITS: usize = 2048;

/// See [`VerifyingKey::MAX_RSA_BITS`].
pub(crate) const MAX_RSA_BITS: usize = 8192;

/// See [`VerifyingKey::MIN_RSA_EXPONENT`].
pub(crate) const MIN_RSA_EXPONENT: u64 = 65_537;

/// Checks a secret. RFC 7518 section 3.2: it must be at least as long as the hash.
pub(crate) fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), KeyError> {
    if !algorithm.is_symmetric() {
        return Err(KeyError::unusable(format!("{algorithm} does not use a secret but a key pair")));
    }
    // RFC 8725 section 2.1: if a public key is the secret, every reader of that key can sign.
    if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Err(KeyError::weak(format!(
            "the secret is a PEM block, so a key pair or a certificate, and {algorithm} needs a secret: \
             `service-token keygen --algorithm {algorithm}` makes one"
        )));
    }
    let (least, found) = (algorithm.hash_length(), secret.len());
    if found < least {
        return Err(KeyError::weak(format!(
            "the secret has {found} bytes, and {algorithm} needs {least} or more: `service-token keygen` makes one"
        )));
    }
    Ok(())
}

pub(crate) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    let bits = bit_length(n);
    if bits < MIN_RSA_BITS {
        return Err(KeyError::weak(format!(
            "the RSA key has {bits} bits, fewer than {MIN_RSA_BITS}: its owner must make a longer one"
        )));
    }
    if bits > MAX_RSA_BITS {
        return Err(KeyError::unusable(format!("the RSA key has {bits} bits, more than {MAX_RSA_BITS}")));
    }
    let exponent = match significant(e) {
        bytes if bytes.len() <= 8 => bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte)),
        // Larger exponents only make verification slow.
        _ => return Err(KeyError::unusable("the RSA exponent has more than 64 bits")),
    };
    if exponent < MIN_RSA_EXPONENT {
        return Err(KeyError::weak(format!("the RSA exponent is {exponent}, less than {MIN_RSA_EXPONENT}")));
    }
    if exponent % 2 == 0 {
        return Err(KeyError::unusable("the RSA exponent is even"));
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(KeyError::unusable("the RSA modulus is even: no signature verifies with it"));
    }
    if let Some(factor) = small_factor(n) {
        return Err(KeyError::weak(format!(
            "the RSA modulus is divisible by {factor}, so that it can be factored: make a new key"
        )));
    }
    if roca::is_fingerprinted(n) {
        return Err(KeyError::weak("the RSA key can be factored (ROCA, CVE-2017-15361): make a new one"));
    }
    Ok(())
}

/// Finds a small factor. NIST SP 800-89 section 5.3.3: a modulus has no factor below 752.
fn small_factor(modulus: &[u8]) -> Option<u32> {
    (3..752)
        .filter(|&candidate| roca::is_prime(candidate))
        .find(|&prime| roca::remainder(modulus, prime) == 0)
}

/// Returns the number without leading zero octets.
pub(crate) fn significant(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or_default()
}

fn bit_length(number: &[u8]) -> usize {
    let number = significant(number);
    let leading = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

/// Refuses Ed25519 keys that verify nothing, and those of small order, for which some signatures are valid
/// for every message ("Taming the many EdDSAs", section 5.1). The backend checks neither.
pub(crate) fn check_ed25519(key: &[u8]) -> Result<(), KeyError> {
    let Ok(encoded) = CompressedEdwardsY::from_slice(key) else {
        return Err(KeyError::unusable(format!("an Ed25519 key has 32 bytes, this one {}", key.len())));
    };
    let point = encoded.decompress().ok_or_else(|| {
        KeyError::unusable("the Ed25519 key is not a point of the curve: no signature verifies with it")
    })?;
    if point.is_small_order() {
        return Err(KeyError::weak(
            "the Ed25519 key has small order, so signatures for it can be forged without the private key",
        ));
    }
    // RFC 8032 section 5.1.3: a coordinate that is not reduced is invalid.
    if point.compress() != encoded {
        return Err(KeyError::unusable("the Ed25519 key is not encoded as RFC 8032 section 5.1.2 requires"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::keys::KeyErrorKind;

    fn exponent(value: u32) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    /// The largest odd number of this many bits that has no small factor and no fingerprint.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (n.len() * 8 - bits);
        let low = n.len() - 4;
        for odd in (1..=u32::MAX).rev().step_by(2) {
            n[low..].copy_from_slice(&odd.to_be_bytes());
            if small_factor(&n).is_none() && !roca::is_fingerprinted(&n) {
                break;
            }
        }
        n
    }

    #[test]
    fn rsa_sizes_are_refused_on_both_sides_of_the_limits() {
        let e = exponent(65_537);
        for (bits, ok) in [(2047, false), (2048, true), (3072, true), (8192, true), (8193, false)] {
            assert_eq!(check_rsa(&modulus(bits), &e).is_ok(), ok, "{bits}");
        }
        let padded = [vec![0; 200], modulus(1024)].concat();
        assert!(check_rsa(&padded, &e).is_err(), "leading zeros do not make a key longer");
    }

    #[test]
    fn rsa_exponents_must_be_odd_and_65537_or_more() {
        let n = modulus(2048);
        for (value, ok) in
            [(0, false), (1, false), (3, false), (65_535, false), (65_537, true), (65_538, false)]
        {
            assert_eq!(check_rsa(&n, &exponent(value)).is_ok(), ok, "{value}");
        }
        assert!(check_rsa(&n, &[]).is_err());
        assert!(check_rsa(&n, &[0xff; 9]).is_err());
    }

    #[test]
    fn points_of_small_order_are_refused_with_either_sign() {
        let mut encodings: Vec<[u8; 32]> =
            EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
        // p, which is 0, and p + 1, which is 1: not reduced modulo 2^255 - 19.
        for first in [0xed, 0xee] {
            let mut unreduced = [0xff; 32];
            (unreduced[0], unreduced[31]) = (first, 0x7f);
            encodings.push(unreduced);
        }
        for point in encodings {
            let mut negative = point;
            negative[31] ^= 0x80;
            for key in [point, negative] {
                let error = check_ed25519(&key).unwrap_err();
                assert!(error.kind() == KeyErrorKind::Weak || error.to_string().contains("not a point"));
            }
            assert_eq!(check_ed25519(&point).unwrap_err().kind(), KeyErrorKind::Weak, "{point:?}");
        }
    }

    #[test]
    fn an_ed25519_key_must_be_a_point_in_its_one_encoding() {
        // The base point is of large order.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(check_ed25519(&base).is_ok());
        assert!(check_ed25519(&base[..31]).unwrap_err().to_string().contains("32 bytes, this one 31"));
        // y = 2 has no x.
        let mut off = [0; 32];
        off[0] = 2;
        assert!(check_ed25519(&off).unwrap_err().to_string().contains("not a point"));
        // p + 3: y = 3 is a point, in another encoding.
        let mut three = [0; 32];
        three[0] = 3;
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xf0, 0x7f);
        assert!(check_ed25519(&three).is_ok());
        assert!(check_ed25519(&unreduced).unwrap_err().to_string().contains("RFC 8032"));
    }

    #[test]
    fn an_rsa_modulus_must_be_odd_and_without_small_factors() {
        let e = exponent(65_537);
        let good = modulus(2048);
        let mut even = good.clone();
        even[255] ^= 1;
        assert!(check_rsa(&even, &e).unwrap_err().to_string().contains("even"));
        for factor in [3_u32, 5, 7, 743, 751] {
            let mut n = good.clone();
            // Lowers the number until it is odd and divisible, in its last four bytes.
            let low = u32::from_be_bytes(*n.last_chunk().unwrap());
            let low = (0..2 * factor)
                .map(|less| low - less)
                .find(|low| {
                    n[252..].copy_from_slice(&low.to_be_bytes());
                    low % 2 == 1 && roca::remainder(&n, factor) == 0
                })
                .unwrap();
            n[252..].copy_from_slice(&low.to_be_bytes());
            let error = check_rsa(&n, &e).unwrap_err();
            assert!(error.kind() == KeyErrorKind::Weak && error.to_string().contains("divisible"), "{error}");
        }
    }
}
