//! One valid token of each identity provider, in the shape of its documentation. The constructors of `TrustedIssuer` name
//! the pages.

use serde_json::{Value, json};

use super::TokenDraft;
use crate::{authority::TestAuthority, fail::OrFail, provider::Provider};

impl TestAuthority {
    /// Starts an access token of a Keycloak service account. The subject is the client.
    ///
    /// # Panics
    /// When the authority has no audience. The same applies to the other providers.
    #[track_caller]
    pub fn keycloak(&self, client_id: &str) -> TokenDraft {
        self.of_machine(Provider::Keycloak)
            .claim("acr", "1")
            .claim("clientAddress", "10.0.0.7")
            .claim("clientHost", "10.0.0.7")
            .claim("email_verified", false)
            .claim("jti", format!("trrtcc:{}", self.next_jti()))
            .claim("preferred_username", format!("service-account-{client_id}"))
            .claim("realm_access", json!({"roles": ["offline_access", "default-roles-bakery"]}))
            .claim("resource_access", json!({"account": {"roles": ["view-profile"]}}))
            .claim("scope", "email profile")
            .claim("sub", "7d1f2e0c-5a55-4f6e-9a3f-3c1c1d1b7f10")
            .claim("typ", "Bearer")
            .for_machine(client_id)
    }

    /// Starts an access token of an Auth0 machine-to-machine application in the default profile. Many tenants add
    /// `gty: client-credentials`, which Auth0 does not document.
    #[track_caller]
    pub fn auth0(&self, client_id: &str) -> TokenDraft {
        self.of_machine(Provider::Auth0).without_claim("jti").for_machine(client_id)
    }

    /// Starts an access token of an Auth0 machine-to-machine application in the profile of RFC 9068.
    #[track_caller]
    pub fn auth0_rfc9068(&self, client_id: &str) -> TokenDraft {
        self.of_machine(Provider::Auth0Rfc9068).header("typ", "at+jwt").for_machine(client_id)
    }

    /// Starts a version 1.0 app-only access token of Entra ID for the application with this id.
    #[track_caller]
    pub fn entra_v1(&self, application: &str) -> TokenDraft {
        self.of_entra(Provider::EntraV1, application)
            .claim("appidacr", "2")
            .claim("idp", Provider::EntraV1.issuer())
            .claim("ver", "1.0")
    }

    /// Starts a version 2.0 app-only access token of Entra ID for the application with this id.
    #[track_caller]
    pub fn entra_v2(&self, application: &str) -> TokenDraft {
        self.of_entra(Provider::EntraV2, application).claim("azpacr", "2").claim("ver", "2.0")
    }

    #[track_caller]
    fn of_entra(&self, provider: Provider, application: &str) -> TokenDraft {
        let object = "99998888-7777-6666-5555-444433332222";
        self.of_machine(provider)
            .without_claim("jti")
            .claim("aio", "E2ZgYFgS0bE=")
            .claim("idtyp", "app")
            .claim("oid", object)
            .claim("roles", ["Orders.Read"].as_slice())
            .claim("sub", object)
            .claim("tid", Provider::TENANT)
            .claim("uti", "lqXy7Zh0UEyX")
            .for_machine(application)
    }

    /// Starts an access token of a custom authorization server of Okta.
    #[track_caller]
    pub fn okta(&self, client_id: &str) -> TokenDraft {
        self.of_machine(Provider::Okta)
            .without_header("typ")
            .claim("jti", format!("AT.{}", self.next_jti()))
            .claim("scp", ["orders.read"].as_slice())
            .claim("ver", 1)
            .for_machine(client_id)
    }

    /// Starts an access token of an app client of Amazon Cognito. The authority's audience becomes the resource server
    /// of the scope `AUDIENCE/read`.
    #[track_caller]
    pub fn cognito(&self, client_id: &str) -> TokenDraft {
        let scope = format!("{}/read", self.aud().unwrap_or_default());
        self.of_machine(Provider::Cognito)
            .without_header("typ")
            .without_claim("aud")
            .claim("scope", scope)
            .claim("token_use", "access")
            .claim("version", 2)
            .for_machine(client_id)
    }

