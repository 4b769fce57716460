//! A token's header, against a reader that is not strict: what is read, both read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service_only::fuzzing;
use service_only_fuzz::signing::{SECRET_KEY, VERIFIER, compact};

const PAYLOAD: &[u8] = br#"{"iss":"bakery-auth","exp":1767225601,"type":"service","is_service":true,"service":"orders","sub":"orders"}"#;

fuzz_target!(|json: &[u8]| {
    let accepted = VERIFIER.verify(&compact(&SECRET_KEY, json, PAYLOAD)).is_ok();
    let Some((alg, kid, typ)) = fuzzing::header(json) else {
        assert!(!accepted);
        return;
    };
    let header: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(header["alg"], Value::from(alg.as_str()));
    assert_eq!(header.get("kid").cloned(), kid.map(Value::from));
    assert_eq!(header.get("typ").cloned(), typ.map(Value::from));
    assert!(header.get("crit").is_none());
    assert!(!accepted || alg == "HS256");
});
