mod openssl;
mod published;
mod vectors;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{
    denial::{Code, Denial},
    issue::SigningKey,
};

fn signing(algorithm: Algorithm) -> SigningKey {
    match algorithm.key_type() {
        KeyType::Rsa => SigningKey::generate_rsa(algorithm, 2048).unwrap(),
        _ => SigningKey::generate(algorithm).unwrap(),
    }
}

fn jwk(key: &SigningKey) -> Value {
    serde_json::to_value(key.public_jwk().unwrap()).unwrap()
}

fn set(keys: &[Value]) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
}

fn code<T>(result: Result<T, Denial>) -> Option<Code> {
    result.err().map(|denial| denial.code())
}

#[test]
fn a_key_id_is_converted_from_and_to_text() {
    let kid = KeyId::from("k1");
    assert_eq!((kid.as_ref(), &kid), ("k1", &KeyId::from("k1".to_owned())));
    assert_eq!(kid, KeyId::new("k1"));
}

#[test]
fn a_secret_serves_the_hmac_algorithms_that_it_is_long_enough_for() {
    let served = |length: usize| {
        VerifyingKey::secret(&vec![7; length])
            .map(|key| key.algorithms().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    assert_eq!(served(31), []);
    assert_eq!(served(32), [Algorithm::HS256]);
    assert_eq!(served(48), [Algorithm::HS256, Algorithm::HS384]);
    assert_eq!(served(64), [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]);
}

#[test]
fn a_key_verifies_its_own_signature_and_no_other() {
    for algorithm in [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let key = signing(algorithm);
        let verifying = key.verifying_key();
        let signature = key.sign(b"message").unwrap();
        assert!(verifying.verifies(algorithm, b"message", &signature), "{algorithm}");
        assert!(!verifying.verifies(algorithm, b"another", &signature), "{algorithm}");
        assert!(
            !signing(algorithm).verifying_key().verifies(algorithm, b"message", &signature),
            "{algorithm}"
        );
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(!verifying.verifies(other, b"message", &signature), "{algorithm} as {other}");
        }
    }
}

#[test]
fn one_rsa_key_of_a_set_serves_every_rsa_algorithm_and_keeps_them_apart() {
    let pem = signing(Algorithm::RS256).to_secret_bytes().unwrap();
    let mut public = jwk(&SigningKey::from_pem(Algorithm::RS256, &pem).unwrap());
    public.as_object_mut().unwrap().remove("alg");
    let keys = set(&[public]).unwrap();
    let rsa = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.key_type() == KeyType::Rsa);
    assert_eq!(keys.algorithms(), rsa.clone().collect::<Vec<_>>());
    for algorithm in rsa.clone() {
        let signature = SigningKey::from_pem(algorithm, &pem).unwrap().sign(b"message").unwrap();
        for other in rsa.clone() {
            assert_eq!(keys.keys()[0].verifies(other, b"message", &signature), other == algorithm);
        }
    }
}

#[test]
fn a_secret_must_be_as_long_as_the_hash() {
    for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        assert!(VerifyingKey::hmac(algorithm, &vec![1; least]).is_ok());
        let error = VerifyingKey::hmac(algorithm, &vec![1; least - 1]).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Weak);
        assert!(error.to_string().contains("keygen"), "{error}");
    }
    assert!(VerifyingKey::hmac(Algorithm::ES256, &[1; 64]).is_err());
}

