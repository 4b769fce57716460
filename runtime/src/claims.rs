//! The claims of a token: how they are read from a payload whose signature was checked, and the
//! types that they become.

mod flat;
mod held;

use std::{borrow::Cow, error::Error, fmt, str::FromStr};

pub(crate) use held::{CheckedClaims, HeldClaims};
use serde::{Deserialize, Serialize, Serializer, de::MapAccess};

use crate::{
    denial::{Code, Denial, quoted},
    json::{self, JsonError, Number, Tree, Value},
};

/// The longest service name, in bytes: that of a DNS name (RFC 1035 section 2.3.4).
pub const MAX_SERVICE_NAME: usize = 253;

/// The name of a service: 1 to 253 ASCII letters, digits, `-`, `_` and `.`, a letter or digit first
/// and last. Names are compared byte for byte.
///
/// ```
/// use service_only::ServiceName;
///
/// assert!("tenant-deletion-orchestrator".parse::<ServiceName>().is_ok());
/// assert!("../gateway".parse::<ServiceName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ServiceName(String);

impl ServiceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is a name.
    pub(crate) fn is_one(name: &str) -> bool {
        let bytes = name.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.');
        let ends = [bytes.first(), bytes.last()];
        bytes.len() <= MAX_SERVICE_NAME
            && bytes.iter().fold(true, |all, byte| all & inside(byte))
            && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(name: &str) -> Result<Self, InvalidServiceName> {
        if Self::is_one(name) { Ok(Self(name.to_owned())) } else { Err(InvalidServiceName) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A text that is not a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidServiceName;

impl fmt::Display for InvalidServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a service name is 1 to {MAX_SERVICE_NAME} ASCII letters, digits, `-`, `_` and `.`, \
             and starts and ends with a letter or digit"
        )
    }
}

impl Error for InvalidServiceName {}

/// Scopes that one token may carry. More is a mistake of the issuer, and each costs a comparison per
/// scope that a handler asks for.
pub const MAX_SCOPES: usize = 256;

/// The scopes of a token: the `scope` claim, a string with spaces between (RFC 8693 section 4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(String);

impl Scopes {
    /// Whether `scope` is among them, byte for byte.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|held| held == scope)
    }

    /// The scopes, in the token's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl FromStr for Scopes {
    type Err = InvalidScope;

    fn from_str(scopes: &str) -> Result<Self, InvalidScope> {
        let valid = scopes.split(' ').filter(|scope| !scope.is_empty()).all(is_scope_token)
            && scopes.split(' ').count() <= MAX_SCOPES;
        if valid { Ok(Self(scopes.to_owned())) } else { Err(InvalidScope) }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A text that is not a list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidScope;

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a scope is printable ASCII without space, `\"` and `\\` (RFC 6749 section 3.3), \
             and a token has at most {MAX_SCOPES}"
        )
    }
}

