//! A key in PEM. The first byte says for which algorithm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service_only::{Algorithm, VerifyingKey, issue::SigningKey};

fuzz_target!(|data: &[u8]| {
    let Some((&first, pem)) = data.split_first() else { return };
    let algorithm = Algorithm::ALL[usize::from(first) % Algorithm::ALL.len()];
    if let Ok(key) = VerifyingKey::from_pem(algorithm, pem) {
        assert!(key.algorithms().eq([algorithm]) && !algorithm.is_symmetric());
    }
    if let Ok(key) = SigningKey::from_pem(algorithm, pem) {
        let again = SigningKey::from_pem(algorithm, &key.to_secret_bytes().unwrap()).unwrap();
        assert_eq!(again.kid(), key.kid());
    }
});
