use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{
    issue::SigningKey,
    keys::{Algorithm, thumbprint::sha256},
    trusted::subject::Names,
};

const ORIGIN: &str = "wimse://bakery.example";

#[test]
fn an_origin_is_a_scheme_and_a_trust_domain() {
    for good in [ORIGIN, "spiffe://bakery.example", "wimse://a", "wimse://a-b_c.1"] {
        assert!(is_origin(good), "{good}");
    }
    for bad in [
        "",
        "bakery.example",
        "wimse:bakery.example",
        "wimse://",
        "WIMSE://bakery.example",
        "wimse://Bakery.example",
        "wimse://bakery.example/",
        "wimse://bakery.example/billing",
        "wimse://bakery.example:443",
        "wimse://user@bakery.example",
        "https://bakery.example",
    ] {
        assert!(!is_origin(bad), "{bad}");
    }
}

#[test]
fn an_identifier_belongs_to_the_origin_with_its_scheme_and_its_whole_trust_domain() {
    for (id, expected) in [
        ("wimse://bakery.example/billing", true),
        ("wimse://bakery.example", true),
        ("wimse://bakery.examples/billing", false),
        ("wimse://bakery.example.evil/billing", false),
        ("spiffe://bakery.example/billing", false),
        ("wimse://bakery/billing", false),
        ("billing", false),
    ] {
        assert_eq!(has_origin(id, ORIGIN), expected, "{id}");
    }
}

#[test]
fn a_workload_identifier_names_a_service_by_its_path() {
    let names = Names::default();
    let service = |id: &str| workload_of(id, ORIGIN).and_then(|workload| workload.name(&names));
    assert_eq!(service("wimse://bakery.example/billing").unwrap().as_str(), "billing");
    assert_eq!(service("wimse://bakery.example/eu/billing").unwrap().as_str(), "eu.billing");
    for (id, code) in [
        ("wimse://evil.example/billing", Code::WrongIssuer),
        ("wimse://bakery.example.evil/billing", Code::WrongIssuer),
        ("wimse://user@bakery.example/billing", Code::WrongIssuer),
        ("wimse://bakery.example:443/billing", Code::WrongIssuer),
        ("WIMSE://bakery.example/billing", Code::WrongIssuer),
        ("spiffe://bakery.example/billing", Code::WrongIssuer),
        ("billing", Code::WrongIssuer),
        ("wimse://bakery.example", Code::BadClaimValue),
        ("wimse://bakery.example/", Code::BadClaimValue),
        ("wimse://bakery.example/billing/", Code::BadClaimValue),
        ("wimse://bakery.example//billing", Code::BadClaimValue),
        ("wimse://bakery.example/../billing", Code::BadClaimValue),
        ("wimse://bakery.example/%62illing", Code::BadClaimValue),
        ("wimse://bakery.example/billing?a", Code::BadClaimValue),
        ("wimse://bakery.example/billing#a", Code::BadClaimValue),
        // Two paths could become one service, so this one needs a configured name.
        ("wimse://bakery.example/eu.billing", Code::BadClaimValue),
    ] {
        assert_eq!(service(id).map_err(|denial| denial.code()), Err(code), "{id}");
    }
}

fn jwk(key: &SigningKey) -> Value {
    serde_json::to_value(key.public_jwk().unwrap()).unwrap()
}

fn reason(payload: &Value) -> String {
    let denial = confirmation(payload.to_string().as_bytes()).unwrap_err();
    assert_eq!(denial.code(), Code::BadClaimValue);
    denial.reason().to_owned()
}

#[test]
fn the_key_of_a_token_is_public_and_names_its_algorithm() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap();
        let payload = json!({"sub": "a", "cnf": {"jwk": jwk(&key)}}).to_string();
        let expected = Confirmation::Workload(key.public_jwk().unwrap().thumbprint());
        assert_eq!(confirmation(payload.as_bytes()).unwrap(), expected, "{algorithm}");
    }
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for (name, value, expected) in [
        ("alg", json!(null), "no `alg`"),
        ("alg", json!("none"), "`none`"),
        ("alg", json!("HS256"), "`HS256`"),
        ("alg", json!("ECDH-ES"), "`ECDH-ES`"),
        ("alg", json!("es256"), "`es256`"),
        ("alg", json!("ES384"), "`alg`"),
        ("alg", json!(["ES256"]), "not a string"),
        ("d", json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), "private key (`d`)"),
        ("k", json!("c2VjcmV0"), "private key (`k`)"),
        ("kty", json!("oct"), "HMAC secret"),
        ("use", json!("enc"), "`use`"),
        ("key_ops", json!(["sign"]), "`key_ops`"),
        ("x", json!("AA"), "`x` has 1 bytes"),
        ("x", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "not a point"),
    ] {
        let mut jwk = jwk(&key);
        jwk[name] = value.clone();
        let reason = reason(&json!({"cnf": {"jwk": jwk}}));
        assert!(reason.contains(expected) && reason.contains("`cnf.jwk`"), "{name} {value}: {reason}");
    }
}

#[test]
fn cnf_has_the_key_and_no_other_member() {
    let jwk = jwk(&SigningKey::generate(Algorithm::ES256).unwrap());
    let thumbprint = URL_SAFE_NO_PAD.encode(sha256(&[b"key"]));
    for (payload, expected) in [
        (json!({}), "no `cnf`"),
        (json!({"cnf": null}), "`cnf` as an object"),
        (json!({"cnf": "key"}), "`cnf` as an object"),
        (json!({"cnf": [jwk]}), "`cnf` as an object"),
        (json!({"cnf": {}}), "no `jwk`"),
        (json!({"cnf": {"jkt": thumbprint}}), "no `jwk`"),
        (json!({"cnf": {"jwk": "key"}}), "`cnf.jwk` of the token"),
        (json!({"cnf": {"jwk": [jwk]}}), "`cnf.jwk` of the token"),
        (json!({"cnf": {"jwk": jwk, "jkt": thumbprint}}), "another member"),
        (json!({"cnf": {"jwk": jwk, "x5t#S256": thumbprint}}), "another member"),
        (json!({"cnf": {"jwk": jwk, "kid": "a"}}), "another member"),
    ] {
        let reason = reason(&payload);
        assert!(reason.contains(expected), "{payload}: {reason}");
    }
    for twice in [
        format!(r#"{{"cnf":{{"jwk":{jwk},"jwk":{jwk}}}}}"#),
        format!(r#"{{"cnf":{{"jwk":{jwk}}},"cnf":{{"jwk":{jwk}}}}}"#),
    ] {
        let denial = confirmation(twice.as_bytes()).unwrap_err();
        assert!(denial.reason().contains("twice"), "{}", denial.reason());
    }
}
