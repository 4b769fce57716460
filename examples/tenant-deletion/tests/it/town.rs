//! A town with the whole platform in it: twelve services and a gateway on loopback sockets, each
//! replaceable by something that misbehaves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use service_only_testkit::{RecordingAudit, TestAuthority};
use tempfile::TempDir;
use tenant_deletion::catalogue::{DELETE_SCOPE, ORCHESTRATOR, SERVICES, Service};
use tenant_deletion::gateway::{Gateway, Limits, Upstreams};
use tenant_deletion::orchestrator::{Client, Patience};
use tenant_deletion::serve::{self, Shutdown};
use tenant_deletion::service;
use tenant_deletion::store::{Contents, Store};
use tenant_deletion::tenant::{DemoTenant, TenantId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) struct Town {
    pub(crate) authority: TestAuthority,
    pub(crate) gateway: SocketAddr,
    pub(crate) gateway_audit: RecordingAudit,
    pub(crate) http: reqwest::Client,
    pub(crate) services: BTreeMap<&'static str, SocketAddr>,
    pub(crate) services_audit: RecordingAudit,
    pub(crate) stores: BTreeMap<&'static str, Store>,
    shutdown: Shutdown,
    _directory: TempDir,
}

impl Town {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default(), |_, router| Place::Open(router)).await
    }

    /// Starts it with what `place` makes of each service's router.
    pub(crate) async fn start_with(limits: Limits, place: impl Fn(&Service, Router) -> Place) -> Self {
        let authority = TestAuthority::new().audience("bakery-platform");
        let (gateway_audit, services_audit) = (RecordingAudit::new(), RecordingAudit::new());
        let verifier = |audit: &RecordingAudit| {
            authority.verifier_builder().realm("bakery").audit(audit.clone()).build().unwrap()
        };
        let shutdown = Shutdown::default();
        let directory = tempfile::tempdir().unwrap();
        let (mut services, mut stores) = (BTreeMap::new(), BTreeMap::new());
        for service in &SERVICES {
            let file = directory.path().join(format!("{service}.db"));
            let store = Store::open(service, file, Contents::Demonstration).unwrap();
            let router = service::router(store.clone(), verifier(&services_audit));
            let address = match place(service, router) {
                Place::Open(router) => serve(router, &shutdown).await,
                Place::At(address) => address,
            };
            services.insert(service.name, address);
            stores.insert(service.name, store);
        }
        let pairs: Vec<_> =
            services.iter().map(|(name, address)| format!("{name}=http://{address}")).collect();
        let upstreams = Upstreams::parse(pairs.iter().map(String::as_str)).unwrap();
        let router = Gateway::new(verifier(&gateway_audit), upstreams, limits).router();
        let gateway = serve(router, &shutdown).await;
        Self {
            authority,
            gateway,
            gateway_audit,
            http: http(),
            services,
            services_audit,
            stores,
            shutdown,
            _directory: directory,
        }
    }

    /// The orchestrator's token.
    pub(crate) fn token(&self) -> String {
        self.authority.service(ORCHESTRATOR).scope(DELETE_SCOPE).token().as_str().to_owned()
    }

    /// The orchestrator's client, with pauses of no length.
    pub(crate) fn client(&self, attempts: u32) -> Client {
        let patience =
            Patience { attempts, pause: std::time::Duration::from_millis(1), ..Patience::default() };
        Client::new(&format!("http://{}", self.gateway), &self.token(), patience).unwrap()
    }

    /// Records of a tenant in each service's database.
    pub(crate) fn counts(&self, tenant: DemoTenant) -> BTreeMap<&'static str, u64> {
        self.stores.iter().map(|(name, store)| (*name, store.count(tenant.id).unwrap().total)).collect()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// What stands where a service is expected.
pub(crate) enum Place {
    Open(Router),
    At(SocketAddr),
}

pub(crate) async fn serve(router: Router, shutdown: &Shutdown) -> SocketAddr {
    let (listener, address) = serve::bind(free_port()).await.unwrap();
    tokio::spawn(serve::serve(listener, router, shutdown.clone()));
    address
}

/// A port that is taken and where nobody listens: connecting is refused until [`ClosedPort::open`].
pub(crate) struct ClosedPort(tokio::net::TcpSocket);

impl ClosedPort {
    pub(crate) fn new() -> (Self, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(free_port()).unwrap();
        let address = socket.local_addr().unwrap();
        (Self(socket), address)
    }

    pub(crate) fn open(self, router: Router, shutdown: &Shutdown) {
        let listener = self.0.listen(64).unwrap();
        tokio::spawn(serve::serve(listener, router, shutdown.clone()));
    }
}

/// A server that answers each connection with these bytes, whatever it is asked, and closes it.
pub(crate) async fn always(answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = serve::bind(free_port()).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // The request's head is there at once: these tests send it in one piece.
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(answer).await;
        }
    });
    address
}

pub(crate) fn free_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(crate) fn preview_path(service: &str, tenant: TenantId) -> String {
    format!("/api/v1/{service}/tenant/{tenant}/deletion-preview")
}

pub(crate) fn delete_path(service: &str, tenant: TenantId) -> String {
    format!("/api/v1/{service}/tenant/{tenant}")
}

pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(30)).build().unwrap()
}

/// An upstream that answers with the head and the body that it got, as JSON.
pub(crate) fn echo() -> Router {
    Router::new().fallback(|request: axum::extract::Request| async {
        let (parts, body) = request.into_parts();
        let collected = http_body_util::BodyExt::collect(body).await.unwrap();
        let trailers = collected.trailers().map(|trailers| trailers.len());
        let headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned()))
            .collect();
        axum::Json(serde_json::json!({
            "method": parts.method.as_str(),
            "target": parts.uri.to_string(),
            "headers": headers,
            "trailers": trailers,
            "body": String::from_utf8_lossy(&collected.to_bytes()),
        }))
    })
}

/// An upstream that sends each frame of the body back as it arrives.
pub(crate) fn mirror() -> Router {
    Router::new().fallback(|body: Body| async { body })
}
