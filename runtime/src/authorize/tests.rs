use std::time::Duration;

use super::*;
use crate::{clock::Timestamp, proof::RequiredProof};

const NOW: i64 = 1_767_225_600;

static SETS: std::sync::LazyLock<Sets> = std::sync::LazyLock::new(Sets::default);

fn known() -> Known<'static> {
    Known { path: &[], sets: &SETS }
}

fn claims() -> ServiceClaims {
    ServiceClaims {
        sub: "orders".to_owned(),
        service: "orders".parse().unwrap(),
        user_id: None,
        role: Some("admin".to_owned()),
        roles: Vec::new(),
        email: None,
        issuer: "bakery-auth".to_owned(),
        aud: Vec::new(),
        exp: NOW + 60,
        iat: Some(NOW - 60),
        nbf: None,
        jti: None,
        scope: "tenants:read tenants:delete".parse().unwrap(),
        actor: None,
    }
}

fn verdict(claims: &ServiceClaims, policy: Policy<'_>) -> Option<Code> {
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
    authorize(&claims.into(), |_| None, &policy, known(), at).err().map(|denial| denial.code())
}

#[test]
fn a_policy_without_requirements_accepts_every_service() {
    assert_eq!(verdict(&claims(), Policy::any_service()), None);
}

#[test]
fn any_of_the_services_is_enough_and_is_compared_exactly() {
    let cases: [(&[&str], Option<Code>); 6] = [
        (&["orders"], None),
        (&["sales", "orders"], None),
        (&[], Some(Code::ServiceNotAllowed)),
        (&["sales"], Some(Code::ServiceNotAllowed)),
        (&["Orders"], Some(Code::ServiceNotAllowed)),
        (&["orders "], Some(Code::ServiceNotAllowed)),
    ];
    for (services, expected) in cases {
        assert_eq!(verdict(&claims(), Policy::any_service().services(services)), expected, "{services:?}");
    }
}

#[test]
fn any_of_the_issuers_is_enough_and_is_compared_exactly() {
    let cases: [(&[&str], Option<Code>); 5] = [
        (&["bakery-auth"], None),
        (&["https://mill.example", "bakery-auth"], None),
        (&[], Some(Code::IssuerNotAllowed)),
        (&["https://mill.example"], Some(Code::IssuerNotAllowed)),
        (&["bakery-auth/", "Bakery-auth", ""], Some(Code::IssuerNotAllowed)),
    ];
    for (issuers, expected) in cases {
        assert_eq!(verdict(&claims(), Policy::any_service().issuers(issuers)), expected, "{issuers:?}");
    }
    let policy = Policy::any_service().issuers(&["a", "b"]);
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
    let denial = authorize(&(&claims()).into(), |_| None, &policy, known(), at).unwrap_err();
    assert_eq!(denial.reason(), "the issuer is `bakery-auth`, allowed: a, b");
}

#[test]
fn current_actor_must_be_one_of_the_actors() {
    let policy = Policy::any_service().services(&["orders"]).actors(&["gateway", "edge"]);
    let via = |actor: Actor| ServiceClaims { actor: Some(actor), ..claims() };
    let named = |name| Actor::new(name).unwrap();
    assert_eq!(verdict(&via(named("gateway")), policy), None);
    assert_eq!(verdict(&via(named("edge").after(named("cdn")).unwrap()), policy), None);
    for (claims, found) in [
        (claims(), "absent"),
        (via(named("Gateway")), "`Gateway`"),
        (via(named("orders")), "`orders`"),
        // RFC 8693 section 4.1: a prior actor decides nothing.
        (via(named("cdn").after(named("gateway")).unwrap()), "`cdn`"),
    ] {
        let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
        let denial = authorize(&(&claims).into(), |_| None, &policy, known(), at).unwrap_err();
        assert_eq!(denial.code(), Code::ActorNotAllowed);
        assert_eq!(denial.reason(), format!("the actor is {found}, allowed: gateway, edge"));
    }
    assert_eq!(verdict(&via(named("gateway")), policy.actors(&[])), Some(Code::ActorNotAllowed));
    // Without actors in the policy, a caller may call itself or through an actor.
    assert_eq!(verdict(&via(named("cdn")), Policy::any_service()), None);
}

