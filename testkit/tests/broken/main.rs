//! The attack finds holes: verifiers that are correct but for one flaw are caught each, by the class
//! that is about the flaw, and the one without a flaw is not accused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod flaw;
mod json;
mod verifier;

use axum::{Router, routing::any};
use http::Method;
use service_only_testkit::{Attack, AttackReport, Defect, Outcome, TestAuthority, attack};

use self::{flaw::Flaw, verifier::HandMade};

fn under_attack(flaw: Option<Flaw>) -> Attack {
    let authority = TestAuthority::new().audience("orders-api");
    let guard = HandMade::new(&authority, flaw);
    let app = Router::new().fallback(any(verifier::handle)).with_state(guard);
    attack(app)
        .as_caller(authority.service("orchestrator").scope("tenants:delete"))
        .endpoint(Method::GET, "/tenant/seven")
}

fn got_in(report: &AttackReport) -> Vec<Defect> {
    report.got_in().map(|finding| finding.defect()).collect()
}

#[tokio::test]
async fn a_correct_verifier_is_not_accused() {
    let report = under_attack(None).run().await;
    assert_eq!(got_in(&report), []);
    let sent = report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_))).count();
    assert!(sent > 250, "{sent}");
}

#[tokio::test]
async fn every_flaw_is_caught_by_the_class_that_is_about_it() {
    for flaw in Flaw::ALL {
        let report = under_attack(Some(flaw)).report().await;
        let got_in = got_in(&report);
        assert!(!report.is_clean(), "{flaw:?} was not caught");
        for defect in flaw.caught_by() {
            assert!(got_in.contains(defect), "{flaw:?} was not caught by {defect}\n{report}");
        }
    }
}

#[tokio::test]
#[should_panic(expected = "attacks got in")]
async fn the_one_liner_fails_the_test_of_a_broken_verifier() {
    under_attack(Some(Flaw::ExpiryIgnored)).run().await;
}

#[tokio::test]
async fn the_report_says_what_got_in_and_what_that_is() {
    let report = under_attack(Some(Flaw::CriticalIgnored)).report().await;
    insta::assert_snapshot!(report, @r"
    GET /tenant/seven: 6 of 292 attacks got in, 21 were not sent
      got in: critical_extension (200 OK): The token demands an extension that nobody here implements. [RFC 7515 section 4.1.11]
      got in: critical_known_name (200 OK): `crit` names a parameter of the standard, which it must not. [RFC 7515 section 4.1.11]
      got in: critical_expiry (200 OK): `crit` names `exp`, and a reader that knows the claim believes to know the extension. [RFC 7515 section 4.1.11]
      got in: critical_nothing (200 OK): `crit` is an empty list, which it must not be. [RFC 7515 section 4.1.11]
      got in: critical_as_text (200 OK): `crit` is a text, over whose letters a loop finds no extension. [RFC 7515 section 4.1.11]
      got in: critical_null (200 OK): `crit` is `null`, and counts as absent. [RFC 7515 section 4.1.11]
    296 requests were sent
    ");
}
