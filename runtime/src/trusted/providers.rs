//! Constructors for the tokens of usual providers. Each takes the shape of a machine's access token from the provider's
//! documentation, and refuses the provider's ID tokens and users' tokens.

use super::{
    TrustedIssuer,
    access::{AccessTokens, GrantClaim},
    kind::Kind,
    rule::{Expected, Rule},
};
use crate::{denial::quoted, error::BuildError};

/// The issuer of Google's ID tokens.
const GOOGLE: &str = "https://accounts.google.com";

/// The issuer of GitHub Actions on github.com.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// The events of GitHub that only people and apps with write access to the repository can cause.
const EVENTS_OF_WRITERS: &[&str] = &[
    "push",
    "release",
    "schedule",
    "workflow_dispatch",
    "repository_dispatch",
    "deployment",
    "deployment_status",
];

/// The claim that AWS STS puts its own claims into.
const STS: &str = "https://sts.amazonaws.com/";

impl TrustedIssuer {
    /// Trusts access tokens of the service accounts of a Keycloak realm, such as
    /// `https://sso.bakery.example/realms/bakery`. The service is the client (`azp`).
    ///
    /// A token belongs to a machine if `client_id` equals `azp`: Keycloak writes `client_id` only for a service account.
    /// The claim `typ` must be `Bearer` or `DPoP`, in any case, which excludes ID tokens (`ID`), refresh tokens and logout
    /// tokens. Scopes come from `scope`, roles from `realm_access.roles`.
    ///
    /// With [`and_users`](Self::and_users), a token is a user's only if it has no `clientId`, and if its
    /// `preferred_username` does not start with `service-account-`: both are claims of a service account, also of one whose
    /// client does not write `client_id`.
    ///
    /// Required in Keycloak: "Service account roles" of the client, with the client scope `service_account` (since 26.1); an
    /// audience mapper for this service. A client that an old version has created may write `clientId`: change the claim
    /// of its mapper "Client ID" to `client_id`.
    ///
    /// Source: Keycloak, Server Administration Guide,
    /// [Using a service account](https://www.keycloak.org/docs/latest/server_admin/#_service_accounts) and
    /// [Audience support](https://www.keycloak.org/docs/latest/server_admin/#audience-support). The guide does not name the
    /// claims `client_id` and `typ`. They are in the server's code:
    /// [`ServiceAccountConstants`](https://www.keycloak.org/docs-api/latest/javadocs/org/keycloak/common/constants/ServiceAccountConstants.html)
    /// and `TokenUtil`.
    pub fn keycloak(issuer: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("azp")
            .machine_if_equal("client_id", "azp")
            // A token that is bound to a key has `DPoP`. An option of the client writes both in lower case.
            .only(Rule::Is("typ".into(), Expected::Either(["Bearer", "DPoP"])))
            // `at+jwt` is an option of the client.
            .typ(["JWT", "at+jwt"])
            .roles_from([GrantClaim::RealmAccessRoles])
            // A client of an old version writes `clientId`. Keycloak names the user of a service account after its client.
            .users_only(Rule::Absent("clientId".into()))
            .users_only(Rule::StartsNot("preferred_username", "service-account-"))
            .require_jti();
        Self::oauth_with(issuer, tokens)
    }

    /// Trusts access tokens of Auth0 in its default profile. The issuer ends in a slash, as in
    /// `https://bakery.eu.auth0.com/`. The service is the application (`azp`).
    ///
    /// A token belongs to a machine if `sub` is `azp` followed by `@clients`. The `sub` of a user is the user's id, such as
    /// `auth0|507f`, also in an ID token. A token with a `gty` other than `client-credentials` is refused. Auth0 documents
    /// `gty` only for the grants `password` and `refresh_token`, so it may be absent. Scopes come from `scope` and
    /// `permissions`.
    ///
    /// Required in Auth0: a machine-to-machine application, and an API whose identifier is the audience.
    ///
    /// Source: Auth0, [Access Token Profiles](https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles),
    /// sections "Header" and "Claims".
    pub fn auth0(issuer: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("azp")
            .machine_if_suffixed("sub", "azp", "@clients")
            .user_unless("gty", "client-credentials")
            .typ(["JWT"])
            .scopes_from([GrantClaim::Scope, GrantClaim::Permissions]);
        Self::oauth_with(issuer, tokens)
    }

