use super::*;
use crate::keys::VerifyingKey;

fn key() -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap()
}

fn builder() -> VerifierBuilder {
    Verifier::builder().issuer("bakery-auth").keys(key())
}

#[test]
fn an_issuer_and_keys_are_required() {
    assert!(builder().build().is_ok());
    assert_eq!(Verifier::builder().keys(key()).build().unwrap_err(), BuildError::NoIssuer);
    assert_eq!(Verifier::builder().issuer("").keys(key()).build().unwrap_err(), BuildError::NoIssuer);
    assert_eq!(Verifier::builder().issuer("bakery-auth").build().unwrap_err(), BuildError::NoKeys);
}

#[test]
fn an_empty_list_or_value_is_an_error_and_never_a_check_switched_off() {
    assert_eq!(builder().audience("").build().unwrap_err(), BuildError::EmptyAudience);
    assert_eq!(builder().algorithms([]).build().unwrap_err(), BuildError::NoAlgorithms);
    assert_eq!(builder().algorithms([Algorithm::ES256]).build().unwrap_err(), BuildError::NoKeyForAlgorithms);
}

#[test]
fn leeway_is_whole_seconds_and_bounded() {
    assert!(builder().leeway(MAX_LEEWAY).build().is_ok());
    for leeway in [MAX_LEEWAY + Duration::from_secs(1), Duration::from_millis(1500), Duration::MAX] {
        assert_eq!(builder().leeway(leeway).build().unwrap_err(), BuildError::Leeway(leeway));
    }
}

#[test]
fn a_realm_fits_into_a_challenge() {
    assert!(builder().realm("bakery platform").build().is_ok());
    for realm in ["", "a\"b", "a\\b", "a\r\nb", "ä"] {
        assert!(matches!(builder().realm(realm).build(), Err(BuildError::Realm(_))), "{realm:?}");
    }
}

#[test]
fn the_build_profile_decides_about_development_keys() {
    let built = builder().keys(key().with_kid("dev-only.1")).build();
    assert_eq!(built.is_ok(), cfg!(debug_assertions));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", builder().build().unwrap());
    assert!(shown.contains("bakery-auth") && !shown.contains("1, 1"), "{shown}");
}
