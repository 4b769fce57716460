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
    let issuer = "https://6ba7b810-9dad-11d1-80b4-00c04fd430c8.tokens.sts.global.api.aws";
    TrustedIssuer::aws_iam(issuer, "123456789012")
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
    use serde_json::json;
    use service_only::{
        Policy, Verifier,
        clock::{Clock, SystemClock},
        error::Code,
    };
    use service_only_testkit::{FixtureToken, Provider, TestAuthority, TokenDraft};

    use super::*;

    const PAGE: &str = include_str!("../../../docs/src/verifying/providers.md");
    const SOURCE: &str = include_str!("providers.rs");
    const OTHER_TENANT: &str = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
    const STS: &str = "https://sts.amazonaws.com/";

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

    /// The row of the table that links to this heading, without its first cell.
    fn cells(link: &str) -> Vec<&'static str> {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| [{link}]"))).unwrap();
        row.trim_matches('|').trim().split(" | ").skip(1).collect()
    }

    /// The lines of a function of this file, and those of the cell with the configuration.
    fn configuration(function: &str, cell: &'static str) -> (String, Vec<&'static str>) {
        let body = SOURCE
            .split(&format!("fn {function}(keys: impl KeySource) -> TrustedIssuer {{\n"))
            .nth(1)
            .unwrap();
        let body = without_space(body.split("\n}").next().unwrap()).replace(",)", ")");
        (body, cell.split("<br>").map(|line| line.trim_matches('`')).collect())
    }

    fn without_space(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    /// An item of a cell, and tokens that are refused because of it.
    type Item = (&'static str, &'static [(fn(TokenDraft) -> FixtureToken, Code)]);

    /// The items of a cell, which are those that are tested, and the refusal of each token.
    fn check(
        verifier: &Verifier,
        machine: &dyn Fn() -> TokenDraft,
        cell: &str,
        items: &[Item],
        policy: &Policy<'_>,
    ) {
        let names: Vec<_> = items.iter().map(|(name, _)| *name).collect();
        assert_eq!(cell.split("; ").collect::<Vec<_>>(), names);
        for (name, tokens) in items {
            assert!(!tokens.is_empty(), "{name}");
            for (index, (token, code)) in tokens.iter().enumerate() {
                let refused =
                    verifier.verify_with(&token(machine()), policy).map(|caller| caller.service().to_owned());
                assert_eq!(refused.map_err(|denial| denial.code()), Err(*code), "{name}, token {index}");
            }
        }
    }

    /// One test for each cell of a row: the configuration is the tested one and accepts the machine, a token of a provider
    /// without a required setting is refused, and so is everything that the last cell names.
    macro_rules! row {
        ($name:ident, $link:literal, $provider:ident, $machine:expr, $service:literal, required: $required:expr, refused: $refused:expr) => {
            mod $name {
                use super::*;

                const REQUIRED: &[Item] = &$required;
                const REFUSED: &[Item] = &$refused;
                const POLICY: Policy<'static> = match Provider::$provider {
                    Provider::Okta => Policy::any_service().scopes(&["orders.read"]),
                    _ => Policy::any_service(),
                };

                fn machine(authority: &TestAuthority) -> TokenDraft {
                    let machine: fn(&TestAuthority) -> TokenDraft = $machine;
                    machine(authority)
                }

                #[test]
                fn the_configuration_of_the_table_has_five_lines_and_accepts_the_machine() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    let caller = verifier.verify_with(&machine(&authority).token(), &POLICY).unwrap();
                    let is_eks = Provider::$provider == Provider::Eks;
                    assert_eq!(caller.service(), if is_eks { "bakery.billing" } else { "billing" });
                    let cells = cells($link);
                    assert_eq!((cells.len(), cells[0]), (4, $service));
                    let (tested, shown) = configuration(stringify!($name), cells[1]);
                    assert!((3..=5).contains(&shown.len()), "{shown:?}");
                    assert_eq!(without_space(&shown.concat()), tested);
                }

                #[test]
                fn a_provider_without_a_required_setting_is_refused() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    check(&verifier, &|| machine(&authority), cells($link)[2], REQUIRED, &POLICY);
                }

                #[test]
                fn what_the_table_names_is_refused() {
                    let authority = authority(Provider::$provider);
                    let verifier = verifier(&authority, super::super::$name(authority.keys()));
                    check(&verifier, &|| machine(&authority), cells($link)[3], REFUSED, &POLICY);
                    for impostor in authority.impostors(Provider::$provider) {
                        assert_eq!(code(&verifier, &impostor.token()), Some(impostor.code()), "{impostor:?}");
                    }
                }
            }
        };
    }

    row!(keycloak, "Keycloak", Keycloak, |own| own.keycloak("billing-client"), "the client",
        required: [
            ("\"Service account roles\" with the client scope `service_account`", &[(|it| it.without_claim("client_id").token(), Code::NotService)]),
            ("an audience mapper", &[(|it| it.audience("account").token(), Code::WrongAudience)]),
        ],
        refused: [
            ("a token without `client_id`, or with one other than `azp`", &[
                (|it| it.without_claim("client_id").token(), Code::NotService),
                (|it| it.claim("client_id", "stock-client").token(), Code::NotService),
            ]),
            ("a claim `typ` other than `Bearer` or `DPoP`", &[
                (|it| it.claim("typ", "ID").token(), Code::BadClaimValue),
                (|it| it.without_claim("typ").token(), Code::BadClaimValue),
            ]),
        ]
    );
    row!(auth0, "Auth0", Auth0, |own| own.auth0("billing-client"), "the application",
        required: [
            ("a machine-to-machine application", &[(|it| it.claim("sub", "auth0|507f1f77bcf86cd799439020").token(), Code::NotService)]),
            ("an API whose identifier is the audience", &[(|it| it.audience("https://bakery.eu.auth0.com/api/v2/").token(), Code::WrongAudience)]),
        ],
        refused: [
            ("a `sub` other than `azp` followed by `@clients`", &[
                (|it| it.claim("sub", "billing-client").token(), Code::NotService),
                (|it| it.claim("sub", "stock-client@clients").token(), Code::NotService),
            ]),
            ("a `gty` other than `client-credentials`", &[(|it| it.claim("gty", "password").token(), Code::NotService)]),
        ]
    );
    row!(auth0_rfc9068, "Auth0 with RFC 9068", Auth0Rfc9068, |own| own.auth0_rfc9068("billing-client"), "the application",
        required: [
            ("the token profile \"RFC 9068\" of the API", &[(|it| it.header("typ", "JWT").token(), Code::WrongTyp)]),
        ],
        refused: [
            ("a `typ` other than `at+jwt`", &[
                (|it| it.header("typ", "JWT").token(), Code::WrongTyp),
                (|it| it.without_header("typ").token(), Code::WrongTyp),
            ]),
            ("a `sub` other than `client_id` followed by `@clients`", &[
                (|it| it.claim("sub", "billing-client").token(), Code::NotService),
                (|it| it.claim("sub", "stock-client@clients").token(), Code::NotService),
            ]),
        ]
    );
    row!(entra_v1, "Entra ID, version 1", EntraV1, |own| own.entra_v1("billing-client"), "the application",
        required: [
            ("the optional claim `idtyp` for access tokens", &[(|it| it.without_claim("idtyp").token(), Code::NotService)]),
            ("app roles for applications without a name", &[(|it| it.claim("appid", "stock-client").without_claim("roles").token(), Code::BadClaimValue)]),
        ],
        refused: [
            ("an `idtyp` other than `app`", &[(|it| it.claim("idtyp", "user").token(), Code::NotService)]),
            ("a token with `scp`", &[(|it| it.claim("scp", "access_as_user").token(), Code::NotService)]),
            ("another tenant", &[
                (|it| it.claim("iss", format!("https://sts.windows.net/{OTHER_TENANT}/")).token(), Code::WrongIssuer),
                (|it| it.claim("tid", OTHER_TENANT).token(), Code::BadClaimValue),
            ]),
            ("an application without a role and without a name", &[
                (|it| it.claim("appid", "stock-client").without_claim("roles").token(), Code::BadClaimValue),
                (|it| it.claim("appid", "stock-client").claim("roles", [""; 0].as_slice()).token(), Code::BadClaimValue),
            ]),
        ]
    );
    row!(entra_v2, "Entra ID, version 2", EntraV2, |own| own.entra_v2("billing-client"), "the application",
        required: [
            ("the optional claim `idtyp` for access tokens", &[(|it| it.without_claim("idtyp").token(), Code::NotService)]),
            ("app roles for applications without a name", &[(|it| it.claim("azp", "stock-client").without_claim("roles").token(), Code::BadClaimValue)]),
            ("`requestedAccessTokenVersion` 2", &[
                (|it| it.claim("ver", "1.0").token(), Code::BadClaimValue),
                (|it| it.claim("iss", Provider::EntraV1.issuer()).token(), Code::WrongIssuer),
            ]),
        ],
        refused: [
            ("an `idtyp` other than `app`", &[(|it| it.claim("idtyp", "user").token(), Code::NotService)]),
            ("a token with `scp`", &[(|it| it.claim("scp", "access_as_user").token(), Code::NotService)]),
            ("another tenant", &[
                (|it| it.claim("iss", format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0")).token(), Code::WrongIssuer),
                (|it| it.claim("tid", OTHER_TENANT).token(), Code::BadClaimValue),
            ]),
            ("an application without a role and without a name", &[
                (|it| it.claim("azp", "stock-client").without_claim("roles").token(), Code::BadClaimValue),
                (|it| it.claim("azp", "stock-client").claim("roles", [""; 0].as_slice()).token(), Code::BadClaimValue),
            ]),
        ]
    );
    row!(okta, "Okta", Okta, |own| own.okta("billing-client"), "the application",
        required: [
            ("a custom authorization server", &[(|it| it.claim("iss", "https://bakery.okta.com").audience("https://bakery.okta.com").token(), Code::WrongIssuer)]),
            ("an API services application", &[(|it| it.claim("sub", "anna@bakery.example").claim("uid", "00u1k7d2x9").token(), Code::NotService)]),
            ("a custom scope", &[(|it| it.without_claim("scp").token(), Code::MissingScope)]),
        ],
        refused: [
            ("a `sub` other than `cid`", &[(|it| it.claim("sub", "anna@bakery.example").token(), Code::NotService)]),
            ("a token with `uid`", &[(|it| it.claim("uid", "00u1k7d2x9").token(), Code::NotService)]),
        ]
    );
    row!(cognito, "Amazon Cognito", Cognito, |own| own.cognito("billing-client"), "the app client",
        required: [
            ("a resource server whose identifier is the audience", &[(|it| it.claim("scope", "orders").token(), Code::WrongAudience)]),
            ("its scopes for the app client", &[
                (|it| it.claim("scope", "stock/read").token(), Code::WrongAudience),
                (|it| it.without_claim("scope").token(), Code::WrongAudience),
            ]),
        ],
        refused: [
            ("a `token_use` other than `access`", &[(|it| it.claim("token_use", "id").token(), Code::BadClaimValue)]),
            ("a token with `username`", &[(|it| it.claim("username", "anna").token(), Code::NotService)]),
            ("a scope of another resource server", &[(|it| it.claim("scope", "stock/read").token(), Code::WrongAudience)]),
        ]
    );
    row!(duende, "Duende IdentityServer", Duende, |own| own.duende("billing-client"), "the client",
        required: [
            ("an `ApiResource` whose name is the audience", &[
                (|it| it.audience("stock").token(), Code::WrongAudience),
                (|it| it.without_claim("aud").token(), Code::MissingClaim),
            ]),
            ("the client claim `machine` with the value `true`", &[(|it| it.without_claim("client_machine").token(), Code::NotService)]),
        ],
        refused: [
            ("a `client_machine` other than `true`", &[(|it| it.claim("client_machine", "false").token(), Code::NotService)]),
            ("a token with `sub`", &[(|it| it.claim("sub", "anna").token(), Code::NotService)]),
            ("a `typ` other than `at+jwt`", &[(|it| it.header("typ", "JWT").token(), Code::WrongTyp)]),
        ]
    );
    row!(google, "Google service accounts", GoogleServiceAccounts, |own| own.google_service_account("billing-client", "billing@bakery.iam.gserviceaccount.com"), "the unique id of the account",
        required: [
            ("a token for this audience", &[(|it| it.audience("https://stock.example").token(), Code::WrongAudience)]),
            ("the e-mail address in it (`format=full` or `includeEmail`)", &[(|it| it.without_claim("email").without_claim("email_verified").token(), Code::BadClaimValue)]),
        ],
        refused: [
            ("an account without a name", &[(|it| it.claim("azp", "stock-client").claim("sub", "stock-client").token(), Code::BadClaimValue)]),
            ("an `azp` other than `sub` and `email`", &[
                (|it| it.claim("azp", "32555940559.apps.googleusercontent.com").token(), Code::NotService),
                (|it| it.without_claim("azp").token(), Code::NotService),
            ]),
            ("a token without `email_verified`", &[
                (|it| it.without_claim("email_verified").token(), Code::BadClaimValue),
                (|it| it.claim("email_verified", false).token(), Code::BadClaimValue),
            ]),
        ]
    );
    row!(github, "GitHub Actions", GitHubActions, |own| own.github_actions("bakery@65/billing@74", "refs/heads/main"), "the pipeline",
        required: [
            ("`permissions: id-token: write`", &[(|_| FixtureToken::from_text("ghs_16C7e42F292c6912E7710c838347Ae178B4a"), Code::Malformed)]),
            ("a token for this audience", &[(|it| it.audience("https://github.com/bakery").token(), Code::WrongAudience)]),
        ],
        refused: [
            ("another repository, owner or ref, also of the same name", &[
                (|it| it.claim("repository", "bakery/stock").token(), Code::BadClaimValue),
                (|it| it.claim("repository_id", "75").token(), Code::BadClaimValue),
                (|it| it.claim("repository_owner_id", "66").token(), Code::BadClaimValue),
                (|it| it.claim("ref", "refs/tags/main").token(), Code::BadClaimValue),
            ]),
            ("a run for a pull request", &[
                (|it| it.claim("event_name", "pull_request").claim("ref", "refs/pull/7/merge").token(), Code::BadClaimValue),
                (|it| it.claim("event_name", "pull_request_target").token(), Code::BadClaimValue),
            ]),
        ]
    );
    row!(gitlab, "GitLab CI", GitLabCi, |own| own.gitlab_ci("bakery@65/billing@74", "refs/heads/main"), "the pipeline",
        required: [
            ("`id_tokens` with this audience", &[(|it| it.audience("https://gitlab.com").token(), Code::WrongAudience)]),
            ("a protected branch or tag", &[(|it| it.claim("ref_protected", "false").token(), Code::BadClaimValue)]),
        ],
        refused: [
            ("another project, group or ref, also of the same name", &[
                (|it| it.claim("project_path", "bakery/stock").token(), Code::BadClaimValue),
                (|it| it.claim("project_id", "75").token(), Code::BadClaimValue),
                (|it| it.claim("namespace_id", "66").token(), Code::BadClaimValue),
                (|it| it.claim("ref_path", "refs/tags/main").token(), Code::BadClaimValue),
            ]),
            ("a ref that is not protected", &[(|it| it.claim("ref_protected", "false").token(), Code::BadClaimValue)]),
            ("a user", &[(|it| it.without_claim("project_path").token(), Code::NotService)]),
        ]
    );
    row!(eks, "Amazon EKS", Eks, |own| own.eks("bakery", "billing-client"), "the service account",
        required: [
            ("a projected token with this audience in the pod", &[(|it| it.audience("https://kubernetes.default.svc").token(), Code::WrongAudience)]),
        ],
        refused: [
            ("a token without the claim `kubernetes.io`, such as that of a Secret", &[(|it| it.without_claim("kubernetes.io").token(), Code::MissingClaim)]),
            ("an account that this claim does not name", &[(|it| it.claim("sub", "system:serviceaccount:bakery:stock-client").token(), Code::SubServiceMismatch)]),
            ("another cluster", &[(|it| it.claim("iss", "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLEMILL4633E53DE1B71EXAMPLE").token(), Code::WrongIssuer)]),
        ]
    );
    row!(aws, "AWS IAM", AwsIam, |own| own.aws_iam("billing-client"), "the role",
        required: [
            ("outbound identity federation", &[(|it| it.without_claim(STS).token(), Code::BadClaimValue)]),
            ("`sts:GetWebIdentityToken` for the role, for this audience", &[(|it| it.audience("https://stock.example").token(), Code::WrongAudience)]),
        ],
        refused: [
            ("another account", &[
                (|it| it.claim("iss", "https://7c9e6679.tokens.sts.global.api.aws").token(), Code::WrongIssuer),
                (|it| it.claim(STS, json!({"aws_account": "210987654321"})).token(), Code::BadClaimValue),
            ]),
            ("an IAM user", &[(|it| it.claim("sub", "arn:aws:iam::123456789012:user/billing-client").token(), Code::NotService)]),
            ("a session of a user of IAM Identity Center", &[(|it| it.claim(STS, json!({"aws_account": Provider::AWS_ACCOUNT, "identity_store_user_id": "u1"})).token(), Code::NotService)]),
            ("a role without a name", &[(|it| it.claim("sub", "arn:aws:iam::123456789012:role/stock-client").token(), Code::BadClaimValue)]),
        ]
    );

    #[test]
    fn an_application_of_entra_with_a_role_needs_no_name() {
        for (provider, client) in [(Provider::EntraV1, "appid"), (Provider::EntraV2, "azp")] {
            let authority = authority(provider);
            let (issuer, token) = match provider {
                Provider::EntraV1 => (entra_v1(authority.keys()), authority.entra_v1("billing-client")),
                _ => (entra_v2(authority.keys()), authority.entra_v2("billing-client")),
            };
            let verifier = verifier(&authority, issuer);
            let service = |draft: TokenDraft| verifier.verify(&draft.token()).unwrap().service().to_owned();
            assert_eq!(service(token.clone().claim(client, "stock-client")), "stock-client");
            assert_eq!(service(token.without_claim("roles")), "billing");
        }
    }

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
