//! axum: guards, callers and identities in any order, behind layers of any kind, and handlers that end in any way.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use futures_util::{FutureExt, stream};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt;
use service_only::{Caller, Identity, Policy, Rejection, ServiceOnlyLayer, Verifier, service_only};
use service_only_testkit::{RecordingAudit, TestAuthority};
use tower::ServiceExt;

use super::{REASON, assert_one_allow, assert_one_deny, assert_refused, store, token};
use crate::frameworks::challenge;
use service_only::error::Code;

#[service_only(services("orchestrator"))]
async fn alone() {}

#[service_only(services("orchestrator"))]
async fn guarded(_: Path<String>) {}

#[service_only]
async fn with_caller(_: Caller) {}

#[service_only]
async fn with_identity(_: Identity) {}

#[service_only]
async fn with_both(_: Caller, _: Identity) {}

#[service_only]
async fn with_both_around(_: Identity, _: HeaderMap, _: Caller, _: Identity, _: Request) {}

async fn caller_alone(_: Caller) {}

async fn two_callers(_: Caller, _: Caller) {}

async fn caller_then_identity(_: Caller, _: Identity) {}

async fn identity_then_caller(_: Identity, _: HeaderMap, _: Caller, _: Bytes) {}

async fn identity_alone(_: Identity, _: Request) {}

#[service_only]
async fn refuses(caller: Caller) -> Result<(), Rejection> {
    Err(caller.refuse(REASON))
}

async fn refuses_without_a_guard(caller: Caller) -> Result<(), Rejection> {
    Err(caller.refuse(REASON))
}

#[service_only]
async fn refuses_an_identity(identity: Identity) -> Result<(), Rejection> {
    Err(identity.refuse(REASON))
}

/// An error of a program's own.
struct ApiError(Rejection);

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl axum::response::IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[service_only]
async fn refuses_by_an_error(caller: Caller) -> Result<(), ApiError> {
    Err(caller.refuse(REASON))?;
    Ok(())
}

#[service_only]
async fn stores(caller: Caller) {
    store(&caller);
}

#[service_only]
async fn panics(_: Caller) {
    panic!("a defect of the handler");
}

#[service_only]
async fn hangs(_: Caller) {
    std::future::pending::<()>().await;
}

#[service_only]
async fn streams(_: Caller) -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
}

#[service_only]
async fn reads(_: Caller, body: String) -> String {
    body
}

#[service_only(services("orchestrator"))]
fn charge(_: &Caller) -> Result<(), JobError> {
    Ok(())
}

#[service_only(services("somebody-else"))]
fn charge_as_another(_: &Caller) -> Result<(), JobError> {
    Ok(())
}

/// What a guarded function of these tests returns on failure.
#[derive(Debug)]
struct JobError;

impl From<service_only::Denial> for JobError {
    fn from(_: service_only::Denial) -> Self {
        Self
    }
}

#[service_only]
async fn charges(caller: Caller) -> StatusCode {
    charge(&caller).map_or(StatusCode::FORBIDDEN, |()| StatusCode::OK)
}

#[service_only]
async fn charges_twice_and_refuses(caller: Caller) -> Result<(), Rejection> {
    charge(&caller).unwrap();
    charge(&caller).unwrap();
    Err(caller.refuse(REASON))
}

#[service_only]
async fn charges_as_another(caller: Caller) -> StatusCode {
    charge_as_another(&caller).map_or(StatusCode::FORBIDDEN, |()| StatusCode::OK)
}

