//! The chain of a peer, as certificates in DER one after another, against one root. Ed25519 has one signature for a text,
//! so only the certificates that the authorities have signed verify, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service_only_tls::fuzzing::verifies;

const ROOT: &[u8] = include_bytes!("../roots/root.der");

/// The leaves that the root, or its intermediate authority, has signed.
const LEAVES: [&[u8]; 2] = [include_bytes!("../roots/direct.der"), include_bytes!("../roots/below.der")];

/// A second within the validity of all of them, in 2033.
const AT: i64 = 2_000_000_000;

fuzz_target!(|data: &[u8]| {
    let chain = split(data);
    if verifies(ROOT, &chain, AT) {
        assert!(chain.first().is_some_and(|leaf| LEAVES.contains(leaf)), "a forged leaf");
    }
    assert!(!verifies(ROOT, &chain, 0), "before the root is valid");
});

/// The DER values of a text, at most twenty.
fn split(mut data: &[u8]) -> Vec<&[u8]> {
    let mut values = Vec::new();
    while values.len() < 20 && !data.is_empty() {
        let (value, rest) = data.split_at(length(data).unwrap_or(data.len()).min(data.len()));
        values.push(value);
        data = rest;
    }
    values
}

/// The length of the first value, with its tag. The length of a certificate has two bytes.
fn length(data: &[u8]) -> Option<usize> {
    match data {
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}
