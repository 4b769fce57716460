//! Runs the whole platform in one process: twelve services and the gateway, each on its own socket with its own
//! certificate.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use service_only::audit::AuditSink;
use service_only_tls::Tls;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::compromised::Compromised;
use super::gateway_key::GatewayKey;
use super::state::StateDir;
use crate::authority::Authority;
use crate::catalogue::{SERVICES, Service};
use crate::certificates::Certificates;
use crate::gateway::{GATEWAY, Gateway, Limits, Upstreams};
use crate::serve::{self, Shutdown};
use crate::service;
use crate::store::{Contents, Store};
use crate::tenant::TenantId;
use crate::tls;

/// The gateway's port in `--serve` if it is free, so that the printed curl command is the same each time.
pub(crate) const SERVE_PORT: u16 = 8787;

/// The running platform.
pub(crate) struct Platform {
    pub(crate) gateway: SocketAddr,
    pub(crate) services: Vec<Running>,
    /// What the first service keeps of the requests that it receives.
    pub(crate) compromised: Compromised,
    shutdown: Shutdown,
    servers: JoinSet<()>,
}

/// A running service, with direct access to its database, so that the demonstration can count the records
/// itself.
pub(crate) struct Running {
    pub(crate) service: &'static Service,
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    tls: Tls,
}

/// Keys and certificates of the platform.
pub(crate) struct Trust<'t> {
    pub(crate) authority: &'t Authority,
    pub(crate) gateway_key: &'t GatewayKey,
    pub(crate) certificates: &'t Certificates,
}

impl Platform {
    /// Starts the platform, with one audit trail for all parts.
    pub(crate) async fn start<A: AuditSink + Clone>(
        state: &StateDir,
        trust: &Trust<'_>,
        audit: A,
        port: u16,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let mut servers = JoinSet::new();
        let mut services = Vec::new();
        let compromised = Compromised::default();
        let open = |part: &str| tls::open(&trust.certificates.folder(part));
        for service in &SERVICES {
            let store = Store::open(service, state.file(&format!("{service}.db")), Contents::Demonstration)?;
            let (listener, address) = serve::bind(free_port()).await?;
            let verifier = trust.gateway_key.verifier(service.name, audit.clone())?;
            let router = service::router(store.clone(), verifier);
            let router = if services.is_empty() { compromised.taking(router) } else { router };
            let tls = open(service.name)?;
            servers.spawn(serve::serve(listener, router, tls.clone(), shutdown.clone()));
            services.push(Running { service, address, store, tls });
        }
        let pairs: Vec<_> =
            services.iter().map(|it| format!("{}=https://{}", it.service, it.address)).collect();
        let upstreams = Upstreams::parse(pairs.iter().map(String::as_str))?;
        let (verifier, tokens, tls) =
            (trust.authority.verifier(audit)?, trust.gateway_key.tokens()?, open(GATEWAY)?);
        let gateway = Gateway::new(verifier, tokens, tls.clone(), upstreams, Limits::default());
        let (listener, address) = preferred(port).await?;
        servers.spawn(serve::serve(listener, gateway.router(), tls, shutdown.clone()));
        Ok(Self { gateway: address, services, compromised, shutdown, servers })
    }

    /// A request to delete a tenant in `service`, from the service `from`, sent to the service or the gateway `to`. The
    /// sender presents its own certificate, and the receiver must present one with the name of `to`.
    pub(crate) fn delete(
        &self,
        from: &str,
        to: &str,
        service: &str,
        tenant: TenantId,
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let running = |name: &str| self.services.iter().find(|running| running.service.name == name);
        let sender = running(from).context("the sender is one of the services")?;
        let receiver = running(to).map_or(self.gateway, |running| running.address);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*sender.tls.client_config()).clone())
            .https_only(true)
            .no_proxy()
            .resolve(to, receiver)
            .build()?;
        Ok(client.delete(format!("https://{to}:{}/api/v1/{service}/tenant/{tenant}", receiver.port())))
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
