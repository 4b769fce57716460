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
fn settings_of_an_own_issuer_are_complete_or_absent_beside_a_trusted_one() {
    let trusting = || Verifier::builder().trust(TrustedIssuer::compatible("mill-auth").keys(key()));
    assert!(trusting().build().is_ok());
    for (incomplete, missing) in [
        (trusting().issuer("bakery-auth"), BuildError::NoKeys),
        (trusting().keys(key()), BuildError::NoIssuer),
        (trusting().audience("orders"), BuildError::NoIssuer),
        (trusting().algorithms([Algorithm::HS256]), BuildError::NoIssuer),
    ] {
        assert_eq!(incomplete.build().unwrap_err(), missing);
    }
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
fn a_verifier_trusts_its_issuers_and_its_trust_domains_by_name() {
    let verifier = builder().trust(TrustedIssuer::spiffe_x509("bakery.example")).build().unwrap();
    for (name, is_trusted) in
        [("bakery-auth", true), ("bakery.example", true), ("mill.example", false), ("", false)]
    {
        assert_eq!(verifier.trusts(name), is_trusted, "{name}");
    }
}

#[test]
fn a_verifier_has_the_sets_of_services_that_were_added() {
    let verifier = builder().service_set("deleters", ["billing"]).build().unwrap();
    assert!(verifier.has_service_set("deleters") && !verifier.has_service_set("others"));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", builder().build().unwrap());
    assert!(shown.contains("bakery-auth") && !shown.contains("1, 1"), "{shown}");
    let shown = format!("{:?}", builder());
    assert!(shown.contains("VerifierBuilder") && !shown.contains("1, 1"), "{shown}");
}
