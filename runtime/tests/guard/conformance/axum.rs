//! A server of axum on a port of this machine.

use std::net::SocketAddr;

use axum::{Router, routing::delete};
use service_only::{Caller, Rejection, Verifier, service_only};
use service_only_testkit::RecordingAudit;
use tokio::net::TcpListener;

use crate::conformance::{
    Driver,
    cases::{Case, REFUSED_REASON, REFUSED_SCOPE, ROUTE},
    http_client::HttpClient,
    wire::Answer,
};

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
async fn delete_tenant(caller: Caller) -> Result<String, Rejection> {
    if caller.has_scope(REFUSED_SCOPE) {
        return Err(caller.refuse(REFUSED_REASON));
    }
    Ok(caller.service().to_owned())
}

pub(crate) struct Server(HttpClient);

impl Driver for Server {
    const NAME: &'static str = "axum";
    const ENDPOINT: &'static str = "guard::conformance::axum::delete_tenant";

    async fn start(verifier: Verifier, _: RecordingAudit) -> Self {
        let router = Router::new().route(ROUTE, delete(delete_tenant)).with_state(verifier);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, service).await });
        Self(HttpClient::of(address))
    }

    async fn send(&self, case: &Case) -> Answer {
        self.0.send(case).await
    }
}
