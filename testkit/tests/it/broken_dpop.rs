//! The attack finds holes in the check of proofs (DPoP): servers that are right but for one are caught each, by the class
//! that is about the hole, and the one without a hole is not accused. A guarded service is clean to the exact code.

mod hole;
mod server;

use axum::{
    Router,
    routing::{any, get},
};
use http::Method;
use service_only::{
    Algorithm, Dpop, Policy, RequiredProof, ServiceOnlyLayer, Verifier,
    audit::Decision,
    clock::{Clock, SystemClock},
    error::Code,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{
    Attack, AttackReport, Defect, Outcome, TestAuthority, TestDpopKey, TokenDraft, attack, authz_matrix, call,
};
use tower_layer::Layer;

use self::{
    hole::{HOLES, Hole},
    server::{NONCE, STALE_NONCE, Server},
};
use crate::broken::wrong_besides;

const URL: &str = "https://orders.internal";

#[service_only(services("billing"))]
async fn stock() -> &'static str {
    "12 loaves"
}

fn authority() -> TestAuthority {
    TestAuthority::new().dpop(URL)
}

fn is_of_family(defect: Defect) -> bool {
    defect.family() == "dpop"
}

fn classes() -> impl Iterator<Item = Defect> {
    Defect::ALL.iter().copied().filter(|defect| is_of_family(*defect))
}

/// The server has no other checks than those of a proof.
fn of_proofs_only(attack: Attack) -> Attack {
    let others = Defect::ALL.iter().filter(|defect| !is_of_family(**defect));
    others.fold(attack, |attack, defect| attack.without(*defect))
}

fn under_attack(hole: Option<&'static Hole>) -> Attack {
    let authority = authority();
    let key = authority.dpop_key();
    let server = Server::new(&authority, &key, hole);
    let app = Router::new().fallback(any(server::handle)).with_state(server);
    let caller = authority.service("billing").proven_by(&key);
    of_proofs_only(attack(app).as_caller(caller).endpoint(Method::GET, "/stock")).stale_nonce(STALE_NONCE)
}

fn was_sent(report: &AttackReport) -> Vec<Defect> {
    let sent = report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_)));
    sent.map(|finding| finding.defect()).collect()
}

#[tokio::test]
async fn a_correct_server_has_no_findings_about_proofs_and_each_class_is_sent() {
    let report = under_attack(None).run().await;
    assert_eq!(was_sent(&report), classes().collect::<Vec<_>>(), "{report}");
}

#[test]
fn each_class_about_proofs_has_its_own_hole() {
    let without: Vec<_> = classes().filter(|class| HOLES.iter().all(|hole| hole.class != *class)).collect();
    assert!(without.is_empty(), "{without:?}");
    assert_eq!(HOLES.len(), classes().count(), "a class has two holes");
    let guide = include_str!("../../README.md");
    let count = format!("{} servers with one hole each in their check of proofs", HOLES.len());
    assert!(guide.contains(&count), "the guide does not say {count:?}");
}

