//! jsonwebtoken with our settings: what it refuses, we refuse. The first line is a header, the rest
//! a payload; both are signed as they are.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use jsonwebtoken::{DecodingKey, Validation};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service_only::{Verifier, audit::NoAudit};
use service_only_fuzz::signing::{SECRET, SECRET_KEY, compact};

const LEEWAY: u64 = 30;

/// By the system's clock, like theirs; ours is read first, so a second that passes favours theirs.
static OURS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    let builder = || {
        let builder = Verifier::builder().issuer("bakery-auth").keys(SECRET_KEY.verifying_key());
        builder.leeway(Duration::from_secs(LEEWAY)).audit(NoAudit)
    };
    [builder().build().unwrap(), builder().audience("orders").build().unwrap()]
});

static THEIRS: LazyLock<[Validation; 2]> = LazyLock::new(|| {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&["bakery-auth"]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    let mut with_audience = validation.clone();
    with_audience.set_audience(&["orders"]);
    with_audience.set_required_spec_claims(&["exp", "iss", "aud"]);
    [validation, with_audience]
});

fuzz_target!(|data: &[u8]| {
    let Some(line) = data.iter().position(|&byte| byte == b'\n') else { return };
    let (header, payload) = (&data[..line], &data[line + 1..]);
    let token = compact(&SECRET_KEY, header, payload);
    for (ours, theirs) in OURS.iter().zip(THEIRS.iter()) {
        let Ok(identity) = ours.authenticate(&token) else { continue };
        let decoded = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_secret(&SECRET), theirs);
        if let Err(refusal) = decoded {
            assert!(is_known(header, payload), "accepted as {identity:?}, refused as {refusal:?}");
        }
    }
});

/// Where they refuse what is right: times are unsigned there (RFC 7519 section 2 has no bounds), and
/// parameters that decide nothing here must have their registered types.
fn is_known(header: &[u8], payload: &[u8]) -> bool {
    const IGNORED: [&str; 11] =
        ["cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip", "url", "nonce"];
    let header: Value = serde_json::from_slice(header).unwrap();
    let payload: Value = serde_json::from_slice(payload).unwrap();
    let time = |name: &str| payload[name].as_f64();
    IGNORED.iter().any(|name| header.get(name).is_some())
        || time("nbf").is_some_and(|nbf| nbf < 0.0)
        || time("exp").is_some_and(|exp| exp >= u64::MAX as f64)
}
