//! HTTP as bytes on a socket, for requests that no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here should take this long; a test that hangs should end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Raw(TcpStream);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
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

/// One request with these lines in its head, on a connection of its own.
pub(crate) async fn request(address: SocketAddr, head: &[&str], body: &str) -> Answer {
    let mut connection = Raw::connect(address).await;
    connection.send(format!("{}\r\n\r\n{body}", head.join("\r\n"))).await;
    connection.answer().await
}
