use serde_json::{Value as Json, json};

use super::*;

fn members(tokens: &AccessTokens, payload: &Json) -> Members {
    tokens.read(payload.to_string().as_bytes()).unwrap()
}

fn subject(tokens: &AccessTokens, payload: &Json) -> Result<String, Code> {
    let members = members(tokens, payload);
    tokens.subject(&members).map(|foreign| foreign.subject.into_owned()).map_err(|denial| denial.code())
}

#[test]
fn settings_without_a_mark_of_a_machine_do_not_build() {
    let named = || AccessTokens::named_by("azp");
    assert_eq!(named().check(), Err(BuildError::NoMachineMark));
    // What a provider may omit is not a mark, and a claim always equals itself.
    assert_eq!(named().user_if_present("uid").check(), Err(BuildError::NoMachineMark));
    assert_eq!(named().access_if("token_use", "access").check(), Err(BuildError::NoMachineMark));
    assert_eq!(named().machine_if_equal("sub", "sub").check(), Err(BuildError::NoMachineMark));
    assert_eq!(
        named().machine_if("gty", "x").machine_if_equal("sub", "sub").check(),
        Err(BuildError::NoMachineMark)
    );
    assert_eq!(named().machine_if("gty", "client-credentials").check(), Ok(()));
    assert_eq!(named().machine_if_equal("sub", "azp").check(), Ok(()));
    assert_eq!(AccessTokens::rfc9068().check(), Ok(()));
}

#[test]
fn an_empty_setting_is_an_error_and_never_a_check_switched_off() {
    let good = || AccessTokens::named_by("azp").machine_if("gty", "client-credentials");
    for empty in [
        AccessTokens::named_by("").machine_if("gty", "x"),
        good().machine_if("", "x"),
        good().machine_if("gty", ""),
        good().machine_if_equal("sub", ""),
        good().user_if_present(""),
        good().access_if("token_use", ""),
        good().audience_from(""),
        good().typ([""]),
    ] {
        assert_eq!(empty.check(), Err(BuildError::EmptyAccessSetting), "{empty:?}");
    }
    assert_eq!(good().typ([""; 0]).check(), Err(BuildError::NoTyp));
    assert_eq!(good().typ([""; 0]).typ_may_be_absent().check(), Ok(()));
}

#[test]
fn a_token_needs_every_mark_and_none_of_another_type() {
    let tokens = AccessTokens::named_by("azp")
        .machine_if("gty", "client-credentials")
        .machine_if_equal("sub", "azp")
        .user_if_present("uid")
        .access_if("use", "access");
    let good = json!({"azp": "orders", "sub": "orders", "gty": "client-credentials", "use": "access"});
    assert_eq!(subject(&tokens, &good), Ok("orders".to_owned()));
    let changed = |claim: &str, value: Json| {
        let mut payload = good.clone();
        payload[claim] = value;
        subject(&tokens, &payload)
    };
    for value in [json!("password"), json!(["client-credentials"]), json!(null), json!(true)] {
        assert_eq!(changed("gty", value), Err(Code::NotService));
    }
    for value in [json!("anna"), json!(["orders"]), json!("Orders"), json!("orders ")] {
        assert_eq!(changed("sub", value), Err(Code::NotService));
    }
    for value in [json!("u1"), json!(null), json!(false)] {
        assert_eq!(changed("uid", value), Err(Code::NotService), "a claim of any value is present");
    }
    assert_eq!(changed("use", json!("id")), Err(Code::BadClaimValue));
    assert_eq!(changed("azp", json!(["orders"])), Err(Code::BadClaimType));
    let mut unnamed = good.clone();
    unnamed.as_object_mut().unwrap().remove("azp");
    assert_eq!(subject(&tokens, &unnamed), Err(Code::MissingClaim));
}

#[test]
fn a_token_with_a_part_of_the_marks_belongs_to_no_user() {
    let user = |tokens: &AccessTokens, payload: Json| tokens.is_user(&members(tokens, &payload));
    let tokens = AccessTokens::named_by("azp")
        .machine_if("gty", "client-credentials")
        .machine_if_equal("sub", "azp")
        .user_if_present("uid")
        .user_unless("idtyp", "app")
        .and_users();
    assert!(user(&tokens, json!({"azp": "web", "sub": "anna", "uid": "u1"})));
    assert!(user(&tokens, json!({"azp": "web", "sub": "anna", "uid": "u1", "idtyp": "user"})));
    for neither in [
        json!({"azp": "web", "sub": "anna"}),
        json!({"azp": "web", "sub": "web", "uid": "u1"}),
        json!({"azp": "web", "sub": "anna", "uid": "u1", "gty": "client-credentials"}),
        json!({"azp": "web", "sub": "web"}),
    ] {
        assert!(!user(&tokens, neither.clone()), "{neither}");
    }
    let one_mark = || AccessTokens::named_by("azp").machine_if_equal("sub", "azp");
    assert!(user(&one_mark().and_users(), json!({"azp": "web", "sub": "anna"})));
    assert!(!user(&one_mark(), json!({"azp": "web", "sub": "anna"})), "users are not admitted");
    let named = one_mark().users_only(Rule::StartsNot("name", "service-account-")).and_users();
    assert!(user(&named, json!({"azp": "web", "sub": "u1", "name": "anna"})));
    assert!(!user(&named, json!({"azp": "web", "sub": "u1", "name": "service-account-web"})));
    let without_marks = AccessTokens::named_by("sub").only_named().and_users();
    assert!(!user(&without_marks, json!({"sub": "anna"})), "nothing separates users from machines");
}

