//! The kinds of tokens, and how each kind names a service. These functions are pure.

use std::{borrow::Cow, time::Duration};

use super::{
    access::AccessTokens,
    own_claims::{self, Claims, missing},
    rule::Members,
    subject::{Foreign, Names, workload},
};
use crate::{
    claims::{RawClaims, ServiceClaims, owned},
    denial::{Code, Denial, quoted},
    json::Value,
    keys::Algorithm,
    times::Times,
};

/// The default maximum lifetime of a strict token; see `TrustedIssuer::max_lifetime`.
pub(crate) const MAX_STRICT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The `typ` of a strict service token (RFC 8725 section 3.11).
pub(crate) const STRICT_TYP: &str = "service+jwt";

/// The kind of tokens that an issuer mints.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Compatible,
    Strict,
    Kubernetes,
    Spiffe,
    OAuth,
    /// Workload Identity Tokens of WIMSE.
    #[cfg(feature = "experimental-wimse")]
    Wimse,
}

impl Kind {
    /// The kind as the audit log prints it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Strict => "strict",
            Self::Kubernetes => "kubernetes",
            Self::Spiffe => "spiffe",
            Self::OAuth => "oauth",
            #[cfg(feature = "experimental-wimse")]
            Self::Wimse => "wimse",
        }
    }

    /// Whether an audience must be configured. A Workload Identity Token has none: its proof names the service.
    pub(crate) const fn requires_audience(self) -> bool {
        #[cfg(feature = "experimental-wimse")]
        if matches!(self, Self::Wimse) {
            return false;
        }
        !matches!(self, Self::Compatible)
    }

    /// Whether the token's subject comes from another system and is mapped to a service.
    pub(crate) const fn has_subjects(self) -> bool {
        !matches!(self, Self::Compatible | Self::Strict)
    }

    /// Whether tokens of this kind may use an algorithm. A shared secret that verifies can also mint, so only
    /// compatible tokens may use one. JWT-SVID section 4 lists the algorithms of SPIFFE, and EdDSA is not among
    /// them.
    pub(crate) const fn may_use(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Compatible => true,
            Self::Spiffe => {
                !algorithm.is_symmetric() && !matches!(algorithm, Algorithm::EdDSA | Algorithm::Ed25519)
            }
            Self::Strict | Self::Kubernetes | Self::OAuth => !algorithm.is_symmetric(),
            #[cfg(feature = "experimental-wimse")]
            Self::Wimse => !algorithm.is_symmetric(),
        }
    }

    /// Checks that `typ` belongs to this kind. Media types are compared case-insensitively (RFC 7515 section 4.1.9).
    /// Another kind of JWT is refused even if its signature is valid (RFC 8725 section 3.11).
    pub(crate) fn check_typ(self, access: &AccessTokens, typ: Option<&str>) -> Result<(), Denial> {
        match self {
            // RFC 7519 section 5.1.
            Self::Compatible | Self::Kubernetes => check_typ(&["JWT"], true, typ),
            Self::Strict => check_typ(&[STRICT_TYP, "application/service+jwt"], false, typ),
            // JWT-SVID section 2.
            Self::Spiffe => check_typ(&["JWT", "JOSE"], true, typ),
            Self::OAuth => {
                let (own, optional) = access.typ_values();
                check_typ(own, optional, typ)
            }
            // draft-ietf-wimse-workload-creds-02 section 5.1.
            #[cfg(feature = "experimental-wimse")]
            Self::Wimse => check_typ(&["wit+jwt", "application/wit+jwt"], false, typ),
        }
    }

    /// Whether `iss` is compared. A JWT-SVID and a Workload Identity Token may omit it; the trust domain is in their `sub`.
    pub(crate) const fn compares_issuer(self) -> bool {
        #[cfg(feature = "experimental-wimse")]
        if matches!(self, Self::Wimse) {
            return false;
        }
        !matches!(self, Self::Spiffe)
    }

    /// Whether the issuer is named by a scheme and a trust domain, such as `wimse://bakery.example`.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) const fn is_wimse(self) -> bool {
        matches!(self, Self::Wimse)
    }

    /// Checks the claims that this kind requires in addition to `iss`, `aud` and `exp`.
    pub(crate) fn check_required(self, claims: &RawClaims<'_>) -> Result<(), Denial> {
        let (jti, iat) = match self {
            Self::Strict => (true, true),
            // All providers state `iat`. The settings of the issuer decide about `jti`.
            Self::OAuth => (false, true),
            Self::Compatible | Self::Kubernetes | Self::Spiffe => (false, false),
            #[cfg(feature = "experimental-wimse")]
            Self::Wimse => (false, false),
        };
        if jti && claims.jti.as_deref().is_none_or(str::is_empty) {
            return Err(missing("jti"));
        }
        if iat && claims.iat.is_none() {
            return Err(missing("iat"));
        }
        Ok(())
    }

    /// Reads the claims of the service or user that the token names.
    pub(crate) fn claims(
        self,
        token: Read<'_>,
        times: &Times,
        issuer: &str,
        names: &Names,
    ) -> Result<Claims, Denial> {
        let Read { claims, access, members } = token;
        let service = match self {
            Self::Compatible | Self::Strict => return own_claims::claims(claims, times),
            Self::Kubernetes => kubernetes(claims)?,
            Self::Spiffe => spiffe(claims, issuer)?,
            #[cfg(feature = "experimental-wimse")]
            Self::Wimse => super::wit::workload_of(subject(claims)?, issuer)?,
            Self::OAuth => match access.subject(members) {
                Err(denial) if denial.code() == Code::NotService && access.is_user(members) => {
                    let granted = (access.read_scopes(members), access.read_roles(members));
                    return own_claims::user_of(claims, times, granted).map(Claims::User);
                }
                subject => subject?,
            },
        };
        let (scope, roles) = match self {
            Self::OAuth => (access.read_scopes(members), access.read_roles(members)),
            _ => Default::default(),
        };
        Ok(Claims::Service(ServiceClaims {
            service: service.name(names)?,
            sub: match &claims.sub {
                Some(Value::Text(sub)) => (**sub).to_owned(),
                _ => service.subject.into_owned(),
            },
            user_id: None,
            role: None,
            email: None,
            issuer: issuer.to_owned(),
            aud: claims.audiences(),
            exp: times.exp,
            iat: times.iat,
            nbf: times.nbf,
            jti: owned(&claims.jti),
            scope,
            roles,
            actor: claims.actor.clone(),
        }))
    }
}

