//! Serves a router on a socket, with a time limit for request heads, and a shutdown that lets running
//! requests finish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

/// A request head has a few kilobytes: a client that needs longer blocks the connection on purpose.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long running requests may take after the signal. The gateway's own timeout ends the longest after 10
/// s, and Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(15);

/// After a failed `accept` (out of file descriptors) the loop waits instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A signal that stops every server of this process.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Creates a shutdown that begins at SIGINT (Ctrl-C) or SIGTERM (which Kubernetes sends).
    pub fn at_signal() -> io::Result<Self> {
        let shutdown = Self::default();
        let begin = shutdown.clone();
        let signal = signal()?;
        tokio::spawn(async move {
            signal.await;
            begin.begin();
        });
        Ok(shutdown)
    }

    /// Begins the shutdown. A second call has no effect.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when the shutdown has begun.
    pub async fn begun(&self) {
        // The sender is `self`, so this cannot end early.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

/// Binds `address`; port 0 takes a free port.
pub async fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr().context("the socket has no address")?;
    Ok((listener, bound))
}

/// Serves HTTP/1.1 until `shutdown` begins, then finishes the running requests.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => spawn_connection(stream, peer, router.clone(), &connections),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!(
            seconds = GRACE.as_secs(),
            "requests were still running at the end of the grace period"
        );
    }
}

fn spawn_connection(stream: TcpStream, peer: SocketAddr, router: Router, connections: &GracefulShutdown) {
    // Send small responses without delay.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "connection ended early");
        }
    });
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    // Both handlers are installed here, before the first request, so no signal is missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
