//! Test vectors of other projects at the JWS layer: header, selection of the key, signature. They are
//! Wycheproof's JSON Web Signature, Key and Crypto, and the examples of RFC 7520, 7797 and 8037.
//!
//! The vectors are stored beside the project. If they are missing, the tests print that they were skipped. A case
//! gets the verdict of its file, or `principles` lists it with the reason for another verdict.

#![allow(clippy::print_stderr, reason = "a test")]

mod principles;

use std::{collections::BTreeMap, path::PathBuf};

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    denial::{Code, Denial},
    keys::{Algorithm, KeyError, KeySet, VerifyingKey},
    token::{HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};
use principles::{CONTRADICTIONS, PRINCIPLES};

/// One key or key set, and one token for it. Without a token, the case is about the keys.
struct Case {
    name: String,
    valid: bool,
    keys: Vec<Value>,
    token: Option<String>,
}

/// The runtime's verdict on a case; a refusal contains the message for the operator.
fn verdict(case: &Case) -> Result<(), String> {
    let keys = key_set(&case.keys).map_err(|error| format!("key: {error}"))?;
    let Some(token) = &case.token else { return Ok(()) };
    signed(&keys, token).map_err(|denial| format!("{}: {denial}", denial.code()))
}

/// Runs the stages of the verifier from the token's text to its signature.
fn signed(keys: &KeySet, token: &str) -> Result<(), Denial> {
    let segments = Segments::split(token)?;
    let mut room = HeaderRoom::new();
    let header = segments.header(&mut room)?;
    segments.payload(&mut PayloadRoom::new())?;
    let algorithm = header.algorithm(keys.accepts())?;
    let key = keys.key_for(algorithm, header.kid.as_deref())?;
    let mut room = SignatureRoom::new();
    if key.verifies(algorithm, segments.signed(), segments.signature(&mut room)?) {
        Ok(())
    } else {
        Err(Denial::new(Code::BadSignature, "the signature does not verify"))
    }
}

/// Creates the keys. Secrets are passed directly, since a JWK set is public; anything else is a JWK set.
fn key_set(jwks: &[Value]) -> Result<KeySet, KeyError> {
    if jwks.iter().all(|jwk| jwk["kty"] == "oct") {
        return KeySet::new(jwks.iter().map(secret).collect::<Result<Vec<_>, _>>()?);
    }
    KeySet::from_jwks(json!({ "keys": jwks }).to_string().as_bytes())
}

