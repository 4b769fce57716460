//! Hostile tokens of each provider: authentic and unexpired, and not the expected machine's.

use serde_json::{Value, json};
use service_only::error::Code;

use super::TokenDraft;
use crate::{authority::TestAuthority, provider::Provider, token::FixtureToken};

/// The kind of a hostile token. It is an authentic token of the provider, but not an access token of the expected
/// machine.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Impersonation {
    /// A user's token.
    User,
    /// An ID token.
    IdToken,
    /// The token of another client of the provider. The id of this client is the service name to which the verifier
    /// maps the expected client.
    OtherClient,
    /// The token of another tenant, which the same key signed.
    OtherTenant,
    /// A token with claims that resemble those of the machine.
    LookAlike,
}

impl Impersonation {
    /// All classes.
    pub const ALL: &'static [Self] =
        &[Self::User, Self::IdToken, Self::OtherClient, Self::OtherTenant, Self::LookAlike];
}

/// A hostile token of a provider.
#[derive(Clone)]
pub struct Impostor {
    class: Impersonation,
    what: &'static str,
    draft: TokenDraft,
    /// The codes of a correct refusal. Only an unknown client has several.
    codes: &'static [Code],
}

impl Impostor {
    fn new(class: Impersonation, what: &'static str, draft: TokenDraft, codes: &'static [Code]) -> Self {
        Self { class, what, draft, codes }
    }

    /// What the token is.
    pub fn class(&self) -> Impersonation {
        self.class
    }

    /// The token.
    #[track_caller]
    pub fn token(&self) -> FixtureToken {
        self.draft.token()
    }

    /// The code that a verifier with the constructor of the provider must answer.
    pub fn code(&self) -> Code {
        self.codes.first().copied().unwrap_or(Code::NotService)
    }

    /// All codes of a correct refusal.
    pub(crate) fn codes(&self) -> &'static [Code] {
        self.codes
    }

    /// What distinguishes the token from the others of its class.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }
}

impl std::fmt::Debug for Impostor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impostor")
            .field("class", &self.class)
            .field("what", &self.what)
            .field("code", &self.code())
            .finish_non_exhaustive()
    }
}

const USER: &str = "5b1d7d0e-8a3b-4f4c-b2e5-0e8f1f9a6c21";
const USER_OF_AUTH0: &str = "auth0|507f1f77bcf86cd799439020";

const NOT_SERVICE: &[Code] = &[Code::NotService];
const BAD_VALUE: &[Code] = &[Code::BadClaimValue];
const BAD_TYPE: &[Code] = &[Code::BadClaimType];
const MISSING: &[Code] = &[Code::MissingClaim];
const WRONG_TYP: &[Code] = &[Code::WrongTyp];
const WRONG_ISSUER: &[Code] = &[Code::WrongIssuer];
const WRONG_AUDIENCE: &[Code] = &[Code::WrongAudience];
const MISMATCH: &[Code] = &[Code::SubServiceMismatch];
/// A client without a configured name has its id as its name, which the handler refuses. With several issuers, or if its id
/// is not the name of a service, the verifier refuses it first.
const UNKNOWN_CLIENT: &[Code] = &[Code::ServiceNotAllowed, Code::BadClaimValue];

impl TestAuthority {
    /// Hostile tokens of a provider, one or more for each [`Impersonation`]. They pretend to be the caller
    /// `billing-client`, the pipeline of `bakery@65/billing@74` at `refs/heads/main`, the service account `billing-client` of the
    /// namespace `bakery`, or the IAM role `billing-client`. The verifier must name that caller `billing`, and for
    /// [`Provider::Eks`] `bakery.billing`.
    ///
    /// [`attack`](crate::attack) sends such tokens for the machine of its [`as_caller`](crate::Attack::as_caller).
    ///
    /// # Panics
    /// When the authority has no audience.
    #[track_caller]
    pub fn impostors(&self, provider: Provider) -> Vec<Impostor> {
        let (client, pipeline, main) = ("billing-client", "bakery@65/billing@74", "refs/heads/main");
        let machine = match provider {
            Provider::Keycloak => self.keycloak(client),
            Provider::Auth0 => self.auth0(client),
            Provider::Auth0Rfc9068 => self.auth0_rfc9068(client),
            Provider::EntraV1 => self.entra_v1(client),
            Provider::EntraV2 => self.entra_v2(client),
            Provider::Okta => self.okta(client),
            Provider::Cognito => self.cognito(client),
            Provider::Duende => self.duende(client),
            Provider::GoogleServiceAccounts => {
                self.google_service_account(client, "billing@bakery.iam.gserviceaccount.com")
            }
            Provider::GitHubActions => self.github_actions(pipeline, main),
            Provider::GitLabCi => self.gitlab_ci(pipeline, main),
            Provider::Eks => self.eks("bakery", client),
            Provider::AwsIam => self.aws_iam(client),
        };
        let named = match provider {
            Provider::GitHubActions | Provider::GitLabCi => "bakery@65/orders@75",
            _ => "billing",
        };
        let mut all = machine.impostors();
        all.push(other_client("its id is the name of the service", machine.for_machine(named), BAD_VALUE));
        all.sort_by_key(Impostor::class);
        all
    }
}

