//! All known attacks on services of this crate, over TLS: none gets in, and each has the exact code and one record.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use service_only::service_only;
use service_only_testkit::{Attack, Defect, Outcome, TestAuthority, TestCa, attack_url, tls::Certificates};
use service_only_tls::{Tls, TlsServer};

use crate::{
    fleet::{DOMAIN, Member, applied, id, wall_clock, write},
    servers::{Running, guarded_actix},
};

#[service_only(services("orders"))]
async fn stock() -> &'static str {
    "12 loaves"
}

const FAMILIES: [&str; 4] = ["certificate", "session", "binding", "forwarded"];

/// A service that trusts two roots, of which one can be withdrawn.
struct Scene {
    ca: TestCa,
    withdrawn: TestCa,
    authority: TestAuthority,
    member: Arc<Member>,
    tls: Tls,
}

impl Scene {
    fn new(allow_tls12: bool) -> Self {
        let (ca, withdrawn) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
        let authority = TestAuthority::new();
        authority.clock().set(service_only::clock::Clock::now(&wall_clock()));
        let member = Arc::new(Member::of(&ca, "stock"));
        write(member.path("ca.crt"), format!("{}{}", ca.pem(), withdrawn.pem()));
        let files = if allow_tls12 { member.files().allow_tls12() } else { member.files() };
        Self { tls: files.open().unwrap(), ca, withdrawn, authority, member }
    }

    fn certificates(&self) -> Certificates {
        let caller = self.ca.leaf().spiffe_id(&id("orders")).issue();
        let (own, both) = (self.ca.pem().to_owned(), format!("{}{}", self.ca.pem(), self.withdrawn.pem()));
        let (member, tls) = (Arc::clone(&self.member), self.tls.clone());
        let trust = move |is_trusted: bool| {
            let revision = tls.status().revision;
            write(member.path("ca.crt"), if is_trusted { &both } else { &own });
            applied(&tls, revision + 1);
        };
        Certificates::of(&caller, &self.ca).changing_roots(&self.withdrawn, trust)
    }

    fn attack(&self, server: &Running) -> Attack {
        attack_url(&server.url(""))
            .as_caller(self.authority.service("orders"))
            .audit(self.authority.audit())
            .certificates(self.certificates())
            .endpoint(Method::GET, "/stock")
    }

    fn router(&self) -> Router {
        Router::new().route("/stock", get(stock)).with_state(self.authority.verifier())
    }
}

fn only(attack: Attack, families: &[&str]) -> Attack {
    let others = Defect::ALL.iter().filter(|defect| !families.contains(&defect.family()));
    others.fold(attack, |attack, defect| attack.without(*defect))
}

#[tokio::test]
async fn no_attack_over_tls_gets_into_a_service_of_axum() {
    for allow_tls12 in [false, true] {
        let scene = Scene::new(allow_tls12);
        let server = Running::start(TlsServer::new(scene.tls.clone()), scene.router()).await;
        let report = only(scene.attack(&server), &FAMILIES).run().await;
        let sent = report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_)));
        assert_eq!(sent.count(), 75, "{report}");
    }
}

/// A handler that trusts any unusual header finds none.
#[tokio::test]
async fn no_header_of_an_attack_that_claims_a_certificate_reaches_a_handler() {
    async fn trusting(request: Request, next: Next) -> Response {
        let usual = ["authorization", "connection", "host"];
        match request.headers().keys().all(|name| usual.contains(&name.as_str())) {
            true => next.run(request).await,
            false => (StatusCode::OK, "12 loaves").into_response(),
        }
    }
    let scene = Scene::new(false);
    let router = scene.router().layer(from_fn(trusting));
    let server = Running::start(TlsServer::new(scene.tls.clone()), router).await;
    let report = only(scene.attack(&server), &["forwarded"]).run().await;
    assert!(report.requests() > 100, "{report}");
}

#[tokio::test]
async fn no_attack_over_tls_gets_into_a_service_of_actix() {
    use actix_web::web::get;
    let scene = Scene::new(false);
    let (address, handle) =
        guarded_actix(&scene.tls, scene.authority.verifier(), "/stock", || get().to(stock));
    let attack = attack_url(&format!("https://localhost:{}", address.port()))
        .as_caller(scene.authority.service("orders"))
        .audit(scene.authority.audit())
        .certificates(scene.certificates())
        .endpoint(Method::GET, "/stock");
    only(attack, &FAMILIES).run().await;
    handle.stop(false).await;
}
