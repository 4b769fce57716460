//! A town with the whole platform in it: twelve services and a gateway on loopback sockets, each with its own
//! certificate, and each replaceable by something that misbehaves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use service_only::clock::{Clock, SystemClock};
use service_only::issue::SigningKey;
use service_only::{Algorithm, Proof, Verifier};
use service_only_testkit::{RecordingAudit, TestAuthority, TestCertificate, TokenDraft};
use service_only_tls::{Tls, TlsFiles};
use tempfile::TempDir;
use tenant_deletion::catalogue::{DELETE_SCOPE, ORCHESTRATOR, SERVICES, Service};
use tenant_deletion::certificates::Certificates;
use tenant_deletion::gateway::{GATEWAY, Gateway, Limits, Tokens, Upstreams};
use tenant_deletion::orchestrator::{Client, Patience};
use tenant_deletion::serve::{self, Shutdown};
use tenant_deletion::service;
use tenant_deletion::store::{Contents, Store};
use tenant_deletion::tenant::{DemoTenant, TenantId};
use tenant_deletion::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `iss` of the gateway's own tokens.
pub(crate) const GATEWAY_ISSUER: &str = "https://gateway.bakery.example";

pub(crate) struct Town {
    /// Whose tokens the gateway accepts.
    pub(crate) authority: TestAuthority,
    /// The gateway's key, for tokens as a service gets them.
    pub(crate) own: TestAuthority,
    pub(crate) parts: Parts,
    pub(crate) gateway: SocketAddr,
    pub(crate) gateway_audit: RecordingAudit,
    /// Has the certificate of the orchestrator.
    pub(crate) http: reqwest::Client,
    pub(crate) services: BTreeMap<&'static str, SocketAddr>,
    pub(crate) services_audit: RecordingAudit,
    pub(crate) stores: BTreeMap<&'static str, Store>,
    shutdown: Shutdown,
    _directory: TempDir,
}

/// The certificates of all parts.
pub(crate) struct Parts {
    certificates: Certificates,
    issued: BTreeMap<&'static str, (TestCertificate, Tls)>,
}

impl Parts {
    /// Issues them, with their files below `folder`.
    pub(crate) fn issue(folder: PathBuf) -> Self {
        let certificates = Certificates::new(folder);
        let names = SERVICES.iter().map(|service| service.name).chain([GATEWAY, ORCHESTRATOR]);
        let issued = names.map(|name| {
            let certificate = certificates.issue(name).unwrap();
            (name, (certificate, tls::open(&certificates.folder(name)).unwrap()))
        });
        let issued = issued.collect();
        Self { certificates, issued }
    }

    pub(crate) fn certificate(&self, part: &str) -> &TestCertificate {
        &self.issued[part].0
    }

    pub(crate) fn tls(&self, part: &str) -> &Tls {
        &self.issued[part].1
    }

