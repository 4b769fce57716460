//! Identifies the kind of a key for error messages, by the object identifiers in its DER.

use super::{Algorithm, algorithm::KeyType};

/// A kind of key that is in use, whether or not a supported algorithm needs it.
struct Kind {
    /// The object identifier in DER, with its tag and length.
    oid: &'static [u8],
    what: &'static str,
    key_type: Option<KeyType>,
}

const fn used(oid: &'static [u8], what: &'static str, key_type: KeyType) -> Kind {
    Kind { oid, what, key_type: Some(key_type) }
}

const fn foreign(oid: &'static [u8], what: &'static str) -> Kind {
    Kind { oid, what, key_type: None }
}

/// The kinds of keys. The first one that matches wins: a curve before "an EC key", RSA-PSS before the hashes in its
/// parameters.
const KINDS: &[Kind] = &[
    used(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "an RSA key", KeyType::Rsa),
    foreign(RSASSA_PSS, "an RSA key that is restricted to RSASSA-PSS by its object identifier"),
    used(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "an EC key on P-256", KeyType::P256),
    used(b"\x06\x05\x2b\x81\x04\x00\x22", "an EC key on P-384", KeyType::P384),
    foreign(b"\x06\x05\x2b\x81\x04\x00\x23", "an EC key on P-521 (ES512)"),
    foreign(b"\x06\x05\x2b\x81\x04\x00\x0a", "an EC key on secp256k1 (ES256K)"),
    foreign(b"\x06\x05\x2b\x81\x04\x00\x21", "an EC key on P-224"),
    foreign(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01", "an EC key on P-192"),
    foreign(b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01", "an EC key on a Brainpool curve"),
    foreign(b"\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d", "an SM2 key"),
    foreign(b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", "an EC key whose curve is not one of P-256 and P-384"),
    used(b"\x06\x03\x2b\x65\x70", "an Ed25519 key", KeyType::Ed25519),
    foreign(b"\x06\x03\x2b\x65\x71", "an Ed448 key"),
    foreign(b"\x06\x03\x2b\x65\x6e", "an X25519 key, which agrees on secrets and signs nothing"),
    foreign(b"\x06\x03\x2b\x65\x6f", "an X448 key, which agrees on secrets and signs nothing"),
    foreign(b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "a DSA key"),
    foreign(
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01",
        "a Diffie-Hellman key, which agrees on secrets and signs nothing",
    ),
    foreign(b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11", "an ML-DSA-44 key"),
    foreign(b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12", "an ML-DSA-65 key"),
    foreign(b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13", "an ML-DSA-87 key"),
];

/// Whether the key is restricted to RSASSA-PSS in a way that excludes `algorithm` (RFC 4055 section 1.2).
/// Without parameters, only a PS algorithm may use it. The backend does not distinguish it from other RSA keys.
pub(crate) fn excludes(algorithm: Algorithm, der: &[u8]) -> bool {
    let contains = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
    let is_pss = matches!(algorithm, Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512);
    contains(RSASSA_PSS) && !(is_pss && contains(RSASSA_PSS_WITHOUT_PARAMETERS))
}

const RSASSA_PSS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";

/// The object identifier, as the only element of its sequence.
const RSASSA_PSS_WITHOUT_PARAMETERS: &[u8] = b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";

/// Explains in one sentence why a key cannot be used for `algorithm`: what the key is, and what to do.
/// `tag` is the label of its PEM block.
pub(crate) fn mismatch(algorithm: Algorithm, tag: &str, der: &[u8]) -> String {
    let needs = needs(algorithm.key_type());
    let found = match tag {
        "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => KINDS.first(),
        "DSA PRIVATE KEY" => {
            return format!("this is a DSA key, which no algorithm here uses; {algorithm} needs {needs}");
        }
        _ => KINDS.iter().find(|kind| der.windows(kind.oid.len()).any(|window| window == kind.oid)),
    };
    let Some(kind) = found else {
        return format!("the key is of an unknown kind or damaged; {algorithm} needs {needs}");
    };
    let what = kind.what;
    match kind.key_type {
        None => format!(
            "this is {what}, which cannot be used here; {algorithm} needs {needs}: \
             `service-token keygen --algorithm {algorithm}` makes one"
        ),
        Some(own) if own == algorithm.key_type() => {
            format!("this is {what}, but it is damaged or not supported in this form: export it again")
        }
        Some(own) => {
            let fitting = Algorithm::ALL.into_iter().filter(|other| other.key_type() == own);
            let fitting = fitting.map(Algorithm::as_str).collect::<Vec<_>>().join(", ");
            format!("this is {what}, and {algorithm} needs {needs}; for this key, use {fitting}")
        }
    }
}

fn needs(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Secret => "a secret",
        KeyType::Rsa => "an RSA key of 2048 to 8192 bits",
        KeyType::P256 => "an EC key on P-256",
        KeyType::P384 => "an EC key on P-384",
        KeyType::Ed25519 => "an Ed25519 key",
    }
}

/// Names what a file without a PEM block contains, as far as its first bytes show it.
pub(crate) fn without_pem(bytes: &[u8]) -> &'static str {
    match bytes.trim_ascii_start() {
        [] => "the file is empty",
        [b'{' | b'[', ..] => "it is JSON, such as a JWK or a JWK set",
        // Version 3, after the header of a definite or of an indefinite length (RFC 7292 section 4).
        [0x30, 0x82, _, _, 2, 1, 3, ..] | [0x30, 0x80, 2, 1, 3, ..] => {
            "it is PKCS#12: `openssl pkcs12 -in FILE -nodes -nocerts` writes its private key in PEM"
        }
        [0x30, ..]
            if bytes
                .get(1)
                .is_some_and(|length| *length >= 0x80 || bytes.len() == 2 + usize::from(*length)) =>
        {
            "it is DER: `openssl pkey -inform DER -in FILE` writes PEM, with `-pubin` for a public key"
        }
        rest if rest.starts_with(b"ssh-") || rest.starts_with(b"ecdsa-sha2-") => {
            "it is a public key of OpenSSH: `ssh-keygen -e -m PKCS8 -f FILE` writes PEM"
        }
        rest if rest.starts_with(b"-----BEGIN ") => {
            "it begins like PEM and has no matching end, so it is probably cut off: copy it again"
        }
        _ => "the file is something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_a_file_without_pem_is_named() {
        let mut der = vec![0x30, 0x03, 2, 1, 7];
        let cases: [(&[u8], &str); 13] = [
            (b"", "is empty"),
            (b" \r\n", "is empty"),
            (b"{\"kty\":\"EC\"}", "is JSON"),
            (b"\n[1]", "is JSON"),
            (&[0x30, 0x82, 0, 9, 2, 1, 3, 0x30], "is PKCS#12"),
            (&[0x30, 0x80, 2, 1, 3, 0x30], "is PKCS#12"),
            (&[0x30, 0x81, 2, 1, 0], "is DER"),
            (&der.clone(), "is DER"),
            (b"0123", "something else"),
            (b"0", "something else"),
            (b"ssh-ed25519 AAAA", "of OpenSSH"),
            (b"ecdsa-sha2-nistp256 AAAA", "of OpenSSH"),
            (b"-----BEGIN PUBLIC KEY-----\nMFkw", "cut off"),
        ];
        for (bytes, expected) in cases {
            assert!(without_pem(bytes).contains(expected), "{bytes:?}: {}", without_pem(bytes));
        }
        der.push(0);
        assert_eq!(without_pem(&der), without_pem(b"ordinary text"), "longer than its length says");
    }

    #[test]
    fn a_dsa_key_is_named() {
        let message = mismatch(Algorithm::RS256, "DSA PRIVATE KEY", b"\x30\x00");
        assert!(
            message.contains("this is a DSA key") && message.contains("RS256 needs an RSA key"),
            "{message}"
        );
    }
}
