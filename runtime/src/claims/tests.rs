use super::*;
use crate::denial::Code;

fn parse(json: &str) -> Result<RawClaims<'_>, Code> {
    RawClaims::parse(json.as_bytes()).map_err(|denial| denial.code())
}

#[test]
fn service_names_have_an_alphabet_and_a_length() {
    let longest = "a".repeat(ServiceName::MAX_LENGTH);
    for name in ["a", "9", "orders", "alert-processor", "a.b_c-D", &longest] {
        assert!(name.parse::<ServiceName>().is_ok(), "{name}");
    }
    let too_long = format!("{longest}a");
    for name in [
        "", "-a", "a-", ".a", "a.", "_a", "a b", "a/b", "../a", "a\n", "ä", "a\0", "orders;x", "оrders",
        &too_long,
    ] {
        assert!(name.parse::<ServiceName>().is_err(), "{name:?}");
    }
}

#[test]
fn a_service_name_is_converted_from_a_text_only_if_it_is_valid() {
    assert_eq!(ServiceName::try_from("orders"), "orders".parse());
    assert_eq!(ServiceName::try_from("orders".to_owned()), "orders".parse());
    assert!(ServiceName::try_from("../orders").is_err() && ServiceName::try_from("a/b".to_owned()).is_err());
}

#[test]
fn names_and_scopes_are_shown_as_they_were_given() {
    let name: ServiceName = "alert-processor".parse().unwrap();
    assert_eq!((name.to_string().as_str(), name.as_ref()), ("alert-processor", "alert-processor"));
    assert_eq!("a b".parse::<Scopes>().unwrap().to_string(), "a b");
    assert!(InvalidServiceName.to_string().contains("253 ASCII letters"));
    assert!(InvalidScope.to_string().contains("RFC 6749") && InvalidScope.to_string().contains("256"));
}

#[test]
fn no_scope_is_none_and_one_is_some() {
    for none in ["", " ", "   "] {
        assert!(none.parse::<Scopes>().unwrap().is_empty(), "{none:?}");
    }
    assert!(!" a".parse::<Scopes>().unwrap().is_empty());
}

