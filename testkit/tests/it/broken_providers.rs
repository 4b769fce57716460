//! Verifiers of providers' tokens with one mistake each. An attack finds each by the class about the mistake, and by no other.

use std::collections::BTreeSet;

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use http::{Method, header::AUTHORIZATION};
use serde_json::{Map, Value, json};
use service_only::{AccessTokens, Policy, TrustedIssuer, Verifier, error::Code, service_only};
use service_only_testkit::{
    Defect, FixtureToken, Impersonation, Impostor, Provider, TestAuthority, TokenDraft, attack,
};
use tower::ServiceExt;

use crate::providers::{OF_PROVIDERS, authority, draft, invoices, of_claims, sent, trusted};

/// A token whose signature, issuer, audience and times are checked, and the claims of the machine that it may pretend to be.
struct Seen {
    header: Value,
    claims: Value,
    machine: Value,
}

impl Seen {
    /// The claims that differ from the machine's, except those that differ in each token.
    fn changes(&self) -> BTreeSet<&str> {
        let all = [&self.claims, &self.machine].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
        all.map(String::as_str)
            .filter(|name| !["jti", "iat", "exp", "nbf"].contains(name))
            .filter(|name| self.claims.get(name) != self.machine.get(name))
            .collect()
    }

    /// Whether these claims differ, and no others.
    fn changes_all(&self, claims: &[&str]) -> bool {
        self.changes() == claims.iter().copied().collect()
    }

    /// Whether no other claims than these differ.
    fn changes_at_most(&self, claims: &[&str]) -> bool {
        self.changes().iter().all(|name| claims.contains(name))
    }

    fn has(&self, claim: &str) -> bool {
        self.claims.get(claim).is_some()
    }

    fn changes_claim(&self, claim: &str) -> bool {
        self.claims.get(claim) != self.machine.get(claim)
    }

    fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap_or_default()
    }

    fn scopes(&self) -> Vec<&str> {
        self.text("scope").split(' ').filter(|scope| !scope.is_empty()).collect()
    }

    fn roles(&self) -> Vec<&str> {
        words(&self.claims["realm_access"]["roles"])
    }
}

/// The texts of a list that contains nothing else.
fn words(list: &Value) -> Vec<&str> {
    let texts: Option<Vec<_>> = list.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
    texts.unwrap_or_default()
}

/// Whether a verifier with the mistake accepts a token that a correct one refuses.
type Mistake = fn(&Seen) -> bool;

/// The correct verifier of a provider, and beside it the mistake. What the mistake accepts is authentic.
fn app(
    authority: &TestAuthority,
    ours: Router,
    machine: &Value,
    mistake: impl Fn(&Seen) -> bool + Clone + Send + Sync + 'static,
) -> Router {
    let (authority, machine) = (authority.clone(), machine.clone());
    Router::new().fallback(move |request: Request<Body>| {
        let accepts = |token: FixtureToken| {
            let seen = Seen { header: token.header(), claims: token.claims(), machine: machine.clone() };
            mistake(&seen) && is_authentic(&authority, &token)
        };
        let is_accepted = token_of(&request).is_some_and(accepts);
        let ours = ours.clone();
        async move {
            match is_accepted {
                true => "12 invoices".into_response(),
                false => ours.oneshot(request).await.into_response(),
            }
        }
    })
}

fn token_of(request: &Request<Body>) -> Option<FixtureToken> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (values.next(), values.next()) else { return None };
    only.to_str().ok()?.strip_prefix("Bearer ").map(FixtureToken::from_text)
}

/// Whether the key of the authority signed the token for its audience, whatever its other claims are.
fn is_authentic(authority: &TestAuthority, token: &FixtureToken) -> bool {
    let claims = token.claims();
    let issuer = claims["iss"].as_str().unwrap_or_default();
    let tokens = AccessTokens::named_by("iss")
        .machine_if("iss", issuer.to_owned())
        .typ(["JWT", "at+jwt"])
        .typ_may_be_absent();
    let has_audience = claims.get("aud").is_some();
    let tokens = if has_audience { tokens } else { tokens.audience_from_scopes() };
    let trusted = authority.trusted_as(|_| TrustedIssuer::oauth_with(issuer, tokens));
    let builder =
        Verifier::builder().trust(trusted.name(issuer, "anything")).clock(authority.clock().clone());
    builder.build().is_ok_and(|verifier| verifier.verify(token).is_ok())
}

fn guarded(authority: &TestAuthority, trusted: TrustedIssuer) -> Router {
    let verifier = Verifier::builder().trust(trusted).clock(authority.clock().clone()).build().unwrap();
    Router::new().route("/", any(invoices)).with_state(verifier)
}