#[test]
fn a_pem_of_the_wrong_kind_is_refused_with_what_to_do() {
    let key = signing(Algorithm::ES256);
    let private = key.to_secret_bytes().unwrap();
    let cases: [(&[u8], &str); 6] = [
        (&private, "openssl pkey"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "openssl x509"),
        (b"", "no PEM block"),
        (b"not pem", "no PEM block"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "ES256 needs an EC key on P-256"),
        (b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", "not PEM"),
    ];
    for (pem, message) in cases {
        let error = VerifyingKey::from_pem(Algorithm::ES256, pem).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_public_pem_is_never_a_secret() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    assert!(VerifyingKey::from_pem(Algorithm::HS256, pem).is_err());
}

#[test]
fn debug_shows_no_key_material() {
    let secret = [b'S'; 40];
    let key = VerifyingKey::hmac(Algorithm::HS256, &secret).unwrap().with_kid("k1");
    assert_eq!(format!("{key:?}"), r#"VerifyingKey { kid: Some("k1"), algorithms: [HS256], .. }"#);
    let signing = SigningKey::hmac(Algorithm::HS256, &secret).unwrap();
    assert!(!format!("{signing:?}").contains("SSS") && !format!("{signing:?}").contains("83, 83"));
}

#[test]
fn broken_and_foreign_neighbours_are_skipped_and_listed() {
    let good = jwk(&signing(Algorithm::ES256));
    let mut encryption = jwk(&signing(Algorithm::ES256));
    encryption["use"] = json!("enc");
    let mut cut = jwk(&signing(Algorithm::ES256));
    cut["x"] = json!("AAAA");
    let neighbours = [
        encryption,
        cut,
        json!({"kty": "LATTICE", "kid": "pq"}),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!(null),
        json!("text"),
        json!(1),
        json!([good]),
        json!({}),
        json!({"kty": 1}),
    ];
    let keys = set(&[&neighbours[..], std::slice::from_ref(&good)].concat()).unwrap();
    assert_eq!((keys.len(), keys.skipped().len()), (1, neighbours.len()));
    assert_eq!(
        keys.skipped()[2].to_string(),
        "key 3 (`pq`): `kty` `LATTICE` is not supported; supported are `RSA`, `EC` on `P-256` or `P-384`, and `OKP` on `Ed25519`"
    );
}

#[test]
fn a_jwk_must_fit_in_every_member() {
    let good = jwk(&signing(Algorithm::ES256));
    let spoiled = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        set(&[jwk])
    };
    for (name, value) in [
        ("kty", json!("RSA")),
        ("kty", json!("ec")),
        ("kty", json!(null)),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("crv", json!(1)),
        ("alg", json!("ES384")),
        ("alg", json!("none")),
        ("alg", json!(1)),
        ("use", json!("enc")),
        ("use", json!("")),
        ("use", json!(["sig"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("x", json!(good["y"])),
        ("x", json!(format!("{}=", good["x"].as_str().unwrap()))),
        ("y", json!(null)),
        ("d", json!("AAAA")),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(KeyId::MAX_LENGTH + 1))),
    ] {
        assert!(spoiled(name, value.clone()).is_err(), "{name}: {value}");
    }
    for (name, value) in [
        ("use", json!("jwt-svid")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!(["sign", "verify"])),
        ("x5t", json!("dGVzdA")),
        ("kid", json!("k".repeat(KeyId::MAX_LENGTH))),
    ] {
        assert!(spoiled(name, value.clone()).is_ok(), "{name}: {value}");
    }
}

#[test]
fn a_text_that_is_not_a_jwk_set_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":null}"#,
        r#"{"KEYS":[]}"#,
        "{\"keys\":[]",
    ] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_err(), "{text}");
    }
    let padding = " ".repeat(KeySet::MAX_JWKS_BYTES + 1);
    assert!(KeySet::from_jwks(padding.as_bytes()).unwrap_err().to_string().contains("larger"));
}