#[test]
fn actor_that_another_issuer_knows_by_the_name_is_another_party() {
    let policy = Policy::any_service().actors(&["gateway"]);
    let of = |issuer: &str| {
        let json = format!(r#"{{"sub":"gateway","iss":"{issuer}"}}"#);
        let actor = Actor::read(serde_json::from_str(&json).unwrap()).unwrap();
        verdict(&ServiceClaims { actor: Some(actor), ..claims() }, policy)
    };
    assert_eq!(of("bakery-auth"), None);
    assert_eq!(of("https://mill.example"), Some(Code::ActorNotAllowed));
}

#[test]
fn any_of_the_roles_is_enough_and_no_role_is_none_of_them() {
    let policy = Policy::any_service().roles(&["operator", "admin"]);
    assert_eq!(verdict(&claims(), policy), None);
    let other = ServiceClaims { role: Some("Admin".to_owned()), ..claims() };
    assert_eq!(verdict(&other, policy), Some(Code::RoleNotAllowed));
    assert_eq!(verdict(&claims(), Policy::any_service().roles(&[])), Some(Code::RoleNotAllowed));
    let none = ServiceClaims { role: None, ..claims() };
    assert_eq!(verdict(&none, policy), Some(Code::RoleNotAllowed));
}

#[test]
fn every_scope_is_needed_and_the_missing_ones_are_named() {
    assert_eq!(verdict(&claims(), Policy::any_service().scopes(&["tenants:delete", "tenants:read"])), None);
    let policy = Policy::any_service().scopes(&["tenants:read", "tenants", "users:read"]);
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
    let denial = authorize(&(&claims()).into(), |_| None, &policy, known(), at).unwrap_err();
    assert_eq!(
        (denial.code(), denial.missing_scopes()),
        (Code::MissingScope, &["tenants".to_owned(), "users:read".to_owned()][..])
    );
}

#[test]
fn a_token_is_fresh_up_to_and_at_its_age() {
    for (age, expected) in [(60, None), (61, None), (59, Some(Code::TooOld)), (0, Some(Code::TooOld))] {
        let policy = Policy::any_service().max_age(Duration::from_secs(age));
        assert_eq!(verdict(&claims(), policy), expected, "{age}");
    }
}

#[test]
fn a_token_without_an_issue_time_or_from_the_future_is_not_fresh() {
    let policy = Policy::any_service().max_age(Duration::from_secs(3600));
    for iat in [None, Some(NOW + 1), Some(i64::MAX), Some(i64::MIN)] {
        assert_eq!(verdict(&ServiceClaims { iat, ..claims() }, policy), Some(Code::TooOld), "{iat:?}");
    }
}

#[test]
fn leeway_moves_both_ends_of_the_age() {
    let policy = Policy::any_service().max_age(Duration::from_secs(10));
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::from_secs(5) };
    for (iat, fresh) in [(NOW + 5, true), (NOW + 6, false), (NOW - 15, false), (NOW - 10, true)] {
        let verdict = authorize(
            &(&ServiceClaims { iat: Some(iat), ..claims() }).into(),
            |_| None,
            &policy,
            known(),
            at,
        );
        assert_eq!(verdict.is_ok(), fresh, "{}", iat - NOW);
    }
}

#[test]
fn proof_is_compared_first_and_claims_without_a_sender_have_none() {
    let policy = Policy::any_service().services(&["another"]).proof(RequiredProof::Any);
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
    let code = |asking: &Asking<'_>| {
        authorize(asking, |_| None, &policy, known(), at).err().map(|denial| denial.code())
    };
    let claims = claims();
    assert_eq!(code(&(&claims).into()), Some(Code::ProofMissing));
    let proven = Asking { proof: Some(Proof::Mtls), ..(&claims).into() };
    assert_eq!(code(&proven), Some(Code::ServiceNotAllowed), "the rest of the policy still applies");
}
