//! The metadata of a protected resource (RFC 9728): which issuers a client asks for a token, and for which scopes.

use std::fmt;

use serde::Serialize;

/// The path of the metadata if the resource has no path, see RFC 9728 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A resource identifier: an `https` URL without a fragment and a query.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    identifier: String,
    /// Where the origin ends in the identifier.
    origin: usize,
}

impl Resource {
    /// Parses an identifier. `None` if it is not an `https` URL of a host, or has characters that a challenge cannot quote.
    pub(crate) fn parse(identifier: &str) -> Option<Self> {
        let rest = identifier.strip_prefix("https://")?;
        let host = rest.split('/').next()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/%[]@!$&'()*+,;=".contains(&byte);
        let is_host = !host.is_empty() && !host.contains('@');
        (is_host && rest.bytes().all(is_plain))
            .then(|| Self { identifier: identifier.to_owned(), origin: "https://".len() + host.len() })
    }

    /// RFC 9728 section 3: the well-known path comes between the host and the path of the resource.
    pub(crate) fn metadata_path(&self) -> String {
        let path = self.identifier.get(self.origin..).unwrap_or_default();
        format!("{WELL_KNOWN}{}", path.strip_suffix('/').unwrap_or(path))
    }

    pub(crate) fn metadata_url(&self) -> String {
        format!("{}{}", self.identifier.get(..self.origin).unwrap_or_default(), self.metadata_path())
    }

    pub(crate) fn metadata(&self, issuers: Vec<String>, scopes: Vec<&'static str>) -> ResourceMetadata {
        ResourceMetadata {
            path: self.metadata_path(),
            resource: self.identifier.clone(),
            authorization_servers: issuers,
            bearer_methods_supported: ["header"],
            scopes_supported: scopes,
            dpop_signing_alg_values_supported: Vec::new(),
            dpop_bound_access_tokens_required: false,
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identifier)
    }
}

/// The metadata document of a protected resource (RFC 9728 section 2), which a client reads after a 401.
/// [`Verifier::resource_metadata`](crate::Verifier::resource_metadata) creates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceMetadata {
    #[serde(skip)]
    path: String,
    resource: String,
    /// The issuers whose name is a URL. Others have no metadata that a client could find.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dpop_signing_alg_values_supported: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
}

impl ResourceMetadata {
    /// Adds the algorithms of the accepted proofs of DPoP, and whether every token needs one (RFC 9449 section 5.1).
    pub(crate) fn with_dpop(self, algorithms: &str, is_required: bool) -> Self {
        Self {
            dpop_signing_alg_values_supported: algorithms.split(' ').map(str::to_owned).collect(),
            dpop_bound_access_tokens_required: is_required,
            ..self
        }
    }

    /// The path that serves the document, such as `/.well-known/oauth-protected-resource`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The document.
    pub fn to_json(&self) -> String {
        // It has texts and lists of texts only.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_is_between_host_and_path() {
        for (identifier, url) in [
            ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
            ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
            ("https://a.example:8443/b/c", "https://a.example:8443/.well-known/oauth-protected-resource/b/c"),
        ] {
            assert_eq!(Resource::parse(identifier).unwrap().metadata_url(), url);
        }
    }

    #[test]
    fn the_document_states_the_proofs_only_if_some_are_accepted() {
        let resource = Resource::parse("https://a.example").unwrap();
        assert_eq!(format!("{resource:?}"), "https://a.example");
        let bearer = resource.metadata(Vec::new(), Vec::new());
        assert_eq!(
            bearer.to_json(),
            r#"{"resource":"https://a.example","bearer_methods_supported":["header"]}"#
        );
        let json = |is_required| bearer.clone().with_dpop("ES256 EdDSA", is_required).to_json();
        let accepted = r#"{"resource":"https://a.example","bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","EdDSA"]"#;
        assert_eq!(json(false), format!("{accepted}}}"));
        assert_eq!(json(true), format!(r#"{accepted},"dpop_bound_access_tokens_required":true}}"#));
    }

    #[test]
    fn a_resource_is_an_https_url_that_fits_into_a_challenge() {
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "https://",
            "https:///a",
            "https://u@a.example",
            "https://a.example/?b",
            "https://a.example/#b",
            "https://a.example/\"",
            "https://a.example/\\",
            "https://a.example/ b",
            "https://a.example/\r\n",
            "https://a.example/\u{e4}",
        ] {
            assert!(Resource::parse(bad).is_none(), "{bad:?}");
        }
    }
}
