//! A layer around a service that is no router, on a server of hyper.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use service_only::{Caller, ServiceOnlyLayer, Verifier};
use service_only_testkit::RecordingAudit;
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::conformance::{
    Driver, POLICY,
    cases::{Case, REFUSED_REASON, REFUSED_SCOPE},
    http_client::HttpClient,
    wire::Answer,
};

async fn tenants(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Caller>().unwrap();
    if caller.has_scope(REFUSED_SCOPE) {
        return Ok(caller.refuse(REFUSED_REASON).into());
    }
    Ok(Response::new(Full::from(caller.service().to_owned())))
}

pub(crate) struct Server(HttpClient);

impl Driver for Server {
    const NAME: &'static str = "tower";
    const ENDPOINT: &'static str = "guard::conformance::tower::tenants";

    async fn start(verifier: Verifier, _: RecordingAudit) -> Self {
        let layer = ServiceOnlyLayer::new(verifier, POLICY).endpoint(module_path!(), "tenants");
        let service = TowerToHyperService::new(layer.layer(service_fn(tenants)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                tokio::spawn(connection);
            }
        });
        Self(HttpClient::of(address))
    }

    async fn send(&self, case: &Case) -> Answer {
        self.0.send(case).await
    }
}
