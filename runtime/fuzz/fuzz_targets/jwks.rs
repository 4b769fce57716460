//! A JWK set: every member becomes a key, or a part of one, or is listed as left out.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service_only::{KeySet, keys::KeyId};

fuzz_target!(|json: &[u8]| {
    let Ok(set) = KeySet::from_jwks(json) else { return };
    // Sets in UTF-16 and with a byte order mark are read too.
    let Ok(read) = serde_json::from_slice::<Value>(json) else { return };
    let members = read["keys"].as_array().unwrap();
    // Members with one `kid` are one key.
    assert!(set.len() + set.skipped().len() <= members.len());
    assert!((1..=KeySet::MAX_KEYS).contains(&set.len()));
    let kids: Vec<&str> = set.keys().iter().filter_map(|key| key.kid()).map(|kid| kid.as_str()).collect();
    assert_eq!(kids.iter().collect::<BTreeSet<_>>().len(), kids.len());
    assert!(kids.iter().all(|kid| kid.len() <= KeyId::MAX_LENGTH));
    for key in set.keys() {
        assert!(key.algorithms().next().is_some() && key.algorithms().all(|own| !own.is_symmetric()));
    }
});
