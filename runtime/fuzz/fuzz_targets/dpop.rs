//! A proof of DPoP: as the text of a header, and as the payload of a proof that is then signed. What is accepted has the
//! claims that a reader reads that is not strict.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service_only::fuzzing;
use service_only_fuzz::signing::{PRIVATE_KEY, compact};

fuzz_target!(|input: &[u8]| {
    assert!(fuzzing::dpop(input).is_none(), "a signature that was not made here");
    let jwk = PRIVATE_KEY.public_jwk().unwrap();
    let header = serde_json::json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}).to_string();
    let proof = compact(&PRIVATE_KEY, header.as_bytes(), input);
    let Some(key) = fuzzing::dpop(proof.as_bytes()) else { return };
    assert_eq!(key, jwk.thumbprint());
    let claims: Value = serde_json::from_slice(input).unwrap();
    let (method, _) = fuzzing::DPOP_REQUEST;
    assert_eq!(claims["htm"], method);
    assert!(claims["htu"].as_str().unwrap().to_ascii_lowercase().starts_with(fuzzing::DPOP_URL));
    assert!(claims["jti"].as_str().is_some_and(|id| (1..=256).contains(&id.len())));
    assert_eq!(claims["ath"].as_str().map(str::len), Some(43));
    let age = fuzzing::DPOP_NOW as f64 - claims["iat"].as_f64().unwrap().floor();
    assert!((-5.0..=60.0).contains(&age), "{age}");
});
