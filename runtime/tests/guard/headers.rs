//! A header that was read before is not read again, and nothing else changes by that.

use service_only::{Caller, Denial, Verifier, error::Code};
use service_only_testkit::{FixtureToken, TestAuthority};

/// The verdict of a thread that has read no header yet.
fn fresh(verifier: &Verifier, token: &str) -> Result<Caller, Denial> {
    std::thread::scope(|scope| scope.spawn(|| verifier.verify(token)).join().unwrap())
}

/// The verdict, which must be the same whether headers are known or not.
fn verdict(verifier: &Verifier, token: &FixtureToken) -> Option<Code> {
    let (known, fresh) = (verifier.verify(token.as_str()), fresh(verifier, token.as_str()));
    assert_eq!(known.as_ref().err(), fresh.as_ref().err(), "{token:?}");
    let claims = |caller: &Result<Caller, Denial>| caller.as_ref().ok().map(|caller| caller.claims().clone());
    assert_eq!(claims(&known), claims(&fresh), "{token:?}");
    known.err().map(|denial| denial.code())
}

#[test]
fn a_cached_header_does_not_admit_a_refused_caller() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let draft = || authority.service("orders").scope("stock:read");
    assert_eq!(verdict(&verifier, &draft().token()), None);
    for (spoilt, expected) in [
        (draft().expired(), Code::Expired),
        (draft().not_yet_valid(), Code::NotYetValid),
        (draft().wrong_key(), Code::BadSignature),
        (draft().unknown_key(), Code::UnknownKey),
        (draft().wrong_issuer(), Code::WrongIssuer),
        (draft().tampered(), Code::BadSignature),
        (draft().unsigned(), Code::AlgNotAllowed),
        (draft().user_token(), Code::NotService),
        (draft().header("crit", vec!["exp"]), Code::Crit),
        (draft().header("typ", "at+jwt"), Code::WrongTyp),
        (draft().algorithm_header("HS512"), Code::AlgNotAllowed),
    ] {
        for _ in 0..2 {
            assert_eq!(verdict(&verifier, &spoilt.token()), Some(expected));
            assert_eq!(verdict(&verifier, &draft().token()), None);
        }
    }
}

#[test]
fn a_header_cached_by_one_verifier_proves_nothing_to_another() {
    let (ours, theirs) = (TestAuthority::new(), TestAuthority::new());
    let token = ours.service("orders").token();
    assert!(ours.verifier().verify(token.as_str()).is_ok());
    assert!(ours.verifier().verify(token.as_str()).is_ok());
    assert!(verdict(&theirs.verifier(), &token).is_some());
}

#[test]
fn a_header_of_one_byte_more_or_less_is_another() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let token = authority.service("orders").token();
    assert_eq!(verdict(&verifier, &token), None);
    let dot = token.as_str().find('.').unwrap();
    for place in 0..dot {
        for letter in ["A", "Q", "-", "_", ""] {
            let text = token.as_str();
            let other = format!("{}{letter}{}", &text[..place], &text[place + 1..]);
            if other != text {
                assert!(verdict(&verifier, &FixtureToken::from_text(other)).is_some(), "{place} {letter}");
            }
        }
    }
}