/// With the class it is the class alone that is found.
#[tokio::test]
async fn every_hole_in_the_check_of_proofs_is_found_by_exactly_one_class() {
    let mut wrong = Vec::new();
    for hole in &HOLES {
        let report = under_attack(Some(hole)).report().await;
        wrong.extend(wrong_besides(&report, hole.class));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_report_about_proofs_begins_with_the_cause() {
    let hole = HOLES.iter().find(|hole| hole.class == Defect::ProofReplayed).unwrap();
    let report = under_attack(Some(hole)).report().await.to_string();
    assert!(report.contains("\n\nCauses\n    1  a proof is accepted twice\n\nFindings\n"), "{report}");
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/stock", get(stock)).with_state(verifier)
}

fn caller(authority: &TestAuthority, key: &TestDpopKey) -> TokenDraft {
    const BILLING: Policy<'static> = Policy::any_service().services(&["billing"]);
    authority.service("billing").meeting(&BILLING).proven_by(key)
}

/// The reasons why classes about proofs were not sent.
fn reasons(report: &AttackReport) -> Vec<String> {
    let mut reasons: Vec<_> = report
        .findings()
        .filter(|finding| is_of_family(finding.defect()))
        .filter_map(|finding| match finding.outcome() {
            Outcome::NotSent(why) => Some(why.clone()),
            _ => None,
        })
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

#[tokio::test]
async fn a_guarded_service_is_clean_to_the_exact_code_for_a_bound_token() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        // Tokens that are signed by EdDSA have one spelling, so the token cache is used.
        let authority = TestAuthority::with(Algorithm::EdDSA).dpop(URL);
        let key = authority.dpop_key_of(algorithm);
        let attack = attack(app(authority.verifier())).as_caller(caller(&authority, &key));
        let attack = attack.audit(authority.audit()).endpoint(Method::GET, "/stock");
        let report = attack.run().await;
        assert!(was_sent(&report).len() > 400, "{report}");
        let mut expected = vec!["the service asks for no nonce"];
        if algorithm == Algorithm::EdDSA {
            expected.push("the key of the sender signs a text in one way only");
        }
        expected.sort_unstable();
        assert_eq!(reasons(&report), expected);
    }
}

#[tokio::test]
async fn a_service_that_requires_a_nonce_is_clean_to_the_exact_code() {
    let authority = authority();
    let verifier = authority.verifier_builder().dpop(Dpop::new(URL).require_nonce()).build().unwrap();
    let key = authority.dpop_key();
    let app = app(verifier);
    let token = authority.service("billing").bound_to_key(&key).token();
    let proof = key.proof("GET", &format!("{URL}/stock"), &token);
    let refused = call(app.clone()).get("/stock").dpop(&token, &proof).await;
    let stale = refused.header("dpop-nonce").unwrap().to_owned();
    authority.clock().advance(Dpop::NONCE_LIFETIME + std::time::Duration::from_secs(1));
    let attack = || {
        let attack = attack(app.clone()).as_caller(caller(&authority, &key));
        attack.audit(authority.audit()).endpoint(Method::GET, "/stock")
    };
    let report = attack().stale_nonce(stale).run().await;
    assert_eq!(reasons(&report), [""; 0]);
    let report = attack().run().await;
    assert_eq!(reasons(&report), ["the attack has no stale nonce of the service"]);
}

#[tokio::test]
async fn the_matrix_sends_proofs_to_a_route_that_requires_dpop() {
    const DPOP: Policy<'static> = Policy::any_service().services(&["billing"]).proof(RequiredProof::Dpop);
    const USERS: Policy<'static> = Policy::any_user().proof(RequiredProof::Dpop);
    let authority = authority();
    for dpop in [Dpop::new(URL), Dpop::new(URL).require_nonce()] {
        let verifier = authority.verifier_builder().dpop(dpop).build().unwrap();
        // A handler with `proof = "dpop"` would need `.dpop(…)` for each verifier of this program.
        let layered = |policy| {
            let service = tower::service_fn(async |_: http::Request<axum::body::Body>| {
                Ok(http::Response::new(axum::body::Body::empty()))
            });
            ServiceOnlyLayer::try_new(verifier.clone(), policy).unwrap().layer(service)
        };
        let app = Router::new().route_service("/dpop", layered(DPOP)).route_service("/users", layered(USERS));
        let app = app.merge(self::app(verifier.clone()));
        let row = |path: &str, policy: &Policy<'static>| Route::new(["GET"], path, Access::from(policy));
        let table = RouteTable::new("app").route(row("/dpop", &DPOP)).route(row("/users", &USERS));
        let table = table.route(row("/stock", &Policy::any_service().services(&["billing"])));
        let matrix = authz_matrix!(app, authority, table);
        insta::allow_duplicates! { insta::assert_snapshot!(matrix, @r"
        route       none  invalid  expired  user  wrong service  no proof  right service  right user
        ----------  ----  -------  -------  ----  -------------  --------  -------------  ----------
        GET /dpop   401   401      401      403   403            401       in             403
        GET /stock  401   401      401      403   403            in        in             403
        GET /users  401   401      401      in    403            401       403            in
        ") };
    }
}

#[tokio::test]
async fn a_bearer_token_gets_no_class_about_proofs() {
    let authority = TestAuthority::new();
    let attack = attack(app(authority.verifier())).as_caller(authority.service("billing"));
    let report = attack.audit(authority.audit()).endpoint(Method::GET, "/stock").run().await;
    assert_eq!(reasons(&report), ["the token is not bound to a key of its sender"]);
}

#[tokio::test]
async fn fixtures_of_a_bound_token_have_their_proofs() {
    let authority = authority();
    let app = call(app(authority.verifier()));
    for fixture in authority.service("billing").proven_by(&authority.dpop_key()).fixtures() {
        let target = fixture.outgoing(Method::GET, "/stock").target;
        if target.parse::<http::Uri>().is_err() {
            continue;
        }
        if let Some(before) = fixture.before() {
            app.get("/stock").fixture(&before).await;
        }
        let response = app.get("/stock").fixture(&fixture).await;
        fixture.assert_met(&response, authority.audit());
    }
    assert!(authority.audit().events().iter().any(|record| record.decision == Decision::Allow));
    assert!(authority.audit().events().iter().any(|record| record.code == Some(Code::ProofMismatch)));
}

#[test]
#[should_panic(expected = "name it with `TestAuthority::dpop`")]
fn a_bound_draft_without_the_url_of_the_service_fails_the_test() {
    let authority = TestAuthority::new();
    drop(authority.service("billing").proven_by(&authority.dpop_key()));
}

#[cfg(feature = "http")]
#[tokio::test]
async fn a_service_on_a_port_is_clean_for_a_bound_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let authority = TestAuthority::new().dpop(&url);
    authority.clock().set(SystemClock.now());
    let verifier = authority.verifier_builder().clock(SystemClock).build().unwrap();
    tokio::spawn(async move { axum::serve(listener, app(verifier)).await });
    let key = authority.dpop_key();
    let attack = service_only_testkit::attack_url(&url).as_caller(caller(&authority, &key));
    let report = attack.endpoint(Method::GET, "/stock").run().await;
    assert_eq!(reasons(&report), ["the service asks for no nonce"], "{NONCE} is of another server");
}
