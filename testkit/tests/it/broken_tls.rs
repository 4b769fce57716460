//! The attack over TLS finds holes: servers that are right but for one are caught each, by the class that is about the
//! hole, and the one without a hole is not accused.

mod hole;
mod rules;
mod server;

use std::sync::Arc;

use http::Method;
use service_only::{
    Policy,
    clock::{Clock, SystemClock},
};
use service_only_testkit::{
    Attack, Control, Defect, Outcome, TestAuthority, TestCa, attack_url, tls::Certificates,
};

use self::{
    hole::{HOLES, Hole, Kind, UNBOUND},
    rules::DOMAIN,
    server::Server,
};
use crate::broken::{
    verifier::{PATH, ROLE, SCOPES, SERVICE},
    wrong_besides,
};

const POLICY: Policy<'static> = Policy::any_service().services(&[SERVICE]).roles(&[ROLE]).scopes(&SCOPES);

/// The families that need a connection of their own.
const FAMILIES: [&str; 4] = ["certificate", "session", "binding", "forwarded"];

fn classes() -> impl Iterator<Item = Defect> {
    Defect::ALL.iter().copied().filter(|defect| FAMILIES.contains(&defect.family()))
}

struct Scene {
    ca: TestCa,
    withdrawn: TestCa,
    authority: TestAuthority,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new().audience("orders-api");
        authority.clock().set(SystemClock.now());
        Self { ca: TestCa::new("root"), withdrawn: TestCa::new("withdrawn"), authority }
    }

    fn certificates(&self, server: &Arc<Server>) -> Certificates {
        let caller = self.ca.leaf().spiffe_id(&format!("spiffe://{DOMAIN}/orders")).issue();
        let (server, root) = (Arc::clone(server), self.withdrawn.clone());
        let change = move |is_trusted| server.trust(&root, is_trusted);
        Certificates::of(&caller, &self.ca).changing_roots(&self.withdrawn, change)
    }

    async fn serve(&self, hole: Option<&Hole>) -> (Arc<Server>, String) {
        let server = Server::new(&self.ca, &self.withdrawn, hole);
        let own = self.ca.leaf().spiffe_id(&format!("spiffe://{DOMAIN}/stock")).issue();
        let address = server.start(&self.authority, &own).await;
        (server, format!("https://localhost:{}", address.port()))
    }

    fn attack(&self, url: &str, certificates: Certificates) -> Attack {
        let caller = self.authority.service("any").meeting(&POLICY);
        attack_url(url).as_caller(caller).certificates(certificates).endpoint(Method::GET, PATH)
    }

    async fn under_attack(&self, hole: Option<&Hole>) -> Attack {
        let (server, url) = self.serve(hole).await;
        let mut certificates = self.certificates(&server);
        if matches!(hole, Some(Hole { kind: Kind::Binding(accepts), .. }) if std::ptr::fn_addr_eq(*accepts, UNBOUND))
        {
            certificates = certificates.optional();
        }
        self.attack(&url, certificates)
    }
}

/// Without the classes that need no connection of their own.
fn over_tls_only(attack: Attack) -> Attack {
    let others = Defect::ALL.iter().filter(|defect| !FAMILIES.contains(&defect.family()));
    others.fold(attack, |attack, defect| attack.without(*defect))
}

#[tokio::test]
async fn a_correct_server_has_no_findings_over_tls() {
    let report = Scene::new().under_attack(None).await.run().await;
    let sent = |finding: &&service_only_testkit::Finding| !matches!(finding.outcome(), Outcome::NotSent(_));
    let over_tls = report.findings().filter(|finding| FAMILIES.contains(&finding.defect().family()));
    assert_eq!(over_tls.filter(sent).count(), classes().count(), "{report}");
    assert!(report.findings().filter(sent).count() > 400, "{report}");
}

#[test]
fn each_class_over_tls_has_its_own_hole() {
    let without: Vec<_> = classes().filter(|class| HOLES.iter().all(|hole| hole.class != *class)).collect();
    assert!(without.is_empty(), "{without:?}");
    assert_eq!(HOLES.len(), classes().count(), "a class has two holes");
    assert!(HOLES.len() >= 30, "{}", HOLES.len());
    let guide = include_str!("../../README.md");
    let count = format!("{} servers with one hole each in their TLS", HOLES.len());
    assert!(guide.contains(&count), "the guide does not say {count:?}");
}

#[tokio::test]
async fn every_hole_in_the_handshake_is_found_by_exactly_one_class() {
    assert_found_by_one_class("certificate").await;
}

