//! A server of tonic on a port of this machine, and tonic's client.

use std::{net::SocketAddr, pin::Pin};

use futures_util::{Stream, stream};
use service_only::{Caller, Verifier, VerifierLayer, service_only};
use service_only_testkit::RecordingAudit;
use tonic::{
    Extensions, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Channel, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

use crate::conformance::{
    Driver,
    cases::{Case, REFUSED_REASON, REFUSED_SCOPE},
    wire::Answer,
};

struct Guarded;

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
#[tonic::async_trait]
impl Health for Guarded {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let caller = request.extensions().get::<Caller>().unwrap();
        if caller.has_scope(REFUSED_SCOPE) {
            return Err(caller.refuse(REFUSED_REASON).into());
        }
        let mut response = Response::new(HealthCheckResponse { status: 1 });
        response.metadata_mut().insert("caller", MetadataValue::try_from(caller.service()).unwrap());
        Ok(response)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }
}

pub(crate) struct Server(HealthClient<Channel>);

impl Driver for Server {
    const NAME: &'static str = "tonic";
    const ENDPOINT: &'static str = "guard::conformance::tonic::Guarded::check";

    async fn start(verifier: Verifier, _: RecordingAudit) -> Self {
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        // tonic by itself does not even read a token of 100 kB.
        let server = tonic::transport::Server::builder()
            .http2_max_header_list_size(256 * 1024)
            .layer(VerifierLayer::new(verifier))
            .add_service(HealthServer::new(Guarded));
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self(HealthClient::new(channel))
    }

    async fn send(&self, case: &Case) -> Answer {
        assert!(case.has_same_target() && !case.has_body(), "{}", case.title());
        let metadata = MetadataMap::from_headers(case.headers());
        let request = Request::from_parts(metadata, Extensions::default(), HealthCheckRequest::default());
        let answer = self.0.clone().check(request).await;
        Answer::Grpc(
            answer.map(|response| response.metadata().get("caller").unwrap().to_str().unwrap().to_owned()),
        )
    }
}