    /// Starts an access token that Duende IdentityServer issues for client credentials.
    #[track_caller]
    pub fn duende(&self, client_id: &str) -> TokenDraft {
        self.of_machine(Provider::Duende)
            .header("typ", "at+jwt")
            .without_claim("sub")
            .claim("client_machine", "true")
            .claim("scope", ["orders.read"].as_slice())
            .for_machine(client_id)
    }

    /// Starts an ID token of a Google service account. The subject is its unique id.
    #[track_caller]
    pub fn google_service_account(&self, unique_id: &str, email: &str) -> TokenDraft {
        self.of_machine(Provider::GoogleServiceAccounts)
            .without_claim("jti")
            .claim("email", email)
            .claim("email_verified", true)
            .claim(
                "google",
                json!({"compute_engine": {"project_id": "bakery", "zone": "europe-west3-a", "instance_name": "billing-0"}}),
            )
            .for_machine(unique_id)
    }

    /// Starts an ID token of a workflow of GitHub Actions, such as `bakery@65/orders@74` at `refs/heads/main`: the owner and
    /// the repository, each with its id, as for [`TrustedIssuer::pipeline`](service_only::TrustedIssuer::pipeline). Its `sub`
    /// has the form of a repository that was created after July 2026.
    ///
    /// # Panics
    /// When an id is missing.
    #[track_caller]
    pub fn github_actions(&self, repository: &str, reference: &str) -> TokenDraft {
        self.of_machine(Provider::GitHubActions)
            .claim("actor", "anna")
            .claim("actor_id", "12")
            .claim("event_name", "push")
            .claim("ref", reference)
            .claim("ref_type", kind_of(reference))
            .claim("repository_visibility", "private")
            .claim("runner_environment", "github-hosted")
            .for_machine(repository)
    }

    /// Starts an ID token of a job of GitLab CI, such as `bakery@72/orders@22` at `refs/heads/main`: the namespace and the
    /// project, each with its id.
    ///
    /// # Panics
    /// When an id is missing.
    #[track_caller]
    pub fn gitlab_ci(&self, project: &str, reference: &str) -> TokenDraft {
        self.of_machine(Provider::GitLabCi)
            .claim("pipeline_source", "push")
            .claim("ref", reference.rsplit('/').next().unwrap_or_default())
            .claim("ref_path", reference)
            .claim("ref_protected", "true")
            .claim("ref_type", kind_of(reference))
            .claim("user_id", "1")
            .claim("user_login", "anna")
            .for_machine(project)
    }

    /// Starts a bound service-account token of a cluster of Amazon EKS. It is that of [`kubernetes`](Self::kubernetes).
    #[track_caller]
    pub fn eks(&self, namespace: &str, account: &str) -> TokenDraft {
        TokenDraft { provider: Some(Provider::Eks), ..self.kubernetes(namespace, account) }
    }

    /// Starts a token that AWS STS issues to an IAM role (`GetWebIdentityToken`), such as `Orders`.
    #[track_caller]
    pub fn aws_iam(&self, role: &str) -> TokenDraft {
        let claims = json!({"aws_account": Provider::AWS_ACCOUNT, "source_region": "eu-central-1"});
        self.of_machine(Provider::AwsIam).claim("https://sts.amazonaws.com/", claims).for_machine(role)
    }

    #[track_caller]
    fn of_machine(&self, provider: Provider) -> TokenDraft {
        self.needs_audience();
        TokenDraft { provider: Some(provider), ..TokenDraft::of_nobody(self) }
    }
}

impl TokenDraft {
    /// The identity provider that issues such tokens.
    pub(crate) fn provider(&self) -> Option<Provider> {
        self.provider
    }