    /// Trusts access tokens of Auth0 in the profile of RFC 9068. See [`auth0`](Self::auth0). The service is the
    /// application (`client_id`).
    ///
    /// `typ` must be `at+jwt`, which excludes ID tokens. A token belongs to a machine if `sub` is `client_id` followed
    /// by `@clients`.
    ///
    /// Required in Auth0: "RFC 9068" as the "JSON Web Token (JWT) Profile" of the API.
    ///
    /// Source: Auth0, [Access Token Profiles](https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles), where
    /// the header parameter is called `type`, and [Configure Access Token Profile](https://auth0.com/docs/get-started/apis/configure-access-token-profile).
    pub fn auth0_rfc9068(issuer: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("client_id")
            .machine_if_suffixed("sub", "client_id", "@clients")
            .scopes_from([GrantClaim::Scope, GrantClaim::Permissions])
            .require_jti();
        Self::oauth_with(issuer, tokens)
    }

    /// Trusts version 1.0 access tokens of one tenant of Microsoft Entra ID. The service is the application (`appid`).
    /// The tenant is its id, a GUID: tenants share their keys, and only the issuer separates them.
    ///
    /// A token belongs to a machine if `idtyp` is `app` and it has no `scp`, which a user's token has. ID tokens have no
    /// `appid`. Roles come from `roles`, the application permissions. An application without a role needs a
    /// [`name`](Self::name): Entra issues a token for this API to every application of the tenant, also if it was granted
    /// nothing.
    ///
    /// Required in Entra: the optional claim `idtyp` for access tokens of this API, and app roles for its callers. The
    /// audience of version 1.0 depends on how a client names the API, unless the optional claim `aud` has `use_guid`: then
    /// it is the client id of the API.
    ///
    /// Source: Microsoft, [Access token claims reference](https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference),
    /// [Optional claims reference](https://learn.microsoft.com/en-us/entra/identity-platform/optional-claims-reference) and
    /// [client credentials flow](https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow),
    /// section "Controlling tokens without the `roles` claim".
    pub fn entra_v1(tenant: &str) -> Self {
        Self::entra(tenant, format!("https://sts.windows.net/{tenant}/"), "appid", "1.0")
    }

    /// Trusts version 2.0 access tokens of one tenant of Microsoft Entra ID. See [`entra_v1`](Self::entra_v1). The
    /// service is the application (`azp`), and the audience is the client id of this API.
    ///
    /// Required in Entra: also `requestedAccessTokenVersion` 2 in the manifest of this API.
    ///
    /// Source: Microsoft, [Access token claims reference](https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference)
    /// and [Optional claims reference](https://learn.microsoft.com/en-us/entra/identity-platform/optional-claims-reference).
    pub fn entra_v2(tenant: &str) -> Self {
        Self::entra(tenant, format!("https://login.microsoftonline.com/{tenant}/v2.0"), "azp", "2.0")
    }

    fn entra(tenant: &str, issuer: String, client: &'static str, version: &'static str) -> Self {
        let tokens = AccessTokens::named_by(client)
            .machine_if("idtyp", "app")
            .user_if_present("scp")
            .access_if("ver", version)
            .access_if("tid", tenant.to_owned())
            .typ(["JWT"])
            .scopes_from([])
            .roles_from([GrantClaim::Roles])
            .names_or_roles();
        Self::oauth_with(issuer, tokens).checked(
            is_guid(tenant),
            "the id of a tenant",
            tenant,
            "the GUID of the directory in lower case, not its domain or `common`",
        )
    }

    /// Trusts access tokens of a custom authorization server of Okta, such as
    /// `https://bakery.okta.com/oauth2/default`. The service is the application (`cid`).
    ///
    /// A token belongs to a machine if `sub` equals `cid` and it has no `uid`, which a user's token has. ID tokens have
    /// no `cid`. Scopes come from `scp`. The header has no `typ`.
    ///
    /// Required in Okta: an API services application, a custom scope, an access policy of the authorization server for it,
    /// and the system claim `sub` with its default value: the user's name, or the client id if there is no user.
    ///
    /// Source: Okta, [OpenID Connect & OAuth 2.0 API](https://developer.okta.com/docs/reference/api/oidc/), section "Access
    /// Token", and [Authorization Servers API](https://developer.okta.com/docs/reference/api/authorization-servers/), section
    /// "Claim object". Okta does not document the tokens of the organization's own authorization server.
    pub fn okta(issuer: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("cid")
            .machine_if_equal("sub", "cid")
            .user_if_present("uid")
            .typ(["JWT", "at+jwt"])
            .typ_may_be_absent()
            .scopes_from([GrantClaim::Scp])
            .require_jti();
        Self::oauth_with(issuer, tokens)
    }

