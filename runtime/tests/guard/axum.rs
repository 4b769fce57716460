//! Guarded axum handlers, from the header to the answer and the audit record.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{FromRef, FromRequestParts, Path, State},
    http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{any, delete, get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{
    Algorithm, Caller, JsonLinesAudit, Verifier,
    audit::{AuditError, AuditEvent, AuditRecord, AuditSink, Decision},
    clock::{FixedClock, Timestamp},
    issue::{Issuer, SigningKey},
    keys::KeyRing,
    revocation::MemoryRevocations,
    service_only,
};
use tower::ServiceExt;

const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);

#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<AuditRecord>>>);

impl AuditSink for Recorded {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.0.lock().unwrap().push(event.to_record());
        Ok(())
    }
}

impl Recorded {
    fn only(&self) -> AuditRecord {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(events.len(), 1, "{events:#?}");
        events.into_iter().next().unwrap()
    }
}

#[derive(Clone, FromRef)]
struct AppState {
    verifier: Verifier,
    greeting: &'static str,
}

#[service_only]
async fn open() -> impl IntoResponse {
    "open"
}

#[service_only(services("orchestrator"), scopes("tenants:delete"), roles("admin"), max_age = "1h")]
async fn closed(
    Path(id): Path<u32>,
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<String>, StatusCode> {
    Ok(Json(format!("{} {id} {}", state.greeting, caller.service())))
}

#[service_only]
async fn nothing() {}

#[service_only]
async fn response(_headers: HeaderMap) -> Response {
    StatusCode::ACCEPTED.into_response()
}

#[service_only]
async fn generic<S: Clone + Send + Sync + 'static>(State(_): State<S>) -> &'static str {
    "generic"
}

#[service_only]
#[axum::debug_handler(state = AppState)]
async fn debugged(caller: Caller) -> String {
    caller.service().to_owned()
}

#[service_only]
async fn with_body(Json(body): Json<serde_json::Value>) -> Json<serde_json::Value> {
    Json(body)
}

async fn only_caller(caller: Caller) -> String {
    caller.service().to_owned()
}

struct Handlers;

impl Handlers {
    #[service_only(services("orchestrator"))]
    async fn in_an_impl(caller: Caller) -> String {
        caller.service().to_owned()
    }
}

mod nested {
    use super::*;

    #[service_only(scopes("a", "b"))]
    pub(super) async fn r#type() -> &'static str {
        "type"
    }
}

struct World {
    app: Router,
    audit: Recorded,
    issuer: Issuer,
    verifier: Verifier,
}

