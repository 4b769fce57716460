//! Hostile requests with proofs of DPoP: each is refused, and each is the only one that passes a verifier without its rule.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{digest, hmac, signature};
use axum::{Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use service_only::{Dpop, service_only};
use service_only_testkit::{
    HostileProof, ManualClock, TestAuthority, TestDpopKey, assert_allowed, assert_denied, call,
};

const URL: &str = "https://orders.internal";

#[service_only]
async fn stock() {}

/// What a request is accepted for: a valid token that is bound to a key, without any check of this project.
struct Reference {
    token: String,
    jkt: String,
    clock: ManualClock,
    /// The rule that this verifier does not check.
    without: &'static str,
    seen: BTreeSet<String>,
}

impl Reference {
    /// Whether GET /stock with these headers is accepted.
    fn accepts(&mut self, headers: &[(&'static str, String)]) -> bool {
        self.check(headers).unwrap_or(false)
    }

    /// `None` is a request that cannot be read.
    fn check(&mut self, headers: &[(&'static str, String)]) -> Option<bool> {
        let without = self.without;
        let ignores = |rule: &str| without == rule;
        let named = |name: &str| {
            headers
                .iter()
                .filter(move |(own, _)| *own == name)
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>()
        };
        let (authorization, proofs) = (named("authorization"), named("dpop"));
        let is_token = match authorization.as_slice() {
            [] => ignores("token"),
            [value] => match value.split_once(' ')? {
                ("DPoP", token) => token == self.token,
                ("Bearer", token) => ignores("scheme") && token == self.token,
                _ => false,
            },
            _ => false,
        };
        if !is_token {
            return Some(false);
        }
        if proofs.len() != 1 && !ignores("one proof") {
            return Some(false);
        }
        let Some(proof) = proofs.first() else { return Some(ignores("one proof")) };
        let (signed, signature) = proof.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let bytes = |segment: &str| URL_SAFE_NO_PAD.decode(segment).ok();
        let header: Value = serde_json::from_slice(&bytes(header)?).ok()?;
        let payload = bytes(payload)?;
        if !ignores("duplicates") && has_duplicates(&payload) {
            return Some(false);
        }
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let jwk = &header["jwk"];
        let checks = [
            ("typ", header["typ"] == "dpop+jwt"),
            ("crit", header.get("crit").is_none()),
            ("private key", jwk.get("d").is_none()),
            (
                "signature",
                ignores("jwk") && jwk.is_null() || self.signed(&header, signed, &bytes(signature)?),
            ),
            ("alg", header["alg"] == "ES256"),
            ("jwk", jwk.is_object()),
            (
                "key",
                ignores("jwk") && jwk.is_null()
                    || ignores("alg") && jwk["kty"] == "oct"
                    || thumbprint(jwk)? == self.jkt,
            ),
            ("jti", claims["jti"].as_str().is_some_and(|id| !id.is_empty())),
            ("jti length", claims["jti"].as_str().is_none_or(|id| id.len() <= 256)),
            ("htm", claims["htm"] == "GET"),
            ("htu", claims["htu"] == format!("{URL}/stock")),
            ("iat", claims["iat"].as_i64().is_some_and(|iat| (iat - self.clock.now().unix()).abs() <= 60)),
            ("ath", text(&claims["ath"]) == Some(hash(&self.token))),
        ];
        let is_new = ignores("replay") || self.seen.insert(text(&claims["jti"]).unwrap_or_default());
        Some(checks.iter().all(|(rule, holds)| *holds || ignores(rule)) && is_new)
    }

    fn signed(&self, header: &Value, signed: &str, signature: &[u8]) -> bool {
        let bytes =
            |name: &str| header["jwk"][name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        match header["alg"].as_str() {
            Some("none") => self.without == "alg" && signature.is_empty(),
            Some("HS256") => {
                let secret = bytes("k").unwrap_or_default();
                let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                hmac::verify(&key, signed.as_bytes(), signature).is_ok()
            }
            _ => {
                let point =
                    [vec![4], bytes("x").unwrap_or_default(), bytes("y").unwrap_or_default()].concat();
                let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(signed.as_bytes(), signature).is_ok()
            }
        }
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// RFC 7638, for the only kind of key that these proofs have.
fn thumbprint(jwk: &Value) -> Option<String> {
    let member = |name: &str| jwk[name].as_str();
    let (crv, kty, x, y) = (member("crv")?, member("kty")?, member("x")?, member("y")?);
    Some(hash(&format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)))
}

/// Whether one name occurs twice in an object without objects in it.
fn has_duplicates(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload);
    let names = text.matches("\":").count();
    serde_json::from_slice::<BTreeMap<String, Value>>(payload).is_ok_and(|members| members.len() < names)
}

struct Scene {
    authority: TestAuthority,
    key: TestDpopKey,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let key = authority.dpop_key();
        let token = authority.service("billing").bound_to_key(&key).token().as_str().to_owned();
        Self { authority, key, token }
    }

    fn hostile(&self) -> Vec<HostileProof> {
        self.key.proof("GET", &format!("{URL}/stock"), &self.token).hostile()
    }

    fn reference(&self, without: &'static str) -> Reference {
        let (token, clock) = (self.token.clone(), self.authority.clock().clone());
        let jkt = URL_SAFE_NO_PAD.encode(self.key.thumbprint());
        Reference { token, jkt, clock, without, seen: BTreeSet::new() }
    }
}

/// Sends a request twice if its first time is valid.
fn passes(reference: &mut Reference, hostile: &HostileProof) -> bool {
    if hostile.is_replay() {
        assert!(reference.accepts(hostile.headers()), "the first time");
    }
    reference.accepts(hostile.headers())
}

#[test]
fn each_hostile_request_passes_a_verifier_without_its_rule_and_no_other() {
    let scene = Scene::new();
    let rules: BTreeSet<_> = scene.hostile().iter().map(HostileProof::rule).collect();
    assert!(rules.len() >= 15, "{rules:?}");
    for hostile in scene.hostile() {
        assert!(!passes(&mut scene.reference(""), &hostile), "{}: with every rule", hostile.name());
        for rule in &rules {
            let passed = passes(&mut scene.reference(rule), &hostile);
            assert_eq!(passed, *rule == hostile.rule(), "{} without `{rule}`", hostile.name());
        }
    }
}

#[tokio::test]
async fn each_hostile_request_is_refused_by_a_guard() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier_builder().dpop(Dpop::new(URL)).build().unwrap();
    let app = call(Router::new().route("/stock", get(stock)).with_state(verifier));
    for hostile in scene.hostile() {
        let request = || {
            let headers = hostile.headers().iter();
            headers.fold(app.get("/stock"), |request, (name, value)| request.header(*name, value))
        };
        if hostile.is_replay() {
            assert_allowed!(request().await);
        }
        assert_denied!(request().await, 401);
        let record = service_only_testkit::Audited::records(scene.authority.audit()).pop().unwrap();
        assert_eq!(record.code, Some(hostile.code()), "{}", hostile.name());
    }
    let valid = scene.key.proof("GET", &format!("{URL}/stock"), &scene.token);
    assert_allowed!(app.get("/stock").dpop(&scene.token, &valid).await);
}

#[test]
fn hostile_requests_have_names_descriptions_and_sources() {
    let scene = Scene::new();
    let hostile = scene.hostile();
    let names: BTreeSet<_> = hostile.iter().map(HostileProof::name).collect();
    assert_eq!(names.len(), hostile.len());
    for class in &hostile {
        assert!(
            class.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{}",
            class.name()
        );
        assert!(class.description().ends_with('.') && class.source().starts_with("RFC "), "{}", class.name());
    }
}