    /// The id of the machine by the provider: a client, a service account or a role; the path of a repository or a project.
    pub(crate) fn machine_id(&self) -> Option<&str> {
        let provider = self.provider?;
        let id = self.held(provider.machine_claim())?.as_str()?;
        match provider {
            Provider::Eks => id.rsplit(':').next(),
            Provider::AwsIam => id.split_once(":role/").map(|(_, role)| role),
            _ => Some(id),
        }
    }

    /// The same token for another machine of the provider. A repository or a project is written with its ids, such as
    /// `bakery@65/orders@74`.
    #[track_caller]
    pub(super) fn for_machine(self, id: &str) -> Self {
        let Some(provider) = self.provider else { return self };
        let text = |claim| self.held(claim).and_then(Value::as_str).unwrap_or_default().to_owned();
        match provider {
            Provider::Keycloak => self.claim("azp", id).claim("client_id", id),
            Provider::Auth0 => self.claim("azp", id).claim("sub", format!("{id}@clients")),
            Provider::Auth0Rfc9068 => self.claim("client_id", id).claim("sub", format!("{id}@clients")),
            Provider::EntraV1 => self.claim("appid", id),
            Provider::EntraV2 => self.claim("azp", id),
            Provider::Okta => self.claim("cid", id).claim("sub", id),
            Provider::Cognito => self.claim("client_id", id).claim("sub", id),
            Provider::Duende => self.claim("client_id", id),
            Provider::GoogleServiceAccounts => self.claim("azp", id).claim("sub", id),
            Provider::GitHubActions => {
                let Repository { owner, owner_id, name, id } = Repository::of(id);
                let subject = format!("repo:{owner}@{owner_id}/{name}@{id}:ref:{}", text("ref"));
                let workflow = format!("{owner}/{name}/.github/workflows/deploy.yml@{}", text("ref"));
                self.claim("repository", format!("{owner}/{name}"))
                    .claim("repository_id", id)
                    .claim("repository_owner", owner)
                    .claim("repository_owner_id", owner_id)
                    .claim("sub", subject)
                    .claim("workflow_ref", workflow)
            }
            Provider::GitLabCi => {
                let Repository { owner, owner_id, name, id } = Repository::of(id);
                let path = format!("{owner}/{name}");
                let subject =
                    format!("project_path:{path}:ref_type:{}:ref:{}", text("ref_type"), text("ref"));
                self.claim("namespace_id", owner_id)
                    .claim("namespace_path", owner)
                    .claim("project_id", id)
                    .claim("project_path", path)
                    .claim("sub", subject)
            }
            Provider::Eks => {
                let mut bound = self.held("kubernetes.io").cloned().unwrap_or_default();
                let namespace = bound.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
                if let Some(name) = bound.pointer_mut("/serviceaccount/name") {
                    *name = id.into();
                }
                self.claim("kubernetes.io", bound)
                    .claim("sub", format!("system:serviceaccount:{namespace}:{id}"))
            }
            Provider::AwsIam => {
                self.claim("sub", format!("arn:aws:iam::{}:role/{id}", Provider::AWS_ACCOUNT))
            }
        }
    }
}

/// A repository or a project, written with the ids of its owner and itself: `bakery@65/orders@74`.
struct Repository<'t> {
    owner: &'t str,
    owner_id: &'t str,
    name: &'t str,
    id: &'t str,
}

impl<'t> Repository<'t> {
    #[track_caller]
    fn of(text: &'t str) -> Self {
        let parts = || {
            let (owner, name) = text.rsplit_once('/')?;
            let ((owner, owner_id), (name, id)) = (owner.rsplit_once('@')?, name.rsplit_once('@')?);
            Some(Self { owner, owner_id, name, id })
        };
        parts().or_fail("a repository has its ids; write it like `bakery@65/orders@74`")
    }
}

fn kind_of(reference: &str) -> &'static str {
    if reference.starts_with("refs/tags/") { "tag" } else { "branch" }
}
