//! Tokens of identity providers: the machine's access token passes, and every impostor is refused.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use service_only::{Policy, TrustedIssuer, Verifier};
use service_only_testkit::{FixtureToken, Impersonation, Impostor, Provider, TestAuthority};

fn authority(provider: Provider) -> TestAuthority {
    TestAuthority::new().audience("orders").of_provider(provider)
}

/// The name of the expected caller. Another service account of a cluster has a name with its namespace.
fn name(provider: Provider) -> &'static str {
    if provider == Provider::Eks { "bakery.billing" } else { "billing" }
}

/// The expected caller by its name.
fn trusted(authority: &TestAuthority, provider: Provider) -> TrustedIssuer {
    let trusted = authority.trusted_provider(provider);
    match provider {
        Provider::GitHubActions | Provider::GitLabCi => {
            trusted.pipeline("bakery/billing", "refs/heads/main", "billing")
        }
        Provider::Eks => trusted.name("system:serviceaccount:bakery:billing-client", name(provider)),
        Provider::AwsIam => trusted.name("arn:aws:iam::123456789012:role/billing-client", "billing"),
        _ => trusted.name("billing-client", "billing"),
    }
}

fn verifier(authority: &TestAuthority, provider: Provider) -> Verifier {
    let trusted = trusted(authority, provider);
    let builder = Verifier::builder().trust(trusted).clock(authority.clock().clone());
    builder.audit(authority.audit().clone()).build().unwrap()
}

fn machine(authority: &TestAuthority, provider: Provider) -> FixtureToken {
    match provider {
        Provider::Keycloak => authority.keycloak("billing-client"),
        Provider::Auth0 => authority.auth0("billing-client").scope("orders:read"),
        Provider::Auth0Rfc9068 => authority.auth0_rfc9068("billing-client").scope("orders:read"),
        Provider::EntraV1 => authority.entra_v1("billing-client"),
        Provider::EntraV2 => authority.entra_v2("billing-client"),
        Provider::Okta => authority.okta("billing-client"),
        Provider::Cognito => authority.cognito("billing-client"),
        Provider::GoogleServiceAccounts => {
            authority.google_service_account("billing-client", "billing@bakery.iam.gserviceaccount.com")
        }
        Provider::Duende => authority.duende("billing-client"),
        Provider::GitHubActions => authority.github_actions("bakery/billing", "refs/heads/main"),
        Provider::GitLabCi => authority.gitlab_ci("bakery/billing", "refs/heads/main"),
        Provider::Eks => authority.kubernetes("bakery", "billing-client"),
        Provider::AwsIam => authority.aws_iam("billing-client"),
        other => panic!("{other:?} has no machine"),
    }
    .token()
}

#[test]
fn the_machine_of_every_provider_is_a_service_by_its_configured_name() {
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let verifier = verifier(&authority, provider);
        let token = machine(&authority, provider);
        // From the third time on it comes from the cache.
        for _ in 0..4 {
            let caller = verifier.verify(&token).unwrap_or_else(|denial| panic!("{provider:?}: {denial}"));
            assert_eq!((caller.service(), caller.issuer()), (name(provider), provider.issuer()));
        }
    }
}

#[test]
fn every_impostor_of_every_provider_is_refused_with_its_code() {
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let verifier = verifier(&authority, provider);
        let impostors = authority.impostors(provider);
        let classes: BTreeSet<_> = impostors.iter().map(Impostor::class).collect();
        assert_eq!(classes, Impersonation::ALL.iter().copied().collect(), "{provider:?}");
        for impostor in impostors {
            for _ in 0..4 {
                let denial = verifier.verify(&impostor.token()).unwrap_err();
                assert_eq!(denial.code(), impostor.code(), "{provider:?} {impostor:?}: {denial}");
            }
        }
    }
}

#[test]
fn a_token_of_one_provider_is_not_anothers_even_with_its_issuer() {
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let verifier = verifier(&authority, provider);
        for &other in Provider::ALL.iter().filter(|other| **other != provider) {
            let token = machine(&authority, other);
            let caller = verifier.verify(&token).map(|caller| caller.service().to_owned());
            assert!(caller.is_err(), "{provider:?} accepts a token of {other:?}: {caller:?}");
        }
    }
}

