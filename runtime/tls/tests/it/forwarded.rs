//! A named gateway may forward the certificate of its client, and no other peer may.

use actix_web::{HttpRequest, http::header::HeaderName, middleware::from_fn, web};
use axum::{Extension, Router, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use service_only::PeerCertificate;
use service_only_testkit::{TestCa, TestCertificate};
use service_only_tls::{Tls, TlsServer};

use crate::{
    fleet::{DOMAIN, Member, id},
    servers::{Running, actix_with, client},
};

struct Scene {
    ca: TestCa,
    server: Running,
    gateway: Tls,
    other: Tls,
}

async fn scene() -> Scene {
    async fn who(peer: Option<Extension<PeerCertificate>>) -> String {
        let Some(Extension(peer)) = peer else { return "nobody".to_owned() };
        format!("{} by {:?}", peer.spiffe_id().unwrap(), peer.forwarded_by())
    }
    let ca = TestCa::new(DOMAIN);
    let [orders, gateway, other] = ["orders", "gateway", "other"].map(|name| Member::of(&ca, name).open());
    let server = TlsServer::new(orders).trust_forwarded_from(&id("gateway")).unwrap();
    let server = Running::start(server, Router::new().route("/", get(who))).await;
    Scene { ca, server, gateway, other }
}

fn header(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

impl Scene {
    fn leaf(&self, service: &str) -> TestCertificate {
        self.ca.leaf().spiffe_id(&id(service)).issue()
    }

    async fn answer(&self, sender: &Tls, headers: &[(&str, String)]) -> String {
        let mut request = client(sender).get(self.server.url("/"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn the_named_gateway_forwards_the_certificate_of_its_client() {
    let scene = scene().await;
    let leaf = scene.leaf("billing");
    let said = scene.answer(&scene.gateway, &[("client-cert", header(leaf.der()))]).await;
    assert_eq!(said, format!("{} by Some({:?})", id("billing"), id("gateway")));
    let alone = scene.answer(&scene.gateway, &[]).await;
    assert_eq!(alone, format!("{} by None", id("gateway")), "without a header it speaks for itself");
}

#[tokio::test]
async fn another_peer_cannot_forward_a_certificate_in_any_spelling() {
    let scene = scene().await;
    let leaf = scene.leaf("billing");
    for name in ["client-cert", "client_cert", "Client-Cert", "x-forwarded-client-cert"] {
        let said = scene.answer(&scene.other, &[(name, header(leaf.der()))]).await;
        assert_eq!(said, format!("{} by None", id("other")), "{name}");
    }
}

#[tokio::test]
async fn another_spelling_of_the_header_forwards_nothing() {
    let scene = scene().await;
    let leaf = scene.leaf("billing");
    for name in ["client_cert", "x-client-cert", "x-forwarded-client-cert"] {
        let said = scene.answer(&scene.gateway, &[(name, header(leaf.der()))]).await;
        assert_eq!(said, format!("{} by None", id("gateway")), "{name}");
    }
}

#[tokio::test]
async fn a_forwarded_certificate_that_cannot_be_verified_is_no_certificate() {
    let scene = scene().await;
    let good = scene.leaf("billing");
    let forged = TestCa::new(DOMAIN).leaf().spiffe_id(&id("billing")).issue();
    let expired = scene.ca.leaf().spiffe_id(&id("billing")).expired().issue();
    let authority = scene.ca.leaf().spiffe_id(&id("billing")).as_authority().issue();
    let mut cut = good.der().to_vec();
    cut.pop();
    for (what, headers) in [
        ("forged", vec![("client-cert", header(forged.der()))]),
        ("expired", vec![("client-cert", header(expired.der()))]),
        ("an authority", vec![("client-cert", header(authority.der()))]),
        ("cut off", vec![("client-cert", header(&cut))]),
        ("empty", vec![("client-cert", String::new())]),
        ("not base64", vec![("client-cert", ":????:".to_owned())]),
        ("without colons", vec![("client-cert", STANDARD.encode(good.der()))]),
        ("twice", vec![("client-cert", header(good.der())), ("client-cert", header(good.der()))]),
        (
            "with a broken chain",
            vec![("client-cert", header(good.der())), ("client-cert-chain", "x".to_owned())],
        ),
        (
            "with a long chain",
            vec![
                ("client-cert", header(good.der())),
                ("client-cert-chain", vec![header(good.der()); 10].join(", ")),
            ],
        ),
    ] {
        assert_eq!(scene.answer(&scene.gateway, &headers).await, "nobody", "{what}");
    }
}

#[tokio::test]
async fn a_forwarded_chain_contains_the_intermediates() {
    let scene = scene().await;
    let issuing = scene.ca.intermediate("issuing");
    let leaf = issuing.leaf().spiffe_id(&id("billing")).issue();
    let chain = leaf.chain();
    let headers = [("client-cert", header(&chain[0])), ("client-cert-chain", header(&chain[1]))];
    let said = scene.answer(&scene.gateway, &headers).await;
    assert_eq!(said, format!("{} by Some({:?})", id("billing"), id("gateway")));
    assert_eq!(scene.answer(&scene.gateway, &headers[..1]).await, "nobody", "without the intermediate");
}

#[tokio::test]
async fn headers_that_claim_a_certificate_reach_no_handler_of_actix() {
    async fn seen(request: HttpRequest) -> String {
        let peer = request.conn_data::<PeerCertificate>().and_then(PeerCertificate::spiffe_id).unwrap();
        let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        format!("{peer}: {}", names.join(" "))
    }
    let ca = TestCa::new(DOMAIN);
    let [orders, billing] = ["orders", "billing"].map(|name| Member::of(&ca, name).open());
    let (address, handle) = actix_with(&orders, |app| {
        let scope = web::scope("/stock").wrap(from_fn(Tls::remove_certificate_headers));
        app.service(scope.route("/", web::get().to(seen)));
    });
    let mut request = client(&billing).get(format!("https://localhost:{}/stock/", address.port()));
    request = request.header("x-request-id", "7");
    for name in [
        "client-cert",
        "Client_Cert",
        "client-cert-chain",
        "X-Forwarded-Client-Cert",
        "x_forwarded_client_cert",
        "x-ssl-client-verify",
        "SSL-CLIENT-CERT",
    ] {
        // Twice, because a framework may keep the second value of a name.
        request =
            request.header(name, "By=x;Hash=y;URI=spiffe://bakery.example/admin").header(name, "SUCCESS");
    }
    let seen = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(seen, format!("{}: accept host x-request-id", id("billing")));
    handle.stop(false).await;
}