#[tokio::test]
async fn every_hole_in_sessions_is_found_by_exactly_one_class() {
    assert_found_by_one_class("session").await;
}

#[tokio::test]
async fn every_hole_in_the_binding_of_tokens_is_found_by_exactly_one_class() {
    assert_found_by_one_class("binding").await;
}

#[tokio::test]
async fn every_trusted_header_with_a_certificate_is_found_by_exactly_one_class() {
    assert_found_by_one_class("forwarded").await;
}

/// With the class it is the class alone that is found, of all classes over TLS.
async fn assert_found_by_one_class(family: &str) {
    let mut wrong = Vec::new();
    for hole in HOLES.iter().filter(|hole| hole.class.family() == family) {
        let report = over_tls_only(Scene::new().under_attack(Some(hole)).await).report().await;
        wrong.extend(wrong_besides(&report, hole.class));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_report_over_tls_begins_with_the_cause() {
    let hole = HOLES.iter().find(|hole| hole.class == Defect::ExpiredCertificate).unwrap();
    let report = over_tls_only(Scene::new().under_attack(Some(hole)).await).report().await.to_string();
    let causes = "\n\nCauses\n    1  the validity of a client certificate is not checked\n\nFindings\n";
    assert!(report.contains(causes), "{report}");
    assert!(
        report.contains("got in: expired_certificate (200 OK): The client certificate has expired. [RFC"),
        "{report}"
    );
}

/// Each class that cannot be sent has a reason that names what is missing.
#[tokio::test]
async fn what_is_not_sent_over_tls_has_its_reason() {
    let scene = Scene::new();
    let (server, url) = scene.serve(None).await;
    let reasons = async |certificates: Certificates| {
        let report = over_tls_only(scene.attack(&url, certificates)).report().await;
        assert!(report.got_in().next().is_none(), "{report}");
        let mut reasons: Vec<_> = report
            .findings()
            .filter(|finding| FAMILIES.contains(&finding.defect().family()))
            .filter_map(|finding| match finding.outcome() {
                Outcome::NotSent(why) => Some(why.clone()),
                _ => None,
            })
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    };
    let all = scene.certificates(&server);
    assert_eq!(reasons(all.clone()).await, [""; 0]);
    let unbound = reasons(all.without_binding()).await;
    assert_eq!(unbound, ["the tokens are not bound to a certificate"]);
    let caller = scene.ca.leaf().spiffe_id(&format!("spiffe://{DOMAIN}/orders")).issue();
    let few = Certificates::trusting(scene.ca.pem()).unwrap();
    let few = few.presenting(&caller.chain_pem(), caller.key_pem()).unwrap();
    let unsigned = reasons(few).await;
    let missing =
        ["the attack cannot change the roots of the service", "the attack has no key of the authority"];
    assert_eq!(unsigned, missing);
    let plain = scene.ca.leaf().spiffe_id("spiffe://bakery.example/orders").issue();
    let over_http =
        over_tls_only(attack_url("http://127.0.0.1:9")).certificates(Certificates::of(&plain, &scene.ca));
    let over_http = over_http.as_caller(scene.authority.service("orders")).endpoint(Method::GET, "/");
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(over_http.report())));
    assert!(refused.is_err(), "certificates without TLS");
}

#[tokio::test]
async fn a_service_with_a_certificate_of_another_authority_is_not_attacked() {
    let scene = Scene::new();
    let (_, url) = scene.serve(None).await;
    let other = TestCa::new("other");
    let certificates = Certificates::of(&other.leaf().issue(), &other);
    let report = scene.attack(&url, certificates).report().await;
    let control = report.endpoints()[0].control();
    assert!(
        matches!(control, Control::ProvesNothing(why) if why.contains("certificate of the service is refused")),
        "{control:?}"
    );
    let report =
        attack_url(&url).as_caller(scene.authority.service("a")).endpoint(Method::GET, "/").report().await;
    let control = report.endpoints()[0].control();
    assert!(
        matches!(control, Control::ProvesNothing(why) if why.contains("roots of the service")),
        "{control:?}"
    );
}

#[tokio::test]
async fn a_service_that_nobody_listens_for_is_unreachable() {
    let scene = Scene::new();
    let caller = scene.ca.leaf().issue();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}");
    let report = scene.attack(&url, Certificates::of(&caller, &scene.ca)).report().await;
    assert!(report.unreachable().is_some() && !report.is_clean(), "{report}");
}
