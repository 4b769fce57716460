use serde_json::{Value as Json, json};

use super::*;
use crate::trusted::GrantClaim;

fn decide(kind: Kind, issuer: &str, payload: &Json, names: &[(&str, &str)]) -> Result<ServiceClaims, Code> {
    let text = payload.to_string();
    let claims = RawClaims::parse(text.as_bytes()).unwrap();
    let given = names.iter().map(|(subject, name)| ((*subject).to_owned(), name.parse().unwrap())).collect();
    let names = Names { given, only_given: false };
    let times = Times { exp: 60, nbf: None, iat: Some(0) };
    let access = AccessTokens::rfc9068();
    let members = access.read(text.as_bytes()).unwrap();
    let token = Read { claims: &claims, access: &access, members: &members };
    match kind.claims(token, &times, issuer, &names) {
        Ok(Claims::Service(claims)) => Ok(claims),
        Ok(other) => panic!("{other:?}"),
        Err(denial) => Err(denial.code()),
    }
}

fn name_of(decided: Result<ServiceClaims, Code>) -> Result<String, Code> {
    decided.map(|claims| claims.service.as_str().to_owned())
}

fn account(sub: &str, namespace: &str, name: &str) -> Json {
    json!({"sub": sub, "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}, "pod": {}}})
}

#[test]
fn every_kind_has_its_own_typ() {
    let cases = [
        (Kind::Compatible, &[None, Some("JWT"), Some("jwt")][..]),
        (Kind::Strict, &[Some("service+jwt"), Some("application/service+jwt"), Some("SERVICE+JWT")][..]),
        (Kind::Kubernetes, &[None, Some("JWT")][..]),
        (Kind::Spiffe, &[None, Some("JWT"), Some("JOSE")][..]),
        (Kind::OAuth, &[Some("at+jwt"), Some("application/at+jwt"), Some("at+JWT")][..]),
    ];
    let all: Vec<Option<&str>> =
        cases.iter().flat_map(|(_, own)| own.iter().copied()).chain([Some("other")]).collect();
    let access = AccessTokens::rfc9068();
    for (kind, own) in cases {
        for typ in &all {
            let lower = typ.map(str::to_ascii_lowercase);
            let expected = own.iter().any(|own| own.map(str::to_ascii_lowercase) == lower);
            assert_eq!(kind.check_typ(&access, *typ).is_ok(), expected, "{kind:?} {typ:?}");
        }
        assert_eq!(kind.check_typ(&access, Some("")).unwrap_err().code(), Code::Malformed);
    }
}

#[test]
fn a_user_of_an_oauth_server_is_its_subject_and_no_other_claim() {
    let access = AccessTokens::rfc9068().scopes_from([GrantClaim::Scp]).and_users();
    let text = json!({"sub": "f:1:mia", "client_id": "web", "user_id": "admin", "role": "manager", "scope": "a:b", "scp": "c:d"});
    let text = text.to_string();
    let claims = RawClaims::parse(text.as_bytes()).unwrap();
    let members = access.read(text.as_bytes()).unwrap();
    let token = Read { claims: &claims, access: &access, members: &members };
    let times = Times { exp: 60, nbf: None, iat: Some(0) };
    let names = Names { given: std::collections::BTreeMap::new(), only_given: false };
    let Ok(Claims::User(user)) = Kind::OAuth.claims(token, &times, "https://sso.example", &names) else {
        panic!("not a user");
    };
    assert_eq!((user.sub.as_deref(), user.user_id, user.role), (Some("f:1:mia"), None, None));
    assert_eq!(user.scope, "c:d".parse().unwrap(), "the claim that the settings name");
}

#[test]
fn only_compatible_tokens_may_be_signed_with_a_secret() {
    for kind in [Kind::Strict, Kind::Kubernetes, Kind::Spiffe, Kind::OAuth] {
        assert!(
            !kind.may_use(Algorithm::HS256) && kind.may_use(Algorithm::ES256) && kind.requires_audience()
        );
    }
    assert!(Kind::Compatible.may_use(Algorithm::HS512) && !Kind::Spiffe.may_use(Algorithm::EdDSA));
}

#[test]
fn strict_and_oauth_tokens_have_a_name_and_an_issue_time() {
    let required = |kind: Kind, payload: Json| {
        let text = payload.to_string();
        let claims = RawClaims::parse(text.as_bytes()).unwrap();
        let required = kind.check_required(&claims);
        let required = match kind {
            Kind::OAuth => required.and_then(|()| AccessTokens::rfc9068().check_required(&claims)),
            _ => required,
        };
        required.err().map(|denial| denial.code())
    };
    for kind in [Kind::Strict, Kind::OAuth] {
        assert_eq!(required(kind, json!({"jti": "j", "iat": 1})), None);
        for payload in [json!({"iat": 1}), json!({"jti": "", "iat": 1}), json!({"jti": "j"})] {
            assert_eq!(required(kind, payload.clone()), Some(Code::MissingClaim), "{payload}");
        }
    }
    assert_eq!(required(Kind::Compatible, json!({})), None);
}

#[test]
fn a_bound_account_is_named_by_its_namespace_and_name() {
    let good = account("system:serviceaccount:bakery:orders", "bakery", "orders");
    assert_eq!(name_of(decide(Kind::Kubernetes, "k8s", &good, &[])), Ok("bakery.orders".to_owned()));
    let named = &[("system:serviceaccount:bakery:orders", "orders")];
    assert_eq!(name_of(decide(Kind::Kubernetes, "k8s", &good, named)), Ok("orders".to_owned()));
}

#[test]
fn a_subject_that_is_not_a_bound_account_is_refused() {
    let cases = [
        (account("system:node:n1", "bakery", "orders"), Code::NotService),
        (account("system:serviceaccount:bakery", "bakery", "orders"), Code::NotService),
        (account("system:serviceaccount::orders", "", "orders"), Code::NotService),
        (account("system:serviceaccount:bakery:", "bakery", ""), Code::NotService),
        (account("system:serviceaccount:a.b:c", "a.b", "c"), Code::NotService),
        (account("system:serviceaccount:a:b:c", "a", "b:c"), Code::NotService),
        (account("system:serviceaccount:bakery:orders", "bakery", "sales"), Code::SubServiceMismatch),
        (account("system:serviceaccount:bakery:orders", "other", "orders"), Code::SubServiceMismatch),
        (json!({"sub": "system:serviceaccount:bakery:orders"}), Code::MissingClaim),
        (
            json!({"sub": "system:serviceaccount:bakery:orders", "kubernetes.io": "x"}),
            Code::SubServiceMismatch,
        ),
        (json!({"sub": 1}), Code::BadClaimType),
        (json!({}), Code::MissingClaim),
    ];
    for (payload, expected) in cases {
        assert_eq!(name_of(decide(Kind::Kubernetes, "k8s", &payload, &[])), Err(expected), "{payload}");
    }
}

#[test]
fn a_spiffe_id_is_named_by_its_path_where_that_is_unambiguous() {
    let of = |sub: &str, names: &[(&str, &str)]| {
        name_of(decide(Kind::Spiffe, "bakery.example", &json!({"sub": sub}), names))
    };
    assert_eq!(of("spiffe://bakery.example/ns/bakery/sa/orders", &[]), Ok("ns.bakery.sa.orders".to_owned()));
    assert_eq!(of("spiffe://bakery.example/a.b", &[]), Err(Code::BadClaimValue), "it could be /a/b");
    assert_eq!(
        of("spiffe://bakery.example/a.b", &[("spiffe://bakery.example/a.b", "ab")]),
        Ok("ab".to_owned())
    );
    for (sub, expected) in [
        ("spiffe://other.example/orders", Code::WrongIssuer),
        ("spiffe://bakery.example.evil/orders", Code::WrongIssuer),
        ("spiffe://BAKERY.example/orders", Code::WrongIssuer),
        ("SPIFFE://bakery.example/orders", Code::BadClaimValue),
        ("https://bakery.example/orders", Code::BadClaimValue),
        ("spiffe://bakery.example", Code::BadClaimValue),
        ("spiffe://bakery.example/", Code::BadClaimValue),
        ("spiffe://bakery.example/a//b", Code::BadClaimValue),
        ("spiffe://bakery.example/a/../b", Code::BadClaimValue),
        ("spiffe://bakery.example/a/", Code::BadClaimValue),
        ("spiffe://bakery.example/a?x=1", Code::BadClaimValue),
        ("spiffe://bakery.example/a%2Fb", Code::BadClaimValue),
        ("spiffe://bakery.example:443/a", Code::WrongIssuer),
    ] {
        assert_eq!(of(sub, &[]), Err(expected), "{sub}");
    }
}

#[test]
fn an_oauth_client_is_a_service_and_its_users_are_not() {
    let of = |payload: Json| decide(Kind::OAuth, "https://idp", &payload, &[]);
    let claims = of(json!({"sub": "orders", "client_id": "orders", "scope": "a b"})).unwrap();
    assert!(claims.service.as_str() == "orders" && claims.scope.contains("b"));
    assert_eq!(of(json!({"sub": "anna", "client_id": "orders"})).unwrap_err(), Code::NotService);
    assert_eq!(of(json!({"sub": "orders"})).unwrap_err(), Code::MissingClaim);
    assert_eq!(of(json!({"sub": "orders", "client_id": ["orders"]})).unwrap_err(), Code::BadClaimType);
    assert_eq!(of(json!({"sub": "a b", "client_id": "a b"})).unwrap_err(), Code::BadClaimValue);
}

#[test]
fn a_name_given_to_one_subject_is_not_anothers_by_accident() {
    let names = &[("client-7", "orchestrator")];
    let of = |client: &str| {
        name_of(decide(Kind::OAuth, "https://idp", &json!({"sub": client, "client_id": client}), names))
    };
    assert_eq!(of("client-7"), Ok("orchestrator".to_owned()));
    assert_eq!(of("orchestrator"), Err(Code::BadClaimValue));
    assert_eq!(of("orders"), Ok("orders".to_owned()));
}

#[test]
fn roles_and_scopes_of_other_systems_grant_nothing_by_accident() {
    let mut payload = account("system:serviceaccount:bakery:orders", "bakery", "orders");
    payload["role"] = json!("admin");
    payload["scope"] = json!("tenants:delete");
    payload["service"] = json!("orchestrator");
    let claims = decide(Kind::Kubernetes, "k8s", &payload, &[]).unwrap();
    assert_eq!(
        (claims.role, claims.scope.is_empty(), claims.service.as_str()),
        (None, true, "bakery.orders")
    );
}

#[test]
fn a_strict_token_is_valid_for_at_most_a_day() {
    assert_eq!(MAX_STRICT_LIFETIME.as_secs(), 86_400);
}

#[test]
fn every_kind_has_a_name_and_all_but_spiffe_compare_the_issuer() {
    let kinds = [Kind::Compatible, Kind::Strict, Kind::Kubernetes, Kind::Spiffe, Kind::OAuth];
    assert_eq!(kinds.map(Kind::as_str), ["compatible", "strict", "kubernetes", "spiffe", "oauth"]);
    assert_eq!(kinds.map(Kind::compares_issuer), [true, true, true, false, true]);
}
