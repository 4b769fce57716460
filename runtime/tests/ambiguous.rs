//! Two handlers that share a key, written by hand: the program does not start, and no record names the wrong one.

#![allow(clippy::unwrap_used, reason = "a test")]

use service_only::{__private, Verifier, error::BuildError, routes::endpoints};

const KEYS: [u64; 2] = [
    __private::register_guarded!(0x0007_0000_0003_ffff_ffff, "payroll\n\n\n"),
    __private::register_guarded!(0x0007_0000_0003_ffff_ffff, "reports\n\n\n"),
];

#[test]
fn a_verifier_is_not_built_while_two_handlers_share_a_key() {
    assert_eq!(KEYS[0], KEYS[1]);
    let error = Verifier::builder().build().unwrap_err();
    assert!(matches!(error, BuildError::AmbiguousEndpoints(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("ambiguous::payroll") && message.contains("ambiguous::reports"), "{message}");
}

#[test]
fn the_list_of_endpoints_shows_both() {
    let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().to_string()).collect();
    assert_eq!(names, ["ambiguous::payroll", "ambiguous::reports"]);
}
