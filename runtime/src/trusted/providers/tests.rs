use super::*;
use crate::{Algorithm, Verifier, issue::SigningKey};

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";

fn built(issuer: TrustedIssuer) -> Result<(), BuildError> {
    let key = SigningKey::generate(Algorithm::ES256).unwrap().verifying_key();
    Verifier::builder().trust(issuer.keys(key).audience("orders")).build().map(|_| ())
}

fn is_setting(built: Result<(), BuildError>, expected: &str) -> bool {
    matches!(built, Err(BuildError::ProviderSetting { setting, .. }) if setting == expected)
}

#[test]
fn a_tenant_of_entra_is_one_directory_by_its_id() {
    assert_eq!(built(TrustedIssuer::entra_v1(TENANT)), Ok(()));
    assert_eq!(built(TrustedIssuer::entra_v2(TENANT)), Ok(()));
    // Their issuer accepts the users and apps of every directory.
    for tenant in
        ["common", "organizations", "consumers", "bakery.example", "", "AAAABBBB-0000-cccc-1111-dddd2222eeee"]
    {
        assert!(is_setting(built(TrustedIssuer::entra_v1(tenant)), "the id of a tenant"), "{tenant}");
        assert!(is_setting(built(TrustedIssuer::entra_v2(tenant)), "the id of a tenant"), "{tenant}");
    }
}

#[test]
fn a_pipeline_is_a_repository_with_its_ids_and_a_complete_ref() {
    let github = || TrustedIssuer::github_actions();
    assert!(matches!(built(github()), Err(BuildError::NoNames(_))));
    assert!(matches!(built(TrustedIssuer::gitlab_ci("https://gitlab.com")), Err(BuildError::NoNames(_))));
    assert_eq!(built(github().pipeline("bakery@65/orders@74", "refs/heads/main", "orders")), Ok(()));
    assert_eq!(built(github().pipeline("bakery/a@65/b@74", "refs/tags/v1", "orders")), Ok(()));
    for repository in [
        // Another owner can take a name.
        "bakery/orders",
        "bakery@65/orders",
        "bakery/orders@74",
        "bakery@/orders@74",
        "bakery@65/orders@",
        "bakery@65/orders@7a",
        "bakery@65/orders@-74",
        "bakery@65@66/orders@74",
        "@65/orders@74",
        "bakery@65/@74",
        "bakery@65/orders@74/",
        "bakery",
        "",
        "bakery@65/or ders@74",
        "bakery@65/orders@74\n",
    ] {
        let refused = built(github().pipeline(repository, "refs/heads/main", "orders"));
        assert!(is_setting(refused, "a repository"), "{repository}");
    }
    for reference in ["main", "refs/heads/", "refs/pull/7/merge", "refs/heads/a b", ""] {
        let refused = built(github().pipeline("bakery@65/orders@74", reference, "orders"));
        assert!(is_setting(refused, "a complete ref"), "{reference}");
    }
}

#[test]
fn a_caller_of_aws_is_a_role_of_the_account() {
    let aws = |account: &str| TrustedIssuer::aws_iam("https://x.tokens.sts.global.api.aws", account);
    assert!(matches!(built(aws("123456789012")), Err(BuildError::NoNames(_))));
    let named = |arn: &str| built(aws("123456789012").name(arn, "orders"));
    assert_eq!(named("arn:aws:iam::123456789012:role/Orders"), Ok(()));
    for arn in [
        "arn:aws:iam::123456789012:user/anna",
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::210987654321:role/Orders",
    ] {
        assert!(is_setting(named(arn), "the ARN of an IAM role"), "{arn}");
    }
    for account in ["12345678901", "12345678901x", ""] {
        assert!(is_setting(built(aws(account).name("arn", "orders")), "an AWS account"), "{account}");
    }
}

#[test]
fn a_provider_that_anyone_can_use_needs_the_names_of_the_callers() {
    for everyone in [
        TrustedIssuer::google_service_accounts(),
        TrustedIssuer::github_actions(),
        TrustedIssuer::gitlab_ci("https://gitlab.com"),
    ] {
        assert!(matches!(built(everyone), Err(BuildError::NoNames(_))));
    }
    let account = TrustedIssuer::google_service_accounts().name("108200000000000000001", "orders");
    assert_eq!(built(account), Ok(()));
}

#[test]
fn a_region_cannot_name_another_host() {
    assert_eq!(built(TrustedIssuer::cognito("eu-central-1", "eu-central-1_AbC")), Ok(()));
    assert_eq!(built(TrustedIssuer::eks("eu-central-1", "EXAMPLED539D4633E53DE1B71EXAMPLE")), Ok(()));
    for region in ["evil.example/", "", "eu_central_1", "eu.central"] {
        assert!(built(TrustedIssuer::cognito(region, "eu-central-1_AbC")).is_err(), "{region}");
        assert!(built(TrustedIssuer::eks(region, "EXAMPLE")).is_err(), "{region}");
    }
    assert!(built(TrustedIssuer::cognito("eu-central-1", "us-east-1_AbC")).is_err());
    assert!(built(TrustedIssuer::eks("eu-central-1", "a/b")).is_err());
}

#[test]
fn every_provider_needs_an_audience_and_a_key_pair() {
    let key = || SigningKey::generate(Algorithm::ES256).unwrap().verifying_key();
    for issuer in [
        TrustedIssuer::keycloak("https://sso.example/realms/a"),
        TrustedIssuer::auth0("https://a.auth0.com/"),
        TrustedIssuer::okta("https://a.okta.com/oauth2/default"),
        TrustedIssuer::cognito("eu-central-1", "eu-central-1_AbC"),
        TrustedIssuer::duende("https://identity.example"),
        TrustedIssuer::google_service_accounts(),
        TrustedIssuer::eks("eu-central-1", "EXAMPLED539D4633E53DE1B71EXAMPLE"),
    ] {
        let refused = Verifier::builder().trust(issuer.keys(key())).build().map(|_| ());
        assert!(matches!(refused, Err(BuildError::NoAudience(_))), "{refused:?}");
    }
    let secret = TrustedIssuer::okta("https://a.okta.com").algorithms([Algorithm::HS256]);
    assert_eq!(built(secret), Err(BuildError::AlgorithmNotForKind(Algorithm::HS256)));
}
