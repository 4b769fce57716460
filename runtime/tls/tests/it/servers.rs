//! Each framework serves with the configuration, and finds the certificate of its client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpServer, Route,
    dev::ServerHandle,
    web::{self, ServiceConfig},
};
use axum::{
    Extension, Router,
    extract::{ConnectInfo, Path},
    http::HeaderMap,
    routing::get,
};
use service_only::{PeerCertificate, Verifier};
use service_only_testkit::TestCa;
use service_only_tls::{Tls, TlsConnector, TlsServer};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
};
use tonic_health::{ServingStatus, pb::health_client::HealthClient};

use crate::fleet::{DOMAIN, Member, id};

/// A client of reqwest with the certificate of a service, and connections that are kept.
pub(crate) fn client(tls: &Tls) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls.client_config()).clone())
        .no_proxy()
        .https_only(true)
        .build()
        .unwrap()
}

/// Answers with what the server knows about the client.
pub(crate) fn router() -> Router {
    async fn who(
        peer: Option<Extension<PeerCertificate>>,
        ConnectInfo(from): ConnectInfo<SocketAddr>,
    ) -> String {
        let id = peer.as_ref().and_then(|peer| peer.spiffe_id()).unwrap_or("nobody").to_owned();
        format!("{id} {}", from.port())
    }
    async fn headers(headers: HeaderMap) -> String {
        let mut names: Vec<&str> = headers.keys().map(axum::http::HeaderName::as_str).collect();
        names.sort_unstable();
        names.join(" ")
    }
    Router::new()
        .route("/", get(who))
        .route("/headers", get(headers))
        .route("/x/{any}", get(|_: Path<String>| async {}))
}

/// A server that runs until it is dropped or stopped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(server: TlsServer, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(listener, router, async { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }
}

async fn text(client: &reqwest::Client, url: String) -> String {
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn axum_serves_and_knows_the_client_and_its_address() {
    let ca = TestCa::new(DOMAIN);
    let (orders, billing) = (Member::of(&ca, "orders").open(), Member::of(&ca, "billing").open());
    let server = Running::start(TlsServer::new(orders), router()).await;
    let said = text(&client(&billing), server.url("/")).await;
    let (who, port) = said.split_once(' ').unwrap();
    assert_eq!(who, id("billing"));
    assert!(port.parse::<u16>().unwrap() > 0);
    let stranger = Member::of(&TestCa::new(DOMAIN), "billing").open();
    assert!(client(&stranger).get(server.url("/")).send().await.is_err());
}

#[tokio::test]
async fn headers_that_claim_a_certificate_reach_no_handler() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let server = Running::start(TlsServer::new(tls.clone()), router()).await;
    let mut request = client(&tls).get(server.url("/headers")).header("x-request-id", "7");
    for name in [
        "client-cert",
        "Client_Cert",
        "X-Forwarded-Client-Cert",
        "x_forwarded_client_cert",
        "x-ssl-client-verify",
    ] {
        request = request.header(name, "By=x;Hash=y;URI=spiffe://bakery.example/admin");
    }
    let names = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(names, "accept host x-request-id");
}

#[tokio::test]
async fn a_connection_that_sends_nothing_delays_no_other() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let server = Running::start(TlsServer::new(tls.clone()).max_connections(2), router()).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    text(&client(&tls), server.url("/")).await;
    drop(silent);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let server = TlsServer::new(tls).handshake_timeout(Duration::from_millis(20));
    let server = Running::start(server, router()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0, "the server closes the connection");
}

#[tokio::test]
async fn a_connection_beyond_its_maximum_age_is_replaced() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let server = TlsServer::new(tls.clone()).max_connection_age(Duration::from_millis(100));
    let server = Running::start(server, router()).await;
    let client = client(&tls);
    let first = text(&client, server.url("/")).await;
    // The client keeps its connection until the server ends it.
    while text(&client, server.url("/")).await == first {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stopped_server_finishes_running_requests_and_accepts_no_more() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        move || {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                "done"
            }
        }
    };
    let mut server =
        Running::start(TlsServer::new(tls.clone()), Router::new().route("/", get(handler))).await;
    let (client, url) = (client(&tls), server.url("/"));
    let request = tokio::spawn(async move { text(&client, url).await });
    begun.notified().await;
    server.stop();
    // The listener is closed while the request still runs.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    assert_eq!(request.await.unwrap(), "done");
    server.task.await.unwrap().unwrap();
}

