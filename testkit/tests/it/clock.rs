//! Time passes when the test says so.

use std::time::Duration;

use service_only::{Policy, clock::Timestamp};
use service_only_testkit::{ManualClock, TestAuthority, assert_audited};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_token_expires_at_its_second_and_not_before() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let token = authority.service("orders").expires_in(10 * SECOND).token();
    authority.clock().advance(9 * SECOND);
    assert!(verifier.verify(&token).is_ok());
    authority.clock().advance(SECOND);
    assert_eq!(verifier.verify(&token).unwrap_err().code().as_str(), "expired");
}

#[test]
fn a_token_becomes_valid_at_its_second() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let token = authority.service("orders").not_yet_valid().token();
    authority.clock().advance(3599 * SECOND);
    assert_eq!(verifier.verify(&token).unwrap_err().code().as_str(), "not_yet_valid");
    authority.clock().advance(SECOND);
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn a_valid_token_can_be_too_old_for_a_handler() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let policy = Policy::any_service().max_age(60 * SECOND);
    let token = authority.service("orders").token();
    authority.clock().advance(61 * SECOND);
    assert!(verifier.verify(&token).is_ok());
    assert!(verifier.verify_with(&token, &policy).is_err());
    assert_audited!(authority.audit(), deny, code = "too_old", service = "orders");
}

#[test]
fn a_clock_can_be_set_backwards_and_records_carry_its_time() {
    let authority = TestAuthority::new();
    authority.clock().set(Timestamp::from_unix(0));
    let _ = authority.verifier().verify("garbage");
    assert_eq!(authority.audit().only().time, Timestamp::from_unix(0));
}

#[test]
fn clones_of_a_clock_show_one_time_and_two_clocks_do_not() {
    let (clock, other) = (ManualClock::default(), ManualClock::at(Timestamp::from_unix(7)));
    let clone = clock.clone();
    clone.advance(Duration::from_millis(1500));
    assert_eq!(clock.now(), ManualClock::START.plus(Duration::from_millis(1500)));
    assert_eq!(other.now(), Timestamp::from_unix(7));
    assert_eq!(ManualClock::START.to_string(), "2026-01-01T00:00:00.000000Z");
}