#[test]
fn a_text_that_is_not_a_jwk_set_is_refused_with_the_next_step() {
    for (text, step) in [
        ("", Some("the text is empty")),
        ("[]", Some("an array of keys belongs in an object")),
        ("<html>", Some("it is HTML or XML")),
        ("# keys", Some("JSON has no comments")),
        ("-----BEGIN PUBLIC KEY-----", Some("it is PEM")),
        ("hello", None),
    ] {
        let error = KeySet::from_jwks(text.as_bytes()).unwrap_err().to_string();
        let steps =
            ["the text is empty", "an array of keys belongs", "it is HTML", "no comments", "it is PEM"];
        let named = steps.into_iter().find(|step| error.contains(step));
        assert_eq!(named.is_some(), step.is_some(), "{text}: {error}");
        assert!(step.is_none_or(|step| error.contains(step)), "{text}: {error}");
    }
    let error = KeySet::from_jwks(br#"{"keys":7}"#).unwrap_err().to_string();
    assert!(error.contains("an array of keys"), "{error}");
}

#[test]
fn a_member_that_is_not_an_object_is_skipped_for_that_reason() {
    let good = jwk(&signing(Algorithm::ES256));
    let reason = |value: Value| {
        let keys = set(&[value, good.clone()]).unwrap();
        keys.skipped()[0].to_string()
    };
    let expected = reason(json!(7));
    for value in [json!(null), json!("text"), json!(true), json!([1]), json!(-1), json!(1.5)] {
        assert_eq!(reason(value.clone()), expected, "{value}");
    }
    assert_ne!(reason(json!({})), expected);
}

#[test]
fn the_number_of_keys_is_bounded() {
    let key = VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    let many = |count: usize| KeySet::new((0..count).map(|index| key.clone().with_kid(index.to_string())));
    assert_eq!(many(KeySet::MAX_KEYS).unwrap().len(), KeySet::MAX_KEYS);
    assert!(many(KeySet::MAX_KEYS + 1).is_err());
    assert!(many(0).is_err());
}

#[test]
fn the_number_of_members_of_a_jwk_set_is_bounded_whatever_they_are() {
    let members = |count: usize| set(&vec![json!(1); count]).unwrap_err().to_string();
    let full = members(KeySet::MAX_KEYS);
    assert!(full.contains("; key 8: ") && full.ends_with("; and 9992 more"), "{full}");
    assert!(members(8).ends_with("key 8: it is not an object"));
    assert!(members(KeySet::MAX_KEYS + 1).contains("more than 10000 keys"));
}

#[test]
fn two_given_keys_of_one_name_are_refused() {
    let key = |byte| VerifyingKey::hmac(Algorithm::HS256, &[byte; 32]).unwrap().with_kid("dup");
    let error = KeySet::new([key(1), key(2)]).unwrap_err();
    assert!(error.to_string().contains("`dup`"), "{error}");
}

#[test]
fn a_kid_selects_one_key_and_an_unknown_kid_is_refused() {
    let (first, second) = (signing(Algorithm::ES256), signing(Algorithm::ES256));
    let keys = set(&[jwk(&first), jwk(&second)]).unwrap();
    let found = keys.key_for(Algorithm::ES256, Some(second.kid().as_str())).unwrap();
    assert_eq!(found.kid(), Some(second.kid()));
    assert_eq!(code(keys.key_for(Algorithm::ES256, Some("other"))), Some(Code::UnknownKey));
    assert_eq!(code(keys.key_for(Algorithm::ES256, Some(""))), Some(Code::UnknownKey));
    assert_eq!(code(keys.key_for(Algorithm::ES384, Some(first.kid().as_str()))), Some(Code::KeyAlgMismatch));
}

#[test]
fn without_a_kid_only_a_single_fitting_key_is_taken() {
    let (ec, ed) = (signing(Algorithm::ES256), signing(Algorithm::EdDSA));
    let keys = set(&[jwk(&ec), jwk(&ed)]).unwrap();
    assert_eq!(keys.key_for(Algorithm::EdDSA, None).unwrap().kid(), Some(ed.kid()));
    assert_eq!(code(keys.key_for(Algorithm::RS256, None)), Some(Code::KeyAlgMismatch));
    let keys = set(&[jwk(&ec), jwk(&signing(Algorithm::ES256))]).unwrap();
    assert_eq!(code(keys.key_for(Algorithm::ES256, None)), Some(Code::UnknownKey));
}

#[test]
fn a_nameless_key_answers_any_kid_only_when_it_was_given_alone() {
    let secret = VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    let alone = KeySet::from(secret.clone());
    assert!(alone.key_for(Algorithm::HS256, Some("whatever")).is_ok());
    let named = KeySet::from(secret.clone().with_kid("k1"));
    assert_eq!(code(named.key_for(Algorithm::HS256, Some("whatever"))), Some(Code::UnknownKey));
    let two = KeySet::new([secret, signing(Algorithm::ES256).verifying_key()]).unwrap();
    assert_eq!(code(two.key_for(Algorithm::HS256, Some("whatever"))), Some(Code::UnknownKey));
    let mut of_set = jwk(&signing(Algorithm::ES256));
    of_set.as_object_mut().unwrap().remove("kid");
    let set = set(&[of_set]).unwrap();
    assert_eq!(code(set.key_for(Algorithm::ES256, Some("whatever"))), Some(Code::UnknownKey));
    assert!(set.key_for(Algorithm::ES256, None).is_ok());
}

#[test]
fn a_written_key_file_is_read_as_the_same_key() {
    for algorithm in
        [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS512]
    {
        let key = signing(algorithm);
        let again = SigningKey::from_pem(algorithm, &key.to_secret_bytes().unwrap()).unwrap();
        assert_eq!((again.kid(), again.public_jwk()), (key.kid(), key.public_jwk()), "{algorithm}");
    }
    let secret = signing(Algorithm::HS512);
    assert!(secret.public_jwk().is_none() && secret.to_secret_bytes().unwrap().len() == 86);
    let again = SigningKey::hmac(Algorithm::HS512, &secret.to_secret_bytes().unwrap()).unwrap();
    assert_eq!(again.kid(), secret.kid());
}

#[test]
fn a_private_key_of_another_type_is_refused() {
    let pem = signing(Algorithm::ES256).to_secret_bytes().unwrap();
    for algorithm in [Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256] {
        assert!(SigningKey::from_pem(algorithm, &pem).is_err(), "{algorithm}");
    }
}

/// The example of RFC 7638 section 3.1 is RSA, and its key is the JWK of RFC 7638; RFC 8037 appendix
/// A.3 has the thumbprint of an Ed25519 key.
#[test]
fn thumbprints_are_those_of_the_rfc() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref().to_vec()));
    let key = SigningKey::from_pem(Algorithm::EdDSA, pem.as_bytes()).unwrap();
    assert_eq!(key.kid().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_set_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let error = |path: &std::path::Path| KeySet::from_jwks_file(path).unwrap_err();
    assert_eq!(error(&path).kind(), KeyErrorKind::Unreadable);
    assert!(error(&path).to_string().contains("jwks.json"));
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(error(&path).kind(), KeyErrorKind::Unusable);
    assert!(error(&path).to_string().contains("jwks.json: not a JWK set"), "{}", error(&path));

    // Spaces after the object, up to the limit and one more.
    let set = json!({ "keys": [jwk(&signing(Algorithm::ES256))] }).to_string();
    let padded = |length: usize| format!("{set}{}", " ".repeat(length - set.len()));
    std::fs::write(&path, padded(KeySet::MAX_JWKS_BYTES)).unwrap();
    assert_eq!(KeySet::from_jwks_file(&path).unwrap().len(), 1);
    std::fs::write(&path, padded(KeySet::MAX_JWKS_BYTES + 1)).unwrap();
    assert!(error(&path).to_string().contains("larger than"), "{}", error(&path));
}

