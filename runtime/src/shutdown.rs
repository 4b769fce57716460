//! Graceful shutdown: waits for the signal to end, and gives running requests a bounded time.
//! When `main` returns, every [`JsonLinesAudit`](crate::JsonLinesAudit) writes its last records.

use std::{
    error::Error,
    future::{self, Future, IntoFuture},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

/// How long [`drain`] lets running requests continue after the program was asked to end. Kubernetes kills a pod
/// 30 s after SIGTERM.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Resolves when the process is asked to end: by SIGTERM, as Kubernetes, systemd and `docker stop` do, or by Ctrl-C.
/// Use it for the graceful shutdown of a server:
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener, app: axum::Router) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use service_only::shutdown::{drain, shutdown_signal};
///
/// let server = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()?);
/// drain(server).await
/// # }
/// ```
///
/// Signals are caught from this call on, even before the future is polled.
///
/// # Errors
/// When the signals cannot be caught.
///
/// # Panics
/// Outside of a tokio runtime that has I/O enabled.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(future::poll_fn(move |context| {
            if terminate.poll_recv(context).is_ready() || interrupt.poll_recv(context).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Runs a server to its end, but not longer than [`DRAIN_TIMEOUT`] after a [`shutdown_signal`]. A client that never
/// finishes its request must not keep the program from writing its audit log and ending.
///
/// # Errors
/// When the server fails, or requests are still running after that time.
pub async fn drain<E>(
    server: impl IntoFuture<Output = Result<(), E>>,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    drain_within(DRAIN_TIMEOUT, shutdown_signal()?, server).await
}

async fn drain_within<E>(
    limit: Duration,
    asked: impl Future<Output = ()>,
    server: impl IntoFuture<Output = Result<(), E>>,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let mut server = pin!(server.into_future());
    let mut overdue = pin!(async {
        asked.await;
        tokio::time::sleep(limit).await;
    });
    future::poll_fn(|context| {
        if let Poll::Ready(ended) = server.as_mut().poll(context) {
            return Poll::Ready(ended.map_err(Into::into));
        }
        overdue.as_mut().poll(context).map(|()| {
            let text = format!("requests were still running {limit:?} after the signal to end");
            Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_server_that_does_not_end_is_abandoned_at_the_time_limit() {
        let server = pending::<io::Result<()>>();
        let error = drain_within(Duration::from_millis(1), ready(()), server).await.unwrap_err();
        assert!(error.to_string().starts_with("requests were still running 1ms after"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_was_not_asked_to_end_has_no_limit_and_its_result_is_returned() {
        for result in [Ok(()), Err(io::Error::other("the socket is gone"))] {
            let expected = result.as_ref().map_err(ToString::to_string).copied();
            let server = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                result
            };
            let ended = drain_within(Duration::ZERO, pending(), server).await;
            assert_eq!(ended.map_err(|error| error.to_string()), expected);
        }
    }
}
