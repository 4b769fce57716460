//! A connector for clients of tower: it connects to the host of a URI and speaks TLS with the current material.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::tls::Tls;

/// Connects to the host of a URI with TLS. It uses TLS for the scheme `http` too, and never falls back to plain text.
///
/// Use it for a channel of tonic. Write `http` in the URI of the channel: with `https`, tonic would add its own TLS.
///
/// ```no_run
/// # #[cfg(feature = "tonic")]
/// # async fn connect(tls: &service_only_tls::Tls) -> Result<(), Box<dyn std::error::Error>> {
/// use service_only_tls::TlsConnector;
///
/// let endpoint = tonic::transport::Endpoint::from_static("http://orders.bakery.svc:8443");
/// let channel = endpoint.connect_with_connector(TlsConnector::http2(tls)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    tls: tokio_rustls::TlsConnector,
    timeout: Duration,
}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl TlsConnector {
    /// The default time for a connection and its handshake.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Negotiates HTTP/2, as gRPC needs it.
    pub fn http2(tls: &Tls) -> Self {
        Self::speaking(tls, b"h2")
    }

    /// Negotiates HTTP/1.1.
    pub fn http1(tls: &Tls) -> Self {
        Self::speaking(tls, b"http/1.1")
    }

    fn speaking(tls: &Tls, protocol: &[u8]) -> Self {
        // A clone shares the resolver and the verifier, so it follows a rotation too.
        let mut config = (*tls.client_config()).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { tls: Arc::new(config).into(), timeout: Self::DEFAULT_TIMEOUT }
    }

    /// Sets the time for a connection and its handshake.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let (tls, limit) = (self.tls.clone(), self.timeout);
        Box::pin(async move {
            let host = uri.host().ok_or_else(|| io::Error::other("the URI has no host"))?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            let connect = async {
                let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
                let _ = stream.set_nodelay(true);
                tls.connect(name, stream).await
            };
            let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
            Ok(TokioIo::new(timeout(limit, connect).await.map_err(|_| late())??))
        })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
