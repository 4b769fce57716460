//! The token corpus, through the library, where it lies beside the project. Elsewhere the test says
//! that it was skipped.
//!
//! A verdict counts as right by the corpus' own rule: the status must be the one expected.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use service_only::{
    Algorithm, KeySet, Policy, Verifier, VerifyingKey,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    keys::KeyError,
};

#[derive(Deserialize)]
struct Case {
    id: String,
    why: String,
    config: Config,
    token: String,
    expect: String,
    #[serde(default)]
    config_error_ok: bool,
}

#[derive(Deserialize)]
struct Config {
    jwks: Option<serde_json::Value>,
    hmac_secret_b64url: Option<String>,
    algorithms: Vec<String>,
    issuer: String,
    audience: Option<String>,
    leeway_s: u64,
    now: i64,
    allowed_services: Option<Vec<String>>,
}

fn keys(config: &Config) -> Result<KeySet, KeyError> {
    if let Some(jwks) = &config.jwks {
        return KeySet::from_jwks(jwks.to_string().as_bytes());
    }
    let secret = URL_SAFE_NO_PAD.decode(config.hmac_secret_b64url.as_deref().unwrap()).unwrap();
    VerifyingKey::secret(&secret).map(KeySet::from)
}

fn verifier(config: &Config) -> Result<Verifier, String> {
    let algorithms: Vec<Algorithm> = config.algorithms.iter().filter_map(|name| name.parse().ok()).collect();
    let builder = Verifier::builder()
        .issuer(&config.issuer)
        .keys(keys(config).map_err(|error| error.to_string())?)
        .algorithms(algorithms)
        .leeway(Duration::from_secs(config.leeway_s))
        .clock(FixedClock(Timestamp::from_unix(config.now)))
        .audit(NoAudit);
    let builder = match &config.audience {
        Some(audience) => builder.audience(audience),
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

fn verdict(case: &Case) -> String {
    let verifier = match verifier(&case.config) {
        Ok(verifier) => verifier,
        Err(_) => return "config_error".to_owned(),
    };
    let services: Option<Vec<&str>> =
        case.config.allowed_services.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let policy = match &services {
        Some(services) => Policy::any_service().services(services),
        None => Policy::any_service(),
    };
    match verifier.verify_with(&case.token, &policy) {
        Ok(_) => "accept".to_owned(),
        Err(denial) => format!("reject_{}", denial.status()),
    }
}

fn is_right(case: &Case, verdict: &str) -> bool {
    match (case.expect.as_str(), verdict) {
        ("either", _) => true,
        ("accept", verdict) => verdict == "accept",
        ("config_error", verdict) => verdict == "config_error" || verdict == "reject_401",
        (_, "config_error") => case.config_error_ok,
        ("reject", verdict) => verdict != "accept",
        (expect, verdict) => expect == verdict,
    }
}

#[test]
fn every_public_case_of_the_corpus_gets_its_verdict() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/public.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no corpus beside the project");
        return;
    };
    let mut wrong = String::new();
    let mut count = 0;
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let verdict = verdict(&case);
        if !is_right(&case, &verdict) {
            writeln!(wrong, "{}: expected {}, got {verdict}: {}", case.id, case.expect, case.why).unwrap();
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 1000, "only {count} cases");
}
