//! A server on a free port of 127.0.0.1, for the parts of the kit that a client must reach by a URL.

use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::fail::OrFail;

/// A bound port whose requests wait. A server can therefore contain its own address.
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.or_fail("a port on loopback");
        let address = listener.local_addr().or_fail("the address of a port on loopback");
        Self { listener, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn serve(self, router: Router) -> Server {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                // If the server fails, the test that sends requests to it fails.
                _ = async { axum::serve(self.listener, router).await } => {}
                _ = stopped => {}
            }
        });
        Server { stop: Some(stop), _task: task }
    }
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    // Dropping a handle detaches its task, which ends by `stop`.
    _task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have stopped already, with its runtime.
        let _ = self.stop.take().map(|stop| stop.send(()));
    }
}