impl TokenDraft {
    /// The hostile tokens of one class that pretend to be the machine of this token. Empty for a token that no identity
    /// provider issues.
    pub(crate) fn impostors_of(&self, class: Impersonation) -> Vec<Impostor> {
        match class {
            Impersonation::OtherClient => self.other_clients(),
            _ => self.impostors().into_iter().filter(|impostor| impostor.class == class).collect(),
        }
    }

    /// Other machines of the provider, which the handler does not allow.
    fn other_clients(&self) -> Vec<Impostor> {
        let (Some(provider), Some(own)) = (self.provider(), self.machine_id()) else { return Vec::new() };
        let owner = |id| format!("{}@{}", own.rsplit_once('/').unwrap_or_default().0, text(self, id));
        let id = match provider {
            Provider::GitHubActions => format!("{}/some-other-repository@1", owner("repository_owner_id")),
            Provider::GitLabCi => format!("{}/some-other-project@1", owner("namespace_id")),
            Provider::GoogleServiceAccounts => "108200000000000000002".to_owned(),
            _ => "some-other-client".to_owned(),
        };
        let mut all = vec![other_client("another client", self.clone().for_machine(&id), UNKNOWN_CLIENT)];
        // If the handler allows one service, and the machine has another id, then the verifier gives it that name.
        if let Some(name) = self.only_service().filter(|name| *name != own && !own.contains(['/', ':'])) {
            let named = self.clone().for_machine(name);
            all.push(other_client("its id is the name of the service", named, UNKNOWN_CLIENT));
        }
        all
    }

    /// The hostile tokens of all classes except other clients.
    fn impostors(&self) -> Vec<Impostor> {
        let id = self.machine_id().unwrap_or_default();
        match self.provider() {
            None => Vec::new(),
            Some(Provider::Keycloak) => keycloak(self, id),
            Some(Provider::Auth0) => auth0(self, id),
            Some(Provider::Auth0Rfc9068) => auth0_rfc9068(self, id),
            Some(provider @ (Provider::EntraV1 | Provider::EntraV2)) => entra(self, provider),
            Some(Provider::Okta) => okta(self),
            Some(Provider::Cognito) => cognito(self, id),
            Some(Provider::Duende) => duende(self),
            Some(Provider::GoogleServiceAccounts) => google(self),
            Some(Provider::GitHubActions) => github(self, id),
            Some(Provider::GitLabCi) => gitlab(self, id),
            Some(Provider::Eks) => eks(self),
            Some(Provider::AwsIam) => aws(self, id),
        }
    }
}

fn keycloak(machine: &TokenDraft, id: &str) -> Vec<Impostor> {
    let machine = || machine.clone();
    let user = || machine().without_claim("client_id").claim("sub", USER).claim("sid", "s1");
    vec![
        user_token("a session of a user", user().claim("preferred_username", "anna"), NOT_SERVICE),
        // A service account gets an ID token too, if it asks for `openid`.
        id_token("of the service account", machine().claim("typ", "ID"), BAD_VALUE),
        other_tenant(machine().claim("iss", "https://sso.bakery.example/realms/mill")),
        look_alike(
            "a user whose name is that of the service account",
            user().claim("preferred_username", format!("service-account-{id}")).claim("clientId", id),
            NOT_SERVICE,
        ),
        look_alike(
            "a service account whose client writes `clientId`",
            machine().without_claim("client_id").claim("clientId", id),
            NOT_SERVICE,
        ),
    ]
}

fn auth0(machine: &TokenDraft, id: &str) -> Vec<Impostor> {
    let machine = || machine.clone();
    let user = || machine().claim("sub", USER_OF_AUTH0).without_claim("gty");
    vec![
        user_token("a login", user().claim("scope", "openid profile"), NOT_SERVICE),
        user_token("the grant `password`", user().claim("gty", "password"), NOT_SERVICE),
        id_token("of a user", user().without_claim("azp").claim("nonce", "n1").claim("sid", "s1"), MISSING),
        other_tenant(machine().claim("iss", "https://mill.eu.auth0.com/")),
        look_alike(
            "a claim of the user that ends in `gty`",
            user().claim("https://bakery.example/gty", "client-credentials"),
            NOT_SERVICE,
        ),
        look_alike(
            "a user whose id ends in `@clients`",
            machine().claim("sub", format!("auth0|{id}@clients")),
            NOT_SERVICE,
        ),
        look_alike("the grant `password` of the client", machine().claim("gty", "password"), NOT_SERVICE),
    ]
}

