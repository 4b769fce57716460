//! Keys that would work and must not be used.

mod roca;

use super::{Algorithm, KeyError};

/// RSA keys below this are refused (RFC 7518 section 3.3).
pub const MIN_RSA_BITS: usize = 2048;

/// RSA keys above this are refused: verifying with one costs more than a caller should be able to
/// make a service spend.
pub const MAX_RSA_BITS: usize = 8192;

/// RSA public exponents below this are refused (NIST SP 800-56B section 6.2).
pub const MIN_RSA_EXPONENT: u64 = 65_537;

/// RFC 7518 section 3.2: at least as long as the hash.
pub(crate) fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), KeyError> {
    if !algorithm.is_symmetric() {
        return Err(KeyError::unusable(format!("{algorithm} does not use a secret but a key pair")));
    }
    let (least, found) = (algorithm.hash_length(), secret.len());
    if found < least {
        return Err(KeyError::weak(format!(
            "the secret has {found} bytes, and {algorithm} needs {least} or more: `service-token keygen` makes one"
        )));
    }
    Ok(())
}

pub(super) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    let bits = bit_length(n);
    if bits < MIN_RSA_BITS {
        return Err(KeyError::weak(format!("the RSA key has {bits} bits, fewer than {MIN_RSA_BITS}")));
    }
    if bits > MAX_RSA_BITS {
        return Err(KeyError::unusable(format!("the RSA key has {bits} bits, more than {MAX_RSA_BITS}")));
    }
    let exponent = match significant(e) {
        bytes if bytes.len() <= 8 => bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte)),
        // Large exponents only make verifying slow.
        _ => return Err(KeyError::unusable("the RSA exponent has more than 64 bits")),
    };
    if exponent < MIN_RSA_EXPONENT {
        return Err(KeyError::weak(format!("the RSA exponent is {exponent}, less than {MIN_RSA_EXPONENT}")));
    }
    if exponent % 2 == 0 {
        return Err(KeyError::unusable("the RSA exponent is even"));
    }
    if roca::is_fingerprinted(n) {
        return Err(KeyError::weak("the RSA key can be factored (ROCA, CVE-2017-15361): make a new one"));
    }
    Ok(())
}

fn significant(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or_default()
}

fn bit_length(number: &[u8]) -> usize {
    let number = significant(number);
    let leading = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

/// Refuses Ed25519 keys of small order: with one, some signatures verify for every message.
pub(super) fn check_ed25519(key: &[u8]) -> Result<(), KeyError> {
    let Ok(mut point) = <[u8; 32]>::try_from(key) else {
        return Err(KeyError::unusable(format!("an Ed25519 key has 32 bytes, this one {}", key.len())));
    };
    // The last bit is the sign of x, and both signs are of the same order.
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    if SMALL_ORDER.contains(&point) {
        return Err(KeyError::weak("the Ed25519 key is of small order: anybody can sign for it"));
    }
    Ok(())
}

/// The y coordinates of the eight points of small order on edwards25519, little-endian, with those
/// encodings that are not reduced modulo 2^255 - 19. See "Taming the many EdDSAs", table 1.
const SMALL_ORDER: [[u8; 32]; 7] = [
    // 0, order 4
    [0; 32],
    // 1, order 1
    little_endian(0x01, 0x00, 0x00),
    // order 8
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    // order 8
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    // p - 1, order 2
    little_endian(0xec, 0xff, 0x7f),
    // p, which is 0
    little_endian(0xed, 0xff, 0x7f),
    // p + 1, which is 1
    little_endian(0xee, 0xff, 0x7f),
];

const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponent(value: u32) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    fn modulus(bits: usize) -> Vec<u8> {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (n.len() * 8 - bits);
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
        for point in SMALL_ORDER {
            let mut negative = point;
            negative[31] |= 0x80;
            assert!(check_ed25519(&point).is_err() && check_ed25519(&negative).is_err());
        }
        // The base point, which everybody uses, is of large order.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(check_ed25519(&base).is_ok());
        assert!(check_ed25519(&base[..31]).is_err());
    }
}
