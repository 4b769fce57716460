//! A verifier of ES256 service tokens that was written by hand, without the runtime, and may have one
//! flaw. Only the flaw differs from what the service-token contract asks for.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{hmac, signature};
use axum::{body::Body, extract::State, response::Response};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header::AUTHORIZATION};
use serde_json::Value;
use service_only::{claims::ServiceName, clock::Timestamp};
use service_only_testkit::{ManualClock, TestAuthority};

use super::{
    flaw::Flaw,
    hole::{Hole, Kind, has_actor},
    json::Members,
};

const ISSUER: &str = TestAuthority::ISSUER;
const AUDIENCE: &str = "orders-api";
pub(crate) const SERVICE: &str = "tenant-orchestrator";
pub(crate) const ROLE: &str = "clerk";
pub(crate) const ACTOR: &str = "front-gateway";
pub(crate) const SCOPES: [&str; 2] = ["tenants:delete", "tenants:read"];
pub(crate) const PATH: &str = "/tenant/seven";

/// A request as a hole looks at it.
pub(crate) struct Seen<'r> {
    pub(crate) method: &'r Method,
    pub(crate) uri: &'r Uri,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r str,
}

impl<'r> Seen<'r> {
    /// The first header of this name, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&'r str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn query(&self) -> &'r str {
        self.uri.query().unwrap_or_default()
    }
}

#[derive(Clone)]
pub(crate) struct HandMade(Arc<Shared>);

struct Shared {
    kid: String,
    /// An uncompressed point.
    public: Vec<u8>,
    public_text: String,
    clock: ManualClock,
    flaw: Option<Flaw>,
    hole: Option<&'static Hole>,
    /// What is remembered of tokens that were let in.
    remembered: Mutex<HashSet<String>>,
}

