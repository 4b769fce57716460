//! The same verdict and the same record with the cache and without it: every case of the corpus, where it
//! lies beside the project, every hostile token of the test kit, and the tokens of users.

#![allow(clippy::print_stderr, reason = "a test")]

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use service_only::{
    Identity, KeySet, Policy, TrustedIssuer, Verifier, VerifyingKey,
    audit::AuditRecord,
    clock::{FixedClock, Timestamp},
};
use service_only_testkit::{RecordingAudit, TestAuthority};

/// All of a record but its name and how long it took.
pub(super) fn told(event: &AuditRecord) -> String {
    let decision = (event.decision, event.status, event.code, event.stage, &event.reason);
    let whom = (&event.service, &event.user, &event.jti, &event.kid, event.profile, &event.issuer);
    format!("{decision:?} {whom:?} {:?}", event.unverified_service)
}

/// Presents a token three times to both, and says how often it was known from before.
fn compare(
    what: &str,
    build: impl Fn(RecordingAudit) -> VerifierBuilder,
    decide: impl Fn(&Verifier) -> String,
) -> u64 {
    let (with, without) = (RecordingAudit::new(), RecordingAudit::new());
    let Ok(cached) = build(with.clone()).build() else { return 0 };
    let plain = build(without.clone()).without_token_cache().build().unwrap();
    for _ in 0..3 {
        assert_eq!(decide(&cached), decide(&plain), "{what}");
    }
    let records = |audit: &RecordingAudit| audit.events().iter().map(told).collect::<Vec<_>>();
    assert_eq!(records(&with), records(&without), "{what}");
    assert_eq!(plain.token_cache_hits(), 0);
    cached.token_cache_hits()
}

use super::VerifierBuilder;

fn corpus_keys(config: &Value) -> Option<KeySet> {
    if let Some(jwks) = config.get("jwks").filter(|jwks| !jwks.is_null()) {
        return KeySet::from_jwks(jwks.to_string().as_bytes()).ok();
    }
    let secret = URL_SAFE_NO_PAD.decode(config["hmac_secret_b64url"].as_str()?).unwrap();
    VerifyingKey::secret(&secret).map(KeySet::from).ok()
}

#[test]
fn every_case_of_the_corpus() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/public.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no corpus beside the project");
        return;
    };
    let (mut hits, mut accepted) = (0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let config = &case["config"];
        let Some(keys) = corpus_keys(config) else { continue };
        let names = config["algorithms"].as_array().unwrap();
        let algorithms: Vec<_> = names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect();
        let build = |audit| {
            let builder = Verifier::builder()
                .issuer(config["issuer"].as_str().unwrap())
                .keys(keys.clone())
                .algorithms(algorithms.clone())
                .leeway(std::time::Duration::from_secs(config["leeway_s"].as_u64().unwrap()))
                .clock(FixedClock(Timestamp::from_unix(config["now"].as_i64().unwrap())))
                .audit(audit);
            match config["audience"].as_str() {
                Some(audience) => builder.audience(audience),
                None => builder,
            }
        };
        let services: Vec<&str> =
            config["allowed_services"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let policy = match config["allowed_services"].is_array() {
            true => Policy::any_service().services(&services),
            false => Policy::any_service(),
        };
        let token = case["token"].as_str().unwrap();
        let decide = |verifier: &Verifier| format!("{:?}", verifier.verify_with(token, &policy));
        hits += compare(&case["id"].to_string(), build, decide);
        accepted += usize::from(case["expect"] == "accept");
    }
    assert!(hits >= accepted as u64 && accepted > 0, "{hits} hits, {accepted} accepted");
}

#[test]
fn every_hostile_token_of_the_test_kit() {
    let authority = TestAuthority::new();
    let (mut hits, mut tokens) = (0, 0);
    for fixture in authority.service("orders").fixtures() {
        let Some(token) = fixture.token() else { continue };
        let build = |audit| authority.verifier_builder().audit(audit);
        let decide = |verifier: &Verifier| format!("{:?}", verifier.verify(token.as_str()));
        hits += compare(fixture.name(), build, decide);
        tokens += 1;
    }
    assert!(tokens > 20 && hits > 0, "{tokens} tokens, {hits} hits");
}

#[test]
fn a_user_is_accepted_by_a_gateway_and_refused_by_a_handler() {
    let authority = TestAuthority::new();
    let user = authority.user("u-1").token();
    let build = |audit| authority.verifier_builder().audit(audit);
    let through = compare("gateway", build, |verifier| match verifier.authenticate(user.as_str()) {
        Ok(Identity::User(user)) => user.id().unwrap().to_owned(),
        other => panic!("{other:?}"),
    });
    let refused = compare("handler", build, |verifier| {
        let denial = verifier.verify(user.as_str()).unwrap_err();
        format!("{denial:?} {}", denial.status())
    });
    assert_eq!((through, refused), (1, 1), "known from before, and refused all the same");
}

#[test]
fn each_kind_of_issuer() {
    let authority = TestAuthority::new().audience("orders");
    let tokens = [
        authority.strict_service("sales").token(),
        authority.kubernetes("bakery", "sales").token(),
        authority.oauth("sales").token(),
    ];
    let kinds: [fn(String) -> TrustedIssuer; 3] =
        [TrustedIssuer::strict, TrustedIssuer::kubernetes, TrustedIssuer::oauth];
    for (token, kind) in tokens.iter().zip(kinds) {
        let build = |audit| {
            let builder = Verifier::builder().trust(authority.trusted_as(kind));
            builder.clock(authority.clock().clone()).audit(audit)
        };
        let decide = |verifier: &Verifier| format!("{:?}", verifier.verify(token.as_str()));
        assert_eq!(compare("kind", build, decide), 1);
    }
}
