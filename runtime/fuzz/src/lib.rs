//! What the fuzz targets share: keys made at start, tokens signed over whatever the fuzzer writes,
//! and the model of the verdict that the property tests have.
//!
//! Signatures are made here, so the fuzzer gets past them and at what lies behind.

pub mod signing;

#[allow(dead_code, reason = "the whole model is shared")]
#[path = "../../tests/verify/proof/oracle.rs"]
mod oracle;

use serde_json::Value;
use service_only::{Verifier, claims::ServiceClaims};

/// The verdict on a payload is that of the model, and a text that is accepted says what the model
/// reads in it.
pub fn check_verdict(verifier: &Verifier, payload: &[u8]) {
    let verdict = verifier.verify(&signing::sign(payload));
    let Ok(claims) = serde_json::from_slice::<Value>(payload) else {
        assert!(verdict.is_err(), "accepted, and no JSON");
        return;
    };
    if let Ok(caller) = verdict {
        let model = oracle::verdict(&claims, None, 0);
        assert_eq!(model, oracle::Verdict::Accept(caller.service().to_owned()));
    }
    // Written anew, it has no member twice, and both must agree in everything within the limits.
    let text = claims.to_string();
    let claims: Value = serde_json::from_str(&text).unwrap();
    let Some(members) = claims.as_object() else { return };
    let audiences = claims["aud"].as_array().map_or(0, Vec::len);
    if members.len() > Verifier::MAX_JSON_MEMBERS || audiences > ServiceClaims::MAX_AUDIENCES {
        return;
    }
    let verdict = match verifier.verify(&signing::sign(text.as_bytes())) {
        Ok(caller) => oracle::Verdict::Accept(caller.service().to_owned()),
        Err(denial) if denial.code() == service_only::error::Code::TooLarge => return,
        Err(denial) => oracle::Verdict::Refuse(denial.status()),
    };
    assert_eq!(verdict, oracle::verdict(&claims, None, 0), "{text}");
}
