//! Tokens of identity providers: the machine's access token passes, and every impostor is refused, also by an attack.

use std::collections::BTreeSet;

use axum::{Router, body::Body, extract::Request, routing::any};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::Value;
use service_only::{AccessTokens, Policy, TrustedIssuer, Verifier, error::Code, service_only};
use service_only_testkit::{
    AttackReport, Defect, Expectation, FixtureToken, Impersonation, Impostor, Outcome, Provider,
    TestAuthority, TokenDraft, attack,
};
use tower::ServiceExt;

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
            trusted.pipeline("bakery@65/billing@74", "refs/heads/main", "billing")
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
    draft(authority, provider).token()
}

fn draft(authority: &TestAuthority, provider: Provider) -> TokenDraft {
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
        Provider::GitHubActions => authority.github_actions("bakery@65/billing@74", "refs/heads/main"),
        Provider::GitLabCi => authority.gitlab_ci("bakery@65/billing@74", "refs/heads/main"),
        Provider::Eks => authority.eks("bakery", "billing-client"),
        Provider::AwsIam => authority.aws_iam("billing-client"),
        other => panic!("{other:?} has no machine"),
    }
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

#[test]
fn claims_that_a_provider_writes_only_sometimes_decide_nothing() {
    let accepted = |provider, draft: &dyn Fn(TestAuthority) -> TokenDraft| {
        let authority = authority(provider);
        let token = draft(authority.clone()).token();
        verifier(&authority, provider).verify(&token).map(|_| ()).map_err(|denial| denial.code())
    };
    // Auth0 documents `gty` for two grants of users, and many tenants have it in a machine's token.
    let auth0 = |gty: &'static str| {
        accepted(Provider::Auth0, &move |own| own.auth0("billing-client").claim("gty", gty))
    };
    assert_eq!(auth0("client-credentials"), Ok(()));
    assert_eq!([auth0("password"), auth0("refresh_token"), auth0("")], [Err(Code::NotService); 3]);
    let list = accepted(Provider::Auth0, &|own| {
        own.auth0("billing-client").claim("gty", ["client-credentials"].as_slice())
    });
    assert_eq!(list, Err(Code::NotService));
    // Keycloak marks a token that is bound to a key, and has an option for lower case.
    let keycloak = |typ: &'static str| {
        accepted(Provider::Keycloak, &move |own| own.keycloak("billing-client").claim("typ", typ))
    };
    for typ in ["Bearer", "bearer", "DPoP", "dpop"] {
        assert_eq!(keycloak(typ), Ok(()), "{typ}");
    }
    for typ in ["ID", "Refresh", "Offline", "Logout", "Serialized-ID", "Bearer ", ""] {
        assert_eq!(keycloak(typ), Err(Code::BadClaimValue), "{typ}");
    }
    // GitHub changes `sub` with the environment of a job and the age of the repository.
    let github = accepted(Provider::GitHubActions, &|own| {
        let run = own.github_actions("bakery@65/billing@74", "refs/heads/main");
        run.claim("sub", "repo:bakery/billing:environment:prod")
    });
    assert_eq!(github, Ok(()));
}

#[service_only(services("billing", "bakery.billing"))]
async fn invoices() {}

#[service_only(services("billing"))]
async fn invoices_of_billing() {}

const OF_PROVIDERS: [Defect; 5] = [
    Defect::UserOfProvider,
    Defect::IdTokenOfProvider,
    Defect::OtherClientOfProvider,
    Defect::OtherTenantOfProvider,
    Defect::LookAlikeOfProvider,
];

fn sent(report: &AttackReport) -> usize {
    report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_))).count()
}