impl Error for InvalidScope {}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` of RFC 6749 section 3.3.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// The claims of a service token, typed. Data: anyone may build one, and having one proves nothing.
/// Proof is a [`Caller`](crate::Caller).
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

/// Audiences that one token may name, for the same reason as [`MAX_SCOPES`].
pub const MAX_AUDIENCES: usize = 64;

/// The longest text claim that is read, in bytes. Names, ids and addresses have a fraction of it, and
/// what is kept of a token is kept per caller. `scope` is bounded by [`MAX_SCOPES`] and the token.
pub const MAX_CLAIM_LENGTH: usize = 4096;

/// The claims as the payload has them, before anything is compared.
///
/// Claims that RFC 7519 gives a type (`iss`, `aud`, `exp`, `nbf`, `iat`, `jti`) must have it. A `type` or
/// `is_service` of another type is not a service's, which is decided later and is 403. The rest is
/// not laid down: a value of another type counts as absent, and grants nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RawClaims<'p> {
    pub(crate) iss: Option<Cow<'p, str>>,
    pub(crate) aud: Option<Audience<'p>>,
    pub(crate) exp: Option<f64>,
    pub(crate) nbf: Option<f64>,
    pub(crate) iat: Option<f64>,
    pub(crate) sub: Option<Value<'p>>,
    pub(crate) service: Option<Value<'p>>,
    pub(crate) kind: Option<Value<'p>>,
    pub(crate) is_service: Option<Value<'p>>,
    pub(crate) user_id: Option<Cow<'p, str>>,
    pub(crate) role: Option<Cow<'p, str>>,
    pub(crate) email: Option<Cow<'p, str>>,
    pub(crate) jti: Option<Cow<'p, str>>,
    pub(crate) scope: Option<Cow<'p, str>>,
    pub(crate) client_id: Option<Value<'p>>,
    pub(crate) kubernetes: Option<BoundAccount>,
}

/// The `aud` claim: a string, or several in an array (RFC 7519 section 4.1.3).
#[derive(Debug, PartialEq)]
pub(crate) enum Audience<'p> {
    One(Cow<'p, str>),
    Several(Vec<Cow<'p, str>>),
}

impl<'p> Audience<'p> {
    pub(crate) fn as_slice(&self) -> &[Cow<'p, str>] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Several(several) => several,
        }
    }
}

/// The `kubernetes.io` claim of a bound service-account token, as far as it is compared.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct BoundAccount {
    pub(crate) namespace: Option<String>,
    pub(crate) service_account: Option<String>,
}

impl From<Tree> for BoundAccount {
    fn from(claim: Tree) -> Self {
        let text = |tree: Option<&Tree>| match tree {
            Some(Tree::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let account = claim.member("serviceaccount");
        Self {
            namespace: text(claim.member("namespace")),
            service_account: text(account.and_then(|account| account.member("name"))),
        }
    }
}

impl<'p> RawClaims<'p> {
    /// Reads a payload. Only the verifier calls this, and only after it has checked the signature.
    #[inline]
    pub(crate) fn parse(payload: &'p [u8]) -> Result<Self, Denial> {
        let mut claims = Self::default();
        claims.read(payload)?;
        // No claim is longer than all of them.
        if payload.len() > MAX_CLAIM_LENGTH {
            claims.check_lengths()?;
        }
        Ok(claims)
    }

    fn read(&mut self, payload: &'p [u8]) -> Result<(), Denial> {
        if flat::read(payload, self).is_some() {
            return Ok(());
        }
        *self = Self::default();
        self.read_any(payload)
    }

    /// Whether a payload is flat; then both readers must agree on it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn compare_readers(payload: &'p [u8]) -> bool {
        let (mut flat, mut any) = (Self::default(), Self::default());
        if flat::read(payload, &mut flat).is_none() {
            return false;
        }
        assert_eq!(any.read_any(payload), Ok(()), "{}", payload.escape_ascii());
        assert_eq!(flat, any, "{}", payload.escape_ascii());
        true
    }

    /// Reads any payload.
    fn read_any(&mut self, payload: &'p [u8]) -> Result<(), Denial> {
        json::read_object(payload, self).map_err(|error| match error {
            JsonError::Malformed(why) => Denial::new(Code::Malformed, format!("the payload: {why}")),
            JsonError::WrongType(why) => Denial::new(Code::BadClaimType, why),
        })
    }
}

impl RawClaims<'_> {
    fn check_lengths(&self) -> Result<(), Denial> {
        let kept = [&self.iss, &self.user_id, &self.role, &self.email, &self.jti]
            .map(|text| text.as_deref().map_or(0, str::len));
        let named = [&self.sub, &self.service, &self.client_id].map(|value| match value {
            Some(Value::Text(text)) => text.len(),
            _ => 0,
        });
        let longest = kept.into_iter().chain(named).fold(0, usize::max);
        if longest <= MAX_CLAIM_LENGTH {
            return Ok(());
        }
        let reason = format!("a claim has {longest} bytes, more than {MAX_CLAIM_LENGTH}");
        Err(Denial::new(Code::BadClaimValue, reason))
    }
}

json::names! {
    /// The claims that are read.
    ClaimName {
        Iss = "iss",
        Aud = "aud",
        Exp = "exp",
        Nbf = "nbf",
        Iat = "iat",
        Sub = "sub",
        Jti = "jti",
        Type = "type",
        Role = "role",
        Email = "email",
        Scope = "scope",
        Service = "service",
        UserId = "user_id",
        ClientId = "client_id",
        IsService = "is_service",
        Kubernetes = "kubernetes.io",
    }
}

impl<'de> json::Members<'de> for RawClaims<'de> {
    type Name = ClaimName;

    fn member<A: MapAccess<'de>>(&mut self, name: ClaimName, map: &mut A) -> Result<(), A::Error> {
        match name {
            ClaimName::Exp => self.exp = Some(number(name, map)?),
            ClaimName::Nbf => self.nbf = Some(number(name, map)?),
            ClaimName::Iat => self.iat = Some(number(name, map)?),
            ClaimName::Kubernetes => self.kubernetes = Some(map.next_value::<Tree>()?.into()),
            _ => {
                let set = self.set(name, map.next_value()?);
                set.map_err(|WrongType(expected)| json::wrong_type(name.as_str(), expected))?;
            }
        }
        Ok(())
    }
}

/// What a claim should have been.
pub(crate) struct WrongType(&'static str);

impl<'p> RawClaims<'p> {
    /// Sets a claim that is neither a number nor an object.
    fn set(&mut self, name: ClaimName, value: Value<'p>) -> Result<(), WrongType> {
        let text = |value: Value<'p>| value.into_text().ok_or(WrongType("a string"));
        match name {
            ClaimName::Iss => self.iss = Some(text(value)?),
            // RFC 7519 section 4.1.7. A token without a name cannot be revoked by it.
            ClaimName::Jti => self.jti = Some(text(value)?),
            ClaimName::Aud => self.aud = Some(Audience::try_from(value)?),
            ClaimName::Sub => self.sub = Some(value),
            ClaimName::Service => self.service = Some(value),
            ClaimName::Type => self.kind = Some(value),
            ClaimName::IsService => self.is_service = Some(value),
            ClaimName::ClientId => self.client_id = Some(value),
            ClaimName::UserId => self.user_id = value.into_text(),
            ClaimName::Role => self.role = value.into_text(),
            ClaimName::Email => self.email = value.into_text(),
            ClaimName::Scope => self.scope = value.into_text(),
            // Read by who knows their type.
            ClaimName::Exp | ClaimName::Nbf | ClaimName::Iat => return Err(WrongType("a number")),
            ClaimName::Kubernetes => return Err(WrongType("an object")),
        }
        Ok(())
    }
}

impl<'p> TryFrom<Value<'p>> for Audience<'p> {
    type Error = WrongType;

    fn try_from(value: Value<'p>) -> Result<Self, WrongType> {
        match value {
            Value::Text(text) => Ok(Self::One(text)),
            Value::Texts(texts) if texts.len() <= MAX_AUDIENCES => Ok(Self::Several(texts)),
            _ => Err(WrongType("a string or a short array of strings")),
        }
    }
}

fn number<'de, A: MapAccess<'de>>(name: ClaimName, map: &mut A) -> Result<f64, A::Error> {
    // A value of the wrong type and one out of range are told apart by serde_json's own error.
    match map.next_value::<Number>() {
        Ok(Number(number)) => Ok(number),
        Err(error) if error.to_string().starts_with("invalid type") => {
            Err(json::wrong_type(name.as_str(), "a number"))
        }
        Err(error) => Err(error),
    }
}

/// The name that an unverified payload gives its service, for the audit's `unverified.service`.
/// Best effort: a payload that cannot be read has none.
pub(crate) fn unverified_service(payload: &[u8]) -> Option<String> {
    let mut claims = RawClaims::default();
    claims.read(payload).ok()?;
    let name = claims.service.and_then(Value::into_text).or_else(|| claims.sub.and_then(Value::into_text))?;
    Some(quoted(&name))
}

/// For `Deserialize` of configuration files: a service name is a string.
impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