fn auth0_rfc9068(machine: &TokenDraft, id: &str) -> Vec<Impostor> {
    let machine = || machine.clone();
    vec![
        user_token("a login", machine().claim("sub", USER_OF_AUTH0), NOT_SERVICE),
        id_token("of a user", machine().header("typ", "JWT").claim("nonce", "n1"), WRONG_TYP),
        other_tenant(machine().claim("iss", "https://mill.eu.auth0.com/")),
        look_alike(
            "a user whose id ends in `@clients`",
            machine().claim("sub", format!("auth0|{id}@clients")),
            NOT_SERVICE,
        ),
    ]
}

fn entra(machine: &TokenDraft, provider: Provider) -> Vec<Impostor> {
    let machine = || machine.clone();
    let tenant = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
    let issuer = provider.issuer().replace(Provider::TENANT, tenant);
    let user = || machine().claim("scp", "access_as_user").claim("sub", USER).without_claim("roles");
    let id_claims = machine().without_claim(provider.machine_claim()).without_claim("idtyp");
    vec![
        user_token("a login", user().claim("idtyp", "user"), NOT_SERVICE),
        user_token("a login without `idtyp`", user().without_claim("idtyp"), NOT_SERVICE),
        id_token("of a user", id_claims.claim("preferred_username", "anna"), MISSING),
        other_tenant(machine().claim("iss", issuer).claim("tid", tenant)),
        // The roles of an app, and the certificate of a confidential client that acts for a user.
        look_alike(
            "roles and certificate of the application, without `idtyp`",
            machine().without_claim("idtyp"),
            NOT_SERVICE,
        ),
        look_alike(
            "`idtyp` of an application beside `scp`",
            machine().claim("scp", "access_as_user"),
            NOT_SERVICE,
        ),
    ]
}

fn okta(machine: &TokenDraft) -> Vec<Impostor> {
    let machine = || machine.clone();
    let user = || machine().claim("uid", "00u1k7d2x9").claim("auth_time", 1);
    let id_claims = machine().without_claim("cid").without_claim("scp").claim("jti", "ID.x");
    vec![
        user_token("a login", user().claim("sub", "anna@bakery.example"), NOT_SERVICE),
        id_token("of a user", id_claims.claim("amr", ["pwd"].as_slice()), MISSING),
        other_tenant(machine().claim("iss", "https://mill.okta.com/oauth2/default")),
        look_alike("a user whose login is the client's id", user(), NOT_SERVICE),
    ]
}

fn cognito(machine: &TokenDraft, id: &str) -> Vec<Impostor> {
    let audience = machine.authority().aud().unwrap_or_default().to_owned();
    let machine = || machine.clone();
    let id_claims = machine().claim("token_use", "id").claim("cognito:username", "anna");
    let other_pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_IhGfEdCbA";
    vec![
        user_token("a login", machine().claim("sub", USER).claim("username", "anna"), NOT_SERVICE),
        id_token("of a user", id_claims.claim("aud", audience.as_str()), BAD_VALUE),
        other_tenant(machine().claim("iss", other_pool)),
        look_alike("a user whose name is the client's id", machine().claim("username", id), NOT_SERVICE),
        look_alike(
            "scopes of a resource server with a longer name",
            machine().claim("scope", format!("{audience}-admin/read {audience}")),
            WRONG_AUDIENCE,
        ),
    ]
}

fn duende(machine: &TokenDraft) -> Vec<Impostor> {
    let machine = || machine.clone();
    let user = || machine().claim("sub", USER).claim("amr", ["pwd"].as_slice());
    let id_claims = user().header("typ", "JWT").without_claim("client_id");
    let other = "a claim of the user with the name of the mark";
    vec![
        user_token("a login", user().without_claim("client_machine"), NOT_SERVICE),
        // The claims of a client are in the tokens of its users too, if it has `AlwaysSendClientClaims`.
        user_token("a login with the claims of the client", user(), NOT_SERVICE),
        id_token("of a user", id_claims.claim("nonce", "n1"), WRONG_TYP),
        other_tenant(machine().claim("iss", "https://identity.mill.example")),
        // The claim of a user has no prefix.
        look_alike(other, user().without_claim("client_machine").claim("machine", "true"), NOT_SERVICE),
        look_alike("the mark in capitals", machine().claim("client_machine", "True"), NOT_SERVICE),
        look_alike("the mark as a boolean", machine().claim("client_machine", true), NOT_SERVICE),
    ]
}

