//! JWK sets as other software publishes them: a good key stays usable, whatever other members the set has.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{code, jwk, set, signing};
use crate::{
    denial::Code,
    issue::SigningKey,
    keys::{Algorithm, KeyErrorKind, KeySet, VerifyingKey},
};

/// The public JWK of a key, with some members changed.
fn with(key: &SigningKey, members: Value) -> Value {
    let mut jwk = jwk(key);
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn with_sign(jwk: &Value, name: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    URL_SAFE_NO_PAD.encode([&[0], bytes.as_slice()].concat()).into()
}

/// Whether the set has the right key for this signer's tokens.
fn serves(keys: &KeySet, kid: Option<&str>, signer: &SigningKey) -> bool {
    let signature = signer.sign(b"message").unwrap();
    let algorithm = signer.algorithm();
    keys.key_for(algorithm, kid).is_ok_and(|key| {
        assert!(!key.verifies(algorithm, b"another", &signature));
        key.verifies(algorithm, b"message", &signature)
    })
}

/// The only reason why a set is refused, or a member of it is skipped.
fn reason(jwk: Value) -> String {
    let error = set(&[jwk]).unwrap_err().to_string();
    error.strip_prefix("no usable key: key 1").unwrap_or_else(|| panic!("{error}")).to_owned()
}

fn under(signer: &SigningKey, algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(algorithm, &signer.to_secret_bytes().unwrap()).unwrap()
}

#[test]
fn a_leading_zero_octet_does_not_make_a_key_unusable() {
    let rsa = signing(Algorithm::RS256);
    for members in [["n"].as_slice(), &["e"], &["n", "e"]] {
        let mut public = jwk(&rsa);
        for name in members {
            public[name] = with_sign(&public, name);
            public[name] = with_sign(&public, name);
        }
        assert!(serves(&set(&[public]).unwrap(), Some(rsa.kid().as_str()), &rsa), "{members:?}");
    }
    for algorithm in [Algorithm::ES256, Algorithm::ES384] {
        let ec = signing(algorithm);
        for name in ["x", "y"] {
            let mut public = jwk(&ec);
            public[name] = with_sign(&public, name);
            assert!(serves(&set(&[public.clone()]).unwrap(), Some(ec.kid().as_str()), &ec), "{algorithm}");
            public[name] = with_sign(&public, name);
            assert!(reason(public).contains("bytes, expected"), "only the octet that holds a sign");
        }
    }
}

#[test]
fn leading_zero_octets_do_not_make_a_weak_key_strong() {
    let rsa = jwk(&signing(Algorithm::RS256));
    let n = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let mut short = rsa.clone();
    short["n"] = URL_SAFE_NO_PAD.encode([&[0; 128], &n[..128]].concat()).into();
    assert!(reason(short).contains("1024 bits"));
}

#[test]
fn members_that_are_null_or_empty_are_members_that_are_left_out() {
    let rsa = signing(Algorithm::RS256);
    let empty = json!({
        "oth": [], "d": null, "p": null, "q": "", "k": null, "x5c": [], "x5u": null, "x5t": "", "crv": null,
        "x": null, "y": null, "key_ops": null, "use": null, "alg": null,
    });
    let keys = set(&[with(&rsa, empty.clone())]).unwrap();
    assert!(serves(&keys, Some(rsa.kid().as_str()), &rsa));
    assert!(keys.keys()[0].is_for(Algorithm::PS512), "without `alg`, it is for all that RSA can do");

    let nameless = set(&[with(&rsa, json!({ "kid": null }))]).unwrap();
    assert!(nameless.keys()[0].kid().is_none() && serves(&nameless, None, &rsa));
    for (name, says) in [("kty", "no `kty`"), ("n", "no `n`"), ("e", "no `e`")] {
        assert!(reason(with(&rsa, json!({ name: null }))).contains(says));
    }
}

#[test]
fn a_member_that_only_a_private_key_has_makes_an_entry_unusable() {
    let rsa = signing(Algorithm::RS256);
    for (name, value) in [
        ("d", json!("AQAB")),
        ("p", json!(7)),
        ("oth", json!([{"r": "AQAB"}])),
        ("oth", json!("AQAB")),
        ("k", json!(["AQAB"])),
    ] {
        let why = reason(with(&rsa, json!({ name: value })));
        assert!(why.contains(&format!("private key (`{name}`)")), "{why}");
    }
}

#[test]
fn a_kid_that_is_published_once_per_algorithm_serves_each_of_them() {
    let rsa = signing(Algorithm::RS256);
    for named in [true, false] {
        let entry = |algorithm: &str| {
            let public = with(&rsa, json!({ "alg": algorithm, "kid": "k" }));
            if named { public } else { without(public, "kid") }
        };
        let keys = set(&["RS256", "PS256", "RS512"].map(entry)).unwrap();
        assert!(keys.skipped().is_empty() && keys.len() == 1);
        let kid = named.then_some("k");
        for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::RS512] {
            assert!(serves(&keys, kid, &under(&rsa, algorithm)), "{algorithm}");
        }
        assert_eq!(code(keys.key_for(Algorithm::PS512, kid)), Some(Code::KeyAlgMismatch));
    }
}

