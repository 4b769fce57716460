//! Serves a router over TLS, with a shutdown that lets running requests finish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use service_only_tls::{Tls, TlsServer};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long running requests may take after the signal. The gateway's own timeout ends the longest after 10
/// s, and Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(15);

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

/// Serves over TLS until `shutdown` begins, then finishes the running requests.
pub async fn serve(listener: TcpListener, router: Router, tls: Tls, shutdown: Shutdown) {
    let begun = shutdown.clone();
    let server = TlsServer::new(tls).serve(listener, router, async move { begun.begun().await });
    let grace = async {
        shutdown.begun().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => {
            if let Err(error) = ended {
                tracing::error!(%error, "the listener failed");
            }
        }
        () = grace => tracing::warn!(
            seconds = GRACE.as_secs(),
            "requests were still running at the end of the grace period"
        ),
    }
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
