//! The claims of a token: the types of verified claims, and how they are read from a payload whose signature was
//! checked.

mod actor;
mod members;
mod name;
mod raw;
pub(crate) mod scopes;

pub use actor::{Actor, InvalidActor};
pub use members::InvalidClaims;
pub(crate) use members::TokenMembers;
pub use name::{InvalidServiceName, ServiceName};
pub(crate) use raw::{
    Audience, Confirmation, MAX_CLAIM_LENGTH, Origin, RawClaims, owned, unverified_service,
};
pub use scopes::{InvalidScope, Scopes};
use serde::{Serialize, Serializer};

/// The claims of a service token, as typed data.
///
/// Any code can build this type, so a value proves nothing. A [`Caller`](crate::Caller) is proof of verification.
///
/// The type has no `cnf`. A token with `cnf` is bound to a key, so its sender must prove possession of the key. Only
/// the verifier checks this proof, see [`Caller::proof`](crate::Caller::proof). So do not build claims from such a
/// token to call a guarded function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServiceClaims {
    /// `sub`: the same as `service`.
    pub sub: String,
    /// `service`: the calling service.
    pub service: ServiceName,
    /// `user_id`: the same as `service` in tokens minted by this crate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `role`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The roles of a token of an OAuth 2.0 server; empty for the other kinds, whose role is `role`. See
    /// [`AccessTokens::roles_from`](crate::AccessTokens::roles_from).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `iss`: the issuer that minted the token.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// `aud`: the services that the token is for; empty if the claim is absent.
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
    /// `jti`: the token's identifier, for revocation and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// `scope`: what the token may be used for.
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    pub scope: Scopes,
    /// `act`: the party that acts for the service.
    #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

impl ServiceClaims {
    /// The maximum number of audiences in one token. The reason is that of [`Scopes::MAX`]: each costs a comparison.
    pub const MAX_AUDIENCES: usize = raw::MAX_AUDIENCES;

    /// The maximum length of a text claim, in bytes. Names, ids and addresses are much shorter, and the stored claims
    /// take memory per caller. `scope` is limited by [`Scopes::MAX`] and the length of the token.
    pub const MAX_CLAIM_LENGTH: usize = raw::MAX_CLAIM_LENGTH;

    /// The claims that every service token has. Set other fields afterwards.
    ///
    /// ```
    /// use service_only::claims::ServiceClaims;
    /// # fn main() -> Result<(), service_only::claims::InvalidServiceName> {
    /// let mut claims = ServiceClaims::new("orders".parse()?, "bakery-auth", 1_767_225_600);
    /// claims.role = Some("admin".to_owned());
    /// assert_eq!((claims.sub.as_str(), claims.jti), ("orders", None));
    /// # Ok(()) }
    /// ```
    pub fn new(service: ServiceName, issuer: impl Into<String>, exp: i64) -> Self {
        Self {
            sub: service.as_str().to_owned(),
            service,
            user_id: None,
            role: None,
            roles: Vec::new(),
            email: None,
            issuer: issuer.into(),
            aud: Vec::new(),
            exp,
            iat: None,
            nbf: None,
            jti: None,
            scope: Scopes::default(),
            actor: None,
        }
    }
}

/// Serializes `aud`. RFC 7519 section 4.1.3: one audience may be a string, and most readers expect that.
fn audience<S: Serializer>(aud: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match aud {
        [only] => serializer.serialize_str(only),
        several => several.serialize(serializer),
    }
}

/// The claims of a user's access token (`type: "access"`), for a gateway that forwards users too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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
    /// The roles of a token that has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
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
    /// `nbf`, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// `scope`: what the token allows.
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    pub scope: Scopes,
    /// `act`: the party that acts for the user.
    #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

impl UserClaims {
    /// `user_id`, or `sub` if that is absent.
    pub(crate) fn id(&self) -> Option<&str> {
        self.user_id.as_deref().or(self.sub.as_deref())
    }
}

#[cfg(test)]
mod tests;
