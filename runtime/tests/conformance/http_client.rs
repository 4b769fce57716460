//! A client that sends a path as it is. Most tidy it up first.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{cases::Case, wire::Answer};

pub(crate) struct HttpClient {
    server: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl HttpClient {
    pub(crate) fn of(server: SocketAddr) -> Self {
        Self { server, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn send(&self, case: &Case) -> Answer {
        let outgoing = case.outgoing();
        let uri = Uri::builder().scheme("http").authority(self.server.to_string());
        let mut request = Request::new(Full::from(outgoing.body.unwrap_or_default()));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = uri.path_and_query(outgoing.target).build().unwrap();
        *request.headers_mut() = case.headers();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer::Http(http::Response::from_parts(parts, body))
    }
}