#[tokio::test]
async fn an_attack_with_the_token_of_a_provider_sends_its_impostors_and_finds_nothing() {
    let mut wrong = Vec::new();
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let app = Router::new().route("/", any(invoices)).with_state(verifier(&authority, provider));
        let report = attack(app)
            .as_caller(draft(&authority, provider))
            .audit(authority.audit())
            .endpoint(Method::GET, "/")
            .report()
            .await;
        if !report.is_clean() || sent(&report) < 325 {
            wrong.push(format!("{provider:?}: {} sent\n{report}", sent(&report)));
        }
        for finding in report.findings().filter(|finding| finding.defect().family() == "provider") {
            if !matches!(finding.outcome(), Outcome::Met(_)) {
                wrong.push(format!("{provider:?} {}: {:?}", finding.defect(), finding.outcome()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_attack_on_a_handler_for_any_service_sends_no_other_client() {
    #[service_only]
    async fn open() {}
    const ANY: Policy<'static> = Policy::any_service();
    let authority = authority(Provider::Okta);
    let app = Router::new().route("/", any(open)).with_state(verifier(&authority, Provider::Okta));
    let caller = draft(&authority, Provider::Okta).meeting(&ANY);
    let report = attack(app).as_caller(caller).endpoint(Method::GET, "/").run().await;
    let outcome =
        |class| report.findings().find(|finding| finding.defect() == class).unwrap().outcome().clone();
    let said = "the endpoint names no service".to_owned();
    assert_eq!(outcome(Defect::OtherClientOfProvider), Outcome::NotSent(said));
    assert!(matches!(outcome(Defect::UserOfProvider), Outcome::Met(_)));
    let said = "an identity provider issued the token".to_owned();
    assert_eq!(outcome(Defect::NotAService), Outcome::NotSent(said));
}

#[test]
fn a_token_of_another_issuer_has_no_impostors() {
    let authority = TestAuthority::new().audience("orders");
    for draft in
        [authority.service("billing"), authority.user("mia"), authority.kubernetes("bakery", "billing")]
    {
        assert!(OF_PROVIDERS.iter().all(|class| draft.variants(*class).is_empty()), "{draft:?}");
    }
    // Which code another client gets depends on the names of the verifier.
    let okta = authority.okta("billing-client").fixture(Defect::OtherClientOfProvider).unwrap();
    let codes: &[Code] = &[Code::ServiceNotAllowed, Code::BadClaimValue];
    assert_eq!(okta.expectation(), Some(Expectation::DeniedAs(codes)));
    assert_eq!(okta.code(), Some(Code::ServiceNotAllowed));
    let github = authority.github_actions("bakery@65/billing@74", "refs/heads/main");
    let user = github.fixture(Defect::UserOfProvider).unwrap();
    assert_eq!(user.expectation(), Some(Expectation::Denied(Code::BadClaimValue)));
}

#[test]
fn an_impostor_pretends_to_be_the_caller_of_the_attack() {
    const ORDERS: Policy<'static> = Policy::any_service().services(&["orders"]);
    let authority = authority(Provider::Keycloak);
    let caller = authority.keycloak("orders-client").scope("orders:read").meeting(&ORDERS);
    let claims = |class| {
        let variants = caller.variants(class);
        variants.iter().map(|fixture| fixture.token().unwrap().claims()).collect::<Vec<_>>()
    };
    let user = &claims(Defect::UserOfProvider)[0];
    assert_eq!(
        (&user["azp"], &user["scope"]),
        (&"orders-client".into(), &"email profile orders:read".into())
    );
    let look_alike = &claims(Defect::LookAlikeOfProvider)[0];
    assert_eq!(look_alike["preferred_username"], "service-account-orders-client");
    let clients: Vec<_> =
        claims(Defect::OtherClientOfProvider).iter().map(|token| token["azp"].clone()).collect();
    assert_eq!(clients, ["some-other-client", "orders"]);
}

/// A verifier of Keycloak's tokens with one mistake, as an application would configure it.
struct Broken {
    mistake: &'static str,
    trusted: fn(&TestAuthority) -> TrustedIssuer,
    caught_by: Defect,
}

fn settings() -> AccessTokens {
    AccessTokens::named_by("azp").typ(["JWT"]).require_jti()
}

fn lax(authority: &TestAuthority, tokens: AccessTokens) -> TrustedIssuer {
    let issuer = authority.trusted_as(|issuer| TrustedIssuer::oauth_with(issuer, tokens));
    issuer.name("billing-client", "billing")
}

const BROKEN: &[Broken] = &[
    Broken {
        mistake: "takes each token with a level of authentication for a machine's, unless it has the old mark",
        trusted: |authority| {
            let tokens = settings().machine_if("acr", "1").user_if_present("clientId");
            lax(authority, tokens.access_if("typ", "Bearer"))
        },
        caught_by: Defect::UserOfProvider,
    },
    Broken {
        mistake: "does not compare the claim `typ`",
        trusted: |authority| lax(authority, settings().machine_if_equal("client_id", "azp")),
        caught_by: Defect::IdTokenOfProvider,
    },
    Broken {
        mistake: "gives the name of the service to a second client",
        trusted: |authority| {
            let tokens = settings().machine_if_equal("client_id", "azp").access_if("typ", "Bearer");
            lax(authority, tokens).name("some-other-client", "billing")
        },
        caught_by: Defect::OtherClientOfProvider,
    },
    Broken {
        mistake: "recognizes a service account by its user name",
        trusted: |authority| {
            let tokens = settings().machine_if("preferred_username", "service-account-billing-client");
            lax(authority, tokens.access_if("typ", "Bearer"))
        },
        caught_by: Defect::LookAlikeOfProvider,
    },
];

async fn attacked(authority: &TestAuthority, app: Router) -> Vec<Defect> {
    const BILLING: Policy<'static> = Policy::any_service().services(&["billing"]);
    let caller = authority.keycloak("billing-client").meeting(&BILLING);
    let report = attack(app).as_caller(caller).endpoint(Method::GET, "/").report().await;
    assert!(sent(&report) > 290, "{report}");
    report.got_in().map(|finding| finding.defect()).collect()
}

fn guarded(authority: &TestAuthority, trusted: TrustedIssuer) -> Router {
    let verifier = Verifier::builder().trust(trusted).clock(authority.clock().clone()).build().unwrap();
    Router::new().route("/", any(invoices_of_billing)).with_state(verifier)
}

#[tokio::test]
async fn each_class_of_impostor_is_the_only_one_that_catches_a_broken_verifier() {
    let authority = authority(Provider::Keycloak);
    let ours = || guarded(&authority, trusted(&authority, Provider::Keycloak));
    assert_eq!(attacked(&authority, ours()).await, []);
    for broken in BROKEN {
        let app = guarded(&authority, (broken.trusted)(&authority));
        assert_eq!(attacked(&authority, app).await, [broken.caught_by], "{}", broken.mistake);
    }
    // This service asks the token which of its two realms it is of.
    let mill = authority.clone().issuer("https://sso.bakery.example/realms/mill");
    let theirs = guarded(&mill, mill.trusted_as(TrustedIssuer::keycloak).name("billing-client", "billing"));
    let ours = ours();
    let app = Router::new().fallback(move |request: Request<Body>| {
        let is_theirs = issuer_of(&request).is_some_and(|issuer| issuer.ends_with("/mill"));
        let app = if is_theirs { theirs.clone() } else { ours.clone() };
        async move { app.oneshot(request).await }
    });
    assert_eq!(attacked(&authority, app).await, [Defect::OtherTenantOfProvider]);
    let caught: BTreeSet<_> = BROKEN.iter().map(|broken| broken.caught_by.name()).collect();
    assert_eq!(caught.len() + 1, OF_PROVIDERS.len());
}

/// The issuer that the token of a request names, without a check.
fn issuer_of(request: &Request<Body>) -> Option<String> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    let payload = URL_SAFE_NO_PAD.decode(header.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Some(claims["iss"].as_str()?.to_owned())
}