/// Answers the one path that there is; whoever passes the guard runs the handler.
pub(crate) async fn handle(State(guard): State<HandMade>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8_lossy(&body);
    let seen = Seen { method: &head.method, uri: &head.uri, headers: &head.headers, body: &body };
    let is_ours = guard.routes(seen.uri.path());
    let (status, body) = match guard.decide(&seen) {
        _ if !is_ours => (StatusCode::NOT_FOUND, ""),
        Ok(()) => (StatusCode::OK, "the tenant was deleted"),
        Err(status) => (status, ""),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

type Decision<T> = Result<T, StatusCode>;
const NOT_AUTHENTIC: StatusCode = StatusCode::UNAUTHORIZED;

fn check(holds: bool, status: StatusCode) -> Decision<()> {
    if holds { Ok(()) } else { Err(status) }
}

impl HandMade {
    pub(crate) fn new(authority: &TestAuthority, flaw: Option<Flaw>, hole: Option<&'static Hole>) -> Self {
        let jwks: Value = serde_json::from_str(&authority.jwks()).unwrap();
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(jwks["keys"][0][name].as_str().unwrap()).unwrap();
        let public = [vec![4], coordinate("x"), coordinate("y")].concat();
        // What `openssl pkey -pubout` writes: a fixed prefix and the point (RFC 5480).
        let prefix = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let der = [prefix.as_slice(), &public].concat();
        Self(Arc::new(Shared {
            kid: authority.kid().to_owned(),
            public,
            public_text: pem::encode(&pem::Pem::new("PUBLIC KEY", der)),
            clock: authority.clock().clone(),
            flaw,
            hole,
            remembered: Mutex::default(),
        }))
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.0.flaw == Some(flaw)
    }

    fn kind(&self) -> Option<Kind> {
        self.0.hole.map(|hole| hole.kind)
    }

    fn routes(&self, path: &str) -> bool {
        if self.has(Flaw::PathComparedAsText) {
            // The router tidies up, and the guard below does not.
            return path.trim_matches('/').eq_ignore_ascii_case(PATH.trim_matches('/'));
        }
        match self.kind() {
            Some(Kind::Tidies(tidy)) => path == PATH || tidy(path) == PATH,
            _ => path == PATH,
        }
    }

    fn decide(&self, seen: &Seen<'_>) -> Decision<()> {
        let headers = seen.headers;
        let tidies = self.has(Flaw::PathComparedAsText) || matches!(self.kind(), Some(Kind::Tidies(_)));
        if tidies && seen.uri.path() != PATH
            || self.has(Flaw::OnlyGetGuarded) && seen.method != Method::GET
            || self.has(Flaw::IdentityHeadersBelieved) && headers.contains_key("x-service-name")
            || self.has(Flaw::InsideNeedsNoToken) && text(headers, "x-forwarded-for") == Some("127.0.0.1")
        {
            return Ok(());
        }
        if let Some(Kind::LetsIn(lets_in)) = self.kind()
            && lets_in(seen)
        {
            return Ok(());
        }
        let found = match self.kind() {
            Some(Kind::FindsToken(find)) => find(seen),
            _ => None,
        };
        let token = match found {
            Some(token) => token,
            None => self.token(headers, seen.uri.query())?,
        };
        if let Some(Kind::Remembers(part)) = self.kind() {
            if self.0.remembered.lock().unwrap().contains(&part(&token)) {
                return Ok(());
            }
            self.verify(&token, seen)?;
            self.0.remembered.lock().unwrap().insert(part(&token));
            return Ok(());
        }
        match self.verify(&token, seen) {
            Err(_) if self.has(Flaw::ErrorLetsIn) => Ok(()),
            verdict => verdict,
        }
    }

    fn token(&self, headers: &HeaderMap, query: Option<&str>) -> Decision<String> {
        let elsewhere = match self.0.flaw {
            Some(Flaw::TokenInQuery) => query.and_then(|query| query.strip_prefix("access_token=")),
            Some(Flaw::TokenInCookie) => {
                let cookies = text(headers, "cookie").unwrap_or_default();
                cookies.split("; ").find_map(|cookie| cookie.strip_prefix("access_token="))
            }
            _ => None,
        };
        if let Some(token) = elsewhere {
            return Ok(token.to_owned());
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let first = values.next().ok_or(NOT_AUTHENTIC)?;
        let value = match values.next() {
            Some(last) if self.has(Flaw::LastOfTwoHeaders) => last,
            Some(_) if self.has(Flaw::FirstOfTwoHeaders) => first,
            Some(_) => return Err(StatusCode::BAD_REQUEST),
            None => first,
        };
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(NOT_AUTHENTIC)?;
        check(scheme == "Bearer" || self.has(Flaw::SchemeIgnored), NOT_AUTHENTIC)?;
        check(token.len() <= 16_384 || self.has(Flaw::NoLimitOfSize), NOT_AUTHENTIC)?;
        Ok(token.to_owned())
    }

    fn verify(&self, token: &str, seen: &Seen<'_>) -> Decision<()> {
        let segments: Vec<_> = token.split('.').collect();
        let &[header, payload, signature] = segments.as_slice() else { return Err(NOT_AUTHENTIC) };
        let signed = format!("{header}.{payload}");
        let header = self.object(header)?;
        self.header(&header)?;
        self.signature(&header, signed.as_bytes(), signature)?;
        let claims = self.object(payload)?;
        self.origin(&claims)?;
        self.times(&claims)?;
        self.service(&claims, seen)
    }

    fn object(&self, segment: &str) -> Decision<Members> {
        let members = Members::parse(&self.decode(segment)?).ok_or(NOT_AUTHENTIC)?;
        check(members.0.len() <= 256, NOT_AUTHENTIC)?;
        check(!members.has_a_name_twice() || self.has(Flaw::LastMemberWins), NOT_AUTHENTIC)?;
        Ok(members)
    }

    fn decode(&self, segment: &str) -> Decision<Vec<u8>> {
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(self.has(Flaw::LooseBitsAccepted))
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let segment = if self.has(Flaw::PaddingAccepted) { segment.trim_end_matches('=') } else { segment };
        GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(segment).map_err(|_| NOT_AUTHENTIC)
    }

    fn header(&self, header: &Members) -> Decision<()> {
        check(header.find("crit").is_none() || self.has(Flaw::CriticalIgnored), NOT_AUTHENTIC)?;
        let typ = header.find("typ").is_none_or(|typ| typ == "JWT");
        check(typ || self.has(Flaw::TypIgnored), NOT_AUTHENTIC)?;
        let kid = header.find("kid").is_none_or(|kid| *kid == self.0.kid);
        check(kid || self.has(Flaw::KeyIdIgnored), NOT_AUTHENTIC)
    }

    fn signature(&self, header: &Members, signed: &[u8], signature: &str) -> Decision<()> {
        let alg = header.text("alg").ok_or(NOT_AUTHENTIC)?;
        let none = match self.0.flaw {
            Some(Flaw::NoneAccepted) => alg == "none",
            Some(Flaw::NoneAcceptedInOtherCase) => alg != "none" && alg.eq_ignore_ascii_case("none"),
            _ => false,
        };
        if none
            || self.has(Flaw::SignatureNotChecked)
            || signature.is_empty() && self.has(Flaw::NoSignatureIsFine)
        {
            return Ok(());
        }
        let mut signature = self.decode(signature)?;
        if alg == "HS256" && self.has(Flaw::SecretFromPublicKey) {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, self.0.public_text.as_bytes());
            return hmac::verify(&secret, signed, &signature).map_err(|_| NOT_AUTHENTIC);
        }
        check(alg == "ES256", NOT_AUTHENTIC)?;
        if self.has(Flaw::OnlyFirstBytesCompared) {
            signature.truncate(64);
        }
        let embedded = header.find("jwk").filter(|_| self.has(Flaw::EmbeddedKeyTrusted)).and_then(point);
        let public = embedded.as_ref().unwrap_or(&self.0.public);
        let verifies = |algorithm| {
            signature::UnparsedPublicKey::new(algorithm, public).verify(signed, &signature).is_ok()
        };
        let der = self.has(Flaw::DerAccepted) && verifies(&signature::ECDSA_P256_SHA256_ASN1);
        check(der || verifies(&signature::ECDSA_P256_SHA256_FIXED), NOT_AUTHENTIC)
    }

    fn origin(&self, claims: &Members) -> Decision<()> {
        let issuer = match (self.0.flaw, claims.find("iss")) {
            (Some(Flaw::IssuerIgnored), _) => true,
            (Some(Flaw::IssuerInList), Some(Value::Array(list))) => list.iter().any(|one| one == ISSUER),
            (Some(Flaw::IssuerInAnyCase), Some(Value::String(iss))) => iss.eq_ignore_ascii_case(ISSUER),
            (Some(Flaw::IssuerByPrefix), Some(Value::String(iss))) => iss.starts_with(ISSUER),
            (_, iss) => iss.is_some_and(|iss| iss == ISSUER),
        };
        check(issuer, NOT_AUTHENTIC)?;
        let audience = match (self.0.flaw, claims.find("aud")) {
            (Some(Flaw::AudienceIgnored), _) | (Some(Flaw::AudienceOptional), None) => true,
            (Some(Flaw::AudienceBySearch), Some(Value::String(aud))) => AUDIENCE.contains(aud.as_str()),
            (_, Some(Value::Array(list))) => {
                list.iter().all(Value::is_string) && list.iter().any(|one| one == AUDIENCE)
            }
            (_, aud) => aud.is_some_and(|aud| aud == AUDIENCE),
        };
        check(audience, NOT_AUTHENTIC)?;
        check(claims.find("cnf").is_none_or(|cnf| self.ignores(cnf)), NOT_AUTHENTIC)?;
        check(claims.find("jti").is_none_or(Value::is_string), NOT_AUTHENTIC)
    }

    /// Whether a flaw makes it take a bound token for a bearer token.
    fn ignores(&self, cnf: &Value) -> bool {
        let Some(flaw) = self.0.flaw else { return false };
        let members: Vec<_> =
            cnf.as_object().into_iter().flat_map(|cnf| cnf.keys()).map(String::as_str).collect();
        match (cnf, flaw) {
            (_, Flaw::BindingIgnored) => true,
            (Value::Object(_), flaw) => match members[..] {
                [] => flaw == Flaw::EmptyBindingIgnored,
                ["x5t#S256"] => flaw == Flaw::CertificateNotAskedFor,
                ["jkt"] => flaw == Flaw::ThumbprintNotAskedFor,
                ["jwk"] => flaw == Flaw::PublicKeyNotAskedFor,
                ["jwe"] => flaw == Flaw::EncryptedKeyNotAskedFor,
                ["kid"] => flaw == Flaw::NamedKeyNotAskedFor,
                [_] => flaw == Flaw::UnknownBindingIgnored,
                _ if members.contains(&"jku") => flaw == Flaw::KeyUrlNotAskedFor,
                _ => flaw == Flaw::SecondBindingIgnored,
            },
            (Value::Null, flaw) => flaw == Flaw::NullBindingIgnored,
            (Value::String(_), flaw) => flaw == Flaw::TextBindingIgnored,
            (Value::Array(_), flaw) => flaw == Flaw::ListBindingIgnored,
            (Value::Number(_), flaw) => flaw == Flaw::NumberBindingIgnored,
            (Value::Bool(_), flaw) => flaw == Flaw::FalseBindingIgnored,
        }
    }

    fn times(&self, claims: &Members) -> Decision<()> {
        let now = seconds(self.0.clock.now());
        let expired = match claims.find("exp").and_then(Value::as_f64) {
            None => !self.has(Flaw::ExpiryOptional),
            Some(exp) if self.has(Flaw::ExpiryOneSecondLate) => now > exp,
            Some(exp) => now >= exp,
        };
        check(!expired || self.has(Flaw::ExpiryIgnored), NOT_AUTHENTIC)?;
        let numbers = ["nbf", "iat"].iter().all(|name| claims.find(name).is_none_or(Value::is_number));
        check(numbers, NOT_AUTHENTIC)?;
        let early = claims.find("nbf").and_then(Value::as_f64).is_some_and(|nbf| now < nbf);
        check(!early || self.has(Flaw::NotBeforeIgnored), NOT_AUTHENTIC)
    }

    fn service(&self, claims: &Members, seen: &Seen<'_>) -> Decision<()> {
        const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
        check(claims.text("type") == Some("service") || self.has(Flaw::TypeIgnored), FORBIDDEN)?;
        let flag = match (self.0.flaw, claims.find("is_service")) {
            (Some(Flaw::FlagIgnored), _) => true,
            (Some(Flaw::FlagTruthy), Some(value)) => {
                !matches!(value, Value::Null | Value::Bool(false)) && *value != 0 && *value != ""
            }
            (_, value) => value == Some(&Value::Bool(true)),
        };
        check(flag, FORBIDDEN)?;
        let role = match self.kind() {
            Some(Kind::RoleBy(role)) => role(claims, seen),
            _ => claims.text("role").unwrap_or_default().to_owned(),
        };
        check(role.len() <= 4096, NOT_AUTHENTIC)?;

        let name = claims.text("service").ok_or(NOT_AUTHENTIC)?;
        let by_hole = match self.kind() {
            Some(Kind::NameBy(by)) => by(claims, seen),
            Some(Kind::Normalizes(normalize)) => Some(normalize(name)),
            _ => None,
        };
        let by_subject = matches!(self.kind(), Some(Kind::NameBy(_))) && by_hole.is_some();
        let subject = claims.text("sub") == Some(name) || by_subject;
        check(subject || self.has(Flaw::SubjectIgnored), NOT_AUTHENTIC)?;
        let name = by_hole.as_deref().unwrap_or(name);
        let name = if self.has(Flaw::NameTrimmed) { name.trim() } else { name };
        check(name.parse::<ServiceName>().is_ok(), NOT_AUTHENTIC)?;
        let allowed = match self.0.flaw {
            Some(Flaw::NameNotCompared) => true,
            Some(Flaw::NameInAnyCase) => name.eq_ignore_ascii_case(SERVICE),
            Some(Flaw::NameByPrefix) => name.starts_with(SERVICE),
            _ => name == SERVICE,
        };
        check(allowed, FORBIDDEN)?;
        check(role == ROLE, FORBIDDEN)?;
        let scopes = claims.text("scope").unwrap_or_default();
        let is_held = |scope: &&str| scopes.split(' ').any(|held| held == *scope);
        let scope = match (self.0.flaw, self.kind()) {
            (Some(Flaw::ScopeIgnored), _) => true,
            (Some(Flaw::ScopeBySearch), _) => SCOPES.iter().all(|scope| scopes.contains(scope)),
            (_, Some(Kind::ScopesBy(enough))) => enough(claims, seen),
            _ => SCOPES.iter().all(is_held),
        };
        check(scope, FORBIDDEN)?;
        let actor = match self.kind() {
            Some(Kind::ActorBy(also)) => has_actor(claims, ISSUER) || also(claims),
            _ => true,
        };
        check(actor, FORBIDDEN)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn point(jwk: &Value) -> Option<Vec<u8>> {
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok();
    Some([vec![4], coordinate("x")?, coordinate("y")?].concat())
}

#[expect(clippy::cast_precision_loss, reason = "a test of this century")]
fn seconds(at: Timestamp) -> f64 {
    at.unix() as f64
}
