//! The errors of an export.

use std::fmt;

use thiserror::Error;

/// Why a table could not be exported. An export either contains a check, contains a comment that only the code makes
/// the check, or fails with this error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A route requires something that the target cannot express without allowing more.
    #[error("`{}`: {reason}", route.escape_debug())]
    Route {
        /// The methods and the path of the route.
        route: String,
        /// What the target cannot express.
        reason: String,
    },
    /// An option is missing, or has a value that the target would interpret differently.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: MeshOption,
        /// What is wrong with it.
        reason: String,
    },
}

impl ExportError {
    pub(crate) fn route(route: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Route { route: route.into(), reason: reason.into() }
    }

    pub(crate) fn option(option: MeshOption, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }
}

/// An input of an export. `Display` writes the name of its method or member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeshOption {
    /// An audience of the service.
    Audience,
    /// The issuer of the tokens.
    Issuer,
    /// The JWK set in the output.
    Jwks,
    /// The URL of the JWK set.
    JwksUri,
    /// A label that selects the workload.
    Label,
    /// The namespace of the workload.
    Namespace,
    /// The principal of a service.
    Principal,
    /// The name of the service in the table.
    Service,
    /// The trust domain of callers.
    TrustDomain,
}

impl MeshOption {
    /// The name of the method or member that sets it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Jwks => "jwks",
            Self::JwksUri => "jwks_uri",
            Self::Label => "label",
            Self::Namespace => "namespace",
            Self::Principal => "principal",
            Self::Service => "service",
            Self::TrustDomain => "trust_domain",
        }
    }
}

impl fmt::Display for MeshOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
