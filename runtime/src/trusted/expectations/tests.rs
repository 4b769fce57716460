use super::{
    super::{
        access::AccessTokens,
        own_claims::{self, Claims},
        rule::Members,
    },
    *,
};

/// Checks a token of an issuer without own settings.
fn check(expectations: &Expectations, claims: &RawClaims<'_>, at: Moment) -> Result<Times, Denial> {
    let (access, members) = (AccessTokens::rfc9068(), Members::default());
    expectations.check(
        Kind::Compatible,
        Read { claims, access: &access, members: &members },
        Evidence::default(),
        at,
    )
}

const NOW: i64 = 1_767_225_600;

fn payload() -> serde_json::Value {
    serde_json::json!({
        "sub": "orders", "user_id": "orders", "service": "orders", "type": "service", "is_service": true,
        "role": "admin", "iss": "bakery-auth", "iat": NOW - 60, "exp": NOW + 60, "jti": "j1",
    })
}

fn with(changes: serde_json::Value) -> serde_json::Value {
    let mut payload = payload();
    for (name, value) in changes.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

fn without(claim: &str) -> serde_json::Value {
    let mut payload = payload();
    payload.as_object_mut().unwrap().remove(claim);
    payload
}

fn expectations(audience: &[&str], max_lifetime: Option<Duration>) -> Expectations {
    Expectations {
        issuer: "bakery-auth".to_owned(),
        audience: audience.iter().map(|&name| name.to_owned()).collect(),
        max_lifetime,
        #[cfg(feature = "experimental-wimse")]
        iat_is_optional: false,
    }
}

fn decide(payload: &serde_json::Value, audience: &[&str], leeway: u64) -> Result<Claims, Code> {
    decide_by(&expectations(audience, None), payload, leeway)
}

fn decide_by(expectations: &Expectations, payload: &serde_json::Value, leeway: u64) -> Result<Claims, Code> {
    let text = payload.to_string();
    let claims = RawClaims::parse(text.as_bytes()).map_err(|denial| denial.code())?;
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::from_secs(leeway) };
    check(expectations, &claims, at)
        .and_then(|times| own_claims::claims(&claims, &times))
        .map_err(|denial| denial.code())
}

fn verdict(payload: &serde_json::Value) -> Option<Code> {
    decide(payload, &[], 0).err()
}

#[test]
fn a_service_token_becomes_its_claims() {
    let Ok(Claims::Service(claims)) =
        decide(&with(serde_json::json!({"scope": "a b", "email": "orders@x"})), &[], 0)
    else {
        panic!("not a service");
    };
    assert_eq!(claims.service.as_str(), "orders");
    assert_eq!((claims.role.as_deref(), claims.jti.as_deref()), (Some("admin"), Some("j1")));
    assert_eq!((claims.user_id.as_deref(), claims.email.as_deref()), (Some("orders"), Some("orders@x")));
    assert!(claims.scope.contains("a") && claims.scope.contains("b") && !claims.scope.contains("c"));
}

#[test]
fn a_token_of_another_type_is_refused_with_its_type() {
    let reason = |payload: serde_json::Value| {
        let text = payload.to_string();
        let claims = RawClaims::parse(text.as_bytes()).unwrap();
        let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
        let times = check(&expectations(&[], None), &claims, at).unwrap();
        own_claims::claims(&claims, &times).unwrap_err().reason().to_owned()
    };
    let said = reason(with(serde_json::json!({"type": "refresh"})));
    assert_eq!(said, "the token's `type` is `refresh`, expected `service`");
    let unsaid = "the token has no `type`, or one that is not a string";
    assert_eq!(reason(without("type")), unsaid);
    assert_eq!(reason(with(serde_json::json!({"type": ["service"]}))), unsaid);
}

#[test]
fn a_user_token_becomes_a_user_and_other_types_are_refused() {
    let user = without("service");
    let user = {
        let mut user = user;
        user["type"] = "access".into();
        user["is_service"] = true.into();
        user
    };
    assert!(matches!(decide(&user, &[], 0), Ok(Claims::User(_))), "`is_service` makes no user a service");
    for kind in ["refresh", "SERVICE", "service ", "", "admin"] {
        assert_eq!(verdict(&with(serde_json::json!({"type": kind}))), Some(Code::NotService), "{kind:?}");
    }
    for kind in [serde_json::json!(null), serde_json::json!(["service"]), serde_json::json!(true)] {
        assert_eq!(verdict(&with(serde_json::json!({"type": kind}))), Some(Code::NotService), "{kind}");
    }
    assert_eq!(verdict(&without("type")), Some(Code::NotService));
}

#[test]
fn is_service_must_be_the_boolean_true() {
    for value in [
        serde_json::json!(false),
        serde_json::json!("true"),
        serde_json::json!(1),
        serde_json::json!(null),
        serde_json::json!([true]),
    ] {
        assert_eq!(
            verdict(&with(serde_json::json!({"is_service": value}))),
            Some(Code::NotService),
            "{value}"
        );
    }
    assert_eq!(verdict(&without("is_service")), Some(Code::NotService));
}

