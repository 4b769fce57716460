//! tonic: guarded methods, behind a layer or not, which may take the message out of the request at once.

use std::pin::Pin;

use futures_util::{FutureExt, Stream, stream};
use service_only::{Caller, Policy, ServiceOnlyLayer, Verifier, VerifierLayer, service_only};
use service_only_testkit::TestAuthority;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::Layer;

use super::{REASON, assert_one_allow, assert_one_deny, assert_refused, store, token};
use crate::frameworks::challenge;

/// Does as the message says.
struct Guarded;

type Watch = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[service_only(services("orchestrator"))]
#[tonic::async_trait]
impl Health for Guarded {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if request.get_ref().service == "pass on" {
            self.watch(request).await?;
            return Ok(Response::new(HealthCheckResponse { status: 1 }));
        }
        let caller = request.extensions().get::<Caller>().unwrap().clone();
        // The extensions end here, and the method does not.
        let message = request.into_inner();
        match message.service.as_str() {
            "refuse" => return Err(caller.refuse(REASON).into()),
            "refuse later" => {
                tokio::task::yield_now().await;
                Err(caller.refuse(REASON))?;
            }
            "store" => store(&caller),
            "panic" => panic!("a defect of the method"),
            "hang" => std::future::pending().await,
            _ => {}
        }
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = Watch;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Watch>, Status> {
        Ok(Response::new(Box::pin(stream::pending())))
    }
}

fn asks(token: &str, what: &str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest { service: what.to_owned() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A client of the service in this process; behind a layer of tower or not.
macro_rules! client {
    ($verifier:expr) => {
        HealthClient::new(VerifierLayer::new($verifier).layer(HealthServer::new(Guarded)))
    };
    ($verifier:expr, layered) => {{
        let verifier: Verifier = $verifier;
        let service = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service())
            .layer(VerifierLayer::new(verifier).layer(HealthServer::new(Guarded)));
        HealthClient::new(service)
    }};
}

macro_rules! in_both_ways {
    ($authority:ident, |$client:ident, $case:ident| $test:block) => {
        let mut $client = client!($authority.verifier());
        let $case = "methods alone";
        $test
        let mut $client = client!($authority.verifier(), layered);
        let $case = "behind a layer";
        $test
    };
}

#[tokio::test]
async fn a_call_has_one_record_for_every_outcome() {
    let authority = TestAuthority::new();
    let (audit, token) = (authority.audit(), token(&authority));
    in_both_ways!(authority, |client, case| {
        client.check(asks(&token, "")).await.unwrap();
        let event = assert_one_allow(audit, case);
        assert_eq!(event.endpoint.unwrap().function(), "Guarded::check", "{case}");
        assert_eq!(event.path.as_deref(), Some("/grpc.health.v1.Health/Check"), "{case}");

        client.check(asks(&token, "store")).await.unwrap();
        assert_one_allow(audit, case);

        let updates = client.watch(asks(&token, "")).await.unwrap();
        assert_one_allow(audit, case);
        drop(updates);
        assert_eq!(audit.events().len(), 0, "{case}");

        let panicked = std::panic::AssertUnwindSafe(client.check(asks(&token, "panic"))).catch_unwind().await;
        assert!(panicked.is_err(), "{case}");
        assert_one_allow(audit, case);

        let mut running = Box::pin(client.check(asks(&token, "hang")));
        assert!(futures_util::poll!(&mut running).is_pending(), "{case}");
        assert_eq!(audit.events().len(), 0, "{case}: what becomes of it is not known yet");
        drop(running);
        assert_one_allow(audit, case);
    });
}

#[tokio::test]
async fn a_call_whose_method_gives_the_request_to_another_guarded_method_has_one_record() {
    let authority = TestAuthority::new();
    let (audit, token) = (authority.audit(), token(&authority));
    in_both_ways!(authority, |client, case| {
        client.check(asks(&token, "pass on")).await.unwrap();
        let event = assert_one_allow(audit, case);
        assert_eq!(event.endpoint.unwrap().function(), "Guarded::watch", "{case}");
    });
}

#[tokio::test]
async fn a_refusal_by_a_method_equals_a_refusal_by_a_guard_and_writes_one_record() {
    let authority = TestAuthority::new();
    let (audit, token) = (authority.audit(), token(&authority));
    in_both_ways!(authority, |client, case| {
        for message in ["refuse", "refuse later"] {
            let status = client.check(asks(&token, message)).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{case}");
            let event = assert_refused(audit, case);
            let metadata = |name| status.metadata().get(name).unwrap().to_str().unwrap();
            let expected = challenge(service_only::error::Code::Refused).unwrap();
            assert_eq!(metadata("www-authenticate"), expected, "{case}");
            assert_eq!(metadata("instance"), event.id.urn().to_string(), "{case}");
            assert!(!format!("{status:?}").contains(REASON), "{case}");
        }
        let other = authority.service("orders").token();
        assert!(client.check(asks(other.as_str(), "")).await.is_err(), "{case}");
        let event = assert_one_deny(audit, service_only::error::Code::ServiceNotAllowed, case);
        assert_eq!(event.endpoint.unwrap().function(), "Guarded::check", "{case}");
    });
}
