//! A layer around a service that is no handler.

use std::{convert::Infallible, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use service_only::{Caller, Policy, ServiceOnlyLayer, error::Code};
use service_only_testkit::TestAuthority;
use tower::{Layer, ServiceExt, service_fn};

use super::{REASON, assert_one_allow, assert_refused, store, token};
use crate::frameworks::challenge;

fn request(token: &str) -> Request<String> {
    Request::get("/files").header(AUTHORIZATION, format!("Bearer {token}")).body(String::new()).unwrap()
}

async fn serves(request: Request<String>) -> Result<Response<String>, Infallible> {
    let caller = request.extensions().get::<Caller>().unwrap();
    match request.headers().contains_key("x-refuse") {
        true => Ok(caller.refuse(REASON).into()),
        false => Ok(Response::new(caller.service().to_owned())),
    }
}

async fn stores(request: Request<String>) -> Result<Response<String>, Infallible> {
    store(request.extensions().get::<Caller>().unwrap());
    Ok(Response::new(String::new()))
}

async fn panics(_: Request<String>) -> Result<Response<String>, Infallible> {
    panic!("a defect of the service")
}

async fn hangs(_: Request<String>) -> Result<Response<String>, Infallible> {
    std::future::pending().await
}

#[tokio::test]
async fn a_service_behind_layers_writes_one_record_for_every_outcome() {
    let authority = TestAuthority::new();
    let (audit, token) = (authority.audit(), token(&authority));
    let layer = || ServiceOnlyLayer::new(authority.verifier(), Policy::any_service());

    let response = layer().layer(service_fn(serves)).oneshot(request(&token)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(assert_one_allow(audit, "serves").path.as_deref(), Some("/files"));

    // A layer within another verifies again, and is the same attempt.
    let verifier = authority.verifier();
    let layer_of_one = || ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let nested = layer_of_one().endpoint("test", "inner").layer(service_fn(serves));
    let nested =
        layer_of_one().layer(nested.map_response(|response: Response<_>| response.map(|_| String::new())));
    nested.oneshot(request(&token)).await.unwrap();
    assert_eq!(assert_one_allow(audit, "nested").endpoint.unwrap().function(), "inner");

    layer().layer(service_fn(stores)).oneshot(request(&token)).await.unwrap();
    assert_one_allow(audit, "stores");

    let panicked = layer().layer(service_fn(panics)).oneshot(request(&token));
    assert!(AssertUnwindSafe(panicked).catch_unwind().await.is_err());
    assert_one_allow(audit, "panics");

    let mut running = Box::pin(layer().layer(service_fn(hangs)).oneshot(request(&token)));
    assert!(futures_util::poll!(&mut running).is_pending());
    assert_eq!(audit.events().len(), 0, "what becomes of it is not known yet");
    drop(running);
    assert_one_allow(audit, "hangs");
}

#[tokio::test]
async fn a_refusal_by_a_service_equals_a_refusal_by_the_layer_and_writes_one_record() {
    let authority = TestAuthority::new();
    let service =
        ServiceOnlyLayer::new(authority.verifier(), Policy::any_service()).layer(service_fn(serves));
    let mut request = request(&token(&authority));
    request.headers_mut().insert("x-refuse", "1".parse().unwrap());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["www-authenticate"], challenge(Code::Refused).unwrap());
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let event = assert_refused(authority.audit(), "refuses");
    assert!(format!("{:?}", response.body()).contains(&event.id.to_string()));
    assert!(!format!("{response:?}").contains(REASON));
}