fn routes() -> Router<Verifier> {
    Router::new()
        .route("/alone", get(alone))
        .route("/guarded/{id}", get(guarded))
        .route("/with_caller", get(with_caller))
        .route("/with_identity", get(with_identity))
        .route("/with_both", get(with_both))
        .route("/with_both_around", get(with_both_around))
        .route("/caller_alone", get(caller_alone))
        .route("/two_callers", get(two_callers))
        .route("/caller_then_identity", get(caller_then_identity))
        .route("/identity_then_caller", get(identity_then_caller))
        .route("/identity_alone", get(identity_alone))
        .route("/refuses", get(refuses))
        .route("/refuses_without_a_guard", get(refuses_without_a_guard))
        .route("/refuses_an_identity", get(refuses_an_identity))
        .route("/refuses_by_an_error", get(refuses_by_an_error))
        .route("/stores", get(stores))
        .route("/panics", get(panics))
        .route("/hangs", get(hangs))
        .route("/streams", get(streams))
        .route("/reads", post(reads))
        .route("/charges", get(charges))
        .route("/charges_twice_and_refuses", get(charges_twice_and_refuses))
        .route("/charges_as_another", get(charges_as_another))
}

const ADMITTED: [&str; 11] = [
    "/alone",
    "/guarded/7",
    "/with_caller",
    "/with_identity",
    "/with_both",
    "/with_both_around",
    "/caller_alone",
    "/two_callers",
    "/caller_then_identity",
    "/identity_then_caller",
    "/identity_alone",
];
const REFUSED: [&str; 4] =
    ["/refuses", "/refuses_without_a_guard", "/refuses_an_identity", "/refuses_by_an_error"];

