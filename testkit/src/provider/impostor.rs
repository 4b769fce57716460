//! Hostile tokens of each provider: authentic and unexpired, and not the expected machine's.

use serde_json::json;
use service_only::error::Code;

use super::Provider;
use crate::{authority::TestAuthority, draft::TokenDraft, token::FixtureToken};

/// What an authentic token of a provider is, in place of the expected machine's access token.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Impersonation {
    /// A user's token.
    User,
    /// An ID token.
    IdToken,
    /// The token of another client of the provider. Its id is the name that the verifier gives to the expected one.
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
    draft: TokenDraft,
    code: Code,
}

impl Impostor {
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
        self.code
    }
}

impl std::fmt::Debug for Impostor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impostor")
            .field("class", &self.class)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// The subject that the hostile tokens pretend to be, and the name that a verifier gives to it.
const EXPECTED: &str = "billing-client";
const NAME: &str = "billing";
const PROJECT: &str = "bakery/billing";
const MAIN: &str = "refs/heads/main";
const USER: &str = "5b1d7d0e-8a3b-4f4c-b2e5-0e8f1f9a6c21";

impl TestAuthority {
    /// Hostile tokens of a provider, one or more for each [`Impersonation`]. They pretend to be the caller
    /// `billing-client`, the pipeline of `bakery/billing` at `refs/heads/main`, the service account `billing-client` of the
    /// namespace `bakery`, or the IAM role `billing-client`. The verifier must name that caller `billing`, and for
    /// [`Provider::Eks`] `bakery.billing`.
    ///
    /// # Panics
    /// When the authority has no audience.
    #[track_caller]
    pub fn impostors(&self, provider: Provider) -> Vec<Impostor> {
        let mut all = match provider {
            Provider::Keycloak => self.of_keycloak(),
            Provider::Auth0 => self.of_auth0(),
            Provider::Auth0Rfc9068 => self.of_auth0_rfc9068(),
            Provider::EntraV1 => entra(self.entra_v1(EXPECTED), "appid", self.entra_v1(NAME)),
            Provider::EntraV2 => entra(self.entra_v2(EXPECTED), "azp", self.entra_v2(NAME)),
            Provider::Okta => self.of_okta(),
            Provider::Cognito => self.of_cognito(),
            Provider::Duende => self.of_duende(),
            Provider::GoogleServiceAccounts => self.of_google(),
            Provider::GitHubActions => self.of_github(),
            Provider::GitLabCi => self.of_gitlab(),
            Provider::Eks => self.of_eks(),
            Provider::AwsIam => self.of_aws(),
        };
        all.sort_by_key(|impostor| impostor.class);
        all
    }

    fn of_keycloak(&self) -> Vec<Impostor> {
        let machine = || self.keycloak(EXPECTED);
        let user = || machine().without_claim("client_id").claim("sub", USER).claim("sid", "s1");
        vec![
            user_token(user().claim("preferred_username", "anna")),
            // A service account gets an ID token too, if it asks for `openid`.
            id_token(machine().claim("typ", "ID"), Code::BadClaimValue),
            other_client(self.keycloak(NAME)),
            other_tenant(machine().claim("iss", "https://sso.bakery.example/realms/mill")),
            look_alike(
                user()
                    .claim("preferred_username", format!("service-account-{EXPECTED}"))
                    .claim("clientId", EXPECTED),
                Code::NotService,
            ),
        ]
    }

    fn of_auth0(&self) -> Vec<Impostor> {
        let machine = || self.auth0(EXPECTED);
        let user = || machine().claim("sub", "auth0|507f1f77bcf86cd799439020").without_claim("gty");
        vec![
            user_token(user().claim("scope", "openid profile")),
            user_token(user().claim("gty", "password")),
            id_token(user().without_claim("azp").claim("nonce", "n1").claim("sid", "s1"), Code::MissingClaim),
            other_client(self.auth0(NAME)),
            other_tenant(machine().claim("iss", "https://mill.eu.auth0.com/")),
            look_alike(user().claim("https://bakery.example/gty", "client-credentials"), Code::NotService),
            look_alike(machine().claim("sub", format!("auth0|{EXPECTED}@clients")), Code::NotService),
        ]
    }

    fn of_auth0_rfc9068(&self) -> Vec<Impostor> {
        let machine = || self.auth0_rfc9068(EXPECTED);
        vec![
            user_token(machine().claim("sub", "auth0|507f1f77bcf86cd799439020")),
            id_token(machine().header("typ", "JWT").claim("nonce", "n1"), Code::WrongTyp),
            other_client(self.auth0_rfc9068(NAME)),
            other_tenant(machine().claim("iss", "https://mill.eu.auth0.com/")),
            look_alike(machine().claim("sub", format!("auth0|{EXPECTED}@clients")), Code::NotService),
        ]
    }