/// The classes that get in. Only those about the claims of a provider are sent: the rest of these verifiers is correct.
async fn attacked(app: Router, caller: &TokenDraft) -> Vec<Defect> {
    let attack = of_claims(attack(app)).as_caller(caller.clone()).endpoint(Method::GET, "/");
    let report = attack.report().await;
    assert!(sent(&report) >= OF_PROVIDERS.len(), "{report}");
    report.got_in().map(|finding| finding.defect()).collect()
}

const BILLING: Policy<'static> = Policy::any_service().services(&["billing"]);
const BILLING_OF_CLUSTER: Policy<'static> = Policy::any_service().services(&["bakery.billing"]);

fn caller(authority: &TestAuthority, provider: Provider) -> TokenDraft {
    let policy = if provider == Provider::Eks { &BILLING_OF_CLUSTER } else { &BILLING };
    draft(authority, provider).meeting(policy)
}

const LOGIN: &[&str] = &["client_id", "sub", "sid", "preferred_username"];
const LOGIN_OF_GITLAB: &[&str] = &["project_path", "ref_path", "ref_protected", "sub"];

/// The mistakes of three classes. The other two have the same mistake at each provider.
type Row = (Provider, [(&'static str, Mistake); 3]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (Provider::Keycloak, [
        ("takes each session for a machine's", |seen| seen.changes_all(LOGIN)),
        ("does not compare the claim `typ`", |seen| seen.changes_all(&["typ"])),
        ("takes the old claim `clientId` for the mark", |seen| seen.has("clientId") && seen.text("clientId") == seen.text("azp")),
    ]),
    (Provider::Auth0, [
        ("accepts each form of `sub`, if it does not end in `@clients`", |seen| seen.changes_at_most(&["sub", "scope"]) && !seen.text("sub").ends_with("@clients")),
        ("does not require `azp`", |seen| !seen.has("azp")),
        ("compares only the end of `sub`", |seen| seen.changes_all(&["sub"]) && seen.text("sub").ends_with("@clients")),
    ]),
    (Provider::Auth0Rfc9068, [
        ("accepts each form of `sub`, if it does not end in `@clients`", |seen| seen.changes_all(&["sub"]) && !seen.text("sub").ends_with("@clients")),
        ("does not compare `typ` of the header", |seen| seen.header["typ"] == "JWT" && seen.changes_at_most(&["nonce"])),
        ("compares only the end of `sub`", |seen| seen.changes_all(&["sub"]) && seen.text("sub").ends_with("@clients")),
    ]),
    (Provider::EntraV1, [
        ("compares `appid` only", |seen| seen.changes_at_most(&["idtyp", "roles", "scp", "sub"]) && seen.changes_claim("sub")),
        ("does not require `appid`", |seen| !seen.has("appid")),
        ("does not require `idtyp`", |seen| seen.changes_all(&["idtyp"])),
    ]),
    (Provider::EntraV2, [
        ("compares `azp` only", |seen| seen.changes_at_most(&["idtyp", "roles", "scp", "sub"]) && seen.changes_claim("sub")),
        ("does not require `azp`", |seen| !seen.has("azp")),
        ("takes a token with `scp` for a machine's", |seen| seen.changes_all(&["scp"])),
    ]),
    (Provider::Okta, [
        ("compares `cid` only", |seen| seen.changes_all(&["auth_time", "sub", "uid"])),
        ("does not require `cid`", |seen| !seen.has("cid")),
        ("does not look for `uid`", |seen| seen.changes_all(&["auth_time", "uid"])),
    ]),
    (Provider::Cognito, [
        ("compares `client_id` only", |seen| seen.changes_all(&["sub", "username"])),
        ("does not compare `token_use`", |seen| seen.text("token_use") == "id"),
        ("does not look for `username`", |seen| seen.changes_all(&["username"])),
    ]),
    (Provider::Duende, [
        ("does not look for `sub`", |seen| seen.changes_all(&["amr", "sub"])),
        ("does not compare `typ` of the header", |seen| seen.header["typ"] == "JWT" && !seen.has("client_id")),
        ("compares the mark without case", |seen| seen.changes_all(&["client_machine"]) && seen.text("client_machine") == "True"),
    ]),
    (Provider::GoogleServiceAccounts, [
        ("trusts each account of the domain", |seen| seen.changes_claim("sub") && seen.text("hd") == "bakery.example"),
        ("does not require `azp`", |seen| !seen.has("azp")),
        ("takes each `email_verified` for true", |seen| seen.changes_all(&["email_verified"]) && seen.text("email_verified") == "true"),
    ]),
    (Provider::GitHubActions, [
        ("accepts runs for pull requests", |seen| seen.text("event_name") == "pull_request"),
        ("does not require `repository`", |seen| !seen.has("repository")),
        ("compares the name of the repository, and not its ids", |seen| seen.changes_at_most(&["repository_id", "repository_owner_id", "sub"]) && seen.changes_claim("repository_id")),
    ]),
    (Provider::GitLabCi, [
        ("takes a token without a project for a job's", |seen| seen.changes_all(LOGIN_OF_GITLAB)),
        ("takes a profile for a job's", |seen| seen.has("nickname")),
        ("compares the path of the project, and not its ids", |seen| seen.changes_at_most(&["project_id", "namespace_id", "sub"]) && seen.changes_claim("project_id")),
    ]),
    (Provider::Eks, [
        ("compares the claim `kubernetes.io` only", |seen| seen.changes_all(&["sub"])),
        ("does not require the claim `kubernetes.io`", |seen| !seen.has("kubernetes.io")),
        ("compares the name of the account in `kubernetes.io`, and not its namespace", |seen| seen.has("kubernetes.io") && seen.changes_all(&["kubernetes.io"])),
    ]),
    (Provider::AwsIam, [
        ("accepts users of the account", |seen| seen.text("sub").contains(":user/")),
        ("does not require the claims of STS", |seen| !seen.has("https://sts.amazonaws.com/")),
        ("compares the name of the role without its path", |seen| seen.text("sub").contains(":role/") && seen.text("sub").ends_with("/billing-client") && seen.changes_claim("sub")),
    ]),
];

