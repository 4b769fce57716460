//! A client that sends each target as it is, on a connection of its own. Most clients tidy a path up first,
//! and make a path of a whole address.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::conformance::{cases::Case, wire::Answer};

pub(crate) struct HttpClient {
    server: SocketAddr,
}

impl HttpClient {
    pub(crate) fn of(server: SocketAddr) -> Self {
        Self { server }
    }

    pub(crate) async fn send(&self, case: &Case) -> Answer {
        let outgoing = case.outgoing();
        let mut request = Request::new(Full::<Bytes>::from(outgoing.body.unwrap_or_default()));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.target.parse().unwrap();
        *request.headers_mut() = case.headers();
        let host = || HeaderValue::try_from(self.server.to_string()).unwrap();
        request.headers_mut().entry(HOST).or_insert_with(host);

        let stream = TcpStream::connect(self.server).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await;
        let (parts, body) = response.unwrap_or_else(|error| panic!("{}: {error}", case.title())).into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer::Http(http::Response::from_parts(parts, body))
    }
}
