//! The text of a token: it has one spelling, and nobody signs one by chance.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use service_only::{Verifier, fuzzing};
use service_only_fuzz::signing::VERIFIER;

fuzz_target!(|token: &str| {
    assert!(VERIFIER.verify(token).is_err());
    let Some((payload, signature)) = fuzzing::segments(token) else { return };
    let parts: Vec<&str> = token.split('.').collect();
    let [_, payload_text, signature_text] = parts[..] else { panic!("{} segments", parts.len()) };
    assert_eq!(URL_SAFE_NO_PAD.encode(payload), payload_text);
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), signature_text);
    assert!(token.len() <= Verifier::MAX_TOKEN_LENGTH);
});