#[test]
fn the_issuer_is_compared_byte_for_byte() {
    assert_eq!(verdict(&without("iss")), Some(Code::MissingClaim));
    for iss in [
        "",
        "Bakery-auth",
        "bakery-auth ",
        " bakery-auth",
        "bakery-auth/",
        "bakery-aut",
        "bakery-auth\0",
        "bаkery-auth",
    ] {
        assert_eq!(verdict(&with(serde_json::json!({"iss": iss}))), Some(Code::WrongIssuer), "{iss:?}");
    }
}

#[test]
fn an_expected_audience_must_be_named() {
    let audience =
        |aud: serde_json::Value, own: &[&str]| decide(&with(serde_json::json!({"aud": aud})), own, 0).err();
    assert_eq!(audience("orders".into(), &["orders"]), None);
    assert_eq!(audience("orders".into(), &["sales", "orders"]), None);
    assert_eq!(audience(vec!["x", "orders"].into(), &["orders"]), None);
    assert_eq!(audience(vec!["x", "Orders"].into(), &["orders"]), Some(Code::WrongAudience));
    assert_eq!(audience(Vec::<String>::new().into(), &["orders"]), Some(Code::WrongAudience));
    assert_eq!(audience("orders eu".into(), &["orders"]), Some(Code::WrongAudience));
    assert_eq!(decide(&payload(), &["orders"], 0).err(), Some(Code::MissingClaim));
}

#[test]
fn an_unexpected_audience_is_refused() {
    for aud in [serde_json::json!("orders"), serde_json::json!([]), serde_json::json!("")] {
        assert_eq!(verdict(&with(serde_json::json!({"aud": aud}))), Some(Code::WrongAudience), "{aud}");
    }
}

#[test]
fn times_are_compared_on_both_sides_of_every_boundary() {
    let at = |claim: &str, offset: i64, leeway: u64| {
        decide(&with(serde_json::json!({claim: NOW + offset})), &[], leeway).err()
    };
    let cases = [
        ("exp", 1, 0, None),
        ("exp", 0, 0, Some(Code::Expired)),
        ("exp", -1, 0, Some(Code::Expired)),
        ("exp", -29, 30, None),
        ("exp", -30, 30, Some(Code::Expired)),
        ("nbf", 0, 0, None),
        ("nbf", 1, 0, Some(Code::NotYetValid)),
        ("nbf", 30, 30, None),
        ("nbf", 31, 30, Some(Code::NotYetValid)),
        ("iat", 3600, 0, None),
    ];
    for (claim, offset, leeway, expected) in cases {
        assert_eq!(at(claim, offset, leeway), expected, "{claim} {offset} {leeway}");
    }
    assert_eq!(verdict(&without("exp")), Some(Code::MissingClaim));
}

#[test]
fn extreme_times_neither_wrap_nor_panic() {
    let exp = |value: serde_json::Value| decide(&with(serde_json::json!({"exp": value})), &[], 300).err();
    for past in [
        serde_json::json!(0),
        serde_json::json!(-1),
        serde_json::json!(i64::MIN),
        serde_json::json!(-1e300),
        serde_json::json!(1e-300),
    ] {
        assert_eq!(exp(past.clone()), Some(Code::Expired), "{past}");
    }
    for future in [serde_json::json!(i64::MAX), serde_json::json!(u64::MAX), serde_json::json!(1e300)] {
        assert_eq!(exp(future.clone()), None, "{future}");
    }
    assert_eq!(verdict(&with(serde_json::json!({"nbf": 1e300}))), Some(Code::NotYetValid));
    assert_eq!(verdict(&with(serde_json::json!({"nbf": -1e300}))), None);
}

#[test]
fn fractions_of_a_second_never_extend_a_token() {
    let now = 1_767_225_600.0;
    assert_eq!(verdict(&with(serde_json::json!({"exp": now + 0.9}))), Some(Code::Expired));
    assert_eq!(verdict(&with(serde_json::json!({"nbf": now + 0.1}))), Some(Code::NotYetValid));
}

#[test]
fn service_and_subject_are_one_valid_name() {
    let cases = [
        (serde_json::json!({"service": "sales"}), Code::SubServiceMismatch),
        (serde_json::json!({"sub": "Orders"}), Code::SubServiceMismatch),
        (serde_json::json!({"sub": null}), Code::BadClaimType),
        (serde_json::json!({"service": ["orders"]}), Code::BadClaimType),
        (serde_json::json!({"service": "", "sub": ""}), Code::BadClaimValue),
        (serde_json::json!({"service": "../x", "sub": "../x"}), Code::BadClaimValue),
        (serde_json::json!({"service": "a".repeat(254), "sub": "a".repeat(254)}), Code::BadClaimValue),
    ];
    for (changes, expected) in cases {
        assert_eq!(verdict(&with(changes.clone())), Some(expected), "{changes}");
    }
    assert_eq!(verdict(&without("service")), Some(Code::MissingClaim));
    assert_eq!(verdict(&without("sub")), Some(Code::MissingClaim));
}

