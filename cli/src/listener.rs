//! Accepts connections within limits, for `serve` and `dashboard`. A slow or greedy client costs one connection for a
//! bounded time.
//!
//! HTTP/1.1 only: clients fetch a few kilobytes every some minutes.

pub(crate) mod certificate;

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use service_only::PeerCertificate;
use service_only::shutdown::DRAIN_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use self::certificate::Certificate;
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
    /// For the requests that are in progress when a signal ends the program.
    pub(crate) drain: Duration,
}

impl Limits {
    /// Limits for documents. The head is as large as the default of nginx for all of its large buffers but one. A fetch takes milliseconds, so
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

/// How bytes are transported.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Without TLS.
    Plain,
    /// With TLS. If clients need a certificate, each request has its [`PeerCertificate`] as an extension.
    Tls(Certificate),
}

impl Transport {
    fn acceptor(&self) -> Option<TlsAcceptor> {
        let Self::Tls(certificate) = self else { return None };
        let mut config = certificate.tls().server_config().as_ref().clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Some(TlsAcceptor::from(Arc::new(config)))
    }

    /// The certificate of the client, after the handshake.
    fn peer(&self, connection: &rustls::ServerConnection) -> Option<PeerCertificate> {
        match self {
            Self::Plain => None,
            Self::Tls(certificate) => certificate.tls().client_certificate(connection),
        }
    }
}

pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    transport: Transport,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, transport: Transport, limits: Limits) -> Outcome<Self> {
        let failed = |error: std::io::Error| {
            Problem::new(ProblemCode::Io, format!("cannot listen on `{address}`: {error}"))
                .help("name a free address and port with `--listen`")
        };
        let tls = transport.acceptor();
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, transport, tls, limits })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Serves until `ended`, and then waits for the requests in progress.
    pub(crate) async fn run<S, B>(self, service: S, ended: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
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
                let connection = Connection { service: service.clone(), limits: self.limits };
                let (transport, tls) = (self.transport.clone(), self.tls.clone());
                tokio::spawn(async move {
                    let limit = connection.limits.connection;
                    let served = connection.serve(stream, &transport, tls, watcher);
                    // Failed connections are the client's business; nothing here depends on them.
                    let _ = timeout(limit, served).await;
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

struct Connection<S> {
    service: S,
    limits: Limits,
}

impl<S, B> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn serve(
        self,
        stream: TcpStream,
        transport: &Transport,
        tls: Option<TlsAcceptor>,
        watcher: Watcher,
    ) {
        let Some(tls) = tls else { return self.requests(stream, None, watcher).await };
        if let Ok(Ok(stream)) = timeout(self.limits.handshake, tls.accept(stream)).await {
            let peer = transport.peer(stream.get_ref().1);
            self.requests(stream, peer, watcher).await;
        }
    }

    async fn requests<T>(self, stream: T, peer: Option<PeerCertificate>, watcher: Watcher)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(self.limits.head_bytes)
            .max_headers(self.limits.headers);
        let service = self.service;
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            service.call(request)
        });
        let _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
    }
}