impl World {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let audit = Recorded::default();
        let verifier = Verifier::builder()
            .issuer("bakery-auth")
            .keys(key.verifying_key())
            .clock(FixedClock(NOW))
            .audit(audit.clone())
            .build()
            .unwrap();
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(FixedClock(NOW)).build().unwrap();
        let app = Router::new()
            .route("/open", get(open))
            .route("/closed/{id}", delete(closed))
            .route("/nothing", get(nothing))
            .route("/response", get(response))
            .route("/generic", get(generic::<AppState>))
            .route("/debugged", get(debugged))
            .route("/body", post(with_body))
            .route("/caller", get(only_caller))
            .route("/impl", get(Handlers::in_an_impl))
            .route("/type", get(nested::r#type))
            .route("/any/{*path}", any(open))
            .with_state(AppState { verifier: verifier.clone(), greeting: "hello" });
        Self { app, audit, issuer, verifier }
    }

    fn token(&self, service: &str) -> String {
        self.issuer.token_for(service).scope("tenants:delete").mint().unwrap().as_str().to_owned()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        authorization: &[&str],
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        answer(self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, HeaderMap, String) {
        self.send("GET", path, &[&format!("Bearer {token}")]).await
    }
}

async fn answer(response: Response) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_kind_of_handler_runs_only_for_a_service() {
    let world = World::new();
    let token = world.token("orchestrator");
    for (path, expected) in [
        ("/open", "open"),
        ("/nothing", ""),
        ("/response", ""),
        ("/generic", "generic"),
        ("/debugged", "orchestrator"),
        ("/impl", "orchestrator"),
        ("/caller", "orchestrator"),
    ] {
        let (status, _, body) = world.get(path, &token).await;
        assert!(status.is_success(), "{path}: {status}");
        assert_eq!(body, expected, "{path}");
        let event = world.audit.only();
        assert_eq!((event.decision, event.status), (Decision::Allow, 200), "{path}");

        let (status, headers, body) = world.send("GET", path, &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(headers["www-authenticate"], r#"Bearer realm="service""#);
        assert_eq!(headers["content-type"], "application/problem+json");
        let event = world.audit.only();
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["instance"], format!("urn:uuid:{}", event.id), "{path}");
        assert_eq!(event.code.unwrap().as_str(), "missing_token");
    }
}

#[tokio::test]
async fn every_requirement_of_a_policy_is_enforced() {
    let world = World::new();
    let send = async |token: &str| world.send("DELETE", "/closed/7", &[&format!("Bearer {token}")]).await;

    let (status, _, body) = send(&world.token("orchestrator")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "\"hello 7 orchestrator\""));
    assert_eq!(world.audit.only().service.as_deref(), Some("orchestrator"));

    let (status, headers, _) = send(&world.token("orders")).await;
    assert_eq!(
        (status, &headers["www-authenticate"]),
        (StatusCode::FORBIDDEN, &r#"Bearer realm="service""#.parse().unwrap())
    );
    let event = world.audit.only();
    assert_eq!(event.code.unwrap().as_str(), "service_not_allowed");
    // An authentic service that may not is known by its true name.
    assert_eq!((event.service.as_deref(), event.unverified_service), (Some("orders"), None));

    let no_scope = world.issuer.token_for("orchestrator").mint().unwrap();
    let (status, headers, _) = send(no_scope.as_str()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        headers["www-authenticate"],
        r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#
    );
    assert_eq!(world.audit.only().code.unwrap().as_str(), "missing_scope");

    let other_role =
        world.issuer.token_for("orchestrator").scope("tenants:delete").role("viewer").mint().unwrap();
    assert_eq!(send(other_role.as_str()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.audit.only().code.unwrap().as_str(), "role_not_allowed");
}

#[tokio::test]
async fn garbage_duplicate_and_malformed_headers_get_their_specific_response() {
    let world = World::new();
    let token = world.token("orchestrator");
    let bearer = format!("Bearer {token}");
    let cases: [(&[&str], u16, Option<&str>, &str); 5] = [
        (&["Bearer garbage"], 401, Some(r#"Bearer realm="service", error="invalid_token""#), "malformed"),
        (&["Basic YTpi"], 401, Some(r#"Bearer realm="service""#), "missing_token"),
        (
            &[&bearer, &bearer],
            400,
            Some(r#"Bearer realm="service", error="invalid_request""#),
            "invalid_request",
        ),
        (&["Bearer"], 400, Some(r#"Bearer realm="service", error="invalid_request""#), "invalid_request"),
        (
            &[&bearer, "Basic YTpi"],
            400,
            Some(r#"Bearer realm="service", error="invalid_request""#),
            "invalid_request",
        ),
    ];
    for (authorization, status, challenge, code) in cases {
        let (found, headers, body) = world.send("GET", "/open", authorization).await;
        assert_eq!(found.as_u16(), status, "{authorization:?}");
        assert_eq!(headers.get("www-authenticate").map(|value| value.to_str().unwrap()), challenge);
        let event = world.audit.only();
        assert_eq!(event.code.unwrap().as_str(), code);
        assert!(
            !body.contains(code) && !body.contains(&*event.reason.unwrap()),
            "no reason on the wire: {body}"
        );
    }
}

#[tokio::test]
async fn header_around_a_cached_token_is_checked_again() {
    let world = World::new();
    let token = world.token("orchestrator");
    for _ in 0..3 {
        assert_eq!(world.get("/open", &token).await.0, 200);
        world.audit.only();
    }
    let hits = world.verifier.token_cache_hits();
    assert!(hits > 0);
    let spelled = ["Bearer ", "bearer ", "BEARER ", "Bearer   "].map(|scheme| format!("{scheme}{token}"));
    for authorization in &spelled {
        assert_eq!(world.send("GET", "/open", &[authorization]).await.0, 200, "{authorization}");
        world.audit.only();
    }
    assert_eq!(world.verifier.token_cache_hits(), hits + spelled.len() as u64);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other = [
        (format!("Bearer {token} "), 400),
        (format!("Bearer {token},"), 400),
        (format!("Bearer {token}\u{e9}"), 400),
        (format!("Bearer \t{token}"), 400),
        (format!("Bearer{token}"), 400),
        (format!("Basic {token}"), 401),
        (format!("Bearer {token}="), 401),
        (format!("Bearer {token}A"), 401),
        (format!("Bearer {}", &token[..token.len() - 1]), 401),
        (format!("Bearer {}", &token[1..]), 401),
        (format!("Bearer {head}.{}", &signature[..signature.len() - 4]), 401),
    ];
    for (authorization, status) in other {
        assert_eq!(world.send("GET", "/open", &[&authorization]).await.0, status, "{authorization}");
        world.audit.only();
    }
    assert_eq!(world.verifier.token_cache_hits(), hits + spelled.len() as u64);
}

#[tokio::test]
async fn the_body_of_an_unauthenticated_request_is_not_read() {
    let world = World::new();
    let polled = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&polled);
    let stream = axum::body::Body::from_stream(Poll(seen));
    let request = Request::post("/body").header("content-type", "application/json").body(stream).unwrap();
    let (status, ..) = answer(world.app.clone().oneshot(request).await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!polled.load(Ordering::SeqCst));
}

/// A body that tells whether anybody asked for it.
struct Poll(Arc<AtomicBool>);

impl futures_core::Stream for Poll {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.store(true, Ordering::SeqCst);
        std::task::Poll::Ready(Some(Ok(b"{}".to_vec())))
    }
}

#[tokio::test]
async fn the_record_names_handler_route_path_and_trace() {
    let world = World::new();
    let request = Request::delete("/closed/7?token=secret")
        .header(AUTHORIZATION, "Bearer a.b.c")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .extension(axum::extract::ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 4711))))
        .body(Body::empty())
        .unwrap();
    world.app.clone().oneshot(request).await.unwrap();
    let event = world.audit.only();
    assert_eq!(event.endpoint.unwrap().to_string(), "guard::axum::closed");
    assert_eq!(event.method.as_deref(), Some("DELETE"));
    assert_eq!(event.route.as_deref(), Some("/closed/{id}"));
    assert_eq!(event.path.as_deref(), Some("/closed/7"));
    assert_eq!(event.client_address, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(event.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));

    world.send("GET", "/type", &[]).await;
    assert_eq!(world.audit.only().endpoint.unwrap().to_string(), "guard::axum::nested::type");
    world.send("GET", "/caller", &[]).await;
    assert_eq!(world.audit.only().endpoint, None, "a handler without the attribute has no name");
}

#[tokio::test]
async fn the_record_has_the_requested_path_if_a_router_strips_a_prefix() {
    let world = World::new();
    let inner = Router::new().route("/caller", get(only_caller)).with_state(world.verifier.clone());
    let app: Router = Router::new().nest("/nested", inner);
    app.oneshot(Request::get("/nested/caller").body(Body::empty()).unwrap()).await.unwrap();
    let event = world.audit.only();
    assert_eq!(event.route.as_deref(), Some("/nested/caller"));
    assert_eq!(event.path.as_deref(), Some("/nested/caller"));
}

#[tokio::test]
async fn a_token_that_was_not_verified_is_recorded_as_unverified() {
    let world = World::new();
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let forged =
        Issuer::builder().issuer("bakery-auth").key(stranger).clock(FixedClock(NOW)).build().unwrap();
    let (status, ..) = world.get("/open", forged.token_for("orchestrator").mint().unwrap().as_str()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let event = world.audit.only();
    assert_eq!((event.service, event.jti, event.issuer, event.kid), (None, None, None, None));
    assert_eq!(event.unverified_service.as_deref(), Some("orchestrator"));
}

#[tokio::test]
async fn an_authentic_user_is_refused_and_recorded_as_a_user() {
    let world = World::new();
    let key = world.issuer.key();
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(serde_json::json!({"alg": "ES256", "kid": key.kid()}));
    let claims = part(serde_json::json!({
        "sub": "7d9f", "user_id": "anna", "type": "access", "iss": "bakery-auth", "exp": NOW.unix() + 60, "jti": "u1",
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
    let (status, ..) = world.get("/open", &format!("{signed}.{signature}")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let event = world.audit.only();
    assert_eq!(event.code.unwrap().as_str(), "not_service");
    assert_eq!(
        (event.user.as_deref(), event.jti.as_deref(), event.service),
        (Some("anna"), Some("u1"), None)
    );
}

/// Loses every record.
struct Lost;

impl AuditSink for Lost {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        Err(AuditError::new("the disk is full"))
    }
}

#[tokio::test]
async fn a_lost_record_refuses_the_caller_only_if_the_audit_is_required() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    for (required, expected) in [(false, StatusCode::OK), (true, StatusCode::SERVICE_UNAVAILABLE)] {
        let builder = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).audit(Lost);
        let verifier = if required { builder.require_audit() } else { builder }.build().unwrap();
        let app: Router = Router::new().route("/open", get(open)).with_state(verifier);
        let key = SigningKey::from_pem(Algorithm::ES256, &key.to_secret_bytes().unwrap()).unwrap();
        let issuer = Issuer::builder()
            .issuer("bakery-auth")
            .key(key)
            .lifetime(Duration::from_secs(60))
            .build()
            .unwrap();
        let token = issuer.token_for("orders").mint().unwrap();
        let request = Request::get("/open")
            .header(AUTHORIZATION, format!("Bearer {}", token.as_str()))
            .body(Body::empty())
            .unwrap();
        let (status, headers, _) = answer(app.oneshot(request).await.unwrap()).await;
        assert_eq!(status, expected);
        assert!(!headers.contains_key("www-authenticate"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_refuses_callers_where_the_audit_is_required() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full");
        return;
    };
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let audit = JsonLinesAudit::to_writer(full).unwrap();
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(key.verifying_key())
        .audit(audit.clone())
        .require_audit()
        .build()
        .unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    // The writer finds out with the first record, which it has to be given.
    let _ = verifier.verify(token.as_str());
    let _ = audit.flush();
    for _ in 0..100 {
        assert_eq!(verifier.verify(token.as_str()).unwrap_err().status(), 503);
    }
    let _ = audit.flush();
    assert_eq!(audit.dropped(), 101, "every record is counted");
}

#[test]
fn the_default_audit_without_a_subscriber_counts_as_missing() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let verifier = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).require_audit();
    let verifier = verifier.build().unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    assert_eq!(verifier.verify(token.as_str()).unwrap_err().code().as_str(), "audit_unavailable");
    tracing::subscriber::with_default(tracing_subscriber::fmt().with_writer(std::io::sink).finish(), || {
        assert!(verifier.verify(token.as_str()).is_ok());
    });
}

#[tokio::test]
async fn texts_of_a_request_are_escaped_and_bounded_in_the_record() {
    let world = World::new();
    let long = "é".repeat(5000);
    for path in ["/any/a\u{202e}b\u{85}c\u{2028}".to_owned(), format!("/any/{long}")] {
        let uri = http::Uri::from_maybe_shared(path.into_bytes()).unwrap();
        let header = URL_SAFE_NO_PAD.encode(format!("\"{long}\""));
        let mut request = Request::get(uri).header(AUTHORIZATION, format!("Bearer {header}.e30.AAAA"));
        request = request.method(http::Method::from_bytes("M".repeat(5000).as_bytes()).unwrap());
        world.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let event = world.audit.only();
        assert_eq!(event.code.unwrap().as_str(), "malformed");
        for (text, longest) in [(event.path, 1024), (event.reason, 1024), (event.method, 32)] {
            let text = text.unwrap();
            assert!(text.len() <= longest, "{} bytes", text.len());
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        }
    }
}

#[tokio::test]
async fn a_token_that_a_layer_replaced_is_verified_again() {
    let world = World::new();
    let verifier = world.verifier.clone();
    let bearer = |service: &str| format!("Bearer {}", world.token(service)).parse().unwrap();
    let request = Request::get("/").header(AUTHORIZATION, bearer("first")).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    assert_eq!(Caller::from_request_parts(&mut parts, &verifier).await.unwrap().service(), "first");
    parts.headers.insert(AUTHORIZATION, bearer("second"));
    assert_eq!(Caller::from_request_parts(&mut parts, &verifier).await.unwrap().service(), "second");
    parts.headers.append(AUTHORIZATION, bearer("third"));
    assert_eq!(Caller::from_request_parts(&mut parts, &verifier).await.unwrap_err().status(), 400);
}

#[tokio::test]
async fn a_decision_that_a_layer_carries_over_does_not_outlive_its_token() {
    use service_only_testkit::TestAuthority;

    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let token = authority.service("orders").claim("exp", authority.clock().now().unix() + 60).token();
    let request = || {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap();
        request.into_parts().0
    };
    let mut first = request();
    assert!(Caller::from_request_parts(&mut first, &verifier).await.is_ok());
    let mut later = request();
    later.extensions = first.extensions.clone();
    assert!(Caller::from_request_parts(&mut later, &verifier).await.is_ok());
    authority.clock().advance(std::time::Duration::from_secs(60));
    let mut too_late = request();
    too_late.extensions = first.extensions;
    let rejection = Caller::from_request_parts(&mut too_late, &verifier).await.unwrap_err();
    assert_eq!(rejection.status(), 401);
}

#[tokio::test]
async fn a_decision_that_a_layer_carries_over_does_not_outlive_a_revocation() {
    let world = World::new();
    let revocations = MemoryRevocations::new();
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(world.issuer.key().verifying_key())
        .clock(FixedClock(NOW))
        .revocation(revocations.clone())
        .build()
        .unwrap();
    let token = world.token("orders");
    let request = || {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap();
        request.into_parts().0
    };
    let mut first = request();
    assert!(Caller::from_request_parts(&mut first, &verifier).await.is_ok());
    let later = || {
        let mut later = request();
        later.extensions = first.extensions.clone();
        later
    };
    assert!(Caller::from_request_parts(&mut later(), &verifier).await.is_ok());
    revocations.revoke_service("bakery-auth", "sales", NOW).unwrap();
    assert!(Caller::from_request_parts(&mut later(), &verifier).await.is_ok());
    revocations.revoke_service("bakery-auth", "orders", NOW).unwrap();
    let rejection = Caller::from_request_parts(&mut later(), &verifier).await.unwrap_err();
    assert_eq!(rejection.status(), 401);
}

#[tokio::test]
async fn a_decision_that_a_layer_carries_over_does_not_outlive_its_key() {
    let world = World::new();
    let (old, new) = (world.issuer.key(), SigningKey::generate(Algorithm::ES256).unwrap());
    let overlap = Duration::from_secs(60);
    let ring = KeyRing::with_clock(old.verifying_key(), overlap, FixedClock(NOW)).unwrap();
    let audit = Recorded::default();
    let builder = Verifier::builder().issuer("bakery-auth").keys(ring.clone()).clock(FixedClock(NOW));
    let verifier = builder.audit(audit.clone()).build().unwrap();
    let token = world.token("orders");
    let request = || {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap();
        request.into_parts().0
    };
    let mut first = request();
    let caller_of_the_layer = Caller::from_request_parts(&mut first, &verifier).await.unwrap();
    let later = || {
        let mut later = request();
        later.extensions = first.extensions.clone();
        later
    };
    ring.prepare(new.verifying_key()).unwrap();
    ring.activate(new.kid().as_str()).unwrap();
    assert!(Caller::from_request_parts(&mut later(), &verifier).await.is_ok());
    ring.retire(old.kid().as_str()).unwrap();
    let rejection = Caller::from_request_parts(&mut later(), &verifier).await.unwrap_err();
    assert_eq!(rejection.status(), 401);

    // The attempt was opened for `orders`. The decision that closed it could not check the signature.
    let record = audit.only();
    assert_eq!((record.service.as_deref(), record.unverified_service.as_deref()), (None, Some("orders")));
    drop(caller_of_the_layer);
}

#[tokio::test]
async fn a_decision_of_another_verifier_does_not_count() {
    // One request passes two routers, and the inner one trusts another issuer.
    let authority = SigningKey::generate(Algorithm::ES256).unwrap();
    let verifier = |issuer: &str, audit: &Recorded| {
        Verifier::builder()
            .issuer(issuer)
            .keys(authority.verifying_key())
            .clock(FixedClock(NOW))
            .audit(audit.clone())
            .build()
            .unwrap()
    };
    let (outer_audit, inner_audit) = (Recorded::default(), Recorded::default());
    let (outer, inner) = (verifier("bakery-auth", &outer_audit), verifier("other-auth", &inner_audit));
    let key = SigningKey::from_pem(Algorithm::ES256, &authority.to_secret_bytes().unwrap()).unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(FixedClock(NOW)).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    let request =
        Request::get("/").header(AUTHORIZATION, format!("Bearer {}", token.as_str())).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();

    assert!(Caller::from_request_parts(&mut parts, &outer).await.is_ok());
    assert!(Caller::from_request_parts(&mut parts, &outer).await.is_ok());
    assert_eq!(outer_audit.only().decision, Decision::Allow, "one request, one record");
    assert_eq!(Caller::from_request_parts(&mut parts, &inner).await.unwrap_err().status(), 401);
    assert_eq!(inner_audit.only().code.unwrap().as_str(), "wrong_issuer");
}

#[tokio::test]
async fn head_is_guarded_like_get() {
    let world = World::new();
    assert_eq!(world.send("HEAD", "/open", &[]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.audit.only().method.as_deref(), Some("HEAD"));
}

/// Neither the state nor its `Arc` can be cloned into a verifier by the user's own code alone.
struct SharedState {
    verifier: Verifier,
}

impl FromRef<SharedState> for Verifier {
    fn from_ref(state: &SharedState) -> Self {
        state.verifier.clone()
    }
}

#[service_only]
async fn of_a_shared_state(State(state): State<Arc<SharedState>>, caller: Caller) -> String {
    assert!(Arc::strong_count(&state) > 0);
    caller.service().to_owned()
}

#[tokio::test]
async fn the_verifier_is_taken_from_a_shared_state() {
    let authority = service_only_testkit::TestAuthority::new();
    let state = Arc::new(SharedState { verifier: authority.verifier() });
    let router = Router::new().route("/", get(of_a_shared_state)).with_state(state);
    let app = service_only_testkit::call(router).audit(authority.audit());
    assert_eq!(app.get("/").await.status(), 401);
    let token = authority.service("orders").token();
    assert_eq!(app.get("/").bearer(token).await.text(), "orders");
}
