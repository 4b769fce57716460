//! What was let in before is refused after it happened: retired keys, revocations, the end of a life.

use axum::{Router, routing::get};
use service_only::{Algorithm, service_only};
use service_only_testkit::{Incident, TestAuthority, assert_allowed, assert_audited, assert_denied, call};

#[service_only(services("orders"))]
async fn stock() {}

#[tokio::test]
async fn every_incident_refuses_a_token_that_was_accepted_before() {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        for incident in Incident::ALL {
            let authority = TestAuthority::with(algorithm);
            let scene = incident.stage(&authority.service("orders"));
            let app = call(Router::new().route("/stock", get(stock)).with_state(scene.verifier().clone()))
                .audit(authority.audit());

            assert_allowed!(app.get("/stock").bearer(scene.token()).await);
            scene.strike();
            assert_denied!(app.get("/stock").bearer(scene.token()).await, incident.code().status());
            assert_audited!(authority.audit(), deny, code = incident.code().as_str());
        }
    }
}

#[tokio::test]
async fn an_incident_does_not_affect_other_tokens() {
    let authority = TestAuthority::new();
    for incident in [Incident::RevokedToken, Incident::RevokedService] {
        let scene = incident.stage(&authority.service("orders"));
        scene.strike();
        assert!(scene.verifier().verify(&authority.service("invoices").token()).is_ok(), "{incident:?}");
    }
}

#[test]
#[should_panic(expected = "the token has no `jti` to be revoked by")]
fn a_token_without_name_cannot_be_revoked_by_it() {
    Incident::RevokedToken.stage(&TestAuthority::new().service("orders").without_claim("jti")).strike();
}

#[test]
fn every_incident_has_a_description_and_a_source() {
    for incident in Incident::ALL {
        assert!(incident.attack().ends_with('.') && !incident.source().is_empty(), "{}", incident.name());
    }
}