/// Compares `typ` with the accepted values.
fn check_typ<T: AsRef<str>>(own: &[T], optional: bool, typ: Option<&str>) -> Result<(), Denial> {
    let expected = || own.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("` or `");
    match typ {
        Some("") => Err(Denial::new(Code::Malformed, "the header's `typ` is empty")),
        Some(typ) if own.iter().any(|own| own.as_ref().eq_ignore_ascii_case(typ)) => Ok(()),
        None if optional => Ok(()),
        None => {
            let reason = format!("the token has no `typ`, expected `{}`", expected());
            Err(Denial::new(Code::WrongTyp, reason))
        }
        Some(typ) => {
            let reason = format!("the token's `typ` is `{}`, expected `{}`", quoted(typ), expected());
            Err(Denial::new(Code::WrongTyp, reason))
        }
    }
}

/// A payload as the kinds read it.
#[derive(Copy, Clone)]
pub(crate) struct Read<'c> {
    pub(crate) claims: &'c RawClaims<'c>,
    /// The settings of an OAuth 2.0 server; unused by the other kinds.
    pub(crate) access: &'c AccessTokens,
    /// What those settings name.
    pub(crate) members: &'c Members,
}

fn subject<'c>(claims: &'c RawClaims<'_>) -> Result<&'c str, Denial> {
    match &claims.sub {
        Some(Value::Text(sub)) => Ok(sub),
        Some(_) => Err(Denial::new(Code::BadClaimType, "`sub` must be a string")),
        None => Err(missing("sub")),
    }
}

/// Reads `system:serviceaccount:NAMESPACE:NAME` and a `kubernetes.io` claim that agrees, which only bound tokens
/// have. A namespace has no `.`, so two accounts never become one service.
fn kubernetes<'c>(claims: &'c RawClaims<'_>) -> Result<Foreign<'c>, Denial> {
    let subject = subject(claims)?;
    let not_an_account = || {
        let reason = format!("the token's `sub` is `{}`, which is not a service account", quoted(subject));
        Denial::new(Code::NotService, reason)
    };
    let account = subject.strip_prefix("system:serviceaccount:").ok_or_else(not_an_account)?;
    let (namespace, name) = account.split_once(':').ok_or_else(not_an_account)?;
    if namespace.is_empty() || namespace.contains('.') || name.is_empty() || name.contains(':') {
        return Err(not_an_account());
    }
    let bound = claims.kubernetes.as_ref().ok_or_else(|| missing("kubernetes.io"))?;
    if bound.namespace.as_deref() != Some(namespace) || bound.service_account.as_deref() != Some(name) {
        return Err(Denial::new(
            Code::SubServiceMismatch,
            "`sub` and `kubernetes.io` name two different accounts",
        ));
    }
    Ok(Foreign { default: Some(Cow::Owned(format!("{namespace}.{name}"))), subject: subject.into() })
}

/// Reads the `sub` of a JWT-SVID.
fn spiffe<'c>(claims: &'c RawClaims<'_>, trust_domain: &str) -> Result<Foreign<'c>, Denial> {
    workload(subject(claims)?, trust_domain, "the token's `sub`")
}

#[cfg(test)]
mod tests;
