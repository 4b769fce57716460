//! Callers by their certificate over real connections: no token, and no header that could name one.

use std::fs;

use axum::{Router, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use service_only::{
    Caller, TrustedIssuer, Verifier,
    audit::{AuditRecord, Decision},
    error::Code,
    service_only,
};
use service_only_testkit::{RecordingAudit, TestCa, TestCertificate};
use service_only_tls::{Tls, TlsServer};

use crate::{
    fleet::{DOMAIN, Member, applied, id},
    servers::{Running, client, guarded_actix},
};

#[service_only(services("orders"), proof = "mtls")]
async fn stock(caller: Caller) -> String {
    format!("for {}", caller.service())
}

struct Scene {
    ca: TestCa,
    audit: RecordingAudit,
    verifier: Verifier,
}

impl Scene {
    fn new() -> Self {
        let audit = RecordingAudit::new();
        let domain = TrustedIssuer::spiffe_x509(DOMAIN);
        let verifier = Verifier::builder().trust(domain).audit(audit.clone()).build().unwrap();
        Self { ca: TestCa::new(DOMAIN), audit, verifier }
    }

    fn member(&self, service: &str) -> Tls {
        Member::of(&self.ca, service).open()
    }

    fn router(&self) -> Router {
        Router::new().route("/", get(stock)).with_state(self.verifier.clone())
    }

    async fn serve(&self) -> Running {
        Running::start(TlsServer::new(self.member("stock")), self.router()).await
    }

    /// The one record since the last question.
    fn record(&self) -> AuditRecord {
        let record = self.audit.only();
        self.audit.clear();
        record
    }

    async fn status(&self, sender: &Tls, url: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = client(sender).get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

fn forged(certificate: &TestCertificate) -> String {
    format!(":{}:", STANDARD.encode(certificate.der()))
}

#[tokio::test]
async fn the_certificate_of_a_connection_is_the_caller_and_no_header_is() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let (orders, thief) = (scene.member("orders"), scene.member("thief"));
    let victim = forged(&scene.ca.leaf().spiffe_id(&id("orders")).issue());
    assert_eq!(scene.status(&orders, &server.url("/"), &[]).await, 200);
    let record = scene.record();
    assert_eq!(
        (record.service.as_deref(), record.proof, record.peer),
        (Some("orders"), Some("mtls"), Some(id("orders")))
    );
    for name in ["client-cert", "Client_Cert", "x-forwarded-client-cert", "x-client-cert", "ssl-client-cert"]
    {
        for value in [victim.as_str(), "URI=spiffe://bakery.example/orders"] {
            assert_eq!(scene.status(&thief, &server.url("/"), &[(name, value)]).await, 403, "{name}");
            let record = scene.record();
            assert_eq!(
                (record.code, record.service.as_deref()),
                (Some(Code::ServiceNotAllowed), Some("thief"))
            );
            assert_eq!(record.peer, Some(id("thief")));
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_no_caller_whatever_it_claims() {
    let scene = Scene::new();
    let files = Member::of(&scene.ca, "stock");
    let tls = files.files().allow_clients_without_certificate().open().unwrap();
    let server = Running::start(TlsServer::new(tls), scene.router()).await;
    let root = reqwest::Certificate::from_pem(scene.ca.pem().as_bytes()).unwrap();
    let bare = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let victim = forged(&scene.ca.leaf().spiffe_id(&id("orders")).issue());
    for (name, value) in
        [("accept", "*/*"), ("client-cert", victim.as_str()), ("x-forwarded-client-cert", victim.as_str())]
    {
        let response = bare.get(server.url("/")).header(name, value).send().await.unwrap();
        assert_eq!(response.status(), 401, "{name}");
        assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="service""#);
        let record = scene.record();
        assert_eq!((record.code, record.peer), (Some(Code::MissingToken), None), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_authorization_header_is_not_replaced_by_the_certificate() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let orders = scene.member("orders");
    for (value, status) in [("Bearer a.b.c", 401), ("Basic b3JkZXJzOg==", 401), ("Bearer", 400), ("", 400)] {
        let headers = [("authorization", value)];
        assert_eq!(scene.status(&orders, &server.url("/"), &headers).await, status, "{value:?}");
        assert_eq!(scene.record().decision, Decision::Deny);
    }
}

#[tokio::test]
async fn a_peer_of_another_trust_domain_connects_and_is_refused() {
    let scene = Scene::new();
    let mill = TestCa::new("mill.example");
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("mill.crt");
    fs::write(&roots, mill.pem()).unwrap();
    let files = Member::of(&scene.ca, "stock");
    let tls = files.files().trust_domain("mill.example", &roots).open().unwrap();
    let server = Running::start(TlsServer::new(tls), scene.router()).await;
    // The client trusts the server's root, and has a certificate of its own domain.
    let certificate = mill.leaf().spiffe_id("spiffe://mill.example/orders").issue();
    let own = Member::new(&certificate, &mill);
    let bakery = folder.path().join("bakery.crt");
    fs::write(&bakery, scene.ca.pem()).unwrap();
    let sender = own.files().trust_domain(DOMAIN, &bakery).open().unwrap();
    assert_eq!(scene.status(&sender, &server.url("/"), &[]).await, 401);
    let record = scene.record();
    assert_eq!(record.code, Some(Code::WrongIssuer));
    assert_eq!(record.peer.as_deref(), Some("spiffe://mill.example/orders"));
}

#[tokio::test]
async fn a_named_gateway_that_forwards_a_certificate_does_not_call_as_itself() {
    let scene = Scene::new();
    let server = TlsServer::new(scene.member("stock")).trust_forwarded_from(&id("gateway")).unwrap();
    let server = Running::start(server, scene.router()).await;
    let gateway = scene.member("gateway");
    let orders = forged(&scene.ca.leaf().spiffe_id(&id("orders")).issue());
    assert_eq!(scene.status(&gateway, &server.url("/"), &[("client-cert", &orders)]).await, 200);
    assert_eq!(scene.record().peer, Some(id("orders")));
    let stranger = forged(&TestCa::new(DOMAIN).leaf().spiffe_id(&id("orders")).issue());
    assert_eq!(scene.status(&gateway, &server.url("/"), &[("client-cert", &stranger)]).await, 401);
    assert_eq!((scene.record().code, scene.audit.len()), (Some(Code::MissingToken), 0), "not as the gateway");
    assert_eq!(scene.status(&gateway, &server.url("/"), &[]).await, 403, "alone it is the gateway");
}

#[tokio::test]
async fn a_kept_connection_is_no_caller_after_its_root_was_withdrawn() {
    let scene = Scene::new();
    let files = Member::of(&scene.ca, "stock");
    let tls = files.open();
    let server = Running::start(TlsServer::new(tls.clone()), scene.router()).await;
    let kept = client(&scene.member("orders"));
    let send = async || kept.get(server.url("/")).send().await.map(|response| response.status().as_u16());
    assert_eq!(send().await.unwrap(), 200);
    // A whole new authority: the server has another certificate and another root.
    let other = TestCa::new(DOMAIN);
    other.leaf().spiffe_id(&id("stock")).issue().write_cert_manager(files.folder.path(), &other).unwrap();
    applied(&tls, 2);
    scene.audit.clear();
    match send().await {
        Ok(status) => {
            assert_eq!(status, 401);
            assert_eq!(scene.record().code, Some(Code::BadSignature));
        }
        // The server ended the connection, and a new one is not possible.
        Err(_) => assert!(scene.audit.is_empty()),
    }
}

#[tokio::test]
async fn actix_accepts_a_caller_by_its_certificate_and_no_header() {
    use actix_web::web::get;
    let scene = Scene::new();
    let (address, handle) =
        guarded_actix(&scene.member("stock"), scene.verifier.clone(), "/", || get().to(stock));
    let url = format!("https://localhost:{}/", address.port());
    let (orders, thief) = (scene.member("orders"), scene.member("thief"));
    assert_eq!(scene.status(&orders, &url, &[]).await, 200);
    assert_eq!(scene.record().peer, Some(id("orders")));
    let victim = forged(&scene.ca.leaf().spiffe_id(&id("orders")).issue());
    assert_eq!(scene.status(&thief, &url, &[("client-cert", &victim)]).await, 403);
    assert_eq!(scene.record().peer, Some(id("thief")));
    assert_eq!(scene.status(&orders, &url, &[("authorization", "Bearer a.b.c")]).await, 401);
    handle.stop(false).await;
}