/// An actix server that answers with what it knows about the client.
pub(crate) fn actix(tls: &Tls) -> (SocketAddr, ServerHandle) {
    async fn who(request: HttpRequest) -> String {
        let peer = request.conn_data::<PeerCertificate>();
        peer.and_then(PeerCertificate::spiffe_id).unwrap_or("nobody").to_owned()
    }
    actix_with(tls, |app| {
        app.route("/", web::get().to(who));
    })
}

/// An actix server on its own thread, because its workers have runtimes of their own.
pub(crate) fn actix_with(
    tls: &Tls,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> (SocketAddr, ServerHandle) {
    let (sender, started) = std::sync::mpsc::channel();
    let tls = tls.clone();
    std::thread::spawn(move || {
        let config = (*tls.server_config()).clone();
        let server = HttpServer::new(move || App::new().configure(configure.clone()))
            .workers(1)
            .disable_signals()
            .on_connect(tls.on_connect())
            .bind_rustls_0_23("127.0.0.1:0", config)
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        sender.send((address, server.handle())).unwrap();
        actix_web::rt::System::new().block_on(server).unwrap();
    });
    started.recv().unwrap()
}

/// An actix server with a verifier and one guarded route.
pub(crate) fn guarded_actix(
    tls: &Tls,
    verifier: Verifier,
    path: &'static str,
    route: impl Fn() -> Route + Clone + Send + 'static,
) -> (SocketAddr, ServerHandle) {
    actix_with(tls, move |app| {
        app.app_data(web::Data::new(verifier.clone())).route(path, route());
    })
}

#[tokio::test]
async fn actix_serves_and_knows_the_client() {
    let ca = TestCa::new(DOMAIN);
    let (orders, billing) = (Member::of(&ca, "orders").open(), Member::of(&ca, "billing").open());
    let (address, handle) = actix(&orders);
    let url = || format!("https://localhost:{}/", address.port());
    assert_eq!(text(&client(&billing), url()).await, id("billing"));
    let stranger = Member::of(&TestCa::new(DOMAIN), "billing").open();
    assert!(client(&stranger).get(url()).send().await.is_err());
    handle.stop(false).await;
}

/// The health service of tonic, with a channel to it.
pub(crate) async fn tonic(server: &Tls, client: &Tls) -> (Running, HealthClient<tonic::transport::Channel>) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", ServingStatus::Serving).await;
    let routes = tonic::service::Routes::new(health).into_axum_router();
    let server = Running::start(TlsServer::new(server.clone()), routes).await;
    let uri = format!("http://localhost:{}", server.address.port());
    let endpoint = tonic::transport::Endpoint::from_shared(uri).unwrap();
    let channel = endpoint.connect_with_connector_lazy(TlsConnector::http2(client));
    (server, HealthClient::new(channel))
}

#[tokio::test]
async fn tonic_serves_and_its_channel_connects() {
    let ca = TestCa::new(DOMAIN);
    let (orders, billing) = (Member::of(&ca, "orders").open(), Member::of(&ca, "billing").open());
    let (_server, mut health) = tonic(&orders, &billing).await;
    let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, ServingStatus::Serving as i32);
    let stranger = Member::of(&TestCa::new(DOMAIN), "billing").open();
    let (_server, mut health) = tonic(&orders, &stranger).await;
    assert!(health.check(tonic_health::pb::HealthCheckRequest::default()).await.is_err());
}

#[tokio::test]
async fn a_connector_needs_a_host_and_speaks_only_tls() {
    use tower_service::Service;
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let mut connector = TlsConnector::http1(&tls).timeout(Duration::from_secs(30));
    assert!(connector.call("/path".parse().unwrap()).await.is_err());
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://localhost:{}", plain.local_addr().unwrap().port());
    let connecting = tokio::spawn(connector.call(uri.parse().unwrap()));
    let (mut stream, _) = plain.accept().await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [22], "a TLS handshake record");
    drop(stream);
    assert!(connecting.await.unwrap().is_err());
}