#[test]
fn a_token_without_the_claim_of_every_machine_is_a_users_before_its_other_claims_are_compared() {
    let tokens = AccessTokens::named_by("project")
        .user_unless_present("project")
        .access_if("protected", "true")
        .only_named();
    assert_eq!(subject(&tokens, &json!({"sub": "42"})), Err(Code::NotService));
    assert_eq!(subject(&tokens, &json!({"project": "a"})), Err(Code::BadClaimValue));
    assert_eq!(subject(&tokens, &json!({"project": 7, "protected": "true"})), Err(Code::BadClaimType));
    assert_eq!(subject(&tokens, &json!({"project": "a", "protected": "true"})), Ok("a".to_owned()));
}

#[test]
fn a_subject_without_a_role_has_no_default_name_where_roles_are_what_is_granted() {
    let tokens = || {
        AccessTokens::named_by("azp")
            .machine_if("idtyp", "app")
            .roles_from([GrantClaim::Roles])
            .names_or_roles()
    };
    let default = |tokens: AccessTokens, roles: Json| {
        let read = members(&tokens, &json!({"azp": "orders", "idtyp": "app", "roles": roles}));
        tokens.subject(&read).unwrap().default.map(std::borrow::Cow::into_owned)
    };
    assert_eq!(default(tokens(), json!(["Orders.Read"])), Some("orders".to_owned()));
    for none in [json!([]), json!(null), json!(""), json!([""]), json!({"Orders.Read": true}), json!([7])] {
        assert_eq!(default(tokens(), none.clone()), None, "{none}");
    }
    assert_eq!(default(tokens().only_named(), json!(["Orders.Read"])), None);
}

#[test]
fn two_absent_or_empty_claims_are_not_equal() {
    let tokens = AccessTokens::named_by("azp").machine_if_equal("a", "b");
    assert_eq!(subject(&tokens, &json!({"azp": "x"})), Err(Code::NotService));
    assert_eq!(subject(&tokens, &json!({"azp": "x", "a": "", "b": ""})), Err(Code::NotService));
    let suffixed = AccessTokens::named_by("azp").machine_if_suffixed("sub", "azp", "@clients");
    assert_eq!(subject(&suffixed, &json!({"azp": "", "sub": "@clients"})), Err(Code::NotService));
    assert_eq!(subject(&suffixed, &json!({"azp": "x", "sub": "x"})), Err(Code::NotService));
    assert_eq!(subject(&suffixed, &json!({"azp": "x", "sub": "x@clients"})), Ok("x".to_owned()));
}

#[test]
fn a_subject_of_several_claims_is_unambiguous() {
    let tokens = AccessTokens::named_by("project").and_by("ref").only_named();
    let of =
        |project: &str, reference: &str| subject(&tokens, &json!({"project": project, "ref": reference}));
    assert_eq!(of("a/b", "refs/heads/main"), Ok(AccessTokens::joined(&["a/b", "refs/heads/main"])));
    for (project, reference) in [("a b", "c"), ("a", "b c"), ("", "b"), ("a", "")] {
        assert_eq!(of(project, reference), Err(Code::BadClaimValue), "{project} {reference}");
    }
}

#[test]
fn the_length_of_a_subject_is_bounded() {
    let tokens = AccessTokens::named_by("azp").machine_if("gty", "x");
    let of = |length: usize| {
        subject(&tokens, &json!({"azp": "a".repeat(length), "gty": "x"})).map(|name| name.len())
    };
    assert_eq!(of(MAX_CLAIM_LENGTH), Ok(MAX_CLAIM_LENGTH));
    assert_eq!(of(MAX_CLAIM_LENGTH + 1), Err(Code::BadClaimValue));
}

