//! The claims as the payload contains them, before anything is compared.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::MapAccess;

use super::Actor;
use crate::{
    denial::{Code, Denial, quoted},
    json::{self, JsonError, Number, Tree, Value},
};

/// See [`ServiceClaims::MAX_AUDIENCES`].
pub(crate) const MAX_AUDIENCES: usize = 64;

/// See [`ServiceClaims::MAX_CLAIM_LENGTH`].
pub(crate) const MAX_CLAIM_LENGTH: usize = 4096;

/// The claims as the payload contains them, before anything is compared.
///
/// Claims that RFC 7519 gives a type (`iss`, `aud`, `exp`, `nbf`, `iat`, `jti`) must have it. If `type` or
/// `is_service` has another type, the token does not belong to a service, which is decided later and is 403. No
/// standard defines the other claims: a value of another type counts as absent, and grants nothing.
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
    pub(crate) confirmation: Confirmation,
    pub(crate) actor: Option<Actor>,
    /// Whether the token has a claim of another name.
    pub(crate) has_others: bool,
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

/// The compared parts of the `kubernetes.io` claim of a bound service-account token.
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

/// The key that a token is bound to (RFC 7800 section 3).
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The token has no `cnf`: it is a bearer token.
    #[default]
    None,
    /// SHA-256 of the certificate of the sender (RFC 8705 section 3.1). `cnf` has no other member.
    Certificate([u8; 32]),
    /// The RFC 7638 thumbprint of a key of the sender (RFC 9449 section 6.1). `cnf` has no other member.
    Key([u8; 32]),
    /// The RFC 7638 thumbprint of the key in a Workload Identity Token. Only an issuer of such tokens reads it.
    #[cfg(feature = "experimental-wimse")]
    Workload([u8; 32]),
    /// Any other `cnf`. This crate checks no such proof.
    Unsupported,
}

impl From<Tree> for Confirmation {
    fn from(claim: Tree) -> Self {
        let Tree::Object(members) = &claim else { return Self::Unsupported };
        // A further member is a further condition, which would be left out.
        let [(name, Tree::Text(thumbprint))] = members.as_slice() else { return Self::Unsupported };
        let mut digest = [0; 32];
        // The decoder accepts exactly one text for each digest.
        match (name.as_str(), URL_SAFE_NO_PAD.decode_slice(thumbprint, &mut digest)) {
            ("x5t#S256", Ok(32)) => Self::Certificate(digest),
            ("jkt", Ok(32)) => Self::Key(digest),
            _ => Self::Unsupported,
        }
    }
}

impl<'p> RawClaims<'p> {
    /// Reads a payload. Only the verifier calls this, and only after it has checked the signature.
    #[inline]
    pub(crate) fn parse(payload: &'p [u8]) -> Result<Self, Denial> {
        let mut claims = Self::default();
        claims.read(payload)?;
        // No claim is longer than the whole payload.
        if payload.len() > MAX_CLAIM_LENGTH {
            claims.check_lengths()?;
        }
        Ok(claims)
    }

    fn read(&mut self, payload: &'p [u8]) -> Result<(), Denial> {
        json::read_object(payload, self).map_err(|error| match error {
            JsonError::Malformed(why) => Denial::new(Code::Malformed, format!("the payload: {why}")),
            JsonError::WrongType(why) => Denial::new(Code::BadClaimType, why),
        })
    }
}

impl RawClaims<'_> {
    pub(crate) fn audiences(&self) -> Vec<String> {
        let audiences = self.aud.as_ref().map(Audience::as_slice).unwrap_or_default();
        audiences.iter().map(|audience| audience.to_string()).collect()
    }

    /// Whether the typed claims of a service lack a claim of the token, or contain it under another name.
    pub(crate) fn exceeds_service_claims(&self) -> bool {
        let is_bound = self.confirmation != Confirmation::default();
        self.has_others
            || is_bound
            || self.actor.is_some()
            || self.client_id.is_some()
            || self.kubernetes.is_some()
    }

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
        Act = "act",
        Cnf = "cnf",
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
            ClaimName::Cnf => self.confirmation = map.next_value::<Tree>()?.into(),
            ClaimName::Act => {
                let actor = Actor::read(map.next_value()?);
                self.actor = Some(actor.map_err(|error| json::wrong_type(name.as_str(), error.expected()))?);
            }
            _ => {
                let set = self.set(name, map.next_value()?);
                set.map_err(|WrongType(expected)| json::wrong_type(name.as_str(), expected))?;
            }
        }
        Ok(())
    }

    fn other(&mut self) {
        self.has_others = true;
    }
}

pub(crate) fn owned(claim: &Option<Cow<'_, str>>) -> Option<String> {
    claim.as_deref().map(str::to_owned)
}

/// The type that a claim should have had.
pub(crate) struct WrongType(pub(crate) &'static str);

impl<'p> RawClaims<'p> {
    /// Sets a claim that is neither a number nor an object.
    pub(crate) fn set(&mut self, name: ClaimName, value: Value<'p>) -> Result<(), WrongType> {
        let text = |value: Value<'p>| value.into_text().ok_or(WrongType("a string"));
        match name {
            ClaimName::Iss => self.iss = Some(text(value)?),
            // RFC 7519 section 4.1.7. A token without a `jti` cannot be revoked by it.
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
            // The caller reads these, because it knows their type.
            ClaimName::Exp | ClaimName::Nbf | ClaimName::Iat => return Err(WrongType("a number")),
            ClaimName::Kubernetes | ClaimName::Cnf | ClaimName::Act => return Err(WrongType("an object")),
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
    // serde_json's own error distinguishes a value of the wrong type from one out of range.
    match map.next_value::<Number>() {
        Ok(Number(number)) => Ok(number),
        Err(error) if error.to_string().starts_with("invalid type") => {
            Err(json::wrong_type(name.as_str(), "a number"))
        }
        Err(error) => Err(error),
    }
}

/// The service name in an unverified payload, for the audit's `unverified.service`.
/// Best effort: `None` if the payload cannot be read.
pub(crate) fn unverified_service(payload: &[u8]) -> Option<String> {
    let mut claims = RawClaims::default();
    claims.read(payload).ok()?;
    let name = claims.service.and_then(Value::into_text).or_else(|| claims.sub.and_then(Value::into_text))?;
    Some(quoted(&name))
}

/// Who says that it issued a token: `iss` and `sub` of an unverified payload. It selects the issuer whose keys are
/// tried, and proves nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Origin<'p> {
    pub(crate) iss: Option<Cow<'p, str>>,
    pub(crate) sub: Option<Cow<'p, str>>,
}

impl<'p> Origin<'p> {
    /// Best effort: `None` if the payload cannot be read.
    pub(crate) fn read(payload: &'p [u8]) -> Option<Self> {
        let mut origin = Self::default();
        json::read_object(payload, &mut origin).ok()?;
        Some(origin)
    }
}

json::names! {
    /// The claims that name an issuer.
    OriginName {
        Iss = "iss",
        Sub = "sub",
    }
}

impl<'de> json::Members<'de> for Origin<'de> {
    type Name = OriginName;

    fn member<A: MapAccess<'de>>(&mut self, name: OriginName, map: &mut A) -> Result<(), A::Error> {
        let text = map.next_value::<Value<'de>>()?.into_text();
        match name {
            OriginName::Iss => self.iss = text,
            OriginName::Sub => self.sub = text,
        }
        Ok(())
    }
}