#[test]
fn scopes_and_roles_come_from_the_claims_of_the_provider() {
    let granted: &[(Provider, Policy<'_>)] = &[
        (Provider::Keycloak, Policy::any_service().roles(&["offline_access"]).scopes(&["profile"])),
        (Provider::Auth0, Policy::any_service().scopes(&["orders:read"])),
        (Provider::Auth0Rfc9068, Policy::any_service().scopes(&["orders:read"])),
        (Provider::EntraV1, Policy::any_service().roles(&["Orders.Read"])),
        (Provider::EntraV2, Policy::any_service().roles(&["Orders.Read"])),
        (Provider::Okta, Policy::any_service().scopes(&["orders.read"])),
        (Provider::Duende, Policy::any_service().scopes(&["orders.read"])),
        (Provider::Cognito, Policy::any_service().scopes(&["orders/read"])),
    ];
    for (provider, policy) in granted {
        let authority = authority(*provider);
        let verifier = verifier(&authority, *provider);
        let token = machine(&authority, *provider);
        assert!(verifier.verify_with(&token, policy).is_ok(), "{provider:?}");
        let more = Policy::any_service().roles(&["admin"]);
        assert_eq!(verifier.verify_with(&token, &more).unwrap_err().status(), 403, "{provider:?}");
    }
}

/// A verifier of Keycloak's tokens with one mistake, over claims whose signature is valid.
struct Broken {
    mistake: &'static str,
    accepts: fn(&Value) -> bool,
    caught_by: Impersonation,
}

const BROKEN: &[Broken] = &[
    Broken {
        mistake: "takes `azp` if `client_id` is absent, and excludes only the names of service accounts",
        accepts: |token| {
            let falls_back = token["client_id"].is_null()
                && !text(token, "preferred_username").starts_with("service-account-");
            is_ours(token) && is_access(token) && is_expected(token) && (is_machine(token) || falls_back)
        },
        caught_by: Impersonation::User,
    },
    Broken {
        mistake: "does not compare the claim `typ`",
        accepts: |token| is_ours(token) && is_expected(token) && is_machine(token),
        caught_by: Impersonation::IdToken,
    },
    Broken {
        mistake: "takes a client for the service whose name its id is",
        accepts: |token| {
            let is_expected = is_expected(token) || token["azp"] == "billing";
            is_ours(token) && is_access(token) && is_machine(token) && is_expected
        },
        caught_by: Impersonation::OtherClient,
    },
    Broken {
        mistake: "does not compare the issuer",
        accepts: |token| is_access(token) && is_machine(token) && is_expected(token),
        caught_by: Impersonation::OtherTenant,
    },
    Broken {
        mistake: "recognizes a service account by its user name",
        accepts: |token| {
            let name = format!("service-account-{}", text(token, "azp"));
            let is_machine = is_machine(token) || token["preferred_username"] == name.as_str();
            is_ours(token) && is_access(token) && is_expected(token) && is_machine
        },
        caught_by: Impersonation::LookAlike,
    },
];

fn text<'v>(token: &'v Value, claim: &str) -> &'v str {
    token[claim].as_str().unwrap_or_default()
}

fn is_ours(token: &Value) -> bool {
    token["iss"] == Provider::Keycloak.issuer()
}

fn is_access(token: &Value) -> bool {
    token["typ"] == "Bearer"
}

fn is_machine(token: &Value) -> bool {
    token["client_id"] == token["azp"]
}

fn is_expected(token: &Value) -> bool {
    token["azp"] == "billing-client"
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn each_class_of_impostor_is_the_only_one_that_catches_a_broken_verifier() {
    let authority = authority(Provider::Keycloak);
    let valid = claims(&machine(&authority, Provider::Keycloak));
    let caught: BTreeSet<_> = BROKEN.iter().map(|broken| broken.caught_by).collect();
    assert_eq!(caught, Impersonation::ALL.iter().copied().collect());
    for broken in BROKEN {
        assert!((broken.accepts)(&valid), "{}", broken.mistake);
        let impostors = authority.impostors(Provider::Keycloak);
        let catches = impostors.iter().filter(|impostor| (broken.accepts)(&claims(&impostor.token())));
        let catches: BTreeSet<_> = catches.map(Impostor::class).collect();
        assert_eq!(catches, BTreeSet::from([broken.caught_by]), "{}", broken.mistake);
    }
}
