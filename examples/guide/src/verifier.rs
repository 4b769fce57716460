//! `verifying/verifier.md`: a verifier by configuration.

use std::error::Error;

use service_only::{
    ClosedRouter, JsonLinesAudit, KeySet, TrustedIssuer, Verifier,
    closed::get,
    config::{ConfigError, VerifierConfig},
    error::BuildError,
    service_only,
};

fn configured() -> Result<Verifier, ConfigError> {
    Verifier::from_config(VerifierConfig::file("service-token.toml")?)
}

fn configured_by_variables() -> Result<Verifier, Box<dyn Error>> {
    let builder = VerifierConfig::env()?.builder()?;
    Ok(builder.audit(JsonLinesAudit::to_file("audit.jsonl")?).require_audit().build()?)
}

#[service_only]
async fn stock() -> &'static str {
    "12 loaves"
}

fn protected(keys: KeySet) -> Result<Verifier, BuildError> {
    let issuer = TrustedIssuer::oauth("https://login.bakery.example").keys(keys).audience("stock");
    Verifier::builder().trust(issuer).resource("https://stock.bakery.example").build()
}

fn app(verifier: Verifier) -> ClosedRouter {
    ClosedRouter::new().route("/stock", get(stock)).resource_metadata(&verifier).with_state(verifier)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use service_only_testkit::{TestAuthority, call};

    use super::*;

    const PAGE: &str = include_str!("../../../docs/src/verifying/verifier.md");

    #[tokio::test]
    async fn a_challenge_names_the_metadata_that_the_router_serves() {
        let authority = TestAuthority::new().audience("stock").issuer("https://login.bakery.example");
        let app = call(app(protected(authority.keys()).unwrap()));
        let refused = app.get("/stock").await;
        let challenge = refused.header("www-authenticate").unwrap();
        let path = "/.well-known/oauth-protected-resource";
        let named = format!(r#"resource_metadata="https://stock.bakery.example{path}""#);
        assert_eq!((refused.status().as_u16(), challenge.contains(&named)), (401, true), "{challenge}");
        let metadata: serde_json::Value = serde_json::from_str(app.get(path).await.text()).unwrap();
        assert_eq!(metadata["resource"], "https://stock.bakery.example");
        assert_eq!(metadata["authorization_servers"], serde_json::json!(["https://login.bakery.example"]));
    }

    #[test]
    fn the_file_of_the_page_makes_a_verifier() {
        let toml = PAGE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let toml = toml.replace("/etc/service-keys/jwks.json", "jwks.json");
        fs::write(folder.path().join("service-token.toml"), toml).unwrap();
        let authority = TestAuthority::new().issuer("bakery-auth").audience("orders");
        let path = folder.path().join("service-token.toml");
        let builder = VerifierConfig::file(path).unwrap().builder_with(authority.keys()).unwrap();
        let verifier =
            builder.clock(authority.clock().clone()).audit(authority.audit().clone()).build().unwrap();
        assert!(verifier.verify(&authority.strict_service("billing").token()).is_ok());
        assert!(verifier.verify(&authority.service("billing").token()).is_err());
    }
}