    /// Replaces the certificate of a part, and waits until the part uses it.
    pub(crate) async fn renew(&self, part: &str) {
        let renewed = self.certificates.issue(part).unwrap().thumbprint();
        while self.tls(part).status().thumbprint != renewed {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// TLS that presents no certificate to a server.
    pub(crate) fn roots_only(&self) -> Tls {
        TlsFiles::cert_manager(self.certificates.folder(GATEWAY)).server_only().open().unwrap()
    }
}

/// An authority that shows the time of certificates and of the gateway.
pub(crate) fn authority_of_now(authority: TestAuthority) -> TestAuthority {
    authority.clock().set(SystemClock.now());
    authority
}

/// The gateway's key twice: to mint as the gateway in a test, and for the gateway itself.
pub(crate) fn own_key() -> (TestAuthority, Tokens) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let pem = key.to_secret_bytes().unwrap();
    let tokens = Tokens::new(GATEWAY_ISSUER, SigningKey::from_pem(Algorithm::ES256, &pem).unwrap());
    (authority_of_now(TestAuthority::from_key(key).issuer(GATEWAY_ISSUER)), tokens.unwrap())
}

/// The verifier of one service.
pub(crate) fn verifier_of(own: &TestAuthority, service: &str, audit: &RecordingAudit) -> Verifier {
    let builder = own.clone().audience(service).verifier_builder();
    builder.require_proof(Proof::Mtls).realm("bakery").audit(audit.clone()).build().unwrap()
}

impl Town {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default(), |_, router| Place::Open(router)).await
    }

    /// Starts it with what `place` makes of each service's router.
    pub(crate) async fn start_with(limits: Limits, place: impl Fn(&Service, Router) -> Place) -> Self {
        let authority = authority_of_now(TestAuthority::new().audience("bakery-platform"));
        let (own, tokens) = own_key();
        let (gateway_audit, services_audit) = (RecordingAudit::new(), RecordingAudit::new());
        let shutdown = Shutdown::default();
        let directory = tempfile::tempdir().unwrap();
        let parts = Parts::issue(directory.path().join("tls"));
        let (mut services, mut stores) = (BTreeMap::new(), BTreeMap::new());
        for service in &SERVICES {
            let file = directory.path().join(format!("{service}.db"));
            let store = Store::open(service, file, Contents::Demonstration).unwrap();
            let router = service::router(store.clone(), verifier_of(&own, service.name, &services_audit));
            let address = match place(service, router) {
                Place::Open(router) => serve(router, parts.tls(service.name), &shutdown).await,
                Place::As(part, router) => serve(router, parts.tls(part), &shutdown).await,
                Place::Garbage(answer) => always(answer, parts.tls(service.name)).await,
                Place::At(address) => address,
            };
            services.insert(service.name, address);
            stores.insert(service.name, store);
        }
        let pairs: Vec<_> =
            services.iter().map(|(name, address)| format!("{name}=https://{address}")).collect();
        let upstreams = Upstreams::parse(pairs.iter().map(String::as_str)).unwrap();
        let verifier =
            authority.verifier_builder().realm("bakery").audit(gateway_audit.clone()).build().unwrap();
        let tls = parts.tls(GATEWAY);
        let router = Gateway::new(verifier, tokens, tls.clone(), upstreams, limits).router();
        let gateway = serve(router, tls, &shutdown).await;
        Self {
            authority,
            own,
            http: https(parts.tls(ORCHESTRATOR), &[]),
            parts,
            gateway,
            gateway_audit,
            services,
            services_audit,
            stores,
            shutdown,
            _directory: directory,
        }
    }

    /// The orchestrator's token.
    pub(crate) fn token(&self) -> String {
        self.orchestrator().token().as_str().to_owned()
    }

    /// The orchestrator's token before it is signed.
    pub(crate) fn orchestrator(&self) -> TokenDraft {
        let draft = self.authority.service(ORCHESTRATOR).scope(DELETE_SCOPE);
        draft.bound_to(self.parts.certificate(ORCHESTRATOR))
    }

    /// The token that the gateway mints for a service in the orchestrator's name, before it is signed.
    pub(crate) fn via_gateway(&self, service: &str) -> TokenDraft {
        let draft = self.own.clone().audience(service).service(ORCHESTRATOR).scope(DELETE_SCOPE);
        draft.via(GATEWAY).bound_to(self.parts.certificate(GATEWAY))
    }

    /// A client with the certificate of a part, which knows where the other parts are.
    pub(crate) fn client_of(&self, part: &str) -> reqwest::Client {
        let mut known: Vec<_> = self.services.iter().map(|(name, address)| (*name, *address)).collect();
        known.push((GATEWAY, self.gateway));
        https(self.parts.tls(part), &known)
    }

    /// The URL of a path at a part.
    pub(crate) fn url(&self, part: &str, path: &str) -> String {
        let address = self.services.get(part).unwrap_or(&self.gateway);
        format!("https://{part}:{}{path}", address.port())
    }

    /// The folder with the certificate of a part.
    pub(crate) fn tls_folder(&self, part: &str) -> PathBuf {
        self.parts.certificates.folder(part)
    }

    /// The orchestrator's client, with pauses of no length.
    pub(crate) fn client(&self, attempts: u32) -> Client {
        self.client_with(&self.token(), attempts)
    }

    /// The same with another token.
    pub(crate) fn client_with(&self, token: &str, attempts: u32) -> Client {
        let patience =
            Patience { attempts, pause: std::time::Duration::from_millis(1), ..Patience::default() };
        let tls = self.parts.tls(ORCHESTRATOR);
        Client::new(&format!("https://{}", self.gateway), token, tls, patience).unwrap()
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
    /// Presents the certificate of another part.
    As(&'static str, Router),
    /// Answers each connection with these bytes.
    Garbage(&'static [u8]),
    At(SocketAddr),
}

pub(crate) async fn serve(router: Router, tls: &Tls, shutdown: &Shutdown) -> SocketAddr {
    let (listener, address) = serve::bind(free_port()).await.unwrap();
    tokio::spawn(serve::serve(listener, router, tls.clone(), shutdown.clone()));
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

    pub(crate) fn open(self, router: Router, tls: &Tls, shutdown: &Shutdown) {
        let listener = self.0.listen(64).unwrap();
        tokio::spawn(serve::serve(listener, router, tls.clone(), shutdown.clone()));
    }
}

/// A server that answers each connection with these bytes, whatever it is asked, and closes it.
async fn always(answer: &'static [u8], tls: &Tls) -> SocketAddr {
    let (listener, address) = serve::bind(free_port()).await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(tls.server_config());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            // The request's head is there at once: these tests send it in one piece.
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(answer).await;
            let _ = connection.shutdown().await;
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

/// A client with a certificate, for parts whose names have these addresses.
pub(crate) fn https(tls: &Tls, known: &[(&str, SocketAddr)]) -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls.client_config()).clone())
        .no_proxy()
        .timeout(std::time::Duration::from_secs(30));
    let builder = known.iter().fold(builder, |builder, (name, address)| builder.resolve(name, *address));
    builder.build().unwrap()
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