#[test]
fn a_duplicate_entry_is_used_once_and_listed() {
    let ec = signing(Algorithm::ES256);
    for kid in [Some("k"), None] {
        let entry = match kid {
            Some(kid) => with(&ec, json!({ "kid": kid })),
            None => without(jwk(&ec), "kid"),
        };
        let no_alg = without(entry.clone(), "alg");
        let keys = set(&[entry.clone(), entry, no_alg]).unwrap();
        assert!(serves(&keys, kid, &ec) && serves(&keys, None, &ec));
        let listed: Vec<_> = keys.skipped().iter().map(|skipped| skipped.error().to_string()).collect();
        assert_eq!(listed, ["it repeats key 1, which is used"; 2]);
    }
    // Here the second entry adds algorithms.
    let rsa = signing(Algorithm::RS256);
    let keys = set(&[jwk(&rsa), without(jwk(&rsa), "alg")]).unwrap();
    assert!(keys.skipped().is_empty() && serves(&keys, None, &rsa));
    assert!(serves(&keys, Some(rsa.kid().as_str()), &under(&rsa, Algorithm::PS256)));
}

#[test]
fn keys_that_share_a_kid_are_distinguished_by_algorithm() {
    let (rsa, ec) = (signing(Algorithm::RS256), signing(Algorithm::ES256));
    let share = |key| with(key, json!({ "kid": "k" }));
    for keys in [[share(&rsa), share(&ec)], [share(&ec), share(&rsa)]] {
        let keys = set(&keys).unwrap();
        assert!(keys.skipped().is_empty());
        assert!(serves(&keys, Some("k"), &rsa) && serves(&keys, Some("k"), &ec));
        assert!(serves(&keys, None, &rsa) && serves(&keys, None, &ec));
        assert_eq!(code(keys.key_for(Algorithm::EdDSA, Some("k"))), Some(Code::KeyAlgMismatch));
        assert_eq!(code(keys.key_for(Algorithm::ES256, Some("other"))), Some(Code::UnknownKey));
    }
}

#[test]
fn each_of_a_few_keys_that_share_kid_and_algorithm_is_tried_and_no_other() {
    let signers: Vec<_> = (0..=KeySet::MAX_KEYS_PER_KID).map(|_| signing(Algorithm::ES256)).collect();
    let shared: Vec<_> = signers.iter().map(|key| with(key, json!({ "kid": "k" }))).collect();
    let other = signing(Algorithm::ES256);
    let (last, few) = signers.split_last().unwrap();

    let keys = set(&[&shared[..KeySet::MAX_KEYS_PER_KID], &[jwk(&other)]].concat()).unwrap();
    assert!(keys.skipped().is_empty() && few.iter().all(|signer| serves(&keys, Some("k"), signer)));
    assert!(!serves(&keys, Some("k"), &other) && !serves(&keys, Some("k"), last));
    // Without a `kid`, a token does not state which key it means.
    assert_eq!(code(keys.key_for(Algorithm::ES256, None)), Some(Code::UnknownKey));

    let keys = set(&shared).unwrap();
    assert!(few.iter().all(|signer| serves(&keys, Some("k"), signer)) && !serves(&keys, Some("k"), last));
    assert!(
        keys.skipped()[0].to_string().contains("4 keys before it have its `kid`"),
        "{:?}",
        keys.skipped()
    );
}

#[test]
fn callers_of_a_shared_kid_are_refused_when_their_key_is_withdrawn() {
    let [a, b, c] = [0; 3].map(|_| with(&signing(Algorithm::ES256), json!({ "kid": "k" })));
    let key = |entries: &[&Value]| {
        let entries: Vec<_> = entries.iter().map(|entry| (*entry).clone()).collect();
        set(&entries).unwrap().keys()[0].clone()
    };
    let accepted = key(&[&a, &b]);
    for (now, still) in [
        (key(&[&a, &b]), true),
        (key(&[&b, &a]), true),
        (key(&[&c, &b, &a]), true),
        (key(&[&a]), false),
        (key(&[&b]), false),
        (key(&[&b, &c]), false),
    ] {
        assert_eq!(now.is_same_for(Algorithm::ES256, &accepted), still);
        assert!(!now.is_same_for(Algorithm::ES384, &accepted));
    }
}

