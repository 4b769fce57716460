//! Runs the whole platform in one process: twelve services and the gateway, each on its own socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use service_only::audit::AuditSink;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::state::StateDir;
use crate::authority::Authority;
use crate::catalogue::{SERVICES, Service};
use crate::gateway::{Gateway, Limits, Upstreams};
use crate::serve::{self, Shutdown};
use crate::service;
use crate::store::{Contents, Store};

/// The gateway's port in `--serve` if it is free, so that the printed curl command is the same each time.
pub(crate) const SERVE_PORT: u16 = 8787;

/// The running platform.
pub(crate) struct Platform {
    pub(crate) gateway: SocketAddr,
    pub(crate) services: Vec<Running>,
    shutdown: Shutdown,
    servers: JoinSet<()>,
}

/// A running service, with direct access to its database, so that the demonstration can count the records
/// itself.
pub(crate) struct Running {
    pub(crate) service: &'static Service,
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
}

impl Platform {
    /// Starts the platform, with one audit trail for all parts.
    pub(crate) async fn start<A: AuditSink + Clone>(
        state: &StateDir,
        authority: &Authority,
        audit: A,
        port: u16,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let mut servers = JoinSet::new();
        let mut services = Vec::new();
        for service in &SERVICES {
            let store = Store::open(service, state.file(&format!("{service}.db")), Contents::Demonstration)?;
            let (listener, address) = serve::bind(free_port()).await?;
            let router = service::router(store.clone(), authority.verifier(audit.clone())?);
            servers.spawn(serve::serve(listener, router, shutdown.clone()));
            services.push(Running { service, address, store });
        }
        let pairs: Vec<_> =
            services.iter().map(|it| format!("{}=http://{}", it.service, it.address)).collect();
        let upstreams = Upstreams::parse(pairs.iter().map(String::as_str))?;
        let gateway = Gateway::new(authority.verifier(audit)?, upstreams, Limits::default());
        let (listener, address) = preferred(port).await?;
        servers.spawn(serve::serve(listener, gateway.router(), shutdown.clone()));
        Ok(Self { gateway: address, services, shutdown, servers })
    }

    /// Stops it, and waits until every server has finished its requests.
    pub(crate) async fn stop(mut self) {
        self.shutdown.begin();
        while self.servers.join_next().await.is_some() {}
    }

    /// Resolves when a shutdown was requested.
    pub(crate) async fn asked_to_stop(&self) {
        self.shutdown.begun().await;
    }
}

async fn preferred(port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    match serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await {
        Err(error) if in_use(&error) => serve::bind(free_port()).await.context("no port is free"),
        bound => bound,
    }
}

fn in_use(error: &anyhow::Error) -> bool {
    error
        .root_cause()
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

fn free_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
