//! The kinds of tokens, and how each kind names a service. These functions are pure.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use super::own_claims::{self, Claims, missing};
use crate::{
    claims::{RawClaims, Scopes, ServiceClaims, ServiceName, owned},
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
        }
    }

    pub(crate) const fn requires_audience(self) -> bool {
        !matches!(self, Self::Compatible)
    }

    /// Whether the token's subject comes from another system and is mapped to a service.
    pub(crate) const fn has_subjects(self) -> bool {
        matches!(self, Self::Kubernetes | Self::Spiffe | Self::OAuth)
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
        }
    }

    /// Checks that `typ` belongs to this kind. Media types are compared case-insensitively (RFC 7515 section 4.1.9).
    /// Another kind of JWT is refused even if its signature is valid (RFC 8725 section 3.11).
    pub(crate) fn check_typ(self, typ: Option<&str>) -> Result<(), Denial> {
        let (own, optional): (&[&str], _) = match self {
            // RFC 7519 section 5.1.
            Self::Compatible | Self::Kubernetes => (&["JWT"], true),
            Self::Strict => (&[STRICT_TYP, "application/service+jwt"], false),
            // JWT-SVID section 2.
            Self::Spiffe => (&["JWT", "JOSE"], true),
            // RFC 9068 section 2.1.
            Self::OAuth => (&["at+jwt", "application/at+jwt"], false),
        };
        match typ {
            Some("") => Err(Denial::new(Code::Malformed, "the header's `typ` is empty")),
            Some(typ) if own.iter().any(|own| own.eq_ignore_ascii_case(typ)) => Ok(()),
            None if optional => Ok(()),
            None => {
                let reason = format!("the token has no `typ`, expected `{}`", own.join("` or `"));
                Err(Denial::new(Code::WrongTyp, reason))
            }
            Some(typ) => {
                let expected = own.join("` or `");
                let reason = format!("the token's `typ` is `{}`, expected `{expected}`", quoted(typ));
                Err(Denial::new(Code::WrongTyp, reason))
            }
        }
    }

    /// Whether `iss` is compared. A JWT-SVID may omit it; its trust domain is in its `sub`.
    pub(crate) const fn compares_issuer(self) -> bool {
        !matches!(self, Self::Spiffe)
    }

    /// Checks the claims that this kind requires in addition to `iss`, `aud` and `exp`.
    pub(crate) fn check_required(self, claims: &RawClaims<'_>) -> Result<(), Denial> {
        let (jti, iat) = match self {
            // RFC 9068 section 2.2.
            Self::Strict | Self::OAuth => (true, true),
            Self::Compatible | Self::Kubernetes | Self::Spiffe => (false, false),
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
        claims: &RawClaims<'_>,
        times: &Times,
        issuer: &str,
        names: &Names,
    ) -> Result<Claims, Denial> {
        let service = match self {
            Self::Compatible | Self::Strict => return own_claims::claims(claims, times),
            Self::Kubernetes => kubernetes(claims)?,
            Self::Spiffe => spiffe(claims, issuer)?,
            Self::OAuth => oauth(claims)?,
        };
        Ok(Claims::Service(ServiceClaims {
            sub: service.subject.to_owned(),
            service: service.name(names)?,
            user_id: None,
            role: None,
            email: None,
            issuer: issuer.to_owned(),
            aud: claims.audiences(),
            exp: times.exp,
            iat: times.iat,
            nbf: times.nbf,
            jti: owned(&claims.jti),
            scope: if self == Self::OAuth { own_claims::scopes(claims) } else { Scopes::default() },
        }))
    }
}

/// The service names that subjects of another system are mapped to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) given: BTreeMap<String, ServiceName>,
    /// Whether a subject without a configured name is refused. This is so if several issuers are trusted: each
    /// could otherwise derive a name that means another issuer's service.
    pub(crate) only_given: bool,
}

/// A service as another system names it.
struct Foreign<'c> {
    subject: &'c str,
    /// The derived name, for a subject without a configured one; `None` if another subject could have the same.
    default: Option<Cow<'c, str>>,
}

impl Foreign<'_> {
    fn name(&self, names: &Names) -> Result<ServiceName, Denial> {
        if let Some(name) = names.given.get(self.subject) {
            return Ok(name.clone());
        }
        let unnamed = || {
            let reason = format!("the subject `{}` has no service name; give it one", quoted(self.subject));
            Denial::new(Code::BadClaimValue, reason)
        };
        if names.only_given {
            return Err(unnamed());
        }
        let name: ServiceName =
            self.default.as_deref().and_then(|name| name.parse().ok()).ok_or_else(unnamed)?;
        // The derived name must not equal the configured name of another subject.
        if names.given.values().any(|taken| *taken == name) {
            return Err(unnamed());
        }
        Ok(name)
    }
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
    Ok(Foreign { default: Some(Cow::Owned(format!("{namespace}.{name}"))), subject })
}

/// Reads `spiffe://TRUST-DOMAIN/PATH` (SPIFFE-ID section 2).
fn spiffe<'c>(claims: &'c RawClaims<'_>, trust_domain: &str) -> Result<Foreign<'c>, Denial> {
    let subject = subject(claims)?;
    let id = subject.strip_prefix("spiffe://").ok_or_else(|| {
        Denial::new(
            Code::BadClaimValue,
            format!("the token's `sub` is `{}`, which is not a SPIFFE ID", quoted(subject)),
        )
    })?;
    let (domain, path) = id.split_once('/').unwrap_or((id, ""));
    if domain != trust_domain {
        let reason = format!("the token's trust domain is `{}`, expected `{trust_domain}`", quoted(domain));
        return Err(Denial::new(Code::WrongIssuer, reason));
    }
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if !path.split('/').all(segment) {
        let reason = format!("the token's `sub` is `{}`, which names no workload", quoted(subject));
        return Err(Denial::new(Code::BadClaimValue, reason));
    }
    let default = (!path.contains('.')).then(|| Cow::Owned(path.replace('/', ".")));
    Ok(Foreign { default, subject })
}

/// Reads the client. RFC 9068 section 2.2: with client credentials, `sub` is the client itself.
fn oauth<'c>(claims: &'c RawClaims<'_>) -> Result<Foreign<'c>, Denial> {
    let subject = subject(claims)?;
    let client = match &claims.client_id {
        Some(Value::Text(client)) => &**client,
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`client_id` must be a string")),
        None => return Err(missing("client_id")),
    };
    if client != subject {
        return Err(Denial::new(Code::NotService, "`sub` is not `client_id`: the token is a user's"));
    }
    Ok(Foreign { default: Some(Cow::Borrowed(client)), subject })
}

#[cfg(test)]
mod tests;
