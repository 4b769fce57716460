//! Tokens of identity providers: the machine's access token passes, and every impostor is refused, also by an attack.

use std::collections::BTreeSet;

use axum::{Router, routing::any};
use http::Method;
use serde_json::{Value, json};
use service_only::{Policy, TrustedIssuer, Verifier, error::Code, service_only, users_only};
use service_only_testkit::{
    Attack, AttackReport, Defect, Expectation, FixtureToken, Impersonation, Impostor, Outcome, Provider,
    TestAuthority, TokenDraft, attack, call,
};

pub(crate) fn authority(provider: Provider) -> TestAuthority {
    TestAuthority::new().audience("orders").of_provider(provider)
}

/// The name of the expected caller. Another service account of a cluster has a name with its namespace.
pub(crate) fn name(provider: Provider) -> &'static str {
    if provider == Provider::Eks { "bakery.billing" } else { "billing" }
}

/// The expected caller by its name.
pub(crate) fn trusted(authority: &TestAuthority, provider: Provider) -> TrustedIssuer {
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

pub(crate) fn draft(authority: &TestAuthority, provider: Provider) -> TokenDraft {
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

/// The claims that decide whether a token is the machine's, besides audience, times and `jti`.
fn decisive(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Keycloak => &["azp", "client_id", "iss", "typ"],
        Provider::Auth0 => &["azp", "iss", "sub"],
        Provider::Auth0Rfc9068 => &["client_id", "iss", "sub"],
        Provider::EntraV1 => &["appid", "idtyp", "iss", "tid", "ver"],
        Provider::EntraV2 => &["azp", "idtyp", "iss", "tid", "ver"],
        Provider::Okta => &["cid", "iss", "sub"],
        Provider::Cognito => &["client_id", "iss", "sub", "token_use"],
        Provider::Duende => &["client_id", "client_machine", "iss"],
        Provider::GoogleServiceAccounts => &["azp", "email_verified", "iss", "sub"],
        Provider::GitHubActions => {
            &["event_name", "iss", "ref", "repository", "repository_id", "repository_owner_id"]
        }
        Provider::GitLabCi => {
            &["iss", "namespace_id", "project_id", "project_path", "ref_path", "ref_protected"]
        }
        Provider::Eks => &["iss", "kubernetes.io", "sub"],
        Provider::AwsIam => &["https://sts.amazonaws.com/", "iss", "sub"],
        other => panic!("{other:?} is new"),
    }
}

/// Values of another type, and texts that resemble the value.
fn similar(value: &Value) -> Vec<Value> {
    let mut all = vec![json!(null), json!(7), json!([]), json!({}), json!(""), json!([value])];
    all.push(if *value == json!(true) { json!("true") } else { json!(true) });
    if let Some(text) = value.as_str() {
        let letters =
            [('a', 'а'), ('e', 'е'), ('i', 'ı'), ('o', 'ο'), ('p', 'р'), ('s', 'ѕ'), ('t', 'τ'), ('0', '٠')];
        let other_letters = letters.map(|(own, other)| text.replacen(own, &other.to_string(), 1));
        let around = ["/", " ", "\0", "\n", "\u{200b}", ".", "#", "%20", "x"];
        let texts = around.iter().flat_map(|mark| [format!("{text}{mark}"), format!("{mark}{text}")]);
        let cut: String = text.chars().skip(1).collect();
        let texts = texts.chain(other_letters).chain([
            cut,
            format!("{text} {text}"),
            text.to_uppercase(),
            text.to_lowercase(),
        ]);
        all.extend(texts.filter(|other| other != text).map(Value::from));
        all.push(json!({ text: true }));
        all.push(json!([text, "other"]));
    }
    all
}

#[test]
fn no_similar_value_and_no_other_type_of_a_decisive_claim_passes_for_the_machine() {
    let mut wrong = Vec::new();
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let verifier = verifier(&authority, provider);
        let draft = draft(&authority, provider);
        let claims = draft.token().claims();
        let is_machine = |draft: &TokenDraft| {
            verifier.verify(&draft.token()).is_ok_and(|caller| caller.service() == name(provider))
        };
        // These have forms of their own, which the other classes test.
        let common = ["aud", "exp", "iat", "jti", "nbf"];
        for (claim, value) in claims.as_object().unwrap() {
            let is_decisive = decisive(provider).contains(&claim.as_str());
            let ignores_case = provider == Provider::Keycloak && claim == "typ";
            let accepted: Vec<_> = similar(value)
                .into_iter()
                .filter(|other| {
                    let same_word =
                        |other: &str| value.as_str().is_some_and(|own| own.eq_ignore_ascii_case(other));
                    !(ignores_case && other.as_str().is_some_and(same_word))
                })
                .filter(|other| is_machine(&draft.clone().claim(claim, other.clone())))
                .collect();
            let removed = is_machine(&draft.clone().without_claim(claim));
            let passes = removed || !accepted.is_empty();
            if is_decisive && passes {
                wrong.push(format!("{provider:?} {claim}: accepts {accepted:?}, removed: {removed}"));
            }
            if !is_decisive && !common.contains(&claim.as_str()) && !passes {
                wrong.push(format!("{provider:?} {claim} decides too"));
            }
            // The id of the machine, also if each claim with it has the similar value.
            if is_decisive && claim != "iss" {
                for other in similar(value).into_iter().filter(Value::is_string) {
                    let same = claims.as_object().unwrap().iter().filter(|(_, held)| *held == value);
                    let all = same.fold(draft.clone(), |draft, (name, _)| draft.claim(name, other.clone()));
                    let is_case = ignores_case
                        && other.as_str().unwrap().eq_ignore_ascii_case(value.as_str().unwrap_or_default());
                    if !is_case && is_machine(&all) {
                        wrong.push(format!("{provider:?}: {other} passes for {value}"));
                    }
                }
            }
        }
        let names: BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(decisive(provider).iter().all(|claim| names.contains(claim)), "{provider:?} {names:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

/// Entra ID issues tokens also to applications to which nothing was granted.
#[test]
fn an_application_of_entra_without_a_role_needs_a_name() {
    for provider in [Provider::EntraV1, Provider::EntraV2] {
        let authority = authority(provider);
        let without_names = authority.verifier_trusting(|_| authority.trusted_provider(provider));
        let application = draft(&authority, provider);
        let other = application.clone().without_claim("roles").token();
        assert_eq!(without_names.verify(&application.token()).unwrap().service(), "billing-client");
        assert_eq!(without_names.verify(&other).unwrap_err().code(), Code::BadClaimValue);
        assert_eq!(verifier(&authority, provider).verify(&other).unwrap().service(), "billing");
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

/// Google documents `azp` for the metadata server only. In published tokens that were obtained with the key of an account, it
/// is the e-mail address.
#[test]
fn a_token_that_was_obtained_with_the_key_of_a_google_account_is_the_accounts() {
    let authority = authority(Provider::GoogleServiceAccounts);
    let verifier = verifier(&authority, Provider::GoogleServiceAccounts);
    let email = "billing@bakery.iam.gserviceaccount.com";
    let token = || draft(&authority, Provider::GoogleServiceAccounts).claim("azp", email);
    let code = |draft: TokenDraft| verifier.verify(&draft.token()).map_err(|denial| denial.code());
    assert_eq!(code(token()).unwrap().service(), "billing");
    for (changed, expected) in [
        (token().claim("email", "anna@bakery.example"), Code::NotService),
        (token().claim("email", email.to_uppercase()), Code::NotService),
        (token().without_claim("email"), Code::NotService),
        (token().without_claim("email_verified"), Code::BadClaimValue),
        (token().claim("email_verified", false), Code::BadClaimValue),
        (token().claim("sub", "108200000000000000002"), Code::BadClaimValue),
    ] {
        assert_eq!(code(changed).unwrap_err(), expected);
    }
}

#[test]
fn a_users_token_of_every_provider_gets_a_403_except_a_run_of_github() {
    for &provider in Provider::ALL {
        let authority = authority(provider);
        let verifier = verifier(&authority, provider);
        let expected = if provider == Provider::GitHubActions { 401 } else { 403 };
        for impostor in authority.impostors(provider) {
            if impostor.class() == Impersonation::User {
                let denial = verifier.verify(&impostor.token()).unwrap_err();
                assert_eq!(denial.status(), expected, "{provider:?} {impostor:?}");
            }
        }
    }
}

/// Authentic tokens with a part of the marks of a machine, or without a claim that only users have.
const NEITHER: [(Provider, &str); 14] = [
    (Provider::Keycloak, "a user whose name is that of the service account"),
    (Provider::Keycloak, "a service account whose client writes `clientId`"),
    (Provider::Auth0, "the grant `password` of the client"),
    (Provider::EntraV1, "roles and certificate of the application, without `idtyp`"),
    (Provider::EntraV1, "`idtyp` of an application beside `scp`"),
    (Provider::EntraV2, "roles and certificate of the application, without `idtyp`"),
    (Provider::EntraV2, "`idtyp` of an application beside `scp`"),
    (Provider::Okta, "a user whose login is the client's id"),
    (Provider::Cognito, "a user whose name is the client's id"),
    (Provider::Duende, "a login with the claims of the client"),
    (Provider::Duende, "the mark in capitals"),
    (Provider::Duende, "the mark as a boolean"),
    (Provider::AwsIam, "an IAM user"),
    (Provider::AwsIam, "a user of IAM Identity Center"),
];

#[tokio::test]
async fn a_token_that_is_neither_a_machines_nor_a_users_is_refused_by_a_handler_for_users() {
    #[users_only]
    async fn profile() {}
    let mut neither = 0;
    for &provider in Provider::ALL.iter().filter(|provider| **provider != Provider::Eks) {
        let authority = authority(provider);
        let trusted = trusted(&authority, provider).and_users();
        let verifier = Verifier::builder().trust(trusted).clock(authority.clock().clone()).build().unwrap();
        let app = call(Router::new().route("/", any(profile)).with_state(verifier));
        assert_eq!(app.get("/").bearer(machine(&authority, provider)).await.status(), 403, "{provider:?}");
        let mut users = 0;
        for impostor in authority.impostors(provider) {
            let status = app.get("/").bearer(impostor.token()).await.status();
            let shown = format!("{impostor:?}");
            if NEITHER.iter().any(|(of, what)| *of == provider && shown.contains(&format!("{what:?}"))) {
                assert_eq!(status, 403, "{provider:?} {shown}");
                neither += 1;
            }
            match impostor.class() {
                Impersonation::User => users += usize::from(status == 200),
                Impersonation::OtherClient | Impersonation::OtherTenant => {
                    assert_ne!(status, 200, "{provider:?} {shown}");
                }
                _ => {}
            }
        }
        let has_users = !matches!(provider, Provider::GitHubActions | Provider::GitLabCi | Provider::AwsIam);
        assert_eq!(users > 0, has_users, "{provider:?}: {users}");
    }
    assert_eq!(neither, NEITHER.len());
}

#[service_only(services("billing", "bakery.billing"))]
pub(crate) async fn invoices() {}

/// The classes about who the caller is.
pub(crate) const OF_PROVIDERS: [Defect; 5] = [
    Defect::UserOfProvider,
    Defect::IdTokenOfProvider,
    Defect::OtherClientOfProvider,
    Defect::OtherTenantOfProvider,
    Defect::LookAlikeOfProvider,
];

pub(crate) fn sent(report: &AttackReport) -> usize {
    report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_))).count()
}

/// An attack with the classes about the claims of providers only.
pub(crate) fn of_claims(attack: Attack) -> Attack {
    let others = Defect::ALL.iter().filter(|defect| !["policy", "provider"].contains(&defect.family()));
    others.fold(attack, |attack, defect| attack.without(*defect))
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
            let is_right = match finding.outcome() {
                Outcome::Met(_) => true,
                // The handler requires no scope and no role.
                Outcome::NotSent(_) => {
                    ["scope_", "role_"].iter().any(|of| finding.defect().name().starts_with(of))
                }
                _ => false,
            };
            if !is_right {
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

/// The scopes and the role of a handler, and a token of each provider that has some.
#[tokio::test]
async fn an_attack_breaks_the_scopes_and_the_role_of_a_token_and_finds_nothing() {
    #[service_only(services("billing"), scopes("orders/read", "orders/write"))]
    async fn by_scope() {}
    #[service_only(services("billing"), roles("clerk"))]
    async fn by_role() {}
    const SCOPES: Policy<'static> =
        Policy::any_service().services(&["billing"]).scopes(&["orders/read", "orders/write"]);
    const ROLE: Policy<'static> = Policy::any_service().services(&["billing"]).roles(&["clerk"]);

    let of_scopes = |provider: Provider, draft: TokenDraft| match provider {
        Provider::Keycloak | Provider::Auth0 => draft.scope("orders/read").scope("orders/write"),
        Provider::Auth0Rfc9068 => draft.claim("permissions", json!(["orders/write", "orders/read"])),
        Provider::Okta => draft.claim("scp", json!(["openid", "orders/read", "orders/write"])),
        Provider::Cognito => draft.claim("scope", "orders/read orders/write"),
        _ => draft.claim("scope", json!(["orders/read", "orders/write"])),
    };
    let of_roles = |provider: Provider, draft: TokenDraft| match provider {
        Provider::Keycloak => draft.claim("realm_access", json!({ "roles": ["offline_access", "clerk"] })),
        _ => draft.claim("roles", json!(["reader", "clerk"])),
    };
    type Grant<'g> = &'g dyn Fn(Provider, TokenDraft) -> TokenDraft;
    let cases: [(&[Provider], Grant<'_>, Policy<'_>, Code, usize); 2] = [
        (
            &[
                Provider::Keycloak,
                Provider::Auth0,
                Provider::Auth0Rfc9068,
                Provider::Okta,
                Provider::Cognito,
                Provider::Duende,
            ],
            &of_scopes,
            SCOPES,
            Code::MissingScope,
            11,
        ),
        (
            &[Provider::Keycloak, Provider::EntraV1, Provider::EntraV2],
            &of_roles,
            ROLE,
            Code::RoleNotAllowed,
            8,
        ),
    ];
    for (providers, grant, policy, code, classes) in cases {
        for &provider in providers {
            let authority = authority(provider);
            let handler = if code == Code::MissingScope { any(by_scope) } else { any(by_role) };
            let app = Router::new().route("/", handler).with_state(verifier(&authority, provider));
            let caller = grant(provider, draft(&authority, provider)).meeting(&policy);
            let report =
                attack(app).as_caller(caller).audit(authority.audit()).endpoint(Method::GET, "/").run().await;
            let met = report.findings().filter(|finding| {
                finding.defect().code() == code && matches!(finding.outcome(), Outcome::Met(_))
            });
            let met = met.map(|finding| finding.defect()).collect::<Vec<_>>();
            assert!(met.len() >= classes, "{provider:?}: {met:?}\n{report}");
        }
    }
}

/// A token of a provider may have scopes that the handler does not require, so only the policy tells which are required.
#[test]
fn scopes_that_the_handler_does_not_require_are_not_attacked() {
    const READ: Policy<'static> = Policy::any_service().scopes(&["orders:read"]);
    let authority = authority(Provider::Keycloak);
    let draft = authority.keycloak("billing-client").scope("orders:read");
    assert!(draft.variants(Defect::WithoutScope).is_empty(), "no policy is known");
    let known = draft.meeting(&READ);
    let changed = known.fixture(Defect::ScopeWithSuffix).unwrap().token().unwrap().claims();
    assert_eq!(changed["scope"], "orders:read2");
    assert!(known.variants(Defect::OneScopeLess).is_empty(), "one scope is required");
}