#[test]
fn grants_are_a_text_or_an_array_of_texts_and_anything_else_grants_nothing() {
    let all = [GrantClaim::Scope, GrantClaim::Scp, GrantClaim::Permissions];
    let tokens = AccessTokens::rfc9068()
        .scopes_from(all)
        .roles_from([GrantClaim::Roles, GrantClaim::RealmAccessRoles]);
    let scopes = |payload: Json| tokens.read_scopes(&members(&tokens, &payload)).to_string();
    assert_eq!(scopes(json!({"scope": "a b", "scp": ["c"], "permissions": ["d", "e"]})), "a b c d e");
    assert_eq!(scopes(json!({"scp": "c d", "scope": ["a", "b"]})), "a b c d");
    // A scope with a space does not become two.
    assert_eq!(scopes(json!({"scope": ["a", "b tenants:delete"], "scp": ["c"]})), "c");
    for odd in
        [json!(7), json!({"a": 1}), json!(["a", 1]), json!(null), json!("a\"b"), json!(["a\\b"]), json!([""])]
    {
        assert_eq!(scopes(json!({"scope": odd, "scp": "c"})), "c", "{odd}");
    }
    let roles = |payload: Json| tokens.read_roles(&members(&tokens, &payload));
    assert_eq!(roles(json!({"roles": ["a b"], "realm_access": {"roles": ["c"]}})), ["a b", "c"]);
    assert!(
        roles(json!({"realm_access": ["c"], "roles": {"roles": ["x"]}, "realm_access.roles": ["d"]}))
            .is_empty()
    );
    let many = |count: usize| roles(json!({"roles": vec!["r"; count]})).len();
    assert_eq!((many(Scopes::MAX), many(Scopes::MAX + 1)), (Scopes::MAX, 0));
}

#[test]
fn roles_are_the_words_of_a_text_or_the_texts_of_an_array() {
    let tokens = AccessTokens::named_by("azp").roles_from([GrantClaim::Roles]);
    let roles = |value: Json| tokens.read_roles(&members(&tokens, &json!({"roles": value})));
    assert_eq!(roles(json!("writer  reader ")), ["writer", "reader"]);
    assert_eq!(roles(json!(["writer", "two words"])), ["writer", "two words"]);
    assert!(roles(json!({"writer": true})).is_empty() && roles(json!(7)).is_empty());
}

#[test]
fn a_required_jti_is_a_text_that_is_not_empty() {
    let check = |tokens: &AccessTokens, payload: &str| {
        tokens.check_required(&RawClaims::parse(payload.as_bytes()).unwrap()).is_ok()
    };
    let (optional, required) = (AccessTokens::named_by("azp"), AccessTokens::named_by("azp").require_jti());
    for (payload, has_one) in [(r#"{"jti":"a"}"#, true), (r#"{"jti":""}"#, false), ("{}", false)] {
        assert_eq!((check(&optional, payload), check(&required, payload)), (true, has_one), "{payload}");
    }
}

#[test]
fn a_subject_of_several_claims_is_their_values_with_a_space_between() {
    assert_eq!(AccessTokens::joined(&["bakery/orders", "refs/heads/main"]), "bakery/orders refs/heads/main");
}

#[test]
fn a_repeated_member_of_an_object_grants_nothing() {
    let tokens = AccessTokens::rfc9068().roles_from([GrantClaim::RealmAccessRoles]);
    let text = br#"{"realm_access":{"roles":["a"],"roles":["admin"]}}"#;
    assert!(tokens.read_roles(&tokens.read(text).unwrap()).is_empty());
}

#[test]
fn another_claim_may_name_the_audience() {
    let named = |tokens: AccessTokens, payload: Json| {
        let read = members(&tokens, &payload);
        tokens.audience(&read).map(|audience| audience.map_err(|denial| denial.code()))
    };
    let claim = || AccessTokens::rfc9068().audience_from("resource");
    assert_eq!(named(AccessTokens::rfc9068(), json!({"aud": "orders"})), None);
    assert_eq!(named(claim(), json!({"resource": "orders"})), Some(Ok(vec!["orders".to_owned()])));
    assert_eq!(
        named(claim(), json!({"resource": ["a", "b"]})),
        Some(Ok(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert_eq!(named(claim(), json!({"aud": "orders"})), Some(Err(Code::MissingClaim)));
    assert_eq!(named(claim(), json!({"resource": 7})), Some(Err(Code::BadClaimType)));
    let scopes = || AccessTokens::rfc9068().audience_from_scopes();
    let of = |scope: &str| named(scopes(), json!({"scope": scope}));
    assert_eq!(of("orders/read"), Some(Ok(vec!["orders".to_owned()])));
    assert_eq!(of("https://orders.example/read openid"), Some(Ok(vec!["https://orders.example".to_owned()])));
    assert_eq!(of("orders"), Some(Ok(vec![])));
}
