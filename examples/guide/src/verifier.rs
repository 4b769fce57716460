//! `verifying/verifier.md`: a verifier by configuration.

use std::error::Error;

use service_only::{
    JsonLinesAudit, Verifier,
    config::{ConfigError, VerifierConfig},
};

fn configured() -> Result<Verifier, ConfigError> {
    Verifier::from_config(VerifierConfig::file("service-token.toml")?)
}

fn configured_by_variables() -> Result<Verifier, Box<dyn Error>> {
    let builder = VerifierConfig::env()?.builder()?;
    Ok(builder.audit(JsonLinesAudit::to_file("audit.jsonl")?).require_audit().build()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use service_only_testkit::TestAuthority;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/src/verifying/verifier.md");

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
