use super::{issuer::refuse_development_kid, *};
use crate::{
    KeySet, Verifier, VerifyingKey, claims::Origin, error::Code, issue::SigningKey, keys::KeysUnavailable,
};

fn public() -> VerifyingKey {
    SigningKey::generate(Algorithm::ES256).unwrap().verifying_key()
}

fn secret() -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::HS256, &[1; 32]).unwrap()
}

fn built(issuer: TrustedIssuer) -> Result<(), BuildError> {
    Verifier::builder().trust(issuer).build().map(|_| ())
}

type Constructor = fn(&str) -> TrustedIssuer;

const DEMANDING: [Constructor; 4] = [
    |issuer| TrustedIssuer::strict(issuer),
    |issuer| TrustedIssuer::kubernetes(issuer),
    |issuer| TrustedIssuer::spiffe(issuer),
    |issuer| TrustedIssuer::oauth(issuer),
];

#[test]
fn all_but_compatible_tokens_need_an_audience_and_a_key_pair() {
    for kind in DEMANDING {
        assert_eq!(built(kind("x").keys(public()).audience("orders")), Ok(()));
        assert_eq!(built(kind("x").keys(public())), Err(BuildError::NoAudience("x".to_owned())));
        assert_eq!(built(kind("x").keys(secret()).audience("orders")), Err(BuildError::NoKeyForAlgorithms));
        let said = kind("x").keys(public()).audience("orders").algorithms([Algorithm::HS256]);
        assert_eq!(built(said), Err(BuildError::AlgorithmNotForKind(Algorithm::HS256)));
    }
    assert_eq!(built(TrustedIssuer::compatible("x").keys(secret())), Ok(()));
}

#[test]
fn an_empty_value_is_an_error_and_never_a_check_switched_off() {
    let strict = || TrustedIssuer::strict("x").keys(public()).audience("orders");
    assert_eq!(built(TrustedIssuer::strict("").keys(public()).audience("orders")), Err(BuildError::NoIssuer));
    assert_eq!(built(TrustedIssuer::strict("x").audience("orders")), Err(BuildError::NoKeys));
    assert_eq!(built(strict().audience("")), Err(BuildError::EmptyAudience));
    assert_eq!(built(strict().algorithms([])), Err(BuildError::NoAlgorithms));
    assert_eq!(built(strict().max_lifetime(Duration::ZERO)), Err(BuildError::Lifetime));
    assert_eq!(built(strict().max_lifetime(Duration::from_millis(1500))), Err(BuildError::Lifetime));
}

#[test]
fn a_name_is_accepted_once_and_only_for_subjects_of_other_systems() {
    let oauth = || TrustedIssuer::oauth("x").keys(public()).audience("orders");
    assert_eq!(built(oauth().name("client-7", "orders")), Ok(()));
    let twice = oauth().name("client-7", "orders").name("client-7", "sales");
    assert_eq!(built(twice), Err(BuildError::NamedTwice("client-7".to_owned())));
    assert_eq!(built(oauth().name("client-7", "../x")), Err(BuildError::ServiceName("../x".to_owned())));
    let strict = TrustedIssuer::strict("x").keys(public()).audience("orders").name("a", "b");
    assert_eq!(built(strict), Err(BuildError::NamesNotForKind));
    let Err(BuildError::ProviderSetting { setting, .. }) = built(oauth().name("", "orders")) else {
        panic!()
    };
    assert_eq!(setting, "a subject");
}

