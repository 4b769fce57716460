//! The identity providers whose tokens the test kit imitates. Drafts of their tokens are in `draft::machines`.

use service_only::TrustedIssuer;

use crate::authority::TestAuthority;

/// A provider whose tokens the test kit imitates.
///
/// ```
/// use service_only::Verifier;
/// use service_only_testkit::{Provider, TestAuthority};
///
/// let authority = TestAuthority::new().audience("orders").of_provider(Provider::Keycloak);
/// let verifier = Verifier::builder()
///     .trust(authority.trusted_provider(Provider::Keycloak).name("billing-client", "billing"))
///     .clock(authority.clock().clone())
///     .build()
///     .unwrap();
/// let token = authority.keycloak("billing-client").token();
/// assert_eq!(verifier.verify(&token).unwrap().service(), "billing");
///
/// // A user's token, an ID token, another client, another realm and a look-alike are refused.
/// for impostor in authority.impostors(Provider::Keycloak) {
///     assert_eq!(verifier.verify(&impostor.token()).unwrap_err().code(), impostor.code());
/// }
/// ```
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// [`TrustedIssuer::keycloak`].
    Keycloak,
    /// [`TrustedIssuer::auth0`].
    Auth0,
    /// [`TrustedIssuer::auth0_rfc9068`].
    Auth0Rfc9068,
    /// [`TrustedIssuer::entra_v1`].
    EntraV1,
    /// [`TrustedIssuer::entra_v2`].
    EntraV2,
    /// [`TrustedIssuer::okta`].
    Okta,
    /// [`TrustedIssuer::cognito`].
    Cognito,
    /// [`TrustedIssuer::duende`].
    Duende,
    /// [`TrustedIssuer::google_service_accounts`].
    GoogleServiceAccounts,
    /// [`TrustedIssuer::github_actions`].
    GitHubActions,
    /// [`TrustedIssuer::gitlab_ci`].
    GitLabCi,
    /// [`TrustedIssuer::eks`].
    Eks,
    /// [`TrustedIssuer::aws_iam`].
    AwsIam,
}

impl Provider {
    /// All providers.
    pub const ALL: &'static [Self] = &[
        Self::Keycloak,
        Self::Auth0,
        Self::Auth0Rfc9068,
        Self::EntraV1,
        Self::EntraV2,
        Self::Okta,
        Self::Cognito,
        Self::Duende,
        Self::GoogleServiceAccounts,
        Self::GitHubActions,
        Self::GitLabCi,
        Self::Eks,
        Self::AwsIam,
    ];

    /// The tenant of the Entra tokens.
    pub const TENANT: &'static str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";

    /// The account of the AWS tokens.
    pub const AWS_ACCOUNT: &'static str = "123456789012";

    /// The issuer of the tokens.
    pub const fn issuer(self) -> &'static str {
        match self {
            Self::Keycloak => "https://sso.bakery.example/realms/bakery",
            Self::Auth0 | Self::Auth0Rfc9068 => "https://bakery.eu.auth0.com/",
            Self::EntraV1 => "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/",
            Self::EntraV2 => "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
            Self::Okta => "https://bakery.okta.com/oauth2/default",
            Self::Cognito => "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
            Self::Duende => "https://identity.bakery.example",
            Self::GoogleServiceAccounts => "https://accounts.google.com",
            Self::GitHubActions => "https://token.actions.githubusercontent.com",
            Self::GitLabCi => "https://gitlab.com",
            Self::Eks => "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            Self::AwsIam => "https://6ba7b810-9dad-11d1-80b4-00c04fd430c8.tokens.sts.global.api.aws",
        }
    }

    /// The claim that identifies a machine.
    pub(crate) const fn machine_claim(self) -> &'static str {
        match self {
            Self::Keycloak | Self::Auth0 | Self::EntraV2 => "azp",
            Self::EntraV1 => "appid",
            Self::Okta => "cid",
            Self::Auth0Rfc9068 | Self::Cognito | Self::Duende => "client_id",
            Self::GitHubActions => "repository",
            Self::GitLabCi => "project_path",
            Self::GoogleServiceAccounts | Self::Eks | Self::AwsIam => "sub",
        }
    }

    /// The constructor of `service-only`, without keys and without an audience.
    fn trusted(self) -> TrustedIssuer {
        match self {
            Self::Keycloak => TrustedIssuer::keycloak(self.issuer()),
            Self::Auth0 => TrustedIssuer::auth0(self.issuer()),
            Self::Auth0Rfc9068 => TrustedIssuer::auth0_rfc9068(self.issuer()),
            Self::EntraV1 => TrustedIssuer::entra_v1(Self::TENANT),
            Self::EntraV2 => TrustedIssuer::entra_v2(Self::TENANT),
            Self::Okta => TrustedIssuer::okta(self.issuer()),
            Self::Cognito => TrustedIssuer::cognito("eu-central-1", "eu-central-1_AbCdEfGhI"),
            Self::Duende => TrustedIssuer::duende(self.issuer()),
            Self::GoogleServiceAccounts => TrustedIssuer::google_service_accounts(),
            Self::GitHubActions => TrustedIssuer::github_actions(),
            Self::GitLabCi => TrustedIssuer::gitlab_ci(self.issuer()),
            Self::Eks => TrustedIssuer::eks("eu-central-1", "EXAMPLED539D4633E53DE1B71EXAMPLE"),
            Self::AwsIam => TrustedIssuer::aws_iam(self.issuer(), Self::AWS_ACCOUNT),
        }
    }
}

impl TestAuthority {
    /// The same authority with the issuer of a provider.
    #[must_use]
    pub fn of_provider(self, provider: Provider) -> Self {
        self.issuer(provider.issuer())
    }

    /// The provider as a trusted issuer with this authority's key and audience. Map its callers with
    /// [`TrustedIssuer::name`] or [`TrustedIssuer::pipeline`].
    pub fn trusted_provider(&self, provider: Provider) -> TrustedIssuer {
        self.trusted_as(|_| provider.trusted())
    }
}
