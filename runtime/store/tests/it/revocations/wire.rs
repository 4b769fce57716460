//! A forwarder between a test and its PostgreSQL, which can be cut, is deaf to notifications where that is
//! wanted, and knows which of the server's connections go through it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    task::{AbortHandle, JoinSet},
};

/// Forwards to the database, until it is dropped.
pub(crate) struct Wire {
    forwarding: AbortHandle,
    near: String,
    server: String,
    /// By the ports that the server sees.
    ports: Arc<Mutex<Vec<i32>>>,
}

/// Host and port of an address, where it names them.
pub(crate) fn server_of(url: &str) -> Option<&str> {
    let server = url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).map(|(server, _)| server);
    if server.is_none() {
        eprintln!("skipped: DATABASE_URL names no host and port");
    }
    server
}

impl Wire {
    pub(crate) async fn lay(listen: &str, server: &str) -> Self {
        Self::between(listen, server, false).await
    }

    /// One that cuts each connection on which somebody listens for notifications.
    pub(crate) async fn deaf(server: &str) -> Self {
        Self::between("127.0.0.1:0", server, true).await
    }

    async fn between(listen: &str, server: &str, is_deaf: bool) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let near = listener.local_addr().unwrap().to_string();
        let (ports, server) = (Arc::new(Mutex::new(Vec::new())), server.to_owned());
        let forwarding = tokio::spawn(accept(listener, server.clone(), Arc::clone(&ports), is_deaf));
        Self { forwarding: forwarding.abort_handle(), near, server, ports }
    }

    pub(crate) fn near(&self) -> &str {
        &self.near
    }

    /// The same database through this wire.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(&self.server, &self.near)
    }

    /// SQL that finds the connections through this wire on which somebody listens.
    pub(crate) fn listening(&self) -> String {
        let ports: Vec<_> = self.ports.lock().unwrap().iter().map(ToString::to_string).collect();
        let ports = ports.join(",");
        format!("FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND client_port = ANY('{{{ports}}}')")
    }
}

async fn accept(listener: TcpListener, server: String, ports: Arc<Mutex<Vec<i32>>>, is_deaf: bool) {
    // Ended with this task, and its connections with it.
    let mut open = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(&server).await.unwrap();
        ports.lock().unwrap().push(far.local_addr().unwrap().port().into());
        open.spawn(async move {
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = pass(from_near, to_far, is_deaf) => {}
                () = pass(from_far, to_near, false) => {}
            }
        });
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, is_deaf: bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let said = &bytes[..read];
        if is_deaf && said.windows(7).any(|part| part == b"LISTEN ") {
            return;
        }
        if to.write_all(said).await.is_err() {
            return;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}
