//! Handlers that require a proof of DPoP. A program of its own: such a handler keeps every verifier of its program from
//! building without `.dpop(…)`.

#![allow(clippy::unwrap_used, reason = "a test")]

use axum::{Router, routing::get};
use service_only::{
    Dpop, Policy, RequiredProof, Verifier, callers,
    error::{BuildError, Code},
    routes::policy_of,
    service_only,
};
use service_only_testkit::{TestAuthority, TestCa, assert_allowed, assert_denied, call};

const URL: &str = "https://orders.internal";

#[service_only(proof = "dpop")]
async fn by_header() {}

#[callers(users(proof = "dpop"), services("orders"))]
async fn users_by_header() {}

fn verifier(authority: &TestAuthority) -> Verifier {
    authority.verifier_builder().dpop(Dpop::new(URL)).build().unwrap()
}

#[test]
fn a_verifier_that_checks_no_proofs_of_dpop_does_not_build_for_a_handler_that_requires_one() {
    let error = TestAuthority::new().verifier_builder().build().unwrap_err();
    let handler = "required_dpop::by_header";
    assert_eq!(error, BuildError::MissingDpop(handler.to_owned()));
    let text = error.to_string();
    assert!(text.contains(handler) && text.contains(".dpop(Dpop::new("), "{text}");
}

#[tokio::test]
async fn a_handler_that_requires_dpop_accepts_no_other_proof() {
    let (authority, ca) = (TestAuthority::new(), TestCa::new("bakery.example"));
    let router = Router::new().route("/", get(by_header)).route("/users", get(users_by_header));
    let app = call(router.with_state(verifier(&authority)));
    let code = || authority.audit().last().unwrap().code;
    let key = authority.dpop_key();
    let token = authority.service("orders").bound_to_key(&key).token();
    assert_allowed!(app.get("/").dpop(&token, &key.proof("GET", &format!("{URL}/"), &token)).await);

    assert_denied!(app.get("/").bearer(authority.service("orders").token()).await, 401);
    assert_eq!(code(), Some(Code::ProofMissing));
    let certificate =
        ca.leaf().spiffe_id("spiffe://bakery.example/orders").valid_around(authority.clock().now()).issue();
    let bound = authority.service("orders").bound_to(&certificate).token();
    assert_denied!(app.get("/").bearer(&bound).certificate(&certificate).await, 401);
    assert_eq!(code(), Some(Code::ProofMissing), "a certificate is another proof than the header");

    assert_allowed!(app.get("/users").bearer(authority.service("orders").token()).await);
    assert_denied!(app.get("/users").bearer(authority.user("mia").token()).await, 401);
    assert_eq!(code(), Some(Code::ProofMissing));
    let token = authority.user("mia").bound_to_key(&key).token();
    assert_allowed!(app.get("/users").dpop(&token, &key.proof("GET", &format!("{URL}/users"), &token)).await);
}

#[test]
fn the_attribute_names_the_proof() {
    assert_eq!(policy_of(by_header), Policy::any_service().proof(RequiredProof::Dpop));
}
