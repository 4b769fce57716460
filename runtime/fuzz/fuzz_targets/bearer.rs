//! The `Authorization` headers of a request, one a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service_only::{Verifier, fuzzing};

fuzz_target!(|data: &[u8]| {
    let values: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    let Some(token) = fuzzing::bearer(&values) else { return };
    let [value] = values[..] else { panic!("a token from {} headers", values.len()) };
    let (scheme, rest) = value.split_at(6);
    assert!(scheme.eq_ignore_ascii_case(b"bearer"));
    assert_eq!(
        rest.strip_suffix(token.as_bytes()).map(|spaces| spaces.iter().all(|&b| b == b' ')),
        Some(true)
    );
    assert!((1..=Verifier::MAX_TOKEN_LENGTH).contains(&token.len()));
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)));
});
