//! A configuration: what can be built lets its own tokens in, and what cannot is an error.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::FixedClock,
    issue::{Issuer, SigningKey},
};
use service_only_fuzz::signing::NOW;

#[derive(Debug, Arbitrary)]
struct Config<'f> {
    issuer: &'f str,
    audience: Vec<&'f str>,
    algorithms: Option<Vec<u8>>,
    leeway_ms: u32,
    realm: Option<&'f str>,
    algorithm: u8,
    secret: &'f [u8],
    kid: Option<&'f str>,
}

fn algorithm(index: u8) -> Algorithm {
    Algorithm::ALL[usize::from(index) % Algorithm::ALL.len()]
}

fuzz_target!(|config: Config<'_>| {
    let Ok(key) = SigningKey::hmac(algorithm(config.algorithm), config.secret) else { return };
    assert!(key.algorithm().is_symmetric() && config.secret.len() >= 32);
    let key = match config.kid {
        Some(kid) => key.with_kid(kid),
        None => key,
    };
    let mut builder = Verifier::builder()
        .issuer(config.issuer)
        .keys(key.verifying_key())
        .leeway(Duration::from_millis(config.leeway_ms.into()))
        .clock(FixedClock(NOW))
        .audit(NoAudit);
    for audience in &config.audience {
        builder = builder.audience(*audience);
    }
    if let Some(algorithms) = &config.algorithms {
        builder = builder.algorithms(algorithms.iter().map(|&index| algorithm(index)));
    }
    if let Some(realm) = config.realm {
        builder = builder.realm(realm);
    }
    let Ok(verifier) = builder.build() else { return };
    assert!(!config.issuer.is_empty() && config.audience.iter().all(|audience| !audience.is_empty()));
    assert!(
        u64::from(config.leeway_ms) <= Verifier::MAX_LEEWAY.as_secs() * 1000 && config.leeway_ms % 1000 == 0
    );
    let listed = config
        .algorithms
        .as_ref()
        .is_none_or(|listed| listed.iter().any(|&index| algorithm(index) == key.algorithm()));
    assert!(listed, "a key that nothing lets verify");
    let mut issuer = Issuer::builder().issuer(config.issuer).key(key).clock(FixedClock(NOW));
    if let Some(audience) = config.audience.last() {
        issuer = issuer.audience(*audience);
    }
    let Ok(token) = issuer.build().unwrap().token_for("orders").mint() else { return };
    let verdict = verifier.verify(token.as_str());
    assert!(verdict.is_ok() || token.as_str().len() > Verifier::MAX_TOKEN_LENGTH, "{verdict:?}");
});
