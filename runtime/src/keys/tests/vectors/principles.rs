//! Cases that are refused on principle, even if the vectors accept them: the principle, a part of the
//! refusal, and the cases. `7-9` is a range, `json *` matches every name with that start; the first match counts.

pub(crate) type Principle = (&'static str, &'static str, &'static [&'static str]);

pub(crate) const PRINCIPLES: &[Principle] = &[
    // Keys.
    (
        "P-521, and with it ES512, is not implemented",
        "`crv` `P-521` of `kty` `EC` is not supported",
        &[
            "signature 347",
            "signature 351",
            "key 7520 3.1",
            "key 7520 3.2",
            "compact 7520 4.3",
            "json 7520 4.3",
            "flat 7520 4.3",
        ],
    ),
    ("a private key has no place in a verifier", "private key", &["key 7520 3.4"]),
    (
        "a key for encryption verifies nothing: `use`",
        "`use` is `enc`, expected `sig`",
        &["signature 353-354", "key 6"],
    ),
    ("a key for encryption verifies nothing: `key_ops`", "`key_ops` has no `verify`", &["signature 355-356"]),
    (
        "a secret for encryption verifies nothing: `alg`",
        "unknown algorithm `A256",
        &["key 25-26", "key 7520 3.6"],
    ),
    (
        "a key's `alg`, `kty` and `crv` fit each other",
        "which does not fit `kty`",
        &["key 19-20", "key 23-24"],
    ),
    ("a key's `use` is `sig` or absent", "`use` is `enc`, expected `sig`", &["key 21"]),
    ("a point lies on its curve", "not a point of the curve of ES256", &["key 22"]),
    ("RSA keys have 2048 bits or more", "fewer than 2048", &["key 8"]),
    ("RSA exponents are 65537 or more", "less than 65537", &["key 9"]),
    ("RSA keys that a weak generator made are refused", "ROCA", &["key 7", "crypto 46"]),
    ("an HMAC secret is as long as the hash (RFC 7518 section 3.2)", "or more", &["key 10-12", "key 16-18"]),
    ("keys of one set have different names", "give each key its own", &["key 4"]),
    ("a JWK set is public, so a secret in one is left out", "alg_not_allowed", &["key 1", "crypto 47"]),
    // Algorithms.
    ("`none` is not an algorithm", "alg_not_allowed", &["signature 16", "signature 341-344", "crypto 16"]),
    (
        "a key is for the algorithm that it names, and the token for another",
        "alg_not_allowed",
        &["signature 332", "signature 334", "signature 336", "signature 338", "signature 340"],
    ),
    (
        "a key is for the algorithm that it names, also where the vectors let PS256 serve PS384",
        "`PS384`, allowed: PS256",
        &["signature 346", "signature 350"],
    ),
    ("a public key is not a secret", "`HS256`, allowed: ES256", &["signature 31", "crypto 31"]),
    ("a key that the token brings along proves nothing", "bad_signature", &["signature 32", "crypto 32"]),
    // Serializations.
    (
        "there is no decryption here: a JWE is not a token",
        "key: ",
        &["crypto 50-83", "compact 8037 A.6", "json 8037 A.6", "flat 8037 A.6"],
    ),
    ("no extension is implemented: `b64` and `crit`", "crit: ", &["compact 7797"]),
    (
        "only the compact serialization is read",
        "malformed: ",
        &["signature 17", "crypto 17", "json *", "flat *"],
    ),
    ("a token holds its payload: detached content", "a segment of the token is empty", &["compact 7520 4.5"]),
    (
        "a token has claims, and so a payload",
        "a segment of the token is empty",
        &[
            "signature 259",
            "signature 264",
            "signature 268",
            "signature 272",
            "signature 320",
            "signature 325",
        ],
    ),
    (
        "base64url is strict (RFC 4648 section 3.3), also where the vectors let a `?` pass",
        "is not unpadded base64url",
        &["signature 372-373"],
    ),
];

/// Cases that are marked invalid although their key and token are those of the valid case 357: the padding that they
/// are named after is missing in the file. A reader cannot both accept and refuse one text.
pub(crate) const CONTRADICTIONS: &[&str] = &["signature 367", "signature 370"];
