//! The key of the gateway's own tokens. The services get only its public half.

use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use service_only::audit::AuditSink;
use service_only::issue::SigningKey;
use service_only::{Algorithm, KeySet, Proof, Verifier};

use crate::gateway::Tokens;

/// `iss` of the tokens that the services accept.
const ISSUER: &str = "https://gateway.bakery.example";

pub(crate) struct GatewayKey(Arc<SigningKey>);

impl GatewayKey {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = SigningKey::generate(Algorithm::ES256).context("cannot generate a signing key")?;
        Ok(Self(Arc::new(key)))
    }

    /// The private key in PEM, for the gateway.
    pub(crate) fn pem(&self) -> anyhow::Result<String> {
        let pem = self.0.to_secret_bytes().context("the key is not in memory")?;
        Ok(String::from_utf8(pem.to_vec())?)
    }

    /// The public key as a JWK set, for the services.
    pub(crate) fn jwks(&self) -> anyhow::Result<String> {
        let key = self.0.public_jwk().context("the signing key has no public half")?;
        Ok(format!("{:#}", json!({ "keys": [key] })))
    }

    pub(crate) fn tokens(&self) -> anyhow::Result<Tokens> {
        Ok(Tokens::new(ISSUER, Arc::clone(&self.0))?)
    }

    /// The verifier of one service: it accepts tokens of the gateway for this service only, over the connection of the
    /// certificate that they are bound to.
    pub(crate) fn verifier(&self, service: &str, audit: impl AuditSink) -> anyhow::Result<Verifier> {
        let keys = KeySet::from_jwks(self.jwks()?.as_bytes())?;
        Ok(Verifier::builder()
            .issuer(ISSUER)
            .audience(service)
            .keys(keys)
            .require_proof(Proof::Mtls)
            .audit(audit)
            .realm("bakery")
            .build()?)
    }
}
