//! The claims of a token: how they are read from a payload whose signature was checked, and the
//! types that they become.

mod name;
mod raw;
pub(crate) mod scopes;

pub use name::{InvalidServiceName, MAX_SERVICE_NAME, ServiceName};
pub(crate) use raw::{Audience, RawClaims, owned, unverified_service};
pub use raw::{MAX_AUDIENCES, MAX_CLAIM_LENGTH};
pub use scopes::{InvalidScope, MAX_SCOPES, Scopes};
use serde::{Serialize, Serializer};

/// The claims of a service token, typed. Data: anyone may build one, and having one proves nothing.
/// Proof is a [`Caller`](crate::Caller).
///
/// They have no `cnf`. A token with one is bound to a key, and proves nothing without a proof of that key, so never
/// build claims from such a token for a guarded function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceClaims {
    /// `sub`: equal to `service`.
    pub sub: String,
    /// `service`: who calls.
    pub service: ServiceName,
    /// `user_id`: equal to `service` in tokens minted here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `iss`: who minted the token.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// `aud`: for whom it was minted; empty when the claim is absent.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "audience")]
    pub aud: Vec<String>,
    /// `exp`, in seconds since the Unix epoch: valid before this instant.
    pub exp: i64,
    /// `iat`, in seconds since the Unix epoch: when it was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// `nbf`, in seconds since the Unix epoch: valid from this instant on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// `jti`: the token's name, by which it is revoked and appears in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// `scope`: what it may be used for.
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    pub scope: Scopes,
}

/// RFC 7519 section 4.1.3: one audience may be a string, and most readers expect that.
fn audience<S: Serializer>(aud: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match aud {
        [only] => serializer.serialize_str(only),
        several => several.serialize(serializer),
    }
}

/// The claims of a user's access token (`type: "access"`): for a gateway, which forwards users too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserClaims {
    /// `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// `user_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `iss`.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// `exp`, in seconds since the Unix epoch.
    pub exp: i64,
    /// `iat`, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl UserClaims {
    /// `user_id`, or `sub` where that is absent.
    pub(crate) fn id(&self) -> Option<&str> {
        self.user_id.as_deref().or(self.sub.as_deref())
    }
}

#[cfg(test)]
mod tests;
