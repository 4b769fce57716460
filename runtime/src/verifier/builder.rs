//! What must be said before a verifier exists. Nothing that decides has a default that lets more in.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use super::{Expectations, Inner, Verifier};
use crate::{
    audit::{AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    denial::quoted,
    keys::{Algorithm, KeySet},
};

/// The largest leeway: clocks that are further apart are a fault to repair, not to allow for.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Builds a [`Verifier`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct VerifierBuilder {
    issuer: Option<String>,
    keys: Option<KeySet>,
    audience: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
    leeway: Duration,
    clock: Option<Box<dyn Clock>>,
    audit: Option<Box<dyn AuditSink>>,
    require_audit: bool,
    realm: Option<String>,
}

impl VerifierBuilder {
    /// The issuer whose tokens are accepted: equal to `iss`, byte for byte. Required.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The issuer's keys. Required.
    pub fn keys(self, keys: impl Into<KeySet>) -> Self {
        Self { keys: Some(keys.into()), ..self }
    }

    /// An audience that this service is known by; may be said again for another name. A token must
    /// name one of them in `aud`. Where none is said, a token that has an `aud` is refused: it is
    /// for somebody else (RFC 7519 section 4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// The algorithms that are accepted. Left out, they are those that the keys are for: a key
    /// knows its own algorithm, so the token never chooses.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: Some(algorithms.into_iter().collect()), ..self }
    }

    /// How far the clocks of issuer and verifier may be apart, in whole seconds. Left out, it is
    /// zero: machines that keep time by NTP need none, and every second of it is a second that an
    /// expired token lives on. At most [`MAX_LEEWAY`].
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Where the time comes from. Left out, it is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// Where audit records go. Left out, it is [`TracingAudit`].
    pub fn audit(self, audit: impl AuditSink) -> Self {
        Self { audit: Some(Box::new(audit)), ..self }
    }

    /// Refuses every caller (503) whose record cannot be written. Left out, a lost record is counted
    /// by its sink and logged, and the decision stands.
    pub fn require_audit(self) -> Self {
        Self { require_audit: true, ..self }
    }

    /// The `realm` of the challenge (RFC 9110 section 11.5). Left out, it is `service`.
    pub fn realm(self, realm: impl Into<String>) -> Self {
        Self { realm: Some(realm.into()), ..self }
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// When the issuer or the keys are missing, when a list is empty or a value cannot mean
    /// anything, or when a key is for development and this is a release build.
    pub fn build(self) -> Result<Verifier, BuildError> {
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty()).ok_or(BuildError::NoIssuer)?;
        let keys = self.keys.ok_or(BuildError::NoKeys)?;
        if self.audience.iter().any(String::is_empty) {
            return Err(BuildError::EmptyAudience);
        }
        if self.leeway > MAX_LEEWAY || self.leeway.subsec_nanos() != 0 {
            return Err(BuildError::Leeway(self.leeway));
        }
        refuse_development_keys(&keys, cfg!(debug_assertions))?;
        let algorithms = accepted_algorithms(self.algorithms, &keys)?;
        let realm = self.realm.unwrap_or_else(|| "service".to_owned());
        if !is_quotable(&realm) {
            return Err(BuildError::Realm(quoted(&realm)));
        }
        Ok(Verifier(Arc::new(Inner {
            keys,
            algorithms,
            expectations: Expectations { issuer, audience: self.audience, leeway: self.leeway },
            clock: self.clock.unwrap_or_else(|| Box::new(SystemClock)),
            audit: self.audit.unwrap_or_else(|| Box::new(TracingAudit)),
            require_audit: self.require_audit,
            realm,
        })))
    }
}

fn accepted_algorithms(said: Option<Vec<Algorithm>>, keys: &KeySet) -> Result<Vec<Algorithm>, BuildError> {
    let own = keys.algorithms();
    let Some(said) = said else { return Ok(own) };
    if said.is_empty() {
        return Err(BuildError::NoAlgorithms);
    }
    if !said.iter().any(|algorithm| own.contains(algorithm)) {
        return Err(BuildError::NoKeyForAlgorithms);
    }
    Ok(said)
}

/// A key for development lies unprotected on some machine; a release build must not trust it.
fn refuse_development_keys(keys: &KeySet, development_build: bool) -> Result<(), BuildError> {
    let development = keys.keys().iter().filter_map(|key| key.kid()).find(|kid| kid.is_development());
    match development {
        Some(kid) if !development_build => Err(BuildError::DevelopmentKey(quoted(kid.as_str()))),
        _ => Ok(()),
    }
}

/// `quoted-string` of RFC 9110 section 5.6.4 without escapes.
fn is_quotable(realm: &str) -> bool {
    !realm.is_empty()
        && realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// A verifier that cannot be built; says what is missing and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No issuer was said, or an empty one.
    NoIssuer,
    /// No keys were said.
    NoKeys,
    /// An empty audience was said.
    EmptyAudience,
    /// An empty list of algorithms was said.
    NoAlgorithms,
    /// None of the keys is for one of the algorithms that were said.
    NoKeyForAlgorithms,
    /// The leeway is longer than [`MAX_LEEWAY`], or not whole seconds.
    Leeway(Duration),
    /// The realm is empty, or has characters that a challenge cannot hold.
    Realm(String),
    /// The key is for development, and this is a release build.
    DevelopmentKey(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIssuer => f.write_str("no issuer; name the `iss` of your tokens with `.issuer(…)`"),
            Self::NoKeys => f.write_str("no keys; give the issuer's keys with `.keys(…)`"),
            Self::EmptyAudience => {
                f.write_str("an audience is empty; leave `.audience(…)` out to expect none")
            }
            Self::NoAlgorithms => f.write_str(
                "the list of algorithms is empty; leave `.algorithms(…)` out to accept those of the keys",
            ),
            Self::NoKeyForAlgorithms => f.write_str("none of the keys is for one of the algorithms"),
            Self::Leeway(leeway) => {
                let most = MAX_LEEWAY.as_secs();
                write!(
                    f,
                    "a leeway of {leeway:?} is not whole seconds up to {most}; let the clocks be set by NTP"
                )
            }
            Self::Realm(realm) => {
                write!(f, "the realm `{realm}` is empty or has characters other than printable ASCII")
            }
            Self::DevelopmentKey(kid) => write!(
                f,
                "the key `{kid}` is for development, and this is a release build; use the key of your environment"
            ),
        }
    }
}

impl Error for BuildError {}

#[cfg(test)]
mod tests;
