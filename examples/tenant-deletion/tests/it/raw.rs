//! HTTP as bytes on a TLS connection, for requests that no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use service_only_tls::Tls;
use tenant_deletion::catalogue::ORCHESTRATOR;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::town::Town;

/// Nothing here should take this long; a test that hangs should end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Raw(TlsStream<TcpStream>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Raw {
    /// Connects to the gateway, with the certificate of `tls`.
    pub(crate) async fn connect(tls: &Tls, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(tls.client_config());
        Self(connector.connect(name, stream).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends no more, and still reads.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads until `text` has come, and gives all that came.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&seen).contains(text) {
                let read = self.0.read_buf(&mut seen).await.unwrap();
                assert_ne!(read, 0, "the connection ended after {:?}", String::from_utf8_lossy(&seen));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("`{text}` did not come"));
        String::from_utf8(seen).unwrap()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn answer(mut self) -> Answer {
        let mut bytes = Vec::new();
        // A server that refuses a request may reset the connection after its answer.
        let _ = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("an answer");
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status =
            head.split(' ').nth(1).unwrap_or_else(|| panic!("no answer but {text:?}")).parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// One request of the orchestrator to the gateway with these lines in its head, on a connection of its own.
pub(crate) async fn request(town: &Town, head: &[&str], body: &str) -> Answer {
    let mut connection = town.connect().await;
    connection.send(format!("{}\r\n\r\n{body}", head.join("\r\n"))).await;
    connection.answer().await
}

impl Town {
    /// A connection of the orchestrator to the gateway.
    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.parts.tls(ORCHESTRATOR), self.gateway).await
    }
}
