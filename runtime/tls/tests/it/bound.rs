//! A token that is bound to a certificate works over the connection of its owner only, in each framework.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use service_only::{Proof, ServiceOnlyLayer, Verifier, service_only};
use service_only_testkit::{Audited, TestAuthority, TestCa, TestCertificate, assert_audited};
use service_only_tls::{Tls, TlsServer};

use crate::{
    fleet::{DOMAIN, Member, id, wall_clock},
    servers::{Running, client, guarded_actix},
};

#[service_only]
async fn stock(caller: service_only::Caller) -> String {
    format!("for {} by {:?}", caller.service(), caller.proof())
}

struct Scene {
    authority: TestAuthority,
    server: Tls,
    owner: Tls,
    thief: Tls,
    token: String,
    /// The leaf of the owner, which a thief may know.
    certificate: TestCertificate,
}

impl Scene {
    fn new() -> Self {
        let ca = TestCa::new(DOMAIN);
        let authority = TestAuthority::new();
        authority.clock().set(wall_clock().now());
        let certificate = ca.leaf().spiffe_id(&id("orders")).issue();
        Self {
            server: Member::of(&ca, "stock").open(),
            owner: Member::new(&certificate, &ca).open(),
            thief: Member::of(&ca, "thief").open(),
            token: authority.service("orders").bound_to(&certificate).token().as_str().to_owned(),
            authority,
            certificate,
        }
    }

    fn verifier(&self) -> Verifier {
        self.authority.verifier()
    }

    /// Sends the token as its owner and as a thief, and compares answers and records.
    async fn play(&self, url: &str) {
        let send = async |sender: &Tls, forged: Option<String>| {
            let mut request = client(sender).get(url).bearer_auth(&self.token);
            if let Some(forged) = forged {
                request = request.header("client-cert", &forged).header("x-forwarded-client-cert", &forged);
            }
            let response = request.send().await.unwrap();
            let challenge = response.headers().get("www-authenticate").cloned();
            let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), challenge, response.text().await.unwrap())
        };
        let forged = {
            use base64::{Engine, engine::general_purpose::STANDARD};
            format!(":{}:", STANDARD.encode(self.certificate.der()))
        };
        // Often enough for the token cache.
        for _ in 0..4 {
            let (status, _, text) = send(&self.owner, None).await;
            assert_eq!((status, text.as_str()), (200, "for orders by Some(Mtls)"));
            for forged in [None, Some(forged.clone())] {
                let (status, challenge, text) = send(&self.thief, forged).await;
                assert_eq!(status, 401, "{text}");
                assert!(challenge.unwrap().contains(r#"error="invalid_token""#));
                assert!(!text.contains("certificate"), "the reason is not sent: {text}");
                assert_audited!(self.authority.audit(), deny, code = "proof_mismatch", stage = "claims");
            }
        }
        let allowed = self.authority.audit().records();
        assert_eq!(allowed.iter().filter(|record| record.proof == Some("mtls")).count(), 4);
    }
}

#[tokio::test]
async fn axum_accepts_a_bound_token_from_its_owner_only() {
    let scene = Scene::new();
    let router = Router::new().route("/", get(stock)).with_state(scene.verifier());
    let server = Running::start(TlsServer::new(scene.server.clone()), router).await;
    scene.play(&server.url("/")).await;
}

#[tokio::test]
async fn a_layer_of_tower_accepts_a_bound_token_from_its_owner_only() {
    let scene = Scene::new();
    let layer = ServiceOnlyLayer::new(scene.verifier(), service_only::Policy::any_service());
    let router = Router::new().route("/", get(stock)).with_state(scene.verifier()).layer(layer);
    let server = Running::start(TlsServer::new(scene.server.clone()), router).await;
    let of = async |sender: &Tls| {
        let request = client(sender).get(server.url("/")).bearer_auth(&scene.token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((of(&scene.owner).await, of(&scene.thief).await), (200, 401));
}

#[tokio::test]
async fn a_connection_without_a_certificate_proves_nothing() {
    let scene = Scene::new();
    let router = Router::new().route("/", get(stock)).with_state(scene.verifier());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::spawn(async { serve.await.unwrap() });
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = plain.get(url).bearer_auth(&scene.token).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_audited!(scene.authority.audit(), deny, code = "proof_missing", stage = "claims");
}

#[tokio::test]
async fn actix_accepts_a_bound_token_from_its_owner_only() {
    use actix_web::web::get;
    let scene = Scene::new();
    let (address, handle) = guarded_actix(&scene.server, scene.verifier(), "/", || get().to(stock));
    scene.play(&format!("https://localhost:{}/", address.port())).await;
    handle.stop(false).await;
}

#[tokio::test]
async fn a_stolen_token_without_a_binding_is_refused_if_a_proof_is_required() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier_builder().require_proof(Proof::Mtls).build().unwrap();
    let router = Router::new().route("/", get(stock)).with_state(verifier);
    let server = Running::start(TlsServer::new(scene.server.clone()), router).await;
    let bearer = scene.authority.service("orders").token().as_str().to_owned();
    for (token, status) in [(&bearer, 401), (&scene.token, 200)] {
        let response = client(&scene.owner).get(server.url("/")).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    }
}