#[test]
fn an_unusable_entry_of_the_same_kid_does_not_affect_the_valid_one() {
    let (good, other) = (signing(Algorithm::ES256), signing(Algorithm::ES256));
    let share = json!({ "kid": "k" });
    for neighbour in [
        with(&other, json!({ "kid": "k", "use": "enc" })),
        with(&other, json!({ "kid": "k", "key_ops": ["sign"] })),
        with(&other, json!({ "kid": "k", "y": jwk(&good)["y"] })),
        json!({ "kty": "oct", "kid": "k", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" }),
        json!({ "kty": "RSA", "kid": "k", "n": "AQ", "e": "AQAB" }),
    ] {
        for keys in [[neighbour.clone(), with(&good, share.clone())], [with(&good, share.clone()), neighbour]]
        {
            let keys = set(&keys).unwrap();
            assert!(keys.skipped().len() == 1 && serves(&keys, Some("k"), &good));
            assert!(!serves(&keys, Some("k"), &other));
        }
    }
}

/// Each is JSON by RFC 8259, and serde_json refuses it: a number beyond a double, half of a surrogate pair, 500 levels.
#[test]
fn an_entry_that_cannot_be_read_does_not_affect_the_valid_one() {
    let good = signing(Algorithm::ES256);
    let (key, deep) = (jwk(&good), format!("{}{}", "[".repeat(500), "]".repeat(500)));
    for odd in ["1e999", "\"\\ud83d\"", &deep] {
        for other in [odd.to_owned(), format!(r#"{{"kty":{odd}}}"#), format!(r#"{{"kty":"X","d":{odd}}}"#)] {
            for text in [format!(r#"{{"keys":[{other},{key}]}}"#), format!(r#"{{"keys":[{key},{other}]}}"#)] {
                let keys = KeySet::from_jwks(text.as_bytes()).unwrap();
                assert!(serves(&keys, Some(good.kid().as_str()), &good));
                let skipped = keys.skipped()[0].to_string();
                assert!(
                    skipped.contains("it cannot be read: ") || skipped.contains("not an object"),
                    "{skipped}"
                );
            }
        }
        let text = key.to_string();
        let (start, _) = text.split_at(text.len() - 1);
        let keys =
            KeySet::from_jwks(format!(r#"{{"keys":[{start},"generated":{odd}}}]}}"#).as_bytes()).unwrap();
        assert!(keys.skipped().is_empty() && serves(&keys, Some(good.kid().as_str()), &good));
    }
    for broken in ["{", "[1,]", "{\"kty\"}", "tru", "\"a\u{1}\"", "01"] {
        let text = format!(r#"{{"keys":[{key},{broken}]}}"#);
        assert!(
            KeySet::from_jwks(text.as_bytes()).unwrap_err().to_string().starts_with("not a JWK set: "),
            "{broken}"
        );
    }
}

#[test]
fn the_name_of_rfc_9864_means_the_same_key_and_a_verifier_lists_the_names_that_it_accepts() {
    let key = signing(Algorithm::EdDSA);
    for alg in [json!("Ed25519"), json!("EdDSA"), json!(null)] {
        let keys = set(&[with(&key, json!({ "alg": alg }))]).unwrap();
        for algorithm in [Algorithm::EdDSA, Algorithm::Ed25519] {
            assert!(serves(&keys, Some(key.kid().as_str()), &under(&key, algorithm)), "{alg} {algorithm}");
            assert!(serves(&keys, None, &under(&key, algorithm)), "{alg} {algorithm}");
        }
    }
    assert!(reason(with(&signing(Algorithm::ES256), json!({ "alg": "Ed25519" }))).contains("does not fit"));
    assert!(reason(with(&key, json!({ "alg": "Ed448" }))).contains("`Ed448`"));
    // A key that was created for one name is not for the other.
    let given = under(&key, Algorithm::Ed25519).verifying_key();
    assert!(given.is_for(Algorithm::Ed25519) && !given.is_for(Algorithm::EdDSA));
}

#[test]
fn a_set_is_read_with_a_byte_order_mark_and_in_utf_16() {
    let key = signing(Algorithm::EdDSA);
    let text = json!({ "keys": [jwk(&key)], "comment": "für 😀" }).to_string();
    let marked = format!("\u{feff}{text}");
    let utf16 =
        |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for bytes in [
        text.clone().into_bytes(),
        marked.clone().into_bytes(),
        utf16(&text, u16::to_le_bytes),
        utf16(&text, u16::to_be_bytes),
        utf16(&marked, u16::to_le_bytes),
        utf16(&marked, u16::to_be_bytes),
    ] {
        assert!(serves(&KeySet::from_jwks(&bytes).unwrap(), Some(key.kid().as_str()), &key));
    }
}

#[test]
fn a_text_of_another_form_is_refused_with_what_to_do() {
    let key = jwk(&signing(Algorithm::ES256));
    for (text, says) in [
        (key.to_string(), "single JWK; write `{\"keys\":[` before it"),
        (json!([key]).to_string(), "an array of keys belongs in an object"),
        (String::new(), "the text is empty"),
        ("<html>".to_owned(), "HTML"),
        (format!("// keys\n{}", json!({ "keys": [key] })), "JSON has no comments"),
        ("-----BEGIN PUBLIC KEY-----".to_owned(), "PEM"),
        (json!({ "jwks": { "keys": [key] } }).to_string(), "member `keys` is missing"),
    ] {
        let error = KeySet::from_jwks(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("not a JWK set: ") && error.contains(says), "{error}");
    }
    let latin = KeySet::from_jwks(b"{\"keys\":[],\"comment\":\"f\xfcr\"}").unwrap_err().to_string();
    assert_eq!(latin, "not a JWK set: not UTF-8");
}

#[test]
fn key_operations_without_verify_exclude_a_key_and_the_reason_names_the_rule() {
    let key = signing(Algorithm::ES256);
    for (ops, says) in [
        (json!([]), "`key_ops` is empty, so the key is for no operation (RFC 7517 section 4.3)"),
        (json!(["encrypt"]), "`key_ops` has no `verify`"),
        (json!("verify"), "`key_ops` is not an array of strings"),
        (json!(["verify", 1]), "`key_ops` is not an array of strings"),
        (json!({}), "`key_ops` is not an array of strings"),
    ] {
        let why = reason(with(&key, json!({ "key_ops": ops })));
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn the_reason_of_a_skipped_key_names_what_was_read() {
    let key = signing(Algorithm::ES256);
    for (members, says) in [
        (json!({ "use": "enc" }), "`use` is `enc`, expected `sig`"),
        (json!({ "alg": "ES512" }), "`alg` is `ES512`"),
        (json!({ "crv": "secp256k1" }), "`crv` `secp256k1` of `kty` `EC` is not supported; supported are"),
        (json!({ "crv": null }), "no `crv`"),
        (json!({ "kty": "AKP" }), "`kty` `AKP` is not supported; supported are"),
        (json!({ "kid": 1 }), "`kid` is not a string"),
        (json!({ "use": "a\u{1b}[31m" }), "`use` is `a\\u{1b}[31m`"),
    ] {
        let why = reason(with(&key, members));
        assert!(why.contains(says), "{why}");
    }
    let twice = r#"{"keys":[{"kty":"EC","kty":"EC"}]}"#;
    assert!(KeySet::from_jwks(twice.as_bytes()).unwrap_err().to_string().contains("`kty` occurs twice"));
}

#[test]
fn a_key_that_verifies_nothing_is_refused_as_a_jwk_and_as_pem() {
    // y = 2 has no x on edwards25519.
    let mut off = [0; 32];
    off[0] = 2;
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(off) });
    assert!(reason(ed).contains("not a point of the curve"));
    let der = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &off].concat();
    assert!(of_der(Algorithm::EdDSA, der).contains("not a point of the curve"));

    let rsa = jwk(&signing(Algorithm::RS256));
    let mut n = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    n[255] ^= 1;
    let mut even = rsa.clone();
    even["n"] = URL_SAFE_NO_PAD.encode(&n).into();
    assert!(reason(even).contains("even"));
    let mut exponent = rsa.clone();
    exponent["e"] = "AQAA".into();
    assert!(reason(exponent).contains("exponent is 65536"));

    let (one, two) = (jwk(&signing(Algorithm::ES256)), jwk(&signing(Algorithm::ES256)));
    let mut off = one.clone();
    off["y"] = two["y"].clone();
    assert!(reason(off).contains("not a point of the curve of ES256"));
    let coordinate = |jwk: &Value, name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let der = [
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
            .as_slice(),
        &coordinate(&one, "x"),
        &coordinate(&two, "y"),
    ];
    assert!(of_der(Algorithm::ES256, der.concat()).contains("EC key on P-256, but it is damaged"));
}

fn of_der(algorithm: Algorithm, der: Vec<u8>) -> String {
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der));
    VerifyingKey::from_pem(algorithm, pem.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_pem_block_is_never_a_secret() {
    let key = signing(Algorithm::RS256);
    for text in [
        &key.to_secret_bytes().unwrap()[..],
        b"\n-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIB",
    ] {
        let error = VerifyingKey::hmac(Algorithm::HS256, text).unwrap_err();
        assert!(error.kind() == KeyErrorKind::Weak && error.to_string().contains("PEM block"), "{error}");
        assert!(VerifyingKey::secret(text).is_err() && SigningKey::hmac(Algorithm::HS256, text).is_err());
    }
}
