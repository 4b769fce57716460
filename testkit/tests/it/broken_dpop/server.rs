//! A server that checks proofs of DPoP (RFC 9449), written by hand without the runtime. It may have one hole. It reads of
//! the token only what a proof is compared with.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{digest, hmac, signature};
use axum::{body::Body, extract::State, response::Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use service_only_testkit::{ManualClock, TestAuthority, TestDpopKey};

use super::{
    URL,
    hole::{Hole, Kind},
};
use crate::broken::json::Members;

/// The nonce that the server requires, and one that it required before.
pub(crate) const NONCE: &str = "nonce-of-today";
pub(crate) const STALE_NONCE: &str = "nonce-of-yesterday";

#[derive(Clone)]
pub(crate) struct Server(Arc<Shared>);

struct Shared {
    clock: ManualClock,
    /// The thumbprint of the caller's key.
    caller: String,
    hole: Option<&'static Hole>,
    accepted: Mutex<Accepted>,
}

#[derive(Default)]
struct Accepted {
    ids: BTreeSet<String>,
    texts: BTreeSet<String>,
}

/// A request as the checks and a hole read it.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) cnf: Value,
    pub(crate) ath: String,
    /// How many headers have a proof.
    pub(crate) proofs: usize,
    /// The text of the first one.
    pub(crate) proof: String,
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signature: Vec<u8>,
    pub(crate) now: i64,
    /// The thumbprints of the key in the proof and of the caller's key.
    pub(crate) jkt: String,
    pub(crate) caller: String,
    /// Whether the `jti` and the text of the proof were accepted before.
    pub(crate) id_was_accepted: bool,
    pub(crate) text_was_accepted: bool,
}

pub(crate) async fn handle(State(server): State<Server>, request: Request<Body>) -> Response {
    let mut response = Response::new(Body::from("12 loaves"));
    if !server.accepts(&request) {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        *response.body_mut() = Body::empty();
        response.headers_mut().insert("dpop-nonce", NONCE.parse().unwrap());
    }
    response
}

impl Server {
    pub(crate) fn new(authority: &TestAuthority, key: &TestDpopKey, hole: Option<&'static Hole>) -> Self {
        let caller = URL_SAFE_NO_PAD.encode(key.thumbprint());
        let (clock, accepted) = (authority.clock().clone(), Mutex::default());
        Self(Arc::new(Shared { clock, caller, hole, accepted }))
    }

    fn accepts(&self, request: &Request<Body>) -> bool {
        let all = |name: &str| {
            let values = request.headers().get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (authorization, proofs) = (all("authorization"), all("dpop"));
        if let Some(Kind::Admits(admits)) = self.kind()
            && admits(&authorization, &proofs)
        {
            return true;
        }
        let [authorization] = authorization.as_slice() else { return false };
        let Some(token) = authorization.strip_prefix("DPoP ") else { return false };
        let Some(first) = proofs.first() else { return false };
        let proof = match self.kind() {
            Some(Kind::Reads(read)) => read(first).unwrap_or_else(|| first.clone()),
            _ => first.clone(),
        };
        let Some(seen) = self.seen(request, token, &proof) else { return false };
        let seen = Seen { proofs: proofs.len(), ..seen };
        self.check(&seen, &proof)
    }

    fn kind(&self) -> Option<Kind> {
        self.0.hole.map(|hole| hole.kind)
    }

    /// Reads the request; `None` if the token or the proof is not a JWS.
    fn seen(&self, request: &Request<Body>, token: &str, proof: &str) -> Option<Seen> {
        let json = |segment: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(segment).ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        };
        let payload = token.split('.').nth(1).and_then(json)?;
        let parts: Vec<_> = proof.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else { return None };
        let (header, claims) = (json(header)?, json(claims)?);
        let jwk = &header["jwk"];
        let accepted = self.0.accepted.lock().unwrap();
        let id = claims["jti"].as_str().unwrap_or_default().to_owned();
        Some(Seen {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            headers: request.headers().clone(),
            cnf: payload["cnf"].clone(),
            ath: hash(token),
            proofs: 1,
            proof: proof.to_owned(),
            jkt: thumbprint(jwk).unwrap_or_default(),
            caller: self.0.caller.clone(),
            now: self.0.clock.now().unix(),
            id_was_accepted: accepted.ids.contains(&id),
            text_was_accepted: accepted.texts.contains(proof),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            header,
            claims,
        })
    }

