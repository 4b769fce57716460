//! The attack on a service of tonic, without a port: the verdict is in `grpc-status`.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use service_only::{Verifier, VerifierLayer, service_only};
use service_only_testkit::{Attack, AttackReport, Defect, Outcome, TestAuthority, attack};
use tonic::{Status, codegen::BoxStream, service::Routes};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_server::{Health, HealthServer},
};
use tower_layer::Layer;

type Checked = Result<tonic::Response<HealthCheckResponse>, Status>;
type Watched = Result<tonic::Response<BoxStream<HealthCheckResponse>>, Status>;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

struct Guarded;

#[service_only(services("orders"), scopes("health:read"))]
#[tonic::async_trait]
impl Health for Guarded {
    async fn check(&self, request: tonic::Request<HealthCheckRequest>) -> Checked {
        match request.get_ref().service.as_str() {
            "lost" => Err(Status::not_found("there is no such service")),
            _ => Ok(tonic::Response::new(HealthCheckResponse { status: 1 })),
        }
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, _: tonic::Request<HealthCheckRequest>) -> Watched {
        let health = HealthCheckResponse { status: 1 };
        Ok(tonic::Response::new(Box::pin(stream::iter([Ok(health)]))))
    }
}

fn against(service: Attack, authority: &TestAuthority, target: &str) -> Attack {
    service
        .as_caller(authority.service("orders").scope("health:read"))
        .grpc_message(&[])
        .endpoint(Method::POST, target)
}

fn outcome(report: &AttackReport, defect: Defect) -> &Outcome {
    report.findings().find(|finding| finding.defect() == defect).unwrap().outcome()
}

#[tokio::test]
async fn a_guarded_service_is_clean_to_the_exact_code_and_record() {
    let authority = TestAuthority::new();
    let routes = Routes::new(HealthServer::new(Guarded));
    let service = VerifierLayer::new(authority.verifier()).layer(routes);
    for target in [CHECK, WATCH] {
        let attack = against(attack(service.clone()), &authority, target);
        let report = attack.audit(authority.audit()).run().await;
        assert!(report.requests() > 1000, "{}", report.requests());
        let not_sent = outcome(&report, Defect::TokenInJson);
        assert_eq!(
            not_sent,
            &Outcome::NotSent("the client cannot send it: a body of gRPC is a message".to_owned())
        );
    }
}

#[tokio::test]
async fn the_same_holds_by_status_alone() {
    let authority = TestAuthority::new();
    let service = VerifierLayer::new(authority.verifier()).layer(HealthServer::new(Guarded));
    let report = against(attack(service), &authority, CHECK).run().await;
    assert!(matches!(outcome(&report, Defect::Expired), Outcome::Met(status) if *status == 401));
}

#[tokio::test]
async fn a_method_that_answers_like_a_refusal_needs_the_audit() {
    let authority = TestAuthority::new();
    let service = VerifierLayer::new(authority.verifier()).layer(HealthServer::new(Guarded));
    // Field 1 of the message: the text `lost`.
    let attack = against(attack(service), &authority, CHECK).grpc_message(b"\x0a\x04lost");
    let report = attack.clone().report().await;
    assert!(report.to_string().contains("the valid token is answered with 404 Not Found"), "{report}");
    attack.audit(authority.audit()).run().await;
}

#[tokio::test]
async fn a_service_without_a_verifier_proves_nothing() {
    let authority = TestAuthority::new();
    let report = against(attack(HealthServer::new(Guarded)), &authority, CHECK).report().await;
    assert!(report.to_string().contains("the valid token is answered with 500"), "{report}");
}

/// A response in HTTP/2 frames: a message if there is one, and then the status in the trailers.
fn in_trailers(message: Option<&'static [u8]>, code: &'static str) -> Response<Body> {
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
    let data = Full::new(Bytes::from_static(message.unwrap_or_default()));
    let body = Body::new(data.with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers)))));
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

const MESSAGE: &[u8] = b"\0\0\0\0\x02\x08\x01";

/// Answers a service whose token is authentic, and refuses with `refusal`.
fn careless(
    verifier: Verifier,
    refusal: fn() -> Response<Body>,
) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    tower::service_fn(move |request: Request<Body>| {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let admitted = token.is_some_and(|token| verifier.authenticate(token).is_ok());
        std::future::ready(Ok(if admitted { in_trailers(Some(MESSAGE), "0") } else { refusal() }))
    })
}

#[tokio::test]
async fn a_service_that_forgets_the_policy_is_found() {
    let authority = TestAuthority::new();
    let service = careless(authority.verifier(), || in_trailers(None, "16"));
    let report = against(attack(service), &authority, CHECK).report().await;
    for defect in [Defect::UserToken, Defect::OtherService, Defect::WithoutScope] {
        assert!(
            matches!(outcome(&report, defect), Outcome::GotIn(_)),
            "{defect}: {}",
            outcome(&report, defect)
        );
    }
    assert!(matches!(outcome(&report, Defect::NoToken), Outcome::Met(status) if *status == 401));
    assert!(matches!(outcome(&report, Defect::Expired), Outcome::Met(status) if *status == 401));
}

#[tokio::test]
async fn a_refusal_after_a_message_is_found() {
    let authority = TestAuthority::new();
    let service = careless(authority.verifier(), || in_trailers(Some(MESSAGE), "16"));
    let report = against(attack(service), &authority, CHECK).report().await;
    assert!(matches!(outcome(&report, Defect::NoToken), Outcome::GotIn(_)));
}

#[tokio::test]
async fn a_failure_in_the_trailers_is_found() {
    let authority = TestAuthority::new();
    let service = careless(authority.verifier(), || in_trailers(None, "13"));
    let report = against(attack(service), &authority, CHECK).report().await;
    assert!(matches!(outcome(&report, Defect::NoToken), Outcome::Broke(status) if status.starts_with("500")));
}