    /// Trusts access tokens of a user pool of Amazon Cognito, such as `cognito("eu-central-1", "eu-central-1_AbCdEfGhI")`.
    /// The service is the app client (`client_id`).
    ///
    /// A token belongs to a machine if `sub` equals `client_id` and it has no `username`. A user's `sub` is a UUID.
    /// `token_use` must be `access`, which excludes ID tokens. These tokens have no `aud` by default, so the audience is the
    /// identifier of this service's resource server, which begins each of its scopes: `orders` in `orders/read`. The header
    /// has no `typ`. The developer guide has no sample of a machine's token: it describes `sub` and `username` for users.
    ///
    /// Required in Cognito: a resource server for this service, and its scopes for the app client.
    ///
    /// Source: Amazon Cognito Developer Guide,
    /// [Understanding the access token](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html)
    /// and [Scopes, M2M, and resource servers](https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-define-resource-servers.html).
    pub fn cognito(region: &str, user_pool: &str) -> Self {
        let tokens = AccessTokens::named_by("client_id")
            .machine_if_equal("sub", "client_id")
            .user_if_present("username")
            .access_if("token_use", "access")
            .typ(["JWT"])
            .typ_may_be_absent()
            .audience_from_scopes()
            .require_jti();
        let is_pool =
            is_label(region) && user_pool.strip_prefix(region).is_some_and(|rest| rest.starts_with('_'));
        Self::oauth_with(format!("https://cognito-idp.{region}.amazonaws.com/{user_pool}"), tokens).checked(
            is_pool,
            "a user pool of this region",
            user_pool,
            "the region and the id of the pool, such as `eu-central-1` and `eu-central-1_AbCdEfGhI`",
        )
    }

    /// Trusts access tokens of Duende IdentityServer, such as `https://identity.bakery.example`. The service is the client
    /// (`client_id`).
    ///
    /// A token belongs to a machine if `client_machine` is `true` and it has no `sub`, which a user's token has. Duende
    /// prefixes the claims of a client with `client_`, so that no claim of a user has such a name. It sends them for client
    /// credentials only, unless the client has `AlwaysSendClientClaims`. `typ` must be `at+jwt`, which excludes ID tokens.
    /// Scopes come from `scope`.
    ///
    /// Required in Duende: an `ApiResource` whose name is the audience, with the scopes of this service; for each machine
    /// `Claims = { new ClientClaim("machine", "true") }`.
    ///
    /// Source: Duende, [Claims](https://docs.duendesoftware.com/identityserver/fundamentals/claims/), section "Client
    /// Claims", [Client](https://docs.duendesoftware.com/identityserver/reference/models/client/), section "Token", and
    /// [API Resources](https://docs.duendesoftware.com/identityserver/fundamentals/resources/api-resources/).
    pub fn duende(issuer: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("client_id")
            .machine_if("client_machine", "true")
            .user_if_present("sub")
            .require_jti();
        Self::oauth_with(issuer, tokens)
    }

    /// Trusts ID tokens that Google issues to service accounts, as the metadata server returns them. Map each account with
    /// [`name`](Self::name) by its unique id (`sub`), which Google never reuses. An account without a name is refused: every
    /// service account of every customer of Google can obtain a token for the audience of this service.
    ///
    /// Google's access tokens are opaque, so services present ID tokens. A token belongs to a machine if `azp` equals
    /// `sub` or `email`: the `azp` of a user's ID token is an OAuth client. Google documents `azp` only for the metadata
    /// server, where it is `sub`. In published tokens that were obtained with the key of an account, it is the e-mail
    /// address. A token without `email_verified: true` is refused.
    ///
    /// Required in Google Cloud: a token for the audience of this service, requested with `format=full` from the metadata
    /// server, or with `includeEmail` from `generateIdToken`. Without them, the token has no `email_verified`.
    ///
    /// Source: Google Cloud, [Verify VM identity](https://cloud.google.com/compute/docs/instances/verifying-instance-identity),
    /// [Get an ID token](https://cloud.google.com/docs/authentication/get-id-token) and
    /// [`generateIdToken`](https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateIdToken).
    pub fn google_service_accounts() -> Self {
        let tokens = AccessTokens::named_by("sub")
            .only_named()
            .machines_only(Rule::EqualEither { claim: "azp", others: ["sub", "email"] })
            .only(Rule::Is("email_verified".into(), Expected::True))
            .typ(["JWT"])
            .scopes_from([]);
        Self::oauth_with(GOOGLE, tokens)
    }

