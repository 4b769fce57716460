//! Hostile requests with Workload Identity Tokens: each is the only one that passes a verifier with its hole. The guards'
//! verdicts are in `guard`.

mod hole;

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::{digest, hmac, signature};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use service_only_testkit::{HostileProof, ManualClock, TestAuthority, TestDpopKey};

use self::hole::{HOLES, Hole};
use crate::URL;

/// What a request is accepted for, without any check of this project.
struct Reference {
    issuer: Value,
    clock: ManualClock,
    hole: Option<&'static Hole>,
    used: BTreeSet<String>,
}

/// A request, as far as it can be read.
struct Seen<'r> {
    headers: &'r [(&'static str, String)],
    proof: Option<Jwt>,
    wit: Option<Jwt>,
    now: i64,
}

impl<'r> Seen<'r> {
    fn read(headers: &'r [(&'static str, String)], now: i64) -> Self {
        let mut seen = Self { headers, proof: None, wit: None, now };
        let proof = seen.named("authorization").first().and_then(|value| value.strip_prefix("WPT "));
        seen.proof = proof.and_then(Jwt::read);
        seen.wit = seen.named("workload-identity-token").first().and_then(|token| Jwt::read(token));
        seen
    }

    fn named(&self, name: &str) -> Vec<&'r str> {
        let of_name = self.headers.iter().filter(|(own, _)| *own == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    fn has_header(&self, name: &str) -> bool {
        !self.named(name).is_empty()
    }
}

/// A JWT, decoded.
struct Jwt {
    header: Value,
    claims: Value,
    payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    fn read(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let payload = bytes(payload)?;
        Some(Self {
            header: serde_json::from_slice(&bytes(header)?).ok()?,
            claims: serde_json::from_slice(&payload).ok()?,
            payload,
            signed: signed.to_owned(),
            signature: bytes(signature)?,
        })
    }

    /// Whether this key has signed it, with the algorithm in the header.
    fn is_signed_by(&self, jwk: &Value) -> bool {
        let member = |name: &str| jwk[name].as_str().and_then(bytes).unwrap_or_default();
        let signed = self.signed.as_bytes();
        match self.header["alg"].as_str() {
            Some("none") => self.signature.is_empty(),
            Some("HS256") => {
                let public = || jwk["x"].as_str().unwrap_or_default().as_bytes().to_vec();
                let secret = if jwk["kty"] == "oct" { member("k") } else { public() };
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed, &self.signature).is_ok()
            }
            Some("EdDSA" | "Ed25519") => {
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, member("x"));
                key.verify(signed, &self.signature).is_ok()
            }
            _ => {
                let point = [vec![4], member("x"), member("y")].concat();
                let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(signed, &self.signature).is_ok()
            }
        }
    }
}

