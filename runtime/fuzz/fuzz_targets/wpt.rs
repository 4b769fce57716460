//! A Workload Proof Token: as the text of a header, as the payload of a proof that is then signed, and as the payload of the
//! token that contains the key. What is accepted has the claims that a reader reads that is not strict.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use service_only::fuzzing;
use service_only_fuzz::signing::{PRIVATE_KEY, compact};

fuzz_target!(|input: &[u8]| {
    let jwk = PRIVATE_KEY.public_jwk().unwrap();
    let claims = json!({"sub": "wimse://bakery.example/billing", "cnf": {"jwk": jwk}}).to_string();
    let token = compact(&PRIVATE_KEY, br#"{"typ":"wit+jwt","alg":"ES256"}"#, claims.as_bytes());
    assert!(fuzzing::wpt(input, &token).is_none(), "a signature that was not made here");

    let proof = compact(&PRIVATE_KEY, br#"{"typ":"wpt+jwt","alg":"ES256"}"#, input);
    if let Some(key) = fuzzing::wpt(proof.as_bytes(), &token) {
        assert_eq!(key, jwk.thumbprint());
        let claims: Value = serde_json::from_slice(input).unwrap();
        assert!(claims["aud"].as_str().unwrap().to_ascii_lowercase().starts_with(fuzzing::DPOP_URL));
        assert!(claims["jti"].as_str().is_some_and(|id| (1..=256).contains(&id.len())));
        assert_eq!(claims["wth"].as_str().map(str::len), Some(43));
        assert_eq!(claims["tth"].as_str().map(str::len), Some(43));
        let remaining = claims["exp"].as_f64().unwrap().floor() - fuzzing::DPOP_NOW as f64;
        assert!((1.0..=120.0).contains(&remaining), "{remaining}");
        let others = claims.get("oth").map(|oth| oth.as_object().unwrap());
        assert!(others.is_none_or(|others| others.keys().all(|name| name == "b" || name == "txn-token")));
    }

    if fuzzing::confirmed_key(input).is_some() {
        let claims: Value = serde_json::from_slice(input).unwrap();
        let confirmation = claims["cnf"].as_object().unwrap();
        let key = confirmation["jwk"].as_object().unwrap();
        assert_eq!(confirmation.len(), 1);
        assert!(key["alg"].as_str().is_some_and(|alg| alg != "none" && !alg.starts_with("HS")));
        assert_ne!(key["kty"], "oct");
    }
});