    fn check(&self, seen: &Seen, proof: &str) -> bool {
        let Seen { header, claims, cnf, .. } = seen;
        let text = |name: &str| claims[name].as_str();
        let payload = proof.split('.').nth(1).and_then(|segment| URL_SAFE_NO_PAD.decode(segment).ok());
        let members = payload.as_deref().and_then(Members::parse);
        let is_one = cnf.as_object().is_some_and(|cnf| cnf.len() == 1) && cnf["jkt"].is_string();
        let checks = [
            ("one proof", seen.proofs == 1),
            ("length", proof.len() <= 8_192),
            ("object", members.is_some()),
            ("members", members.is_none_or(|members| !members.has_a_name_twice())),
            ("typ", header["typ"] == "dpop+jwt"),
            ("crit", header.get("crit").is_none()),
            ("alg", header["alg"] == "ES256"),
            ("key", header["jwk"].is_object()),
            ("private key", header["jwk"].get("d").is_none()),
            ("signature", seen.is_signed()),
            ("one binding", is_one),
            ("binding", cnf["jkt"] == *seen.jkt),
            ("jti", text("jti").is_some_and(|id| !id.is_empty())),
            ("jti length", text("jti").is_none_or(|id| id.len() <= 256)),
            ("htm", claims["htm"] == *seen.method),
            ("htu", claims["htu"] == seen.url()),
            ("iat", claims["iat"].as_i64().is_some_and(|iat| (iat - seen.now).abs() <= 60)),
            ("ath", claims["ath"] == *seen.ath),
            ("nonce", claims["nonce"] == NONCE),
            ("replay", !seen.id_was_accepted),
        ];
        let opens = |check: &str| match self.kind() {
            Some(Kind::Opens(checks, is_open)) => checks.contains(&check) && is_open(seen),
            _ => false,
        };
        let accepted = checks.iter().all(|(check, holds)| *holds || opens(check));
        if accepted {
            let mut kept = self.0.accepted.lock().unwrap();
            kept.ids.extend(text("jti").map(str::to_owned));
            kept.texts.insert(proof.to_owned());
        }
        accepted
    }
}

impl Seen {
    pub(crate) fn url(&self) -> String {
        format!("{URL}{}", self.path)
    }

    pub(crate) fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.get(name).is_some_and(|value| value.to_str().unwrap().contains("evil.example"))
    }

    fn is_signed(&self) -> bool {
        let (signed, _) = self.proof.rsplit_once('.').unwrap_or_default();
        self.is_signature_of(signed)
    }

    /// Whether the signature is that of the same proof with another `jti`.
    pub(crate) fn is_signed_with_id(&self, id: &str) -> bool {
        let mut claims = self.claims.clone();
        claims["jti"] = id.into();
        let (header, _) = self.proof.split_once('.').unwrap_or_default();
        self.is_signature_of(&format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    fn is_signature_of(&self, signed: &str) -> bool {
        let member =
            |name: &str| self.header["jwk"][name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        if let Some(secret) = member("k") {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            return hmac::verify(&key, signed.as_bytes(), &self.signature).is_ok();
        }
        let point = [vec![4], member("x").unwrap_or_default(), member("y").unwrap_or_default()].concat();
        let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
        key.verify(signed.as_bytes(), &self.signature).is_ok()
    }
}

pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// RFC 7638, for the only kind of key that these proofs have.
fn thumbprint(jwk: &Value) -> Option<String> {
    let member = |name: &str| jwk[name].as_str();
    let (crv, kty, x, y) = (member("crv")?, member("kty")?, member("x")?, member("y")?);
    Some(hash(&format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)))
}