#[test]
fn an_svid_comes_from_the_trust_domain_of_its_subject() {
    let issuer = TrustedIssuer::spiffe("bakery.example").keys(public()).audience("orders");
    let Ok(Authority::Issuer(issuer)) = issuer.build() else { panic!() };
    for (sub, is_origin) in [
        ("spiffe://bakery.example/orders", true),
        ("spiffe://bakery.example", true),
        ("spiffe://mill.example/orders", false),
        ("spiffe://bakery.example.evil/orders", false),
        ("bakery.example/orders", false),
    ] {
        let payload = format!(r#"{{"sub":"{sub}","iss":"bakery.example"}}"#);
        let origin = Origin::read(payload.as_bytes()).unwrap();
        assert_eq!(issuer.is_origin(&origin), is_origin, "{sub}");
    }
}

#[test]
fn debug_names_the_issuer_and_what_its_tokens_must_have() {
    let issuer = TrustedIssuer::strict("bakery-auth").keys(public()).audience("orders");
    let debug = format!("{issuer:?}");
    assert!(debug.contains("Strict") && debug.contains(r#"issuer: "bakery-auth""#), "{debug}");
    assert!(debug.contains(r#"audience: ["orders"]"#), "{debug}");
}

#[test]
fn a_trust_domain_is_a_name_and_not_a_url() {
    let spiffe = |domain: &str| built(TrustedIssuer::spiffe(domain).keys(public()).audience("orders"));
    assert_eq!(spiffe("bakery.example"), Ok(()));
    for domain in ["spiffe://bakery.example", "bakery.example/x", "Bakery.example", "bakery.example:443"] {
        assert_eq!(spiffe(domain), Err(BuildError::TrustDomain(domain.to_owned())));
    }
}

#[test]
fn a_trust_domain_without_tokens_has_no_settings_of_tokens() {
    let of = || TrustedIssuer::spiffe_x509("bakery.example");
    assert_eq!(built(of()), Ok(()));
    assert_eq!(built(of().name("spiffe://bakery.example/a", "orders")), Ok(()));
    let setting = |setting| Err(BuildError::SettingOfTokens(setting));
    assert_eq!(built(of().keys(public())), setting("keys"));
    assert_eq!(built(of().audience("orders")), setting("audience"));
    assert_eq!(built(of().algorithms([Algorithm::ES256])), setting("algorithms"));
    assert_eq!(built(of().max_lifetime(Duration::from_secs(60))), setting("max_lifetime"));
    assert_eq!(built(of().services(["orders"])), setting("services"));
    assert_eq!(built(of().and_users()), setting("and_users"));
    assert_eq!(built(TrustedIssuer::spiffe_x509("")), Err(BuildError::NoIssuer));
    let wrong = "Bakery.example".to_owned();
    assert_eq!(built(TrustedIssuer::spiffe_x509(&wrong)), Err(BuildError::TrustDomain(wrong)));
    let repeated = of().name("spiffe://bakery.example/a", "orders").name("spiffe://bakery.example/a", "b");
    assert_eq!(built(repeated), Err(BuildError::NamedTwice("spiffe://bakery.example/a".to_owned())));
}

#[test]
fn a_release_build_refuses_a_development_key_wherever_it_comes_from() {
    let development = KeySet::from(secret().with_kid("dev-only.1"));
    let Ok(Authority::Issuer(trusted)) = TrustedIssuer::compatible("x").keys(secret()).build() else {
        panic!()
    };
    let refused = BuildError::DevelopmentKey("dev-only.1".to_owned());
    assert_eq!(trusted.check_keys(&development, false), Err(refused));
    assert_eq!(trusted.check_keys(&development, true), Ok(()));
    let mixed = KeySet::new([secret().with_kid("prod-1"), secret().with_kid("dev-only.2")]).unwrap();
    assert!(trusted.check_keys(&mixed, false).is_err());
    let other = KeySet::new([secret().with_kid("prod-1"), secret().with_kid("not-dev-only.1")]).unwrap();
    assert_eq!(trusted.check_keys(&other, false), Ok(()));
    // A token that names such a key is refused too, even if a key without a name would verify it.
    assert!(refuse_development_kid(Some("dev-only.1"), false).is_err());
    assert!(refuse_development_kid(Some("dev-only.1"), true).is_ok());
    assert!(refuse_development_kid(Some("prod-1"), false).is_ok());
    assert!(refuse_development_kid(None, false).is_ok());
}

/// A source that loses its keys after the verifier was built.
struct Losing(std::sync::atomic::AtomicU32, VerifyingKey);

impl KeySource for Losing {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        match self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Ok(self.1.clone().into()),
            _ => Err(KeysUnavailable::new("the issuer is down")),
        }
    }
}

#[test]
fn a_source_without_keys_fails_the_build_and_later_every_verification() {
    let source = Losing(1.into(), public());
    let refused = built(TrustedIssuer::compatible("x").keys(source));
    assert_eq!(refused, Err(BuildError::KeysUnavailable("the issuer is down".to_owned())));
    let verifier = Verifier::builder().issuer("x").keys(Losing(0.into(), public())).build().unwrap();
    let denial = verifier.verify("eyJhbGciOiJFUzI1NiJ9.e30.AAAA").unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::KeysUnavailable, 503));
}