fn google(machine: &TokenDraft) -> Vec<Impostor> {
    let email = machine.held("email").and_then(Value::as_str).unwrap_or_default();
    let longer = format!("{email}.mill.example");
    let machine = || machine.clone();
    let user = || {
        machine()
            .claim("azp", "32555940559.apps.googleusercontent.com")
            .claim("email", "anna@bakery.example")
            .claim("hd", "bakery.example")
    };
    vec![
        user_token("a login", user().claim("sub", "108200000000000000001"), NOT_SERVICE),
        id_token("of a user", user().without_claim("azp").claim("nonce", "n1"), NOT_SERVICE),
        other_tenant(machine().claim("iss", "https://securetoken.google.com/bakery")),
        look_alike("a longer e-mail address", user().claim("email", longer), NOT_SERVICE),
        look_alike(
            "a user for whom the account has obtained the token",
            machine().claim("azp", email).claim("email", "anna@bakery.example"),
            NOT_SERVICE,
        ),
        look_alike("`email_verified` as a text", machine().claim("email_verified", "true"), BAD_VALUE),
    ]
}

fn github(machine: &TokenDraft, repository: &str) -> Vec<Impostor> {
    let reference = text(machine, "ref");
    let (owner, name) = repository.rsplit_once('/').unwrap_or_default();
    let (owner_id, id) = (text(machine, "repository_owner_id"), text(machine, "repository_id"));
    let run = || machine.clone();
    let event = |name: &str| run().claim("event_name", name);
    let number = |id: &str| id.parse::<u64>().unwrap_or_default();
    let of_stranger = format!("mill@1/{name}@2");
    vec![
        user_token("a pull request", event("pull_request").claim("ref", "refs/pull/7/merge"), BAD_VALUE),
        id_token("without a repository", run().without_claim("repository").without_claim("ref"), MISSING),
        other_tenant(run().claim("iss", "https://token.actions.githubusercontent.com/mill")),
        look_alike("the other kind of ref", run().claim("ref", other_kind(&reference)), BAD_VALUE),
        look_alike("a repository of this name of another owner", run().for_machine(&of_stranger), BAD_VALUE),
        look_alike(
            "a repository that was created again under this name",
            run().for_machine(&format!("{owner}@{owner_id}/{name}@2")),
            BAD_VALUE,
        ),
        look_alike(
            "an owner that took this name, and a repository of the same name",
            run().for_machine(&format!("{owner}@1/{name}@2")),
            BAD_VALUE,
        ),
        look_alike("another owner", run().claim("repository_owner_id", "1"), BAD_VALUE),
        look_alike(
            "the ids in each other's place",
            run().claim("repository_owner_id", id.as_str()).claim("repository_id", owner_id.as_str()),
            BAD_VALUE,
        ),
        look_alike("the id as a number", run().claim("repository_id", number(&id)), BAD_TYPE),
        look_alike("without ids", run().without_claim("repository_id"), MISSING),
        // Its workflow is the default branch's, and what it checks out may be a stranger's.
        look_alike("`pull_request_target`", event("pull_request_target"), BAD_VALUE),
        look_alike("`workflow_run`, also after a pull request", event("workflow_run"), BAD_VALUE),
        look_alike("a comment of a stranger", event("issue_comment"), BAD_VALUE),
        look_alike("an event in other case", event("Push"), BAD_VALUE),
        look_alike(
            "the repository and its ids in one claim",
            run().claim("repository", format!("{repository} {owner_id} {id} {reference}")),
            BAD_VALUE,
        ),
    ]
}