/// Lets any service in, and keeps its caller until the response is there.
async fn asks(_: Caller, request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Refuses what its handler has answered.
async fn refuses_after(caller: Caller, request: Request, next: Next) -> Result<Response, Rejection> {
    drop(next.run(request).await);
    Err(caller.refuse(REASON))
}

/// Every way to put something that decides before the handlers.
fn layered(verifier: &Verifier) -> Vec<(&'static str, Router)> {
    let layer = || ServiceOnlyLayer::new(verifier.clone(), Policy::any_service()).endpoint("test", "layer");
    let asks = || middleware::from_fn_with_state(verifier.clone(), asks);
    let extracts = || middleware::from_extractor_with_state::<Caller, _>(verifier.clone());
    let state = || verifier.clone();
    vec![
        ("no layer", routes().with_state(state())),
        ("a service-only layer", routes().layer(layer()).with_state(state())),
        ("two of them", routes().layer(layer()).layer(layer()).with_state(state())),
        ("a layer of each route", routes().route_layer(layer()).with_state(state())),
        ("a middleware with a caller", routes().layer(asks()).with_state(state())),
        ("an extractor as a middleware", routes().layer(extracts()).with_state(state())),
        ("all of them", routes().layer(extracts()).layer(asks()).layer(layer()).with_state(state())),
        ("a merged router", Router::new().merge(routes().layer(asks())).layer(layer()).with_state(state())),
    ]
}

fn request(path: &str, token: &str) -> Request {
    let request = Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

/// The response with its body read and dropped.
async fn call(router: &Router, request: Request) -> http::Response<Bytes> {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn world() -> (TestAuthority, Verifier, RecordingAudit) {
    let authority = TestAuthority::new();
    let (verifier, audit) = (authority.verifier(), authority.audit().clone());
    (authority, verifier, audit)
}

#[tokio::test]
async fn a_request_has_one_record_for_any_order_of_guards() {
    let (authority, verifier, audit) = world();
    let token = token(&authority);
    for (layers, router) in layered(&verifier) {
        for path in ADMITTED {
            let case = format!("{path} behind {layers}");
            let response = call(&router, request(path, &token)).await;
            assert_eq!(response.status(), 200, "{case}");
            let event = assert_one_allow(&audit, &case);
            assert_eq!(event.path.as_deref(), Some(path), "{case}");
            assert!(event.route.is_some(), "{case}: {event:?}");
        }
    }
}

#[tokio::test]
async fn the_one_record_names_the_handler_that_decided_last() {
    let (authority, verifier, audit) = world();
    let token = token(&authority);
    for (layers, router) in layered(&verifier) {
        for (path, handler) in [("/alone", "alone"), ("/guarded/7", "guarded"), ("/with_both", "with_both")] {
            assert_eq!(call(&router, request(path, &token)).await.status(), 200);
            let event = assert_one_allow(&audit, layers);
            assert_eq!(event.endpoint.unwrap().function(), handler, "{path} behind {layers}");
        }
    }
}

#[tokio::test]
async fn a_guard_behind_a_layer_that_admits_leaves_one_record_of_its_refusal() {
    let (authority, verifier, audit) = world();
    let other = authority.service("orders").token();
    for (layers, router) in layered(&verifier) {
        for path in ["/alone", "/guarded/7"] {
            let case = format!("{path} behind {layers}");
            let response = call(&router, request(path, other.as_str())).await;
            assert_eq!(response.status(), 403, "{case}");
            let event = assert_one_deny(&audit, Code::ServiceNotAllowed, &case);
            assert_eq!(event.service.as_deref(), Some("orders"), "{case}");
            let body = std::str::from_utf8(response.body()).unwrap();
            assert!(body.contains(&event.id.to_string()), "{case}: {body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_by_a_handler_equals_a_refusal_by_a_guard_and_writes_one_record() {
    let (authority, verifier, audit) = world();
    let token = token(&authority);
    for (layers, router) in layered(&verifier) {
        for path in REFUSED {
            let case = format!("{path} behind {layers}");
            let response = call(&router, request(path, &token)).await;
            assert_eq!(response.status(), 403, "{case}");
            let event = assert_refused(&audit, &case);
            assert_eq!(event.path.as_deref(), Some(path), "{case}");
            let headers = response.headers();
            assert_eq!(headers["www-authenticate"], challenge(Code::Refused).unwrap(), "{case}");
            assert_eq!(headers["content-type"], "application/problem+json", "{case}");
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["instance"], event.id.urn().to_string(), "{case}");
            assert_eq!((body["status"].as_u64(), body.as_object().unwrap().len()), (Some(403), 4), "{case}");
            assert!(!format!("{response:?}").contains(REASON), "{case}");
        }
    }
}

#[tokio::test]
async fn a_middleware_that_refuses_after_the_handler_leaves_one_record() {
    let (authority, verifier, audit) = world();
    let token = token(&authority);
    let refuses = middleware::from_fn_with_state(verifier.clone(), refuses_after);
    let router = routes().layer(refuses).with_state(verifier);
    for path in ["/alone", "/guarded/7", "/with_caller", "/caller_alone"] {
        assert_eq!(call(&router, request(path, &token)).await.status(), 403);
        assert_refused(&audit, path);
    }
}

#[tokio::test]
async fn a_stored_caller_delays_no_record_and_its_later_refusal_is_a_new_record() {
    let (authority, verifier, audit) = world();
    let router = routes().with_state(verifier);
    call(&router, request("/stores", &token(&authority))).await;
    let admitted = assert_one_allow(&audit, "stored");
    let stored = super::STORED.lock().unwrap().last().cloned().unwrap();
    let rejection = stored.refuse(REASON);
    let refused = assert_refused(&audit, "stored");
    assert_ne!(refused.id, admitted.id);
    assert_eq!((rejection.status(), rejection.instance()), (403, refused.id));
}

#[tokio::test]
async fn a_handler_that_panics_leaves_its_record() {
    let (authority, verifier, audit) = world();
    let router = routes().with_state(verifier);
    let request = request("/panics", &token(&authority));
    let panicked = std::panic::AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
    assert!(panicked.is_err());
    assert_one_allow(&audit, "panics");
}

#[tokio::test]
async fn a_handler_that_is_cancelled_leaves_its_record() {
    let (authority, verifier, audit) = world();
    let router = routes().with_state(verifier);
    let mut running = Box::pin(router.oneshot(request("/hangs", &token(&authority))));
    assert!(futures_util::poll!(&mut running).is_pending());
    assert_eq!(audit.events().len(), 0, "what becomes of it is not known yet");
    drop(running);
    assert_one_allow(&audit, "hangs");
}

#[tokio::test]
async fn a_stream_is_recorded_when_its_handler_has_answered() {
    let (authority, verifier, audit) = world();
    let router = routes().with_state(verifier);
    let response = router.oneshot(request("/streams", &token(&authority))).await.unwrap();
    assert_one_allow(&audit, "streams");
    drop(response);
    assert_eq!(audit.events().len(), 0);
}

#[tokio::test]
async fn a_request_whose_body_is_refused_or_never_comes_leaves_the_record_of_its_guard() {
    let (authority, verifier, audit) = world();
    let router = routes().with_state(verifier);
    let body = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let reading = |body: Body| {
        let (mut parts, _) = request("/reads", &token(&authority)).into_parts();
        parts.method = http::Method::POST;
        Request::from_parts(parts, body)
    };
    let refused = call(&router, reading(Body::from(vec![0xff]))).await;
    assert_eq!(refused.status(), 400);
    assert_one_allow(&audit, "no UTF-8");
    let waiting = tokio::time::timeout(Duration::from_millis(20), call(&router, reading(body()))).await;
    assert!(waiting.is_err());
    assert_one_allow(&audit, "a body that never comes");
}

#[tokio::test]
async fn a_guarded_function_within_a_request_shares_its_record() {
    let (authority, verifier, audit) = world();
    let token = token(&authority);
    for (layers, router) in layered(&verifier) {
        assert_eq!(call(&router, request("/charges", &token)).await.status(), 200);
        let event = assert_one_allow(&audit, layers);
        assert_eq!(event.endpoint.unwrap().function(), "charge", "{layers}");
        assert_eq!(event.path.as_deref(), Some("/charges"), "{layers}");

        assert_eq!(call(&router, request("/charges_twice_and_refuses", &token)).await.status(), 403);
        assert_refused(&audit, layers);

        assert_eq!(call(&router, request("/charges_as_another", &token)).await.status(), 403);
        let event = assert_one_deny(&audit, Code::ServiceNotAllowed, layers);
        assert_eq!(event.endpoint.unwrap().function(), "charge_as_another", "{layers}");
        assert_eq!(event.path.as_deref(), Some("/charges_as_another"), "{layers}");
    }
}

#[tokio::test]
async fn a_user_that_a_gateway_refuses_leaves_one_record() {
    async fn gateway(identity: Identity) -> Result<(), Rejection> {
        match identity {
            Identity::User(user) => Err(user.refuse(REASON)),
            _ => Ok(()),
        }
    }
    async fn gateway_for_services(_: Identity, _: Caller) {}
    let (authority, verifier, audit) = world();
    let router = Router::new()
        .route("/gateway", get(gateway))
        .route("/both", get(gateway_for_services))
        .with_state(verifier);
    let user = authority.user("anna").token();
    assert_eq!(call(&router, request("/gateway", user.as_str())).await.status(), 403);
    let event = assert_one_deny(&audit, Code::Refused, "a user");
    assert_eq!((event.reason.as_deref(), event.user.as_deref()), (Some(REASON), Some("anna")));
    // The identity admits the user, and the caller does not.
    assert_eq!(call(&router, request("/both", user.as_str())).await.status(), 403);
    assert_one_deny(&audit, Code::NotService, "a user");
}

#[tokio::test]
async fn another_verifier_or_token_is_a_separate_attempt() {
    let (authority, verifier, audit) = world();
    let other = TestAuthority::new();
    let layer = ServiceOnlyLayer::new(other.verifier(), Policy::any_service());
    let exchanges = |State(token): State<String>, mut request: Request, next: Next| async move {
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        next.run(request).await
    };
    let exchanges = middleware::from_fn_with_state(token(&authority), exchanges);
    let router = routes().layer(exchanges).layer(layer).with_state(verifier);
    let theirs = other.service("shop").token();
    assert_eq!(call(&router, request("/with_caller", theirs.as_str())).await.status(), 200);
    assert_eq!(assert_one_allow(&audit, "the handler").service.as_deref(), Some("orchestrator"));
    assert_eq!(assert_one_allow(other.audit(), "the layer").service.as_deref(), Some("shop"));
}
