//! `verifying/providers.md`: the access tokens of identity providers.

use service_only::{AccessTokens, GrantClaim, TrustedIssuer, keys::KeySource};

fn keycloak(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::keycloak("https://sso.bakery.example/realms/bakery")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn auth0(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::auth0("https://bakery.eu.auth0.com/")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn auth0_rfc9068(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::auth0_rfc9068("https://bakery.eu.auth0.com/")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn entra_v1(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::entra_v1("aaaabbbb-0000-cccc-1111-dddd2222eeee")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn entra_v2(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::entra_v2("aaaabbbb-0000-cccc-1111-dddd2222eeee")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn okta(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::okta("https://bakery.okta.com/oauth2/default")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn cognito(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::cognito("eu-central-1", "eu-central-1_AbCdEfGhI")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn duende(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::duende("https://identity.bakery.example")
        .keys(keys)
        .audience("orders")
        .name("billing-client", "billing")
}

fn google(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::google_service_accounts().keys(keys).audience("orders").name("billing-client", "billing")
}

fn github(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::github_actions().keys(keys).audience("orders").pipeline(
        "bakery@65/billing@74",
        "refs/heads/main",
        "billing",
    )
}

fn gitlab(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::gitlab_ci("https://gitlab.com").keys(keys).audience("orders").pipeline(
        "bakery@65/billing@74",
        "refs/heads/main",
        "billing",
    )
}

fn eks(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::eks("eu-central-1", "EXAMPLED539D4633E53DE1B71EXAMPLE")
        .keys(keys)
        .audience("orders")
        .name("system:serviceaccount:bakery:billing-client", "bakery.billing")
}

fn aws(keys: impl KeySource) -> TrustedIssuer {
    TrustedIssuer::aws_iam(
        "https://6ba7b810-9dad-11d1-80b4-00c04fd430c8.tokens.sts.global.api.aws",
        "123456789012",
    )
    .keys(keys)
    .audience("orders")
    .name("arn:aws:iam::123456789012:role/billing-client", "billing")
}

fn other(keys: impl KeySource) -> TrustedIssuer {
    let tokens = AccessTokens::named_by("azp")
        .machine_if("grant", "client_credentials")
        .access_if("use", "access")
        .typ(["JWT"])
        .scopes_from([GrantClaim::Scp]);
    TrustedIssuer::oauth_with("https://login.bakery.example", tokens).keys(keys).audience("orders")
}

#[cfg(test)]
mod tests {
    use service_only::{
        Verifier,
        clock::{Clock, SystemClock},
        error::Code,
    };
    use service_only_testkit::{FixtureToken, Provider, TestAuthority, TokenDraft};

    use super::*;

    const PAGE: &str = include_str!("../../../docs/src/verifying/providers.md");

    fn authority(provider: Provider) -> TestAuthority {
        let authority = TestAuthority::new().audience("orders").of_provider(provider);
        authority.clock().set(SystemClock.now());
        authority
    }

    fn verifier(authority: &TestAuthority, issuer: TrustedIssuer) -> Verifier {
        Verifier::builder().trust(issuer).audit(authority.audit().clone()).build().unwrap()
    }

    fn code(verifier: &Verifier, token: &FixtureToken) -> Option<Code> {
        verifier.verify(token).err().map(|denial| denial.code())
    }

    /// The row of the table that links to this heading.
    fn cells(link: &str) -> Vec<&'static str> {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| [{link}]"))).unwrap();
        row.trim_matches('|').split(" | ").collect()
    }

    /// One test for each cell of a row: the configuration accepts the machine, a token of a provider without the required
    /// setting is refused, and so is everything that the last cell names.
    macro_rules! row {
        ($name:ident, $link:literal, $provider:ident, $machine:expr, $without:expr => $code:ident) => {
            mod $name {
                use super::*;

                fn machine(authority: &TestAuthority) -> TokenDraft {
                    let machine: fn(&TestAuthority) -> TokenDraft = $machine;
                    machine(authority)
                }

                #[test]
                fn the_configuration_accepts_the_machine() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    let caller = verifier.verify(&machine(&authority).token()).unwrap();
                    let is_eks = Provider::$provider == Provider::Eks;
                    assert_eq!(caller.service(), if is_eks { "bakery.billing" } else { "billing" });
                    assert_eq!(cells($link).len(), 4);
                }

                #[test]
                fn a_provider_without_the_required_settings_is_refused() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    let without: &[fn(TokenDraft) -> TokenDraft] = &$without;
                    for (index, without) in without.iter().enumerate() {
                        let refused = code(&verifier, &without(machine(&authority)).token());
                        assert!(refused.is_some(), "{index}");
                        if index == 0 {
                            assert_eq!(refused, Some(Code::$code));
                        }
                    }
                }

                #[test]
                fn what_the_table_names_is_refused() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    for impostor in authority.impostors(Provider::$provider) {
                        assert_eq!(code(&verifier, &impostor.token()), Some(impostor.code()), "{impostor:?}");
                    }
                }
            }
        };
    }

    row!(keycloak, "Keycloak", Keycloak, |own| own.keycloak("billing-client"),
        [|token| token.without_claim("client_id"), |token| token.audience("account")] => NotService);
    row!(auth0, "Auth0", Auth0, |own| own.auth0("billing-client"),
        [|token| token.claim("sub", "auth0|507f1f77bcf86cd799439020"), |token| token.audience("https://bakery.eu.auth0.com/api/v2/")] => NotService);
    row!(auth0_rfc9068, "Auth0 with RFC 9068", Auth0Rfc9068, |own| own.auth0_rfc9068("billing-client"),
        [|token| token.header("typ", "JWT")] => WrongTyp);
    row!(entra_v1, "Entra ID, version 1", EntraV1, |own| own.entra_v1("billing-client"),
        [|token| token.without_claim("idtyp")] => NotService);
    row!(entra_v2, "Entra ID, version 2", EntraV2, |own| own.entra_v2("billing-client"),
        [
            |token| token.without_claim("idtyp"),
            |token| token.claim("ver", "1.0"),
            |token| token.claim("iss", Provider::EntraV1.issuer()),
        ] => NotService);
    row!(okta, "Okta", Okta, |own| own.okta("billing-client"),
        // The server of the organization issues tokens for itself.
        [|token| token.claim("iss", "https://bakery.okta.com").audience("https://bakery.okta.com")] => WrongIssuer);
    row!(cognito, "Amazon Cognito", Cognito, |own| own.cognito("billing-client"),
        [|token| token.claim("scope", "stock/read"), |token| token.without_claim("scope")] => WrongAudience);
    row!(duende, "Duende IdentityServer", Duende, |own| own.duende("billing-client"),
        [|token| token.without_claim("client_machine"), |token| token.without_claim("aud")] => NotService);
    row!(google, "Google service accounts", GoogleServiceAccounts,
        |own| own.google_service_account("billing-client", "billing@bakery.iam.gserviceaccount.com"),
        [
            |token| token.without_claim("email").without_claim("email_verified"),
            |token| token.audience("https://stock.example"),
        ] => BadClaimValue);
    row!(github, "GitHub Actions", GitHubActions, |own| own.github_actions("bakery@65/billing@74", "refs/heads/main"),
        // The default audience.
        [|token| token.audience("https://github.com/bakery")] => WrongAudience);
    row!(gitlab, "GitLab CI", GitLabCi, |own| own.gitlab_ci("bakery@65/billing@74", "refs/heads/main"),
        [|token| token.claim("ref_protected", "false"), |token| token.audience("https://gitlab.com")] => BadClaimValue);
    row!(eks, "Amazon EKS", Eks, |own| own.eks("bakery", "billing-client"),
        // The default audience.
        [|token| token.audience("https://kubernetes.default.svc")] => WrongAudience);
    row!(aws, "AWS IAM", AwsIam, |own| own.aws_iam("billing-client"),
        [|token| token.without_claim("https://sts.amazonaws.com/")] => BadClaimValue);

    #[test]
    fn every_provider_of_the_test_kit_has_a_row() {
        let rows = PAGE.lines().filter(|line| line.starts_with("| [")).count();
        assert_eq!(rows, Provider::ALL.len());
    }

    #[test]
    fn settings_of_another_provider_separate_machines_from_users() {
        let authority = TestAuthority::new().audience("orders").issuer("https://login.bakery.example");
        authority.clock().set(SystemClock.now());
        let verifier = verifier(&authority, other(authority.keys()));
        let machine = || {
            authority
                .oauth("billing")
                .header("typ", "JWT")
                .claim("azp", "billing")
                .claim("grant", "client_credentials")
                .claim("use", "access")
                .claim("scp", "orders:read")
        };
        assert!(verifier.verify(&machine().token()).unwrap().has_scope("orders:read"));
        assert_eq!(code(&verifier, &machine().claim("grant", "password").token()), Some(Code::NotService));
        assert_eq!(code(&verifier, &machine().claim("use", "id").token()), Some(Code::BadClaimValue));
    }
}