#[test]
fn a_set_lists_its_key_ids() {
    let key = signing(Algorithm::ES256);
    let keys = set(&[jwk(&key)]).unwrap();
    assert!(keys.has(key.kid().as_str()) && !keys.has("other") && !keys.has(""));
    assert!(format!("{keys:?}").contains(key.kid().as_str()));
}

#[test]
fn a_token_without_kid_gets_the_key_that_is_alone_however_many_there_are() {
    let secret = |algorithm: Algorithm, byte, kid: usize| {
        VerifyingKey::hmac(algorithm, &[byte; 64]).unwrap().with_kid(kid.to_string())
    };
    let many = (1..200).map(|kid| secret(Algorithm::HS256, 1, kid));
    let set = KeySet::new([secret(Algorithm::HS384, 2, 0)].into_iter().chain(many)).unwrap();
    let code = |algorithm| set.key_for(algorithm, None).map_err(|denial| denial.code());
    assert_eq!(code(Algorithm::HS384).unwrap().kid().unwrap().as_str(), "0");
    assert_eq!(code(Algorithm::HS256).unwrap_err(), Code::UnknownKey);
    assert_eq!(code(Algorithm::HS512).unwrap_err(), Code::KeyAlgMismatch);
    // One key for several algorithms is the only key for each of them.
    let set = KeySet::from(VerifyingKey::secret(&[3; 64]).unwrap());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        assert!(set.key_for(algorithm, None).is_ok(), "{algorithm}");
    }
}