fn gitlab(machine: &TokenDraft, project: &str) -> Vec<Impostor> {
    let reference = text(machine, "ref_path");
    let (group, name) = project.rsplit_once('/').unwrap_or_default();
    let (group_id, id) = (text(machine, "namespace_id"), text(machine, "project_id"));
    let job = || machine.clone();
    let user =
        || job().without_claim("project_path").without_claim("ref_path").without_claim("ref_protected");
    vec![
        user_token("a login", user().claim("sub", "42"), NOT_SERVICE),
        id_token("of a user", user().claim("sub", "42").claim("nickname", "anna"), NOT_SERVICE),
        other_tenant(job().claim("iss", "https://gitlab.mill.example")),
        look_alike("the other kind of ref", job().claim("ref_path", other_kind(&reference)), BAD_VALUE),
        look_alike(
            "a project of this name of another group",
            job().for_machine(&format!("mill@1/{name}@2")),
            BAD_VALUE,
        ),
        look_alike(
            "a project that was created again under this path",
            job().for_machine(&format!("{group}@{group_id}/{name}@2")),
            BAD_VALUE,
        ),
        look_alike(
            "a group that took this path, and a project of the same name",
            job().for_machine(&format!("{group}@1/{name}@2")),
            BAD_VALUE,
        ),
        look_alike("another group", job().claim("namespace_id", "1"), BAD_VALUE),
        look_alike(
            "the ids in each other's place",
            job().claim("namespace_id", id.as_str()).claim("project_id", group_id),
            BAD_VALUE,
        ),
        look_alike("without ids", job().without_claim("project_id"), MISSING),
        look_alike("a ref that is not protected", job().claim("ref_protected", "false"), BAD_VALUE),
        look_alike("`ref_protected` as a boolean", job().claim("ref_protected", true), BAD_VALUE),
    ]
}

fn eks(machine: &TokenDraft) -> Vec<Impostor> {
    let pod = || machine.clone();
    let mut elsewhere = machine.held("kubernetes.io").cloned().unwrap_or_default();
    if let Some(namespace) = elsewhere.pointer_mut("/namespace") {
        *namespace = "mill".into();
    }
    let other_cluster = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLEMILL4633E53DE1B71EXAMPLE";
    vec![
        user_token("a user of the cluster", pod().claim("sub", "anna@bakery.example"), NOT_SERVICE),
        id_token("of a Secret, without `kubernetes.io`", pod().without_claim("kubernetes.io"), MISSING),
        other_tenant(pod().claim("iss", other_cluster)),
        look_alike(
            "an account of this name in another namespace",
            pod().claim("kubernetes.io", elsewhere),
            MISMATCH,
        ),
    ]
}

fn aws(machine: &TokenDraft, name: &str) -> Vec<Impostor> {
    let sts = "https://sts.amazonaws.com/";
    let account = Provider::AWS_ACCOUNT;
    let role = || machine.clone();
    let other_account = json!({"aws_account": "210987654321"});
    let of_person = |member: &str| {
        let mut claims = machine.held(sts).cloned().unwrap_or_default();
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(member.to_owned(), format!("arn:aws:identitystore::{account}:x").into());
        }
        role().claim(sts, claims)
    };
    let user = role().claim("sub", format!("arn:aws:iam::{account}:user/{name}"));
    vec![
        user_token("an IAM user", user, NOT_SERVICE),
        user_token("the root user", role().claim("sub", format!("arn:aws:iam::{account}:root")), NOT_SERVICE),
        // The session has the ARN of the role, as that of a machine.
        user_token("a user of IAM Identity Center", of_person("identity_store_user_id"), NOT_SERVICE),
        user_token("a user of an identity store", of_person("identity_store_arn"), NOT_SERVICE),
        id_token("without the claims of STS", role().without_claim(sts), BAD_VALUE),
        other_tenant(role().claim("iss", "https://7c9e6679.tokens.sts.global.api.aws")),
        look_alike("a role of this name with a path", role().for_machine(&format!("mill/{name}")), BAD_VALUE),
        look_alike("a role of another account", role().claim(sts, other_account), BAD_VALUE),
    ]
}

fn text(draft: &TokenDraft, claim: &str) -> String {
    draft.held(claim).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A tag with the name of a branch, or the reverse.
fn other_kind(reference: &str) -> String {
    match reference.strip_prefix("refs/tags/") {
        Some(tag) => format!("refs/heads/{tag}"),
        None => reference.replacen("refs/heads/", "refs/tags/", 1),
    }
}

fn user_token(what: &'static str, draft: TokenDraft, codes: &'static [Code]) -> Impostor {
    Impostor::new(Impersonation::User, what, draft, codes)
}

fn id_token(what: &'static str, draft: TokenDraft, codes: &'static [Code]) -> Impostor {
    Impostor::new(Impersonation::IdToken, what, draft, codes)
}

fn other_client(what: &'static str, draft: TokenDraft, codes: &'static [Code]) -> Impostor {
    Impostor::new(Impersonation::OtherClient, what, draft, codes)
}

fn other_tenant(draft: TokenDraft) -> Impostor {
    Impostor::new(Impersonation::OtherTenant, "another tenant", draft, WRONG_ISSUER)
}

fn look_alike(what: &'static str, draft: TokenDraft, codes: &'static [Code]) -> Impostor {
    Impostor::new(Impersonation::LookAlike, what, draft, codes)
}