fn secret(jwk: &Value) -> Result<VerifyingKey, KeyError> {
    let algorithm: Algorithm = jwk["alg"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error| KeyError::unusable(format!("{error}")))?;
    // One of the files' secrets is written with trailing bits.
    let lenient = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));
    let key = VerifyingKey::hmac(algorithm, &lenient.decode(text(&jwk["k"])).unwrap())?;
    Ok(match jwk["kid"].as_str() {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

#[test]
fn every_vector_gets_its_verdict_or_is_listed_with_a_principle() {
    let cases: Vec<Case> = wycheproof().into_iter().chain(examples()).collect();
    if cases.is_empty() {
        eprintln!("skipped: there are no vectors beside the project");
        return;
    }
    let (mut undecided, mut counts) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for case in &cases {
        let verdict = verdict(case);
        match decided(case, &verdict) {
            Some(outcome) => *counts.entry(outcome).or_default() += 1,
            None => undecided.push(format!("{} (valid: {}): {verdict:?}", case.name, case.valid)),
        }
    }
    for (outcome, count) in &counts {
        eprintln!("{count:4}  {outcome}");
    }
    assert!(undecided.is_empty(), "{} undecided:\n{}", undecided.len(), undecided.join("\n"));
}

/// What makes a verdict right; `None` if it is wrong.
fn decided(case: &Case, verdict: &Result<(), String>) -> Option<&'static str> {
    let listed = PRINCIPLES.iter().find(|(.., names)| names.iter().any(|name| matches(name, &case.name)));
    let contradicted = CONTRADICTIONS.contains(&case.name.as_str());
    match (verdict, listed) {
        (Ok(()), None) if contradicted => Some("accepted, though marked invalid: the text of a valid case"),
        (Ok(()), None) if case.valid => Some("accepted, as valid"),
        (Err(_), None) if !case.valid => Some("refused, as invalid"),
        (Err(why), Some((principle, said, _))) if why.contains(said) => Some(principle),
        _ => None,
    }
}

fn matches(listed: &str, name: &str) -> bool {
    if let Some(start) = listed.strip_suffix('*') {
        return name.starts_with(start);
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let range = |listed: &str| {
        let (file, range) = listed.split_once(' ')?;
        let (first, last) = range.split_once('-')?;
        let (own, case) = name.split_once(' ')?;
        Some(own == file && (number(first)?..=number(last)?).contains(&number(case)?))
    };
    range(listed).unwrap_or(listed == name)
}

#[test]
fn every_listed_name_is_that_of_a_case() {
    let cases: Vec<Case> = wycheproof().into_iter().chain(examples()).collect();
    let listed = PRINCIPLES.iter().flat_map(|(.., names)| *names).chain(CONTRADICTIONS);
    for name in listed.filter(|_| !cases.is_empty()) {
        assert!(cases.iter().any(|case| matches(name, &case.name)), "there is no case `{name}`");
    }
}

/// A private key in a JWK set is a leak, and the set's reader should be warned.
#[test]
fn every_private_jwk_of_the_vectors_is_refused() {
    let mut count = 0;
    for group in wycheproof_groups() {
        for jwk in jwks(&group["private"]).iter().filter(|jwk| jwk["kty"] != "oct") {
            if jwk.get("d").is_some() {
                let error = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes());
                assert!(error.is_err(), "{jwk}");
                count += 1;
            }
        }
    }
    eprintln!("{count:4}  private keys refused");
}

fn wycheproof() -> Vec<Case> {
    let mut cases = Vec::new();
    for group in wycheproof_groups() {
        let keys = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        for test in group["tests"].as_array().unwrap() {
            let token = if test["jws"].is_null() { &test["jwe"] } else { &test["jws"] };
            cases.push(Case {
                name: format!("{} {}", text(&group["file"]), test["tcId"]),
                valid: test["result"] == "valid",
                keys: jwks(keys),
                token: Some(token_text(token)),
            });
        }
    }
    cases
}

fn wycheproof_groups() -> Vec<Value> {
    let mut groups = Vec::new();
    for file in ["signature", "key", "crypto"] {
        let Some(vectors) = read(&format!("wycheproof/json_web_{file}_test.json")) else { continue };
        for group in vectors["testGroups"].as_array().unwrap() {
            let mut group = group.clone();
            group["file"] = file.into();
            groups.push(group);
        }
    }
    groups
}

/// The examples by RFC and section.
const KEY_EXAMPLES: [(&str, &str); 6] = [
    ("7520 3.1", "jwk/3_1.ec_public_key"),
    ("7520 3.2", "jwk/3_2.ec_private_key"),
    ("7520 3.3", "jwk/3_3.rsa_public_key"),
    ("7520 3.4", "jwk/3_4.rsa_private_key"),
    ("7520 3.5", "jwk/3_5.symmetric_key_mac_computation"),
    ("7520 3.6", "jwk/3_6.symmetric_key_encryption"),
];

const TOKEN_EXAMPLES: [(&str, &str); 12] = [
    ("7520 4.1", "jws/4_1.rsa_v15_signature"),
    ("7520 4.2", "jws/4_2.rsa-pss_signature"),
    ("7520 4.3", "jws/4_3.ecdsa_signature"),
    ("7520 4.4", "jws/4_4.hmac-sha2_integrity_protection"),
    ("7520 4.5", "jws/4_5.signature_with_detached_content"),
    ("7520 4.6", "jws/4_6.protecting_specific_header_fields"),
    ("7520 4.7", "jws/4_7.protecting_content_only"),
    ("7520 4.8", "jws/4_8.multiple_signatures"),
    ("7797", "rfc7797/hmac-sha2_b64_false"),
    ("7797 4.2", "rfc7797/4.2.hmac-sha2_b64_false"),
    ("8037 A.4", "curve25519/jws"),
    ("8037 A.6", "curve25519/ecdh-es"),
];

fn examples() -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, file) in KEY_EXAMPLES {
        let Some(jwk) = read(&format!("rfc7520/{file}.json")) else { continue };
        cases.push(Case { name: format!("key {section}"), valid: true, keys: vec![jwk], token: None });
    }
    for (section, file) in TOKEN_EXAMPLES {
        let Some(example) = read(&format!("rfc7520/{file}.json")) else { continue };
        let keys: Vec<Value> = jwks(&example["input"]["key"]).into_iter().map(public_half).collect();
        for (form, key) in [("compact", "compact"), ("json", "json"), ("flat", "json_flat")] {
            let Some(output) = example["output"].get(key) else { continue };
            let name = format!("{form} {section}");
            cases.push(Case { name, valid: true, keys: keys.clone(), token: Some(token_text(output)) });
        }
    }
    cases
}

/// The text of a token, which may also be an object of the JSON serialization.
fn token_text(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

/// Removes the private members, because the examples contain the signer's key.
fn public_half(mut jwk: Value) -> Value {
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(private);
    }
    jwk
}

fn jwks(keys: &Value) -> Vec<Value> {
    match keys {
        Value::Array(keys) => keys.clone(),
        key => key["keys"].as_array().cloned().unwrap_or_else(|| vec![key.clone()]),
    }
}

fn read(path: &str) -> Option<Value> {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let text = std::fs::read_to_string(vectors.join(path)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