    /// Trusts workflows of GitHub Actions on github.com. Each caller is a [`pipeline`](Self::pipeline): a repository and
    /// a ref.
    ///
    /// `repository`, `repository_owner_id`, `repository_id` and `ref` of the token must be those of a pipeline. The ids never
    /// change and are never used again, so a stranger who takes the name of a deleted or renamed repository is refused.
    ///
    /// `event_name` must be an event that only people with write access can cause: `push`, `release`, `schedule`,
    /// `workflow_dispatch`, `repository_dispatch`, `deployment` or `deployment_status`. A run for a pull request is refused.
    /// So is a run for `pull_request_target`, `workflow_run` or `issue_comment`: its `ref` is the default branch, and what it
    /// checks out may be a stranger's.
    ///
    /// Required in GitHub: `permissions: id-token: write`, and a token for the audience of this service.
    ///
    /// `sub` is not read: its form differs for repositories since July 2026, and an environment changes it.
    ///
    /// Source: GitHub Docs, [OpenID Connect reference](https://docs.github.com/en/actions/reference/security/oidc), sections
    /// "Custom claims provided by GitHub" and "Immutable subject claims", and
    /// [Securely using pull_request_target](https://docs.github.com/en/actions/reference/security/securely-using-pull_request_target).
    pub fn github_actions() -> Self {
        let tokens = AccessTokens::named_by("repository")
            .and_by("repository_owner_id")
            .and_by("repository_id")
            .and_by("ref")
            .only_named()
            .only(Rule::Is("event_name".into(), Expected::OneOf(EVENTS_OF_WRITERS)))
            .typ(["JWT"])
            .scopes_from([])
            .require_jti();
        Self::oauth_with(GITHUB, tokens)
    }

    /// Trusts pipelines of a GitLab instance, such as `https://gitlab.com`. Each caller is a
    /// [`pipeline`](Self::pipeline): a project and a ref.
    ///
    /// `project_path`, `namespace_id`, `project_id` and `ref_path` of the token must be those of a pipeline, and
    /// `ref_protected` must be `true`. GitLab gives the path of a deleted or moved project to another one, and not its id. The
    /// ID token of a user has none of these claims: a token without `project_path` gets a 403.
    ///
    /// Required in GitLab: `id_tokens` of the job with the audience of this service, and a protected branch or tag. GitLab 16.0
    /// or later, which writes `ref_path`.
    ///
    /// Source: GitLab Docs,
    /// [OpenID Connect (OIDC) Authentication Using ID Tokens](https://docs.gitlab.com/ci/secrets/id_token_authentication/),
    /// section "Token payload".
    pub fn gitlab_ci(instance: impl Into<String>) -> Self {
        let tokens = AccessTokens::named_by("project_path")
            .user_unless_present("project_path")
            .and_by("namespace_id")
            .and_by("project_id")
            .and_by("ref_path")
            .only_named()
            .access_if("ref_protected", "true")
            .typ(["JWT"])
            .scopes_from([])
            .require_jti();
        Self::oauth_with(instance, tokens)
    }

    /// Names the pipeline of a repository and a ref, such as `bakery@65/orders@74` and `refs/heads/main`. You may call it
    /// repeatedly. For [`github_actions`](Self::github_actions) and [`gitlab_ci`](Self::gitlab_ci).
    ///
    /// - The id of the owner follows the owner, and the id of the repository its name, as in the claim `sub` of GitHub. Both
    ///   are required, because names are used again: after a deletion or a change of the name, a stranger can register it. A
    ///   renamed repository is refused until you change its name here.
    /// - The ids are those of the claims `repository_owner_id` and `repository_id` of GitHub, `namespace_id` and `project_id`
    ///   of GitLab. The namespace of a project in a subgroup is the subgroup: `bakery/ovens@72/orders@22`.
    /// - The ref is complete: a branch and a tag of one name differ.
    pub fn pipeline(self, repository: &str, reference: &str, service: impl Into<String>) -> Self {
        let identified = identified(repository);
        let is_reference = is_word(reference)
            && ["refs/heads/", "refs/tags/"]
                .iter()
                .any(|start| reference.strip_prefix(start).is_some_and(|name| !name.is_empty()));
        let (is_repository, (path, owner_id, id)) = (identified.is_some(), identified.unwrap_or_default());
        let expected = "owner and name, each with its id, such as `bakery@65/orders@74`";
        self.checked(is_repository, "a repository", repository, expected)
            .checked(is_reference, "a complete ref", reference, "`refs/heads/main` or `refs/tags/v1`")
            .name(AccessTokens::joined(&[&path, owner_id, id, reference]), service)
    }

