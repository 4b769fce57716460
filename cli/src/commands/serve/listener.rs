//! Accepts connections within limits. A slow or greedy client costs one connection for a bounded time.
//!
//! HTTP/1.1 only: verifiers fetch a few kilobytes every some minutes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use service_only::shutdown::DRAIN_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use super::pages::Pages;
use crate::problem::{Outcome, Problem, ProblemCode};

/// The limits of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections. Further ones wait in the backlog of the system.
    pub(crate) connections: usize,
    /// For the handshake of TLS.
    pub(crate) handshake: Duration,
    /// For the head of a request. An idle connection ends after it too.
    pub(crate) head: Duration,
    /// The length of a request's head in bytes.
    pub(crate) head_bytes: usize,
    /// The number of headers of a request.
    pub(crate) headers: usize,
    /// For a connection, whatever happens on it. A client that does not read its response ends here.
    pub(crate) connection: Duration,
    /// For the requests that are in progress when the program is asked to end.
    pub(crate) drain: Duration,
}

impl Limits {
    /// The head is as large as the default of nginx for all of its large buffers but one. A fetch takes milliseconds, so
    /// each time allows for a bad network.
    pub(crate) const DEFAULT: Self = Self {
        connections: 512,
        handshake: Duration::from_secs(10),
        head: Duration::from_secs(10),
        head_bytes: 16 * 1024,
        headers: 64,
        connection: Duration::from_secs(60),
        drain: DRAIN_TIMEOUT,
    };
}

/// The pause after an accept that failed, as when the program has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Listener {
    pub(crate) async fn bind(
        address: SocketAddr,
        certificate: Option<&Arc<Certificate>>,
        limits: Limits,
    ) -> Outcome<Self> {
        let failed = |error: std::io::Error| {
            Problem::new(ProblemCode::Io, format!("cannot listen on `{address}`: {error}"))
                .help("name a free address and port with `--listen`")
        };
        let tls = certificate.map(Certificate::server).transpose()?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls: tls.map(|server| TlsAcceptor::from(Arc::new(server))), limits })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Serves until `ended`, and then waits for the requests in progress.
    pub(crate) async fn run(self, pages: Arc<Pages>, ended: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let graceful = GracefulShutdown::new();
        let accept = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let watcher = graceful.watcher();
                let connection = Connection { pages: Arc::clone(&pages), limits: self.limits };
                let tls = self.tls.clone();
                tokio::spawn(async move {
                    let served = connection.serve(stream, tls, watcher);
                    // Failed connections are the client's business; nothing here depends on them.
                    let _ = timeout(connection.limits.connection, served).await;
                    drop(place);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = ended => {}
        }
        // No connection is accepted from here on.
        drop(self.listener);
        let _ = timeout(self.limits.drain, graceful.shutdown()).await;
    }
}

struct Connection {
    pages: Arc<Pages>,
    limits: Limits,
}

impl Connection {
    async fn serve(&self, stream: TcpStream, tls: Option<TlsAcceptor>, watcher: Watcher) {
        let Some(tls) = tls else { return self.requests(stream, watcher).await };
        if let Ok(Ok(stream)) = timeout(self.limits.handshake, tls.accept(stream)).await {
            self.requests(stream, watcher).await;
        }
    }

    async fn requests<S>(&self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(self.limits.head_bytes)
            .max_headers(self.limits.headers);
        let pages = Arc::clone(&self.pages);
        let service = service_fn(move |request| {
            let pages = Arc::clone(&pages);
            async move { pages.answer(request).await }
        });
        let _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
    }
}