#[tokio::test]
async fn each_class_of_impostor_is_the_only_one_that_finds_a_broken_verifier_of_each_provider() {
    let of_row = [Defect::UserOfProvider, Defect::IdTokenOfProvider, Defect::LookAlikeOfProvider];
    assert_eq!(ROWS.len(), Provider::ALL.len());
    let mut wrong = Vec::new();
    for (provider, mistakes) in ROWS {
        let authority = authority(*provider);
        let caller = caller(&authority, *provider);
        let machine = caller.token().claims();
        let ours = || guarded(&authority, trusted(&authority, *provider));
        let mut check = async |what: &str, app: Router, expected: &[Defect]| {
            let found = attacked(app, &caller).await;
            if found != expected {
                wrong.push(format!("{provider:?} {what}: {found:?}, expected {expected:?}"));
            }
        };
        check("correct", app(&authority, ours(), &machine, |_| false), &[]).await;
        for ((what, mistake), class) in mistakes.iter().zip(of_row) {
            check(what, app(&authority, ours(), &machine, mistake), &[class]).await;
        }
        let second = caller.fixture(Defect::OtherClientOfProvider).unwrap();
        let second = second.token().unwrap().claims();
        let second = app(&authority, ours(), &second, |seen| seen.changes().is_empty());
        check("names a second client", second, &[Defect::OtherClientOfProvider]).await;
        let is_other_tenant = |impostor: &Impostor| impostor.class() == Impersonation::OtherTenant;
        let tenant = authority.impostors(*provider).into_iter().find(is_other_tenant).unwrap();
        let issuer = tenant.token().claims()["iss"].clone();
        let by_token =
            move |seen: &Seen| seen.claims["iss"] == issuer && seen.changes_at_most(&["iss", "tid"]);
        let trusting = app(&authority, ours(), &machine, by_token);
        check("asks the token for its issuer", trusting, &[Defect::OtherTenantOfProvider]).await;
        assert_eq!(mistakes.len() + 2, OF_PROVIDERS.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[service_only(services("billing"), roles("clerk"), scopes("orders:read", "orders:write"))]
async fn write_invoice() {}

const SCOPES: [&str; 2] = ["orders:read", "orders:write"];
const ROLE: &str = "clerk";
const WRITE: Policy<'static> = Policy::any_service().services(&["billing"]).roles(&[ROLE]).scopes(&SCOPES);

/// The mistakes in the check of scopes and of roles, by the class that finds each.
#[rustfmt::skip]
const GRANTS: &[(Defect, &str, Mistake)] = &[
    (Defect::WithoutScope, "takes a token without scopes for one with all", |seen| seen.changes_all(&["scope"]) && seen.claims["scope"] == ""),
    (Defect::ScopeInOtherCase, "compares without case", |seen| SCOPES.iter().all(|scope| seen.scopes().iter().any(|held| held.eq_ignore_ascii_case(scope)))),
    (Defect::ScopeWithSuffix, "compares the start", |seen| SCOPES.iter().all(|scope| seen.scopes().iter().any(|held| held.starts_with(scope)))),
    (Defect::ScopeWithPrefix, "compares the end", |seen| SCOPES.iter().all(|scope| seen.scopes().iter().any(|held| held.ends_with(scope)))),
    (Defect::ScopeAsPattern, "takes `*` for every scope", |seen| seen.scopes().contains(&"*")),
    (Defect::ScopesByComma, "splits at commas", |seen| SCOPES.iter().all(|scope| seen.text("scope").split(',').any(|held| held == *scope))),
    (Defect::OneScopeLess, "requires one of the scopes", |seen| matches!(seen.scopes().as_slice(), [only] if SCOPES.contains(only))),
    (Defect::ScopeTwice, "counts the scopes", |seen| seen.scopes().len() == 2 && seen.scopes().iter().all(|scope| SCOPES.contains(scope))),
    (Defect::ScopeOfParent, "reads a pattern in the token", |seen| seen.scopes().contains(&"orders:*")),
    (Defect::ScopeOfSibling, "compares the resource only", |seen| seen.scopes() == ["orders:other"; 2]),
    (Defect::ScopeInClaimOfOtherProvider, "reads `scp` too", |seen| SCOPES.iter().all(|scope| seen.text("scp").split(' ').any(|held| held == *scope))),
    (Defect::ScopeOfOtherType, "takes the members of an object for scopes", |seen| SCOPES.iter().all(|scope| seen.claims["scope"].get(scope).is_some())),
    (Defect::OtherRole, "accepts each role", |seen| seen.changes_all(&["realm_access"]) && seen.roles() == ["some-other-role"]),
    (Defect::RoleInOtherCase, "compares without case", |seen| seen.roles().iter().any(|role| role.eq_ignore_ascii_case(ROLE))),
    (Defect::RolesInOneText, "compares the last word of a role", |seen| seen.roles() == ["guest clerk"]),
    (Defect::RoleMissing, "takes a token without roles for a clerk's", |seen| seen.changes_all(&["realm_access"]) && !seen.has("realm_access")),
    (Defect::RoleWithSuffix, "compares the part before a colon", |seen| seen.roles().iter().any(|role| role.split_once(':').is_some_and(|(start, _)| start == ROLE))),
    (Defect::RoleWithSpace, "removes `ROLE_`", |seen| seen.roles().iter().any(|role| role.strip_prefix("ROLE_") == Some(ROLE))),
    (Defect::RoleInClaimOfOtherProvider, "reads `roles` too", |seen| words(&seen.claims["roles"]).contains(&ROLE)),
    (Defect::RoleOfOtherType, "reads `realm_access` as a list too", |seen| words(&seen.claims["realm_access"]).contains(&ROLE)),
    (Defect::RoleOfClient, "reads the roles of each client", |seen| {
        let clients = seen.claims["resource_access"].as_object();
        clients.into_iter().flatten().any(|(_, client)| words(&client["roles"]).contains(&ROLE))
    }),
];

#[tokio::test]
async fn each_class_about_scopes_and_roles_is_the_only_one_that_finds_a_broken_verifier() {
    let authority = authority(Provider::Keycloak);
    let roles = json!({ "roles": ["offline_access", ROLE] });
    let caller =
        draft(&authority, Provider::Keycloak).scopes(SCOPES).claim("realm_access", roles).meeting(&WRITE);
    let trusted = trusted(&authority, Provider::Keycloak);
    let verifier = Verifier::builder().trust(trusted).clock(authority.clock().clone()).build().unwrap();
    let ours = Router::new().route("/", any(write_invoice)).with_state(verifier);
    let mut wrong = Vec::new();
    let machine = caller.token().claims();
    for (class, what, mistake) in GRANTS {
        // The check of scopes is correct if the mistake is in that of roles, and the reverse.
        let correct: &[&str] = match class.code() {
            Code::MissingScope => &["realm_access", "resource_access"],
            _ => &["scope"],
        };
        let accepts = move |seen: &Seen| {
            is_about_grants(seen) && !correct.iter().any(|claim| seen.changes_claim(claim)) && mistake(seen)
        };
        let app = app(&authority, ours.clone(), &machine, accepts);
        let found = attacked(app, &caller).await;
        if found != [*class] {
            wrong.push(format!("{what}: {found:?}, expected {class:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let is_of_grants = |defect: &&Defect| {
        [Code::MissingScope, Code::RoleNotAllowed].contains(&defect.code())
            && !caller.variants(**defect).is_empty()
    };
    let without = Defect::ALL.iter().filter(is_of_grants);
    let without: Vec<_> =
        without.filter(|defect| GRANTS.iter().all(|(class, ..)| class != *defect)).collect();
    assert!(without.is_empty(), "classes without a broken verifier: {without:?}");
}

/// Whether the token is the machine's except for its scopes and roles. It may have further claims.
fn is_about_grants(seen: &Seen) -> bool {
    let own = ["scope", "realm_access", "resource_access"];
    seen.changes().iter().all(|name| own.contains(name) || seen.machine.get(name).is_none())
}