    /// Trusts service accounts of a cluster of Amazon EKS by its OIDC provider. The arguments are the region and the
    /// last part of the provider's URL. See [`kubernetes`](Self::kubernetes). EKS changes its signing key every seven days and
    /// limits the requests for its keys, so let the keys reload.
    ///
    /// Source: Amazon EKS User Guide,
    /// [Fetch signing keys to validate OIDC tokens](https://docs.aws.amazon.com/eks/latest/userguide/irsa-fetch-keys.html) and
    /// [IAM roles for service accounts](https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html).
    pub fn eks(region: &str, provider: &str) -> Self {
        Self::of(Kind::Kubernetes, format!("https://oidc.eks.{region}.amazonaws.com/id/{provider}")).checked(
            is_label(region)
                && !provider.is_empty()
                && provider.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "an OIDC provider of EKS",
            provider,
            "the region and the 32 characters after `/id/`",
        )
    }

    /// Trusts tokens that AWS STS issues to IAM roles of one account (`GetWebIdentityToken`). The issuer is the URL of
    /// the account, such as `https://UUID.tokens.sts.global.api.aws`. Map each role with [`name`](Self::name) by its ARN;
    /// a caller without a name is refused.
    ///
    /// `aws_account` within the claim `https://sts.amazonaws.com/` must be the account. IAM users and the root user are
    /// refused, because `sub` must be the ARN of a role. A session of a user of IAM Identity Center has the ARN of a role too.
    /// It is refused because of `identity_store_user_id` or `identity_store_arn` within that claim.
    ///
    /// Required in AWS: outbound identity federation of the account, and `sts:GetWebIdentityToken` for the role, limited
    /// to the audience of this service.
    ///
    /// Source: AWS IAM User Guide,
    /// [Understanding token claims](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html)
    /// of outbound identity federation.
    pub fn aws_iam(issuer: impl Into<String>, account: &str) -> Self {
        let role = format!("arn:aws:iam::{account}:role/");
        let tokens = AccessTokens::named_by("sub")
            .only_named()
            .only(Rule::Within(STS, "aws_account", account.to_owned()))
            .machines_only(Rule::Starts("sub", role.clone()))
            .machines_only(Rule::AbsentWithin(STS, "identity_store_user_id"))
            .machines_only(Rule::AbsentWithin(STS, "identity_store_arn"))
            .typ(["JWT"])
            .typ_may_be_absent()
            .scopes_from([])
            .require_jti();
        let mut issuer = Self::oauth_with(issuer, tokens).checked(
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()),
            "an AWS account",
            account,
            "its 12 digits",
        );
        issuer.subjects = Some(("the ARN of an IAM role", role));
        issuer
    }

    /// Notes an invalid setting, which the builder reports.
    fn checked(mut self, is_valid: bool, setting: &'static str, value: &str, expected: &'static str) -> Self {
        if !is_valid && self.mistake.is_none() {
            self.mistake = Some(BuildError::ProviderSetting { setting, value: quoted(value), expected });
        }
        self
    }
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Reads `bakery@65/orders@74`: the path of a repository, the id of its owner, and its own id.
fn identified(repository: &str) -> Option<(String, &str, &str)> {
    let (owner, name) = repository.rsplit_once('/')?;
    let ((owner, owner_id), (name, id)) = (owner.rsplit_once('@')?, name.rsplit_once('@')?);
    let path = format!("{owner}/{name}");
    let is_path = path.split('/').all(|part| is_word(part) && !part.contains('@'));
    let are_ids =
        [owner_id, id].iter().all(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    (is_path && are_ids).then_some((path, owner_id, id))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether a text is a region, which becomes part of a host name.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests;