    fn of_okta(&self) -> Vec<Impostor> {
        let machine = || self.okta(EXPECTED);
        let user = || machine().claim("uid", "00u1k7d2x9").claim("auth_time", 1);
        vec![
            user_token(user().claim("sub", "anna@bakery.example")),
            id_token(
                machine()
                    .without_claim("cid")
                    .without_claim("scp")
                    .claim("jti", "ID.x")
                    .claim("amr", ["pwd"].as_slice()),
                Code::MissingClaim,
            ),
            other_client(self.okta(NAME)),
            other_tenant(machine().claim("iss", "https://mill.okta.com/oauth2/default")),
            // A user whose login is the client's id.
            look_alike(user(), Code::NotService),
        ]
    }

    fn of_cognito(&self) -> Vec<Impostor> {
        let machine = || self.cognito(EXPECTED);
        vec![
            user_token(machine().claim("sub", USER).claim("username", "anna")),
            id_token(
                machine()
                    .claim("token_use", "id")
                    .claim("cognito:username", "anna")
                    .claim("aud", self.aud().unwrap_or_default()),
                Code::BadClaimValue,
            ),
            other_client(self.cognito(NAME)),
            other_tenant(
                machine()
                    .claim("iss", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_IhGfEdCbA"),
            ),
            look_alike(machine().claim("username", EXPECTED), Code::NotService),
            // Scopes of a resource server whose identifier only begins like this service's.
            look_alike(
                machine().claim("scope", format!("{0}-admin/read {0}", self.aud().unwrap_or_default())),
                Code::WrongAudience,
            ),
        ]
    }

    fn of_duende(&self) -> Vec<Impostor> {
        let machine = || self.duende(EXPECTED);
        let user = || machine().claim("sub", USER).claim("amr", ["pwd"].as_slice());
        vec![
            user_token(user().without_claim("client_machine")),
            // The claims of a client are in the tokens of its users too, if it has `AlwaysSendClientClaims`.
            user_token(user()),
            id_token(
                user().header("typ", "JWT").without_claim("client_id").claim("nonce", "n1"),
                Code::WrongTyp,
            ),
            other_client(self.duende(NAME)),
            other_tenant(machine().claim("iss", "https://identity.mill.example")),
            // A claim of the user, which has no prefix, and values that only resemble the mark.
            look_alike(user().without_claim("client_machine").claim("machine", "true"), Code::NotService),
            look_alike(machine().claim("client_machine", "True"), Code::NotService),
            look_alike(machine().claim("client_machine", true), Code::NotService),
        ]
    }

    fn of_google(&self) -> Vec<Impostor> {
        let machine = || self.google_service_account(EXPECTED, "billing@bakery.iam.gserviceaccount.com");
        let user = || {
            machine()
                .claim("azp", "32555940559.apps.googleusercontent.com")
                .claim("email", "anna@bakery.example")
                .claim("hd", "bakery.example")
        };
        vec![
            user_token(user().claim("sub", "108200000000000000001")),
            id_token(user().without_claim("azp").claim("nonce", "n1"), Code::NotService),
            other_client(self.google_service_account(NAME, "mallory@mill.iam.gserviceaccount.com")),
            other_tenant(machine().claim("iss", "https://securetoken.google.com/bakery")),
            look_alike(
                user().claim("email", "billing@bakery.iam.gserviceaccount.com.mill.example"),
                Code::NotService,
            ),
            look_alike(machine().claim("email_verified", "true"), Code::BadClaimValue),
        ]
    }

    fn of_github(&self) -> Vec<Impostor> {
        let run = || self.github_actions(PROJECT, MAIN);
        vec![
            Impostor {
                code: Code::BadClaimValue,
                ..user_token(run().claim("event_name", "pull_request").claim("ref", "refs/pull/7/merge"))
            },
            id_token(run().without_claim("repository").without_claim("ref"), Code::MissingClaim),
            other_client(self.github_actions("bakery/orders", MAIN)),
            other_tenant(run().claim("iss", "https://token.actions.githubusercontent.com/mill")),
            look_alike(self.github_actions(PROJECT, "refs/tags/main"), Code::BadClaimValue),
            look_alike(self.github_actions("mill/billing", MAIN), Code::BadClaimValue),
            // Its workflow is the target branch's, and what it checks out may be a stranger's.
            look_alike(run().claim("event_name", "pull_request_target"), Code::BadClaimValue),
            look_alike(run().claim("repository", format!("{PROJECT} {MAIN}")), Code::BadClaimValue),
        ]
    }

    fn of_gitlab(&self) -> Vec<Impostor> {
        let job = || self.gitlab_ci(PROJECT, MAIN);
        let user =
            job().without_claim("project_path").without_claim("ref_path").without_claim("ref_protected");
        vec![
            Impostor { code: Code::BadClaimValue, ..user_token(user.clone().claim("sub", "42")) },
            id_token(user.claim("sub", "42").claim("nickname", "anna"), Code::BadClaimValue),
            other_client(self.gitlab_ci("bakery/orders", MAIN)),
            other_tenant(job().claim("iss", "https://gitlab.mill.example")),
            look_alike(self.gitlab_ci(PROJECT, "refs/tags/main"), Code::BadClaimValue),
            look_alike(self.gitlab_ci("mill/billing", MAIN), Code::BadClaimValue),
            look_alike(job().claim("ref_protected", "false"), Code::BadClaimValue),
        ]
    }

    fn of_eks(&self) -> Vec<Impostor> {
        let pod = || self.kubernetes("bakery", EXPECTED);
        vec![
            user_token(pod().claim("sub", "anna@bakery.example")),
            // A token of the cluster that is not bound to a pod, as the Secret of a service account has it.
            id_token(pod().without_claim("kubernetes.io"), Code::MissingClaim),
            // Its own name is the one that the verifier gives to the expected account.
            other_client(self.kubernetes("bakery", NAME)),
            other_tenant(pod().claim(
                "iss",
                "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLEMILL4633E53DE1B71EXAMPLE",
            )),
            // An account of this name in another namespace.
            look_alike(
                self.kubernetes("mill", EXPECTED)
                    .claim("sub", format!("system:serviceaccount:bakery:{EXPECTED}")),
                Code::SubServiceMismatch,
            ),
        ]
    }

    fn of_aws(&self) -> Vec<Impostor> {
        let role = || self.aws_iam(EXPECTED);
        let account = Provider::AWS_ACCOUNT;
        vec![
            Impostor {
                code: Code::BadClaimValue,
                ..user_token(role().claim("sub", format!("arn:aws:iam::{account}:user/{EXPECTED}")))
            },
            id_token(role().without_claim("https://sts.amazonaws.com/"), Code::BadClaimValue),
            other_client(self.aws_iam(NAME)),
            other_tenant(role().claim("iss", "https://7c9e6679.tokens.sts.global.api.aws")),
            look_alike(self.aws_iam(&format!("mill/{EXPECTED}")), Code::BadClaimValue),
            look_alike(
                role().claim("https://sts.amazonaws.com/", json!({"aws_account": "210987654321"})),
                Code::BadClaimValue,
            ),
        ]
    }
}

fn entra(machine: TokenDraft, client: &str, other: TokenDraft) -> Vec<Impostor> {
    let machine = || machine.clone();
    let tenant = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
    let issuer = |draft: TokenDraft| {
        let issuer = match client {
            "appid" => format!("https://sts.windows.net/{tenant}/"),
            _ => format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        };
        draft.claim("iss", issuer).claim("tid", tenant)
    };
    let user = || machine().claim("scp", "access_as_user").claim("sub", USER).without_claim("roles");
    vec![
        user_token(user().claim("idtyp", "user")),
        user_token(user().without_claim("idtyp")),
        id_token(
            machine().without_claim(client).without_claim("idtyp").claim("preferred_username", "anna"),
            Code::MissingClaim,
        ),
        other_client(other),
        other_tenant(issuer(machine())),
        // The roles of an app, and the certificate of a confidential client that acts for a user.
        look_alike(machine().without_claim("idtyp"), Code::NotService),
        look_alike(machine().claim("scp", "access_as_user"), Code::NotService),
    ]
}

fn user_token(draft: TokenDraft) -> Impostor {
    Impostor { class: Impersonation::User, draft, code: Code::NotService }
}

fn id_token(draft: TokenDraft, code: Code) -> Impostor {
    Impostor { class: Impersonation::IdToken, draft, code }
}

fn other_client(draft: TokenDraft) -> Impostor {
    Impostor { class: Impersonation::OtherClient, draft, code: Code::BadClaimValue }
}

fn other_tenant(draft: TokenDraft) -> Impostor {
    Impostor { class: Impersonation::OtherTenant, draft, code: Code::WrongIssuer }
}

fn look_alike(draft: TokenDraft, code: Code) -> Impostor {
    Impostor { class: Impersonation::LookAlike, draft, code }
}