#[test]
fn a_set_of_algorithms_has_each_once_and_knows_no_other() {
    let some = [Algorithm::EdDSA, Algorithm::HS256, Algorithm::EdDSA];
    let set: AlgorithmSet = some.into_iter().collect();
    assert_eq!(set.iter().collect::<Vec<_>>(), [Algorithm::HS256, Algorithm::EdDSA]);
    for algorithm in Algorithm::ALL {
        assert_eq!(set.contains(algorithm), some.contains(&algorithm), "{algorithm}");
    }
    let other: AlgorithmSet = [Algorithm::HS256, Algorithm::RS256].into_iter().collect();
    assert_eq!(set.and(other), [Algorithm::HS256].into_iter().collect());
}

#[test]
fn a_fixed_source_never_waits_and_only_its_own_set_is_current() {
    let (key, other) = (signing(Algorithm::ES256).verifying_key(), signing(Algorithm::ES256).verifying_key());
    let (own, foreign) = (key.snapshot().unwrap(), other.snapshot().unwrap());
    let set = KeySet::new([key.clone()]).unwrap();
    assert!(!key.refreshes() && !set.refreshes() && !std::sync::Arc::new(set.clone()).refreshes());
    assert!(key.is_current(&own) && !key.is_current(&foreign) && !key.is_current(&set));
    assert!(set.is_current(&set.clone()) && !set.is_current(&own));
    assert_eq!(set.algorithms(), [Algorithm::ES256]);
    assert_eq!(format!("{:?}", set.accepts()), "{ES256}");
}

#[test]
fn a_name_finds_its_key_in_a_set_of_any_size() {
    for count in 1..12_usize {
        let key =
            |kid: usize| VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap().with_kid(format!("k{kid}"));
        let set = KeySet::new((0..count).map(key)).unwrap();
        for kid in 0..count {
            let kid = format!("k{kid}");
            let found = set.key_for(Algorithm::HS256, Some(&kid)).unwrap();
            assert_eq!(found.kid().map(KeyId::as_str), Some(kid.as_str()));
        }
        for kid in ["", "k", "K0", "k0 ", "k99"] {
            assert_eq!(code(set.key_for(Algorithm::HS256, Some(kid))), Some(Code::UnknownKey), "{kid:?}");
        }
    }
}

#[test]
fn a_key_that_is_a_source_makes_its_set_once() {
    let key = VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap();
    let first = key.snapshot().unwrap();
    assert!(std::ptr::eq(first.keys(), key.snapshot().unwrap().keys()));
    // A name changes the tokens that the key is for.
    let named = key.with_kid("k1");
    assert!(named.snapshot().unwrap().has("k1") && !first.has("k1"));
    assert_eq!(code(named.snapshot().unwrap().key_for(Algorithm::HS256, Some("k2"))), Some(Code::UnknownKey));
    assert_eq!(code(first.key_for(Algorithm::HS256, Some("k2"))), None);
}