#[test]
fn scopes_are_compared_whole() {
    let scopes: Scopes = "tenants:read  tenants:delete".parse().unwrap();
    assert!(scopes.contains("tenants:read") && scopes.contains("tenants:delete"));
    assert!(!scopes.contains("tenants") && !scopes.contains("tenants:del") && !scopes.contains(""));
    assert_eq!(scopes.iter().count(), 2);
    for text in ["a\"b", "a\\b", "a\tb", "ä", "a\u{7f}"] {
        assert!(text.parse::<Scopes>().is_err(), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn contains_agrees_with_iteration_over_the_scopes(
        text in "[ab: ]{0,12}",
        scope in "[ab: ]{0,4}",
    ) {
        let scopes: Scopes = text.parse().unwrap();
        let among = scopes.iter().any(|held| held == scope);
        proptest::prop_assert_eq!(scopes.contains(&scope), among, "{:?}", text);
        for held in scopes.iter() {
            proptest::prop_assert!(scopes.contains(held), "{:?}", text);
        }
    }
}

#[test]
fn the_number_of_scopes_is_bounded() {
    let scopes = |count| vec!["a"; count].join(" ").parse::<Scopes>();
    assert!(scopes(Scopes::MAX).is_ok() && scopes(Scopes::MAX + 1).is_err());
}

#[test]
fn registered_claims_must_have_their_type() {
    for json in [
        r#"{"exp":"1"}"#,
        r#"{"exp":null}"#,
        r#"{"exp":true}"#,
        r#"{"exp":[1]}"#,
        r#"{"nbf":"1"}"#,
        r#"{"iat":{}}"#,
        r#"{"iss":1}"#,
        r#"{"iss":null}"#,
        r#"{"iss":["bakery-auth"]}"#,
        r#"{"jti":1}"#,
        r#"{"jti":null}"#,
        r#"{"aud":null}"#,
        r#"{"aud":1}"#,
        r#"{"aud":{"a":1}}"#,
        r#"{"aud":["a",1]}"#,
    ] {
        assert_eq!(parse(json), Err(Code::BadClaimType), "{json}");
    }
}

#[test]
fn a_number_out_of_range_is_malformed() {
    assert_eq!(parse(r#"{"exp":1e999}"#), Err(Code::Malformed));
    assert_eq!(parse(&format!(r#"{{"nbf":{}}}"#, "9".repeat(5000))), Err(Code::Malformed));
}

#[test]
fn a_time_that_is_not_a_number_is_refused_with_what_was_expected() {
    let denial = RawClaims::parse(br#"{"exp":"7"}"#).unwrap_err();
    assert_eq!(denial.code(), Code::BadClaimType);
    assert!(denial.reason().starts_with("`exp` must be a number"), "{}", denial.reason());
}

#[test]
fn the_payload_is_kept_if_a_claim_is_not_among_the_typed_ones() {
    let bound = format!(r#"{{"cnf":{{"jkt":"{}"}}}}"#, "A".repeat(43));
    for (payload, exceeds) in [
        (r#"{"iss":"a","sub":"b","exp":7,"scope":"c"}"#, false),
        ("{}", false),
        (r#"{"tenant":"a"}"#, true),
        (&bound, true),
        (r#"{"cnf":{}}"#, true),
        (r#"{"act":{"sub":"gateway"}}"#, true),
        (r#"{"client_id":"a"}"#, true),
        (r#"{"kubernetes.io":{"namespace":"a","serviceaccount":{"name":"b"}}}"#, true),
    ] {
        let claims = RawClaims::parse(payload.as_bytes()).unwrap();
        assert_eq!(claims.exceeds_service_claims(), exceeds, "{payload}");
    }
}

#[test]
fn other_claims_of_another_type_grant_nothing() {
    let claims = parse(r#"{"role":["admin"],"scope":["a"],"email":{},"user_id":null}"#).unwrap();
    assert_eq!(claims, RawClaims::default());
}

#[test]
fn an_audience_is_a_text_or_a_bounded_list_of_texts() {
    let audience = |json| parse(json).unwrap().aud.map(|aud| aud.as_slice().to_vec());
    assert_eq!(audience(r#"{"aud":"a"}"#), Some(vec!["a".into()]));
    assert_eq!(audience(r#"{"aud":["a","b"]}"#), Some(vec!["a".into(), "b".into()]));
    assert_eq!(audience(r#"{"aud":[]}"#), Some(vec![]));
    assert_eq!(audience("{}"), None);
    let list = |count| format!(r#"{{"aud":{}}}"#, serde_json::json!(vec!["a"; count]));
    assert!(parse(&list(ServiceClaims::MAX_AUDIENCES)).is_ok());
    assert_eq!(parse(&list(ServiceClaims::MAX_AUDIENCES + 1)), Err(Code::BadClaimType));
}

#[test]
fn the_length_of_a_text_claim_is_bounded() {
    for name in ["iss", "sub", "service", "user_id", "role", "email", "jti", "client_id"] {
        let of_length = |length: usize| format!(r#"{{"{name}":"{}"}}"#, "a".repeat(length));
        assert!(parse(&of_length(ServiceClaims::MAX_CLAIM_LENGTH)).is_ok(), "{name}");
        assert_eq!(
            parse(&of_length(ServiceClaims::MAX_CLAIM_LENGTH + 1)),
            Err(Code::BadClaimValue),
            "{name}"
        );
    }
}

#[test]
fn names_of_claims_are_compared_exactly() {
    let claims = parse(r#"{"Iss":"a","EXP":1,"iss ":"b","Type":"service"}"#).unwrap();
    assert_eq!(claims, RawClaims { has_others: true, ..RawClaims::default() });
}

#[test]
fn an_unverified_name_is_escaped_and_cut() {
    assert_eq!(unverified_service(br#"{"service":"a\nb"}"#).as_deref(), Some("a\\u{a}b"));
    assert_eq!(unverified_service(br#"{"sub":"anna"}"#).as_deref(), Some("anna"));
    assert_eq!(unverified_service(b"not json"), None);
    let long = format!(r#"{{"service":"{}"}}"#, "x".repeat(5000));
    assert!(unverified_service(long.as_bytes()).unwrap().len() <= crate::Denial::MAX_QUOTED);
}
