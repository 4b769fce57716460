//! One valid token of each provider.

use serde_json::json;

use super::Provider;
use crate::{authority::TestAuthority, draft::TokenDraft};

impl TestAuthority {
    /// Starts an access token of a Keycloak service account. The subject is the client.
    ///
    /// # Panics
    /// When the authority has no audience. The same applies to the other providers.
    #[track_caller]
    pub fn keycloak(&self, client_id: &str) -> TokenDraft {
        self.of_machine()
            .claim("acr", "1")
            .claim("azp", client_id)
            .claim("client_id", client_id)
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
    }

    /// Starts an access token of an Auth0 machine-to-machine application in the default profile.
    #[track_caller]
    pub fn auth0(&self, client_id: &str) -> TokenDraft {
        self.of_machine()
            .without_claim("jti")
            .claim("azp", client_id)
            .claim("gty", "client-credentials")
            .claim("sub", format!("{client_id}@clients"))
    }

    /// Starts an access token of an Auth0 machine-to-machine application in the profile of RFC 9068.
    #[track_caller]
    pub fn auth0_rfc9068(&self, client_id: &str) -> TokenDraft {
        self.of_machine()
            .header("typ", "at+jwt")
            .claim("client_id", client_id)
            .claim("sub", format!("{client_id}@clients"))
    }

    /// Starts a version 1.0 app-only access token of Entra ID for the application with this id.
    #[track_caller]
    pub fn entra_v1(&self, application: &str) -> TokenDraft {
        self.of_entra()
            .claim("appid", application)
            .claim("appidacr", "2")
            .claim("idp", Provider::EntraV1.issuer())
            .claim("ver", "1.0")
    }

    /// Starts a version 2.0 app-only access token of Entra ID for the application with this id.
    #[track_caller]
    pub fn entra_v2(&self, application: &str) -> TokenDraft {
        self.of_entra().claim("azp", application).claim("azpacr", "2").claim("ver", "2.0")
    }

    #[track_caller]
    fn of_entra(&self) -> TokenDraft {
        let object = "99998888-7777-6666-5555-444433332222";
        self.of_machine()
            .without_claim("jti")
            .claim("aio", "E2ZgYFgS0bE=")
            .claim("idtyp", "app")
            .claim("oid", object)
            .claim("roles", ["Orders.Read"].as_slice())
            .claim("sub", object)
            .claim("tid", Provider::TENANT)
            .claim("uti", "lqXy7Zh0UEyX")
    }

    /// Starts an access token of a custom authorization server of Okta.
    #[track_caller]
    pub fn okta(&self, client_id: &str) -> TokenDraft {
        self.of_machine()
            .without_header("typ")
            .claim("cid", client_id)
            .claim("jti", format!("AT.{}", self.next_jti()))
            .claim("scp", ["orders.read"].as_slice())
            .claim("sub", client_id)
            .claim("ver", 1)
    }

    /// Starts an access token of an app client of Amazon Cognito. The authority's audience becomes the resource server
    /// of the scope `AUDIENCE/read`.
    #[track_caller]
    pub fn cognito(&self, client_id: &str) -> TokenDraft {
        let scope = format!("{}/read", self.aud().unwrap_or_default());
        self.of_machine()
            .without_header("typ")
            .without_claim("aud")
            .claim("client_id", client_id)
            .claim("scope", scope)
            .claim("sub", client_id)
            .claim("token_use", "access")
            .claim("version", 2)
    }

    /// Starts an access token that Duende IdentityServer issues for client credentials.
    #[track_caller]
    pub fn duende(&self, client_id: &str) -> TokenDraft {
        self.of_machine()
            .header("typ", "at+jwt")
            .without_claim("sub")
            .claim("client_id", client_id)
            .claim("client_machine", "true")
            .claim("scope", ["orders.read"].as_slice())
    }

    /// Starts an ID token of a Google service account. The subject is its unique id.
    #[track_caller]
    pub fn google_service_account(&self, unique_id: &str, email: &str) -> TokenDraft {
        self.of_machine()
            .without_claim("jti")
            .claim("azp", unique_id)
            .claim("email", email)
            .claim("email_verified", true)
            .claim(
                "google",
                json!({"compute_engine": {"project_id": "bakery", "zone": "europe-west3-a", "instance_name": "billing-0"}}),
            )
            .claim("sub", unique_id)
    }

    /// Starts an ID token of a workflow of GitHub Actions, such as `bakery/orders` at `refs/heads/main`.
    #[track_caller]
    pub fn github_actions(&self, repository: &str, reference: &str) -> TokenDraft {
        let owner = repository.split('/').next().unwrap_or_default();
        self.of_machine()
            .claim("actor", "anna")
            .claim("event_name", "push")
            .claim("job_workflow_ref", format!("{repository}/.github/workflows/deploy.yml@{reference}"))
            .claim("ref", reference)
            .claim("ref_protected", "true")
            .claim("ref_type", if reference.starts_with("refs/tags/") { "tag" } else { "branch" })
            .claim("repository", repository)
            .claim("repository_owner", owner)
            .claim("runner_environment", "github-hosted")
            .claim("sub", format!("repo:{repository}:ref:{reference}"))
    }

    /// Starts an ID token of a job of GitLab CI, such as `bakery/orders` at `refs/heads/main`.
    #[track_caller]
    pub fn gitlab_ci(&self, project: &str, reference: &str) -> TokenDraft {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let kind = if reference.starts_with("refs/tags/") { "tag" } else { "branch" };
        self.of_machine()
            .claim("namespace_path", project.split('/').next().unwrap_or_default())
            .claim("pipeline_source", "push")
            .claim("project_id", "22")
            .claim("project_path", project)
            .claim("ref", name)
            .claim("ref_path", reference)
            .claim("ref_protected", "true")
            .claim("ref_type", kind)
            .claim("sub", format!("project_path:{project}:ref_type:{kind}:ref:{name}"))
            .claim("user_login", "anna")
    }

    /// Starts a token that AWS STS issues to an IAM role (`GetWebIdentityToken`), such as `Orders`.
    #[track_caller]
    pub fn aws_iam(&self, role: &str) -> TokenDraft {
        let account = Provider::AWS_ACCOUNT;
        self.of_machine().claim("sub", format!("arn:aws:iam::{account}:role/{role}")).claim(
            "https://sts.amazonaws.com/",
            json!({"aws_account": account, "source_region": "eu-central-1"}),
        )
    }

    #[track_caller]
    fn of_machine(&self) -> TokenDraft {
        self.needs_audience();
        TokenDraft::of_nobody(self)
    }
}
