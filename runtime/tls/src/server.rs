//! A server for any service of tower: a router of axum, the routes of tonic, or a service of hyper.

mod forwarded;

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use service_only::PeerCertificate;
use tokio::{
    net::{TcpListener, TcpStream},
    pin,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower_service::Service;

use self::forwarded::Forwarded;
use crate::{
    names::{InvalidSpiffeId, SpiffeId},
    tls::Tls,
};

/// The time after the end of the age of a connection in which its client may send a last request, and then the time in
/// which its requests may finish.
const GRACE: Duration = Duration::from_secs(30);

/// The time in which a client must send the headers of a request.
const HEADERS: Duration = Duration::from_secs(30);

/// The pause after an error of the operating system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves a router over TLS. Each request has the [`PeerCertificate`] of its connection as an extension.
///
/// - A handshake has ten seconds. A slow handshake does not delay the others.
/// - A connection ends when the certificate of its client expires, or at its
///   [maximum age](Self::max_connection_age). Its requests have 30 seconds to finish.
/// - Headers in which a proxy forwards a client certificate are removed from every request, in every spelling. Only the
///   peers of [`trust_forwarded_from`](Self::trust_forwarded_from) may forward a certificate.
///
/// ```no_run
/// # async fn serve(router: axum::Router, tls: service_only_tls::Tls) -> std::io::Result<()> {
/// use service_only_tls::TlsServer;
///
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8443").await?;
/// TlsServer::new(tls).serve(listener, router, std::future::pending()).await
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is served until `serve` is awaited"]
pub struct TlsServer {
    tls: Tls,
    max_age: Option<Duration>,
    handshake: Duration,
    connections: usize,
    forwarders: Vec<SpiffeId>,
}

impl TlsServer {
    /// The default time for a handshake.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// The default maximum number of connections at a time. Further ones wait until one has ended.
    pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

    /// Serves with the current material of `tls`.
    pub fn new(tls: Tls) -> Self {
        Self {
            tls,
            max_age: None,
            handshake: Self::DEFAULT_HANDSHAKE_TIMEOUT,
            connections: Self::DEFAULT_MAX_CONNECTIONS,
            forwarders: Vec::new(),
        }
    }

    /// Ends each connection at this age, so that its client presents its certificate again. By default a connection
    /// lives as long as the certificate of its client.
    pub fn max_connection_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Sets the time for a handshake.
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        Self { handshake: timeout, ..self }
    }

    /// Sets the maximum number of connections at a time, at least one.
    pub fn max_connections(self, connections: usize) -> Self {
        Self { connections: connections.clamp(1, Semaphore::MAX_PERMITS), ..self }
    }

    /// Allows a peer with this SPIFFE ID to forward the certificate of its client in the header `Client-Cert`, with the
    /// rest of the chain in `Client-Cert-Chain` (RFC 9440). The peer is a gateway that has authenticated its client
    /// with TLS. The forwarded chain is verified with the current roots.
    ///
    /// # Errors
    /// When the ID is not a SPIFFE ID.
    pub fn trust_forwarded_from(mut self, gateway: &str) -> Result<Self, InvalidSpiffeId> {
        self.forwarders.push(gateway.parse()?);
        Ok(self)
    }

    /// Accepts connections until `shutdown` completes. Then it accepts no new connections and waits for the running
    /// requests. To limit this wait, put a timeout around this future.
    ///
    /// # Errors
    /// When the listener fails permanently.
    pub async fn serve<S, B>(
        self,
        listener: TcpListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (stop, _) = watch::channel(());
        let permits = Arc::new(Semaphore::new(self.connections));
        let server = Arc::new(self);
        let acceptor = TlsAcceptor::from(server.tls.server_config());
        pin!(shutdown);
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((permit, listener.accept().await))
            };
            let (permit, accepted) = tokio::select! {
                next = next => next?,
                () = &mut shutdown => break,
            };
            let Ok((stream, address)) = accepted.inspect_err(|error| {
                tracing::debug!(target: "service_only", %error, "a connection cannot be accepted");
            }) else {
                sleep(PAUSE).await;
                continue;
            };
            let (server, acceptor, service) = (Arc::clone(&server), acceptor.clone(), service.clone());
            let stopped = stop.subscribe();
            tokio::spawn(async move {
                if let Some(stream) = server.shake_hands(&acceptor, stream, address).await {
                    server.run(stream, address, service, stopped).await;
                }
                drop(permit);
            });
        }
        drop(listener);
        stop.send_replace(());
        // Each connection has a receiver.
        stop.closed().await;
        Ok(())
    }

    async fn shake_hands(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        // Without it, small responses may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        match timeout(self.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(target: "service_only", %error, client = %address.ip(), "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(target: "service_only", client = %address.ip(), "a TLS handshake took too long");
                None
            }
        }
    }

    /// Serves the requests of one connection.
    async fn run<S, B>(
        &self,
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        service: S,
        mut stopped: watch::Receiver<()>,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let peer = self.tls.client_certificate(stream.get_ref().1);
        let age = self.age(peer.as_ref());
        let forwarded = Forwarded::new(self.tls.clone(), &self.forwarders, peer);
        let is_old = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_old);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            forwarded.settle(&mut request);
            tell_address(&mut request, address);
            let (mut service, ends) = (service.clone(), Arc::clone(&ends));
            async move {
                let is_http1 = request.version() < Version::HTTP_2;
                std::future::poll_fn(|context| service.poll_ready(context)).await?;
                let mut response = service.call(request).await?;
                if is_http1 && ends.load(Ordering::Relaxed) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, S::Error>(response)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        builder.http2().timer(TokioTimer::new());
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = end_of(age) => {
                // An idle connection of HTTP/1 must not be closed while its client sends a request. So the next response
                // announces the end. HTTP/2 has a frame for this.
                is_old.store(true, Ordering::Relaxed);
                let announced = if is_http2 { None } else { timeout(GRACE, connection.as_mut()).await.ok() };
                match announced {
                    Some(ended) => ended,
                    None => {
                        connection.as_mut().graceful_shutdown();
                        // A response that never ends must not keep an old certificate in use.
                        timeout(GRACE, connection).await.unwrap_or(Ok(()))
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(target: "service_only", %error, client = %address.ip(), "a connection failed");
        }
    }

    /// How long a connection may live: as long as the certificate of its client, and at most the configured age.
    fn age(&self, peer: Option<&PeerCertificate>) -> Option<Duration> {
        let remaining = peer.map(|peer| {
            let seconds = peer.not_after().unix().saturating_sub(self.tls.now().unix());
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        });
        [remaining, self.max_age].into_iter().flatten().min()
    }
}

async fn end_of(age: Option<Duration>) {
    match age {
        Some(age) => sleep(age).await,
        None => std::future::pending().await,
    }
}

/// Stores the address of the client where the extractors of axum and the guard look for it.
fn tell_address(request: &mut Request<Incoming>, address: SocketAddr) {
    #[cfg(feature = "axum")]
    request.extensions_mut().insert(axum::extract::ConnectInfo(address));
    #[cfg(feature = "tonic")]
    request
        .extensions_mut()
        .insert(tonic::transport::server::TcpConnectInfo { local_addr: None, remote_addr: Some(address) });
    let _ = (request, address);
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("tls", &self.tls)
            .field("max_age", &self.max_age)
            .field("forwarders", &self.forwarders)
            .finish_non_exhaustive()
    }
}
