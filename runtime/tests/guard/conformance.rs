//! One conformance suite: every request of every class of the test kit, through each framework.
//! What the wire says, and what the audit records, is what the verifier itself says of the token.
//!
//! A driver says how a case is sent; the suite decides which cases that are, and compares. In what the
//! frameworks differ stands in one table, [`DIFFERENCES`]. What is not in it is equal.

mod actix;
mod axum;
mod cases;
mod differences;
mod http_client;
mod plain;
mod reference;
mod tonic;
mod tower;
mod wire;

use std::time::Duration;

use crate::frameworks::guarded_in;
use cases::Case;
use reference::Reference;
use serde_json::Value;
use service_only::{Policy, Verifier};
use service_only_testkit::RecordingAudit;
use wire::Answer;

/// What every guarded endpoint of the suite asks for.
const POLICY: Policy<'static> =
    crate::frameworks::POLICY.roles(&["admin"]).max_age(Duration::from_secs(60 * 60));

/// A framework with one guarded endpoint, which answers with the name of its caller.
trait Driver: Sized {
    /// The name in the table of differences.
    const NAME: &'static str;
    /// The guarded function, as the audit names it.
    const ENDPOINT: &'static str;

    async fn start(verifier: Verifier, audit: RecordingAudit) -> Self;

    async fn send(&self, case: &Case) -> Answer;

    /// What was recorded about the latest case.
    fn records(&self, audit: &RecordingAudit) -> Vec<Value> {
        let records = audit.events().iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        audit.clear();
        records
    }
}

/// Runs all cases that the table does not except, and says how many.
async fn run<D: Driver>(reference: &Reference) -> usize {
    let (verifier, audit) = reference.verifier();
    let driver = D::start(verifier, audit.clone()).await;
    let mut ran = 0;
    for case in reference.cases().iter().filter(|case| !differences::excepted(D::NAME, case)) {
        if let Some(before) = case.before() {
            let answer = driver.send(&before).await;
            assert_eq!(answer.caller(), Some("orchestrator"), "before {} on {}", case.title(), D::NAME);
            driver.records(&audit);
        }
        let answer = driver.send(case).await;
        let records = driver.records(&audit);
        let context = format!("{} on {}: {answer:?}\n{records:#?}", case.title(), D::NAME);
        match case.routed {
            false => reference.compare::<D>(case, &answer, &records, &context),
            true => differences::compare_routed(D::NAME, case, &answer, &records, &context),
        }
        ran += 1;
    }
    ran
}

#[actix_web::test]
async fn every_case_has_the_same_decision_response_and_record_in_every_framework() {
    let reference = Reference::new();
    // The numbers grow with the catalogue. A driver that falls below has lost cases.
    for (driver, ran, at_least) in [
        ("axum", run::<axum::Server>(&reference).await, 2_164),
        ("actix", run::<actix::Server>(&reference).await, 2_164),
        ("tower", run::<tower::Server>(&reference).await, 2_164),
        ("tonic", run::<tonic::Server>(&reference).await, 1_744),
        ("plain", run::<plain::Function>(&reference).await, 433),
        ("plain async", run::<plain::AsyncFunction>(&reference).await, 433),
        ("claims", run::<plain::OfClaims>(&reference).await, 126),
        ("claims async", run::<plain::AsyncOfClaims>(&reference).await, 126),
    ] {
        assert!(ran >= at_least, "{driver} ran {ran} cases");
    }
}

#[test]
fn every_driver_is_guarded_by_the_policy_of_the_reference() {
    let guarded = guarded_in(module_path!());
    assert_eq!(guarded.len(), 8, "one by a layer, and the second method of the health service: {guarded:?}");
    for endpoint in guarded {
        assert_eq!(*endpoint.policy(), POLICY, "{}", endpoint.endpoint());
    }
}

#[test]
fn every_listed_difference_exists() {
    differences::assert_names_exist(Reference::new().cases());
}
