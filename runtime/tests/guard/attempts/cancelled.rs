//! Clients that disconnect while the guard waits for a key: each attempt that began leaves one record.

use actix_web::{
    App,
    dev::Service as _,
    http::header::AUTHORIZATION as ACTIX_AUTHORIZATION,
    test::{TestRequest, init_service},
    web,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    middleware,
    routing::get,
};
use futures_util::{Stream, stream};
use http::{Response, header::AUTHORIZATION};
use service_only::{
    Caller, Identity, Policy, ServiceOnlyLayer, Verifier, VerifierLayer, error::Code, service_only,
};
use service_only_testkit::{RecordingAudit, TestAuthority};
use std::{convert::Infallible, pin::Pin, time::Duration};
use tonic::Status;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::{Layer, ServiceExt, service_fn};

use super::{assert_one_deny, token};
use crate::frameworks::LateKeys;

#[service_only]
async fn alone() {}

#[service_only]
async fn guarded(_: Caller, _: Identity, _: Bytes) {}

async fn unguarded(_: Caller) {}

async fn gateway(_: Identity) {}

#[service_only]
async fn actix_guarded(_: web::Bytes, _: Caller, _: Identity) -> &'static str {
    ""
}

async fn actix_unguarded(_: Caller, _: Identity) -> &'static str {
    ""
}

struct Guarded;

#[service_only]
#[tonic::async_trait]
impl Health for Guarded {
    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Ok(tonic::Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        Ok(tonic::Response::new(Box::pin(stream::empty())))
    }
}

/// Lets it wait, ends it, and looks for its record.
async fn cancel(audit: &RecordingAudit, keys: &LateKeys, case: &str, request: impl Future) {
    let before = keys.waits();
    let mut request = Box::pin(request);
    for _ in 0..20 {
        assert!(futures_util::poll!(&mut request).is_pending(), "{case}");
        tokio::task::yield_now().await;
    }
    assert_eq!(keys.waits(), before + 1, "{case}");
    assert_eq!(audit.events().len(), 0, "{case}");
    drop(request);
    let event = assert_one_deny(audit, Code::Cancelled, case);
    assert_eq!((event.service, event.unverified_service.as_deref()), (None, Some("orchestrator")), "{case}");
}

fn world() -> (LateKeys, Verifier, RecordingAudit, String) {
    let authority = TestAuthority::new();
    let keys = LateKeys::of(&authority);
    (keys.clone(), keys.verifier(&authority), authority.audit().clone(), token(&authority))
}

fn request(path: &str, token: &str) -> Request {
    let request = Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_client_of_axum_that_disconnects_while_its_key_is_fetched_leaves_one_record() {
    let (keys, verifier, audit, token) = world();
    let routes = || {
        let routes = Router::new().route("/alone", get(alone)).route("/guarded", get(guarded));
        routes.route("/unguarded", get(unguarded)).route("/gateway", get(gateway))
    };
    let layer = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let extracts = middleware::from_extractor_with_state::<Caller, _>(verifier.clone());
    for (layers, router) in [
        ("no layer", routes().with_state(verifier.clone())),
        ("a layer", routes().layer(layer).with_state(verifier.clone())),
        ("a middleware", routes().layer(extracts).with_state(verifier.clone())),
    ] {
        for path in ["/alone", "/guarded", "/unguarded", "/gateway"] {
            for _ in 0..20 {
                let running = router.clone().oneshot(request(path, &token));
                cancel(&audit, &keys, &format!("{path} behind {layers}"), running).await;
            }
        }
    }
}

#[tokio::test]
async fn a_time_limit_that_ends_the_wait_leaves_one_record() {
    let (_, verifier, audit, token) = world();
    let router = Router::new().route("/alone", get(alone)).with_state(verifier);
    let limited = tokio::time::timeout(Duration::from_millis(5), router.oneshot(request("/alone", &token)));
    assert!(limited.await.is_err());
    let event = assert_one_deny(&audit, Code::Cancelled, "a time limit");
    assert_eq!((event.path.as_deref(), event.route.as_deref()), (Some("/alone"), Some("/alone")));
    assert_eq!(event.endpoint.unwrap().function(), "alone");
}

#[tokio::test]
async fn a_client_of_tower_and_tonic_that_disconnects_while_its_key_is_fetched_leaves_one_record() {
    let (keys, verifier, audit, token) = world();
    let files = service_fn(async |_: Request| Ok::<_, Infallible>(Response::new(Body::empty())));
    let files = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service()).layer(files);
    for _ in 0..20 {
        cancel(&audit, &keys, "tower", files.clone().oneshot(request("/files", &token))).await;
    }
    let service = VerifierLayer::new(verifier).layer(HealthServer::new(Guarded));
    for _ in 0..20 {
        let mut client = HealthClient::new(service.clone());
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        cancel(&audit, &keys, "tonic", async move { client.check(request).await }).await;
    }
}

#[actix_web::test]
async fn a_client_of_actix_that_disconnects_while_its_key_is_fetched_leaves_one_record() {
    let (keys, verifier, audit, token) = world();
    let app = App::new()
        .app_data(web::Data::new(verifier))
        .route("/guarded", web::post().to(actix_guarded))
        .route("/unguarded", web::post().to(actix_unguarded));
    let app = init_service(app).await;
    for path in ["/guarded", "/unguarded"] {
        for body in ["", "a body"] {
            for _ in 0..20 {
                let request = TestRequest::post().uri(path).set_payload(body);
                let request = request.insert_header((ACTIX_AUTHORIZATION, format!("Bearer {token}")));
                cancel(&audit, &keys, path, app.call(request.to_request())).await;
            }
        }
    }
}

#[tokio::test]
async fn a_wait_that_ends_well_leaves_the_record_of_its_decision_only() {
    let (keys, verifier, audit, token) = world();
    let router = Router::new().route("/guarded", get(guarded)).with_state(verifier);
    let mut running = Box::pin(router.oneshot(request("/guarded", &token)));
    assert!(futures_util::poll!(&mut running).is_pending());
    keys.publish();
    assert_eq!(running.await.unwrap().status(), 200);
    super::assert_one_allow(&audit, "published");
}