impl Reference {
    /// Whether GET /stock with these headers is accepted.
    fn accepts(&mut self, headers: &[(&'static str, String)]) -> bool {
        self.check(headers).unwrap_or(false)
    }

    /// `None` is a request that cannot be read.
    fn check(&mut self, headers: &[(&'static str, String)]) -> Option<bool> {
        let request = Seen::read(headers, self.clock.now().unix());
        let hole = self.hole.filter(|hole| (hole.admits)(&request));
        let ignores = |rule: &str| hole.is_some_and(|hole| hole.rule == rule);
        let named = |name: &str| request.named(name);
        let (proofs, tokens) = (named("authorization"), named("workload-identity-token"));
        if proofs.len() > 1 && !ignores("one proof") || tokens.len() > 1 && !ignores("one token") {
            return Some(false);
        }
        let Some(token) = tokens.first() else { return Some(ignores("token")) };
        let Some(proof) = proofs.first() else { return Some(ignores("proof")) };
        if let Some(bearer) = proof.strip_prefix("Bearer ") {
            return Some(ignores("scheme") && bearer == *token);
        }
        let (proof, wit) = (request.proof.as_ref()?, request.wit.as_ref()?);
        let (now, cnf) = (request.now, &wit.claims["cnf"]);
        let jwk = &cnf["jwk"];
        let number = |value: &Value| value.as_i64();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let of_workload = text(&jwk["alg"]);
        let names_a_known_alg = matches!(of_workload.as_deref(), Some("ES256" | "EdDSA" | "Ed25519"));
        let is_symmetric = jwk["kty"] == "oct";
        let is_allowed = matches!(proof.header["alg"].as_str(), Some("ES256" | "EdDSA" | "Ed25519"));
        let signer = match proof.header.get("jwk") {
            Some(embedded) if ignores("key of the header") => embedded,
            _ => jwk,
        };
        let exp = number(&proof.claims["exp"]);
        let others = |claim: &Value| match claim {
            Value::Null => true,
            Value::Object(entries) => entries
                .iter()
                .all(|(name, hashed)| named(name).first().is_some_and(|value| *hashed == hash(value.trim()))),
            _ => false,
        };
        let transaction = named("txn-token").first().map(|token| hash(token));
        let checks = [
            ("token typ", wit.header["typ"] == "wit+jwt"),
            ("token signature", wit.is_signed_by(&self.issuer)),
            ("token exp", number(&wit.claims["exp"])? > now),
            ("token lifetime", number(&wit.claims["exp"])? <= now + 86_400),
            (
                "token sub",
                wit.claims["sub"].as_str().is_some_and(|sub| sub.starts_with("wimse://bakery.example/")),
            ),
            ("cnf", jwk.is_object()),
            ("alg of the key", !jwk.is_object() || names_a_known_alg || is_symmetric),
            ("symmetric key", !is_symmetric),
            ("private key", jwk.get("d").is_none()),
            ("typ", proof.header["typ"] == "wpt+jwt"),
            ("alg", is_allowed || is_symmetric),
            ("same alg", text(&proof.header["alg"]) == of_workload || !names_a_known_alg || !is_allowed),
            ("crit", proof.header.get("crit").is_none()),
            ("signature", !jwk.is_object() || proof.is_signed_by(signer)),
            ("jti", proof.claims["jti"].as_str().is_some_and(|id| !id.is_empty())),
            ("jti length", proof.claims["jti"].as_str().is_none_or(|id| id.len() <= 256)),
            ("aud", proof.claims["aud"] == format!("{URL}/stock")),
            ("exp", exp.is_some_and(|exp| exp > now)),
            ("lifetime", exp.is_none_or(|exp| exp <= now + 120)),
            ("nbf", number(&proof.claims["nbf"]).is_none_or(|nbf| nbf <= now)),
            ("wth", text(&proof.claims["wth"]) == Some(hash(token))),
            ("tth", text(&proof.claims["tth"]) == transaction),
            ("oth", others(&proof.claims["oth"])),
            ("duplicates", !has_duplicates(&proof.payload)),
        ];
        let is_new = ignores("replay") || self.used.insert(text(&proof.claims["jti"]).unwrap_or_default());
        Some(checks.iter().all(|(rule, holds)| *holds || ignores(rule)) && is_new)
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// Whether one name occurs twice in an object. Names in objects within it count once.
fn has_duplicates(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload);
    serde_json::from_slice::<BTreeMap<String, Value>>(payload)
        .is_ok_and(|members| members.keys().any(|name| text.matches(&format!("\"{name}\":")).count() > 1))
}

struct Scene {
    authority: TestAuthority,
    key: TestDpopKey,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let key = authority.dpop_key();
        Self { authority, key }
    }

    fn hostile(&self) -> Vec<HostileProof> {
        self.authority.experimental_hostile_workloads("billing", &self.key, &format!("{URL}/stock"))
    }

    fn reference(&self, hole: Option<&'static Hole>) -> Reference {
        let issuer = serde_json::to_value(self.authority.key().public_jwk().unwrap()).unwrap();
        Reference { issuer, clock: self.authority.clock().clone(), hole, used: BTreeSet::new() }
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
fn each_hostile_workload_passes_the_verifier_with_its_hole_and_no_other() {
    let scene = Scene::new();
    let hostile = scene.hostile();
    let classes: BTreeSet<_> = hostile.iter().map(|class| (class.name(), class.rule())).collect();
    let holes: BTreeSet<_> = HOLES.iter().map(|hole| (hole.class, hole.rule)).collect();
    assert_eq!((holes, HOLES.len()), (classes, hostile.len()));
    let rules: BTreeSet<_> = HOLES.iter().map(|hole| hole.rule).collect();
    assert!(rules.len() >= 30, "{rules:?}");
    for hostile in &hostile {
        assert!(!passes(&mut scene.reference(None), hostile), "{}: with every rule", hostile.name());
        for hole in HOLES {
            let passed = passes(&mut scene.reference(Some(hole)), hostile);
            assert_eq!(passed, hole.class == hostile.name(), "{} with `{}`", hostile.name(), hole.class);
        }
    }
}

#[test]
fn a_valid_workload_passes_the_verifier_with_every_rule() {
    let scene = Scene::new();
    let token = scene.authority.experimental_wit("billing", &scene.key).token();
    let proof = scene.key.experimental_wpt(&format!("{URL}/stock"), &token).text();
    let headers =
        [("authorization", format!("WPT {proof}")), ("workload-identity-token", token.as_str().to_owned())];
    assert!(scene.reference(None).accepts(&headers));
    for hole in HOLES {
        assert!(scene.reference(Some(hole)).accepts(&headers), "{}", hole.class);
    }
}

#[test]
fn hostile_workloads_have_names_descriptions_and_sources() {
    let hostile = Scene::new().hostile();
    let names: BTreeSet<_> = hostile.iter().map(HostileProof::name).collect();
    assert_eq!(names.len(), hostile.len());
    for class in &hostile {
        let is_snake = class.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_snake, "{}", class.name());
        let has_source =
            class.source().starts_with("RFC ") || class.source().starts_with("draft-ietf-wimse-");
        assert!(class.description().ends_with('.') && has_source, "{}", class.name());
    }
}
