//! actix: the same, where extractors are polled in turns and extensions outlive the handler.

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web,
};
use futures_util::FutureExt;
use service_only::{Caller, Denial, Identity, Rejection, error::Code, service_only};
use service_only_testkit::{RecordingAudit, TestAuthority};

use super::{REASON, assert_one_allow, assert_one_deny, assert_refused, store, token};
use crate::frameworks::challenge;

#[service_only(services("orchestrator"))]
async fn alone() -> &'static str {
    ""
}

#[service_only]
async fn with_both(_: Identity, _: web::Bytes, _: Caller, _: Identity) -> &'static str {
    ""
}

async fn caller_then_identity(_: Caller, _: Identity) -> &'static str {
    ""
}

async fn identity_then_callers(_: Identity, _: Caller, _: Caller) -> &'static str {
    ""
}

#[service_only]
async fn refuses(caller: Caller) -> Result<String, Rejection> {
    Err(caller.refuse(REASON))
}

async fn refuses_without_a_guard(identity: Identity, caller: Caller) -> Result<String, actix_web::Error> {
    drop(identity);
    Err(caller.refuse(REASON))?
}

#[service_only]
async fn stores(caller: Caller) -> &'static str {
    store(&caller);
    ""
}

#[service_only]
async fn panics(_: Caller) -> &'static str {
    panic!("a defect of the handler")
}

#[service_only]
async fn hangs(_: Caller) -> &'static str {
    std::future::pending().await
}

#[service_only]
async fn streams(_: Caller) -> HttpResponse {
    HttpResponse::Ok().streaming(futures_util::stream::pending::<Result<web::Bytes, actix_web::Error>>())
}

#[service_only(services("somebody-else"))]
fn charge_as_another(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only]
async fn charges_as_another(caller: Caller) -> HttpResponse {
    match charge_as_another(&caller) {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(_) => HttpResponse::Forbidden().finish(),
    }
}

async fn asks(
    _: Caller,
    request: actix_web::dev::ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    next.call(request).await
}

/// Sends a request to an app, with a middleware that asks for the caller or without.
macro_rules! send {
    ($authority:expr, $path:expr, $token:expr) => {{
        let app = App::new()
            .app_data(web::Data::new($authority.verifier()))
            .route("/alone", web::get().to(alone))
            .route("/with_both", web::get().to(with_both))
            .route("/caller_then_identity", web::get().to(caller_then_identity))
            .route("/identity_then_callers", web::get().to(identity_then_callers))
            .route("/refuses", web::get().to(refuses))
            .route("/refuses_without_a_guard", web::get().to(refuses_without_a_guard))
            .route("/stores", web::get().to(stores))
            .route("/panics", web::get().to(panics))
            .route("/hangs", web::get().to(hangs))
            .route("/streams", web::get().to(streams))
            .route("/charges_as_another", web::get().to(charges_as_another))
            .service(
                web::scope("/asked")
                    .wrap(from_fn(asks))
                    .route("/alone", web::get().to(alone))
                    .route("/with_both", web::get().to(with_both))
                    .route("/identity_then_callers", web::get().to(identity_then_callers))
                    .route("/refuses", web::get().to(refuses))
                    .route("/refuses_without_a_guard", web::get().to(refuses_without_a_guard)),
            );
        let app = init_service(app).await;
        let request =
            TestRequest::get().uri($path).insert_header((AUTHORIZATION, format!("Bearer {}", $token)));
        let request = request.to_request();
        async move { app.call(request).await.unwrap() }
    }};
}

fn world() -> (TestAuthority, RecordingAudit) {
    let authority = TestAuthority::new();
    let audit = authority.audit().clone();
    (authority, audit)
}

#[actix_web::test]
async fn a_request_has_one_record_for_any_order_of_guards() {
    let (authority, audit) = world();
    for path in [
        "/alone",
        "/with_both",
        "/caller_then_identity",
        "/identity_then_callers",
        "/asked/alone",
        "/asked/with_both",
        "/asked/identity_then_callers",
    ] {
        // The response is there, and keeps the request and its extensions.
        let response = send!(authority, path, token(&authority)).await;
        assert_eq!(response.status(), 200, "{path}");
        let event = assert_one_allow(&audit, path);
        assert_eq!(event.path.as_deref(), Some(path), "{path}");
        assert!(event.route.is_some(), "{path}");
    }
}

#[actix_web::test]
async fn a_guard_behind_a_middleware_that_admits_leaves_one_record_of_its_refusal() {
    let (authority, audit) = world();
    let response = send!(authority, "/asked/alone", authority.service("orders").token()).await;
    assert_eq!(response.status(), 403);
    let event = assert_one_deny(&audit, Code::ServiceNotAllowed, "behind a middleware");
    assert_eq!(event.endpoint.unwrap().function(), "alone");
}

#[actix_web::test]
async fn a_refusal_by_a_handler_equals_a_refusal_by_a_guard_and_writes_one_record() {
    let (authority, audit) = world();
    for path in ["/refuses", "/refuses_without_a_guard", "/asked/refuses", "/asked/refuses_without_a_guard"] {
        let response = send!(authority, path, token(&authority)).await;
        assert_eq!(response.status(), 403, "{path}");
        let challenge = challenge(Code::Refused).unwrap();
        assert_eq!(response.headers().get("www-authenticate").unwrap(), challenge, "{path}");
        let event = assert_refused(&audit, path);
        let body = response.into_body().try_into_bytes().ok().unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains(&event.id.to_string()) && !body.contains(REASON), "{path}: {body}");
    }
    let response = send!(authority, "/charges_as_another", token(&authority)).await;
    assert_eq!(response.status(), 403);
    assert_one_deny(&audit, Code::ServiceNotAllowed, "a guarded function");
}

#[actix_web::test]
async fn a_handler_writes_its_record_for_every_outcome() {
    let (authority, audit) = world();
    let token = token(&authority);
    send!(authority, "/stores", token).await;
    assert_one_allow(&audit, "stores");

    let response = send!(authority, "/streams", token).await;
    assert_one_allow(&audit, "streams");
    drop(response);

    let panics = std::panic::AssertUnwindSafe(send!(authority, "/panics", token)).catch_unwind().await;
    assert!(panics.is_err());
    assert_one_allow(&audit, "panics");

    let mut hangs = Box::pin(send!(authority, "/hangs", token));
    assert!(futures_util::poll!(&mut hangs).is_pending());
    assert_eq!(audit.events().len(), 0, "what becomes of it is not known yet");
    drop(hangs);
    assert_one_allow(&audit, "hangs");
}
