//! The mesh options that the route table does not contain: the issuer, its keys, and the workload.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use service_only::__satellite::PRIVATE_MEMBERS;

use crate::{ExportError, MeshOption};

/// The settings with which a proxy makes the same checks as a [`Verifier`](service_only::Verifier). The
/// issuer and its keys are required. Use the same issuer, keys and audiences as in the verifier.
///
/// The tokens must be tokens of this project, compatible or strict: tokens of Kubernetes, SPIFFE and OAuth
/// have no `service` claim, and the proxy denies them.
///
/// ```
/// use service_only_export::MeshOptions;
///
/// assert!(MeshOptions::with_jwks_uri("bakery-auth", "https://auth.example/jwks.json").is_ok());
/// assert!(MeshOptions::with_jwks_uri("", "https://auth.example/jwks.json").is_err());
/// assert!(MeshOptions::with_jwks_uri("bakery-auth", "http://auth.example/jwks.json").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct MeshOptions {
    pub(crate) issuer: String,
    pub(crate) keys: MeshKeys,
    pub(crate) audiences: Vec<String>,
    pub(crate) leeway: Duration,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) trust_domain: String,
    pub(crate) principals: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone)]
pub(crate) enum MeshKeys {
    Uri(String),
    Inline(String),
}

impl MeshOptions {
    /// The default trust domain of a mesh. It is also Istio's default, which Istio reads as the trust domain of
    /// the mesh.
    pub const DEFAULT_TRUST_DOMAIN: &str = "cluster.local";

    /// Accepts tokens with this `iss`, by the keys that the proxy fetches from this URL. It must be `https`:
    /// the server at this URL decides who may call.
    pub fn with_jwks_uri(issuer: impl Into<String>, uri: impl Into<String>) -> Result<Self, ExportError> {
        let uri = uri.into();
        let host = uri.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next());
        if !host.is_some_and(|host| !host.is_empty() && !host.contains('@')) || !is_plain(&uri) {
            return Err(ExportError::option(
                MeshOption::JwksUri,
                "the keys must come from a URL such as `https://auth.example/jwks.json`",
            ));
        }
        Self::new(issuer.into(), MeshKeys::Uri(uri))
    }

    /// Accepts tokens with this `iss`, by the public keys of this JWK set, which becomes part of the output.
    pub fn with_jwks(issuer: impl Into<String>, jwks: &str) -> Result<Self, ExportError> {
        Self::new(issuer.into(), MeshKeys::Inline(public_keys(jwks)?))
    }

    fn new(issuer: String, keys: MeshKeys) -> Result<Self, ExportError> {
        // Istio compares `ISSUER/SUBJECT`, and reads a `*` at either end as a wildcard.
        if issuer.is_empty() || issuer.starts_with('*') {
            return Err(ExportError::option(
                MeshOption::Issuer,
                "name the `iss` of the tokens, which does not begin with `*`",
            ));
        }
        Ok(Self {
            issuer,
            keys,
            audiences: Vec::new(),
            leeway: Duration::ZERO,
            namespace: None,
            labels: BTreeMap::new(),
            trust_domain: MeshOptions::DEFAULT_TRUST_DOMAIN.to_owned(),
            principals: BTreeMap::new(),
        })
    }

    /// Adds an audience of the service; a token must name one of them. Without any, the proxy denies a token
    /// that names an audience, as the verifier does.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Sets the allowed clock difference. The default is zero, as for the verifier.
    #[must_use]
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Sets the namespace of the workload, and of callers without a configured principal.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// Adds a label that selects the workload. The default label is `app` with the name of the service.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets the trust domain of callers without a configured principal. The default is
    /// [`MeshOptions::DEFAULT_TRUST_DOMAIN`].
    #[must_use]
    pub fn trust_domain(self, trust_domain: impl Into<String>) -> Self {
        Self { trust_domain: trust_domain.into(), ..self }
    }

    /// Adds a principal for a service. The default principal of a service is
    /// `TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE`.
    #[must_use]
    pub fn principal(mut self, service: impl Into<String>, principal: impl Into<String>) -> Self {
        self.principals.entry(service.into()).or_default().push(principal.into());
        self
    }

    /// The principals of a service, in Istio's format.
    pub(crate) fn principals_of(&self, service: &str, namespace: &str) -> Vec<String> {
        let default = || vec![format!("{}/ns/{namespace}/sa/{service}", self.trust_domain)];
        self.principals.get(service).cloned().unwrap_or_else(default)
    }

    /// Checks the requirements of both proxies; Istio reads a `*` at either end as a wildcard.
    pub(crate) fn check(&self) -> Result<(), ExportError> {
        let lists = [
            (MeshOption::Audience, self.audiences.iter().collect::<Vec<_>>()),
            (MeshOption::Principal, self.principals.values().flatten().collect()),
            (MeshOption::TrustDomain, vec![&self.trust_domain]),
            (MeshOption::Namespace, self.namespace.iter().collect()),
            (MeshOption::Label, self.labels.iter().flat_map(|(name, value)| [name, value]).collect()),
        ];
        for (option, values) in lists {
            if let Some(value) = values.iter().find(|value| value.contains('*') || !is_plain(value)) {
                let reason = format!("`{}` is empty, or holds `*` or a blank", value.escape_debug());
                return Err(ExportError::option(option, reason));
            }
        }
        Ok(())
    }
}

/// Whether the text is not empty, and has no white space and no control character.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The set on one line. A set with a private or symmetric key is refused, because many people can read a
/// proxy's configuration.
fn public_keys(jwks: &str) -> Result<String, ExportError> {
    let refused = |reason| ExportError::option(MeshOption::Jwks, reason);
    let set: Value = serde_json::from_str(jwks).map_err(|_| refused("this is not a JWK set"))?;
    let keys = set.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| refused("the JWK set has no keys"))?;
    if keys.iter().any(|key| PRIVATE_MEMBERS.iter().any(|member| key.get(member).is_some())) {
        return Err(refused("the JWK set holds a secret; name the public keys only"));
    }
    Ok(set.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_secret_do_not_become_part_of_a_mesh() {
        for secret in [r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, r#"{"keys":[{"kty":"EC","d":"AAAA"}]}"#] {
            let error = MeshOptions::with_jwks("a", secret).unwrap_err();
            assert_eq!(error.to_string(), "jwks: the JWK set holds a secret; name the public keys only");
        }
        assert!(MeshOptions::with_jwks("a", r#"{"keys":[]}"#).is_err());
        assert!(MeshOptions::with_jwks("a", "no").is_err());
    }

    #[test]
    fn options_that_would_match_everything_are_refused() {
        let mesh = || MeshOptions::with_jwks_uri("a", "https://auth.example/").unwrap();
        for mesh in [
            mesh().audience("*"),
            mesh().audience(""),
            mesh().namespace("bak*"),
            mesh().trust_domain(""),
            mesh().label("app", "a b"),
            mesh().principal("orders", "*/ns/a/sa/b"),
        ] {
            assert!(mesh.check().is_err(), "{mesh:?}");
        }
        assert!(MeshOptions::with_jwks_uri("*", "https://auth.example/").is_err());
        for uri in ["https://", "https:///x", "https://u:p@auth.example/", "ftp://a", "https://a/\nb"] {
            assert!(MeshOptions::with_jwks_uri("a", uri).is_err(), "{uri}");
        }
    }
}