#[test]
fn an_authentic_user_token_that_has_expired_is_401() {
    let mut user = with(serde_json::json!({"type": "access", "exp": NOW - 1}));
    user["is_service"] = false.into();
    assert_eq!(verdict(&user), Some(Code::Expired));
}

#[test]
fn a_subject_that_is_not_a_text_is_refused_for_a_user_as_for_a_service() {
    for kind in ["service", "access"] {
        for sub in [serde_json::json!(null), serde_json::json!(1), serde_json::json!(["orders"])] {
            let payload = with(serde_json::json!({"type": kind, "sub": sub}));
            assert_eq!(verdict(&payload), Some(Code::BadClaimType), "{kind}: {sub}");
        }
    }
}

/// Every member of a registered confirmation method (RFC 7800, RFC 8705, RFC 9449), an unknown one,
/// and values that are not objects.
fn confirmations() -> Vec<serde_json::Value> {
    use serde_json::json;
    vec![
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"jwk": {"kty": "oct", "k": ""}}),
        json!({"jwe": "a.b.c.d.e"}),
        json!({"jku": "https://keys.example", "kid": "sender"}),
        json!({"kid": "sender"}),
        json!({"osc": {}}),
        json!({"": null}),
        json!({}),
        json!(null),
        json!(""),
        json!("jkt"),
        json!([]),
        json!([{}]),
        json!(0),
        json!(-1.5e9),
        json!(true),
        json!(false),
    ]
}

#[test]
fn a_token_with_any_cnf_is_refused_because_no_proof_was_checked() {
    for cnf in confirmations() {
        let bound = with(serde_json::json!({"cnf": cnf}));
        assert_eq!(verdict(&bound), Some(Code::ProofMissing), "{cnf}");
        // Also a token that would otherwise get 403: it is not authentic.
        for changes in [serde_json::json!({"type": "access"}), serde_json::json!({"type": "refresh"})] {
            let mut other = bound.clone();
            other.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            assert_eq!(verdict(&other), Some(Code::ProofMissing), "{other}");
        }
    }
    assert_eq!(verdict(&with(serde_json::json!({"Cnf": {"jkt": "a"}, "cnf ": 1}))), None, "another name");
    assert_eq!(Code::ProofMissing.status(), 401);
}

#[test]
fn an_escaped_cnf_is_recognized() {
    let text = payload().to_string().replacen('{', "{\"\\u0063nf\":{},", 1);
    let confirmation = RawClaims::parse(text.as_bytes()).unwrap().confirmation;
    assert_eq!(confirmation, Confirmation::Unsupported, "{text}");
}

#[test]
fn an_issue_time_proves_an_age_up_to_the_leeway_and_a_minute_ahead() {
    for leeway in [0, 30, 300] {
        let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::from_secs(leeway) };
        let latest = NOW + i64::try_from(leeway).unwrap() + 60;
        for iat in [i64::MIN, 0, NOW, NOW + 1, latest] {
            assert_eq!(at.proven_issue(Some(iat)), Some(iat), "{leeway} {iat}");
        }
        // The last two values are in milliseconds and microseconds.
        for iat in [latest + 1, NOW + 3600, NOW * 1000, NOW * 1_000_000, i64::MAX] {
            assert_eq!(at.proven_issue(Some(iat)), None, "{leeway} {iat}");
        }
        assert_eq!(at.proven_issue(None), None);
        for (iat, proves) in [(None, true), (Some(latest), true), (Some(latest + 1), false)] {
            assert_eq!(Times { exp: i64::MAX, nbf: None, iat }.prove_the_age(at), proves, "{iat:?}");
        }
    }
}

#[test]
fn an_age_is_proven_at_the_end_of_time_without_an_overflow() {
    let at = Moment { now: Timestamp::from_unix(i64::MAX), leeway: Duration::from_secs(300) };
    assert_eq!(at.proven_issue(Some(i64::MAX)), Some(i64::MAX));
    let at = Moment { now: Timestamp::from_unix(i64::MIN), leeway: Duration::ZERO };
    assert_eq!(at.proven_issue(Some(i64::MIN + 61)), None);
}

#[test]
fn a_token_without_iat_has_no_lifetime_that_could_be_limited() {
    let limited = expectations(&[], Some(Duration::from_secs(365 * 86_400)));
    assert!(decide_by(&limited, &payload(), 0).is_ok());
    assert_eq!(decide_by(&limited, &without("iat"), 0).err(), Some(Code::MissingClaim));
    assert!(decide(&without("iat"), &[], 0).is_ok(), "without a limit it needs none");
}
