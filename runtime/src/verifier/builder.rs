//! What must be said before a verifier exists. Nothing that decides has a default that lets more in.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Inner, Verifier,
    cache::{DEFAULT_CACHED_TOKENS, TokenCache},
    usage::OldProfile,
};
use crate::{
    audit::{AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    denial::quoted,
    error::{BuildError, MAX_CACHED_TOKENS},
    keys::{Algorithm, KeySource},
    recorder::Recorder,
    registry::{self, warn_of_unreachable},
    revocation::{Revocation, RevocationStore},
    times::MAX_LEEWAY,
    trusted::{Trusted, TrustedIssuer, separate},
};

/// Builds a [`Verifier`].
///
/// [`issuer`](Self::issuer), [`keys`](Self::keys), [`audience`](Self::audience) and
/// [`algorithms`](Self::algorithms) describe one issuer of compatible service tokens: the same as
/// one [`TrustedIssuer::compatible`] given to [`trust`](Self::trust). Other kinds of tokens, and
/// more issuers, are given to `trust`.
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct VerifierBuilder {
    issuer: Option<String>,
    keys: Option<Arc<dyn KeySource>>,
    audience: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
    trusted: Vec<TrustedIssuer>,
    revocation: Option<Box<dyn RevocationStore>>,
    accept_on_outage: bool,
    leeway: Duration,
    clock: Option<Box<dyn Clock>>,
    audit: Option<Box<dyn AuditSink>>,
    require_audit: bool,
    realm: Option<String>,
    cached_tokens: Option<usize>,
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("algorithms", &self.algorithms)
            .field("trusted", &self.trusted)
            .field("leeway", &self.leeway)
            .field("require_audit", &self.require_audit)
            .finish_non_exhaustive()
    }
}

impl VerifierBuilder {
    /// The issuer whose tokens are accepted: equal to `iss`, byte for byte. Required, unless an
    /// issuer is given to [`trust`](Self::trust).
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The keys of that issuer: a [`KeySet`](crate::KeySet), a key, or anything that publishes keys.
    pub fn keys(self, keys: impl KeySource) -> Self {
        Self { keys: Some(Arc::new(keys)), ..self }
    }

    /// Trusts an issuer; may be said again for another.
    pub fn trust(mut self, issuer: TrustedIssuer) -> Self {
        self.trusted.push(issuer);
        self
    }

    /// Asks a store whether a token is revoked. Left out, only expiry ends a token.
    pub fn revocation(self, store: impl RevocationStore) -> Self {
        Self { revocation: Some(Box::new(store)), ..self }
    }

    /// Lets tokens in whose revocation cannot be checked because the store is out. Left out, they
    /// are refused (503): an attacker who can take the store down must not gain a revoked token by
    /// it.
    ///
    /// The record of one that is let in unchecked is like any other. The log says when an outage began, with its
    /// first reason, and when it was over.
    pub fn dangerously_accept_on_revocation_outage(self) -> Self {
        Self { accept_on_outage: true, ..self }
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

    /// Refuses every caller (503) whose record the sink does not accept. Left out, a lost record is counted
    /// by its sink and logged, and the decision stands.
    ///
    /// When an accepted record is on the disk depends on the sink: the module [`audit`](crate::audit) has a table
    /// of what each mode guarantees. For "no admitted caller without a record in the file", use
    /// [`write_before_handler`](crate::audit::JsonLinesBuilder::write_before_handler).
    ///
    /// It also decides when a record is written. Left out, an admitted caller is recorded when its handler ends, so
    /// that one record says what became of the attempt. With it, or with a sink that
    /// [requires it](AuditSink::is_required), "allow" is written before the handler runs. What changes afterwards
    /// (the handler [refuses](crate::Caller::refuse), or a guarded function decides) is another record with the same
    /// `id`. The last record of an `id` is the outcome.
    pub fn require_audit(self) -> Self {
        Self { require_audit: true, ..self }
    }

    /// The `realm` of the challenge (RFC 9110 section 11.5). Left out, it is `service`.
    pub fn realm(self, realm: impl Into<String>) -> Self {
        Self { realm: Some(realm.into()), ..self }
    }

    /// How many accepted tokens each thread remembers, so that the next time their signatures need not
    /// be checked again; everything that can change is. Two kibibytes at most are set aside for each. Left out, it is
    /// [`DEFAULT_CACHED_TOKENS`]; at most [`MAX_CACHED_TOKENS`].
    pub fn token_cache(self, tokens: usize) -> Self {
        Self { cached_tokens: Some(tokens), ..self }
    }

    /// Remembers no token: each is decoded and its signature checked, every time.
    pub fn without_token_cache(self) -> Self {
        self.token_cache(0)
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// When the issuer or the keys are missing, when a list is empty or a value cannot mean
    /// anything, or when a key is for development and this is a release build.
    pub fn build(self) -> Result<Verifier, BuildError> {
        if let Some(handlers) = registry::ambiguous() {
            return Err(BuildError::AmbiguousEndpoints(handlers.to_owned()));
        }
        if self.leeway > MAX_LEEWAY || self.leeway.subsec_nanos() != 0 {
            return Err(BuildError::Leeway(self.leeway));
        }
        let realm = self.realm.unwrap_or_else(|| "service".to_owned());
        if !is_quotable(&realm) {
            return Err(BuildError::Realm(quoted(&realm)));
        }
        let cached_tokens = self.cached_tokens.unwrap_or(DEFAULT_CACHED_TOKENS);
        if cached_tokens > MAX_CACHED_TOKENS {
            return Err(BuildError::TokenCache(cached_tokens));
        }
        let own = OwnIssuer {
            issuer: self.issuer,
            keys: self.keys,
            audience: self.audience,
            algorithms: self.algorithms,
        };
        let own = own.trusted(self.trusted.is_empty())?;
        let mut issuers =
            own.into_iter().chain(self.trusted).map(TrustedIssuer::build).collect::<Result<Vec<_>, _>>()?;
        let several = issuers.len() > 1;
        for issuer in &mut issuers {
            issuer.names.only_given = several;
        }
        check_names(&issuers)?;
        let self_naming = issuers.iter_mut().filter(|issuer| !issuer.kind.has_subjects());
        separate(self_naming.map(|issuer| (issuer.expectations.issuer.as_str(), &mut issuer.namespace)))?;
        let accept_on_outage = self.accept_on_outage;
        let issuers: Vec<_> = issuers.into_iter().map(Arc::new).collect();
        warn_of_unreachable(|name| issuers.iter().any(|issuer| issuer.expectations.issuer == name));
        Ok(Verifier(Arc::new(Inner {
            refreshes: issuers.iter().any(|issuer| issuer.keys.refreshes()),
            cache: TokenCache::new(cached_tokens),
            issuers,
            recorder: Arc::new(Recorder {
                clock: self.clock.unwrap_or_else(|| Box::new(SystemClock)),
                leeway: self.leeway,
                audit: self.audit.unwrap_or_else(|| Box::new(TracingAudit)),
                require_audit: self.require_audit,
                realm,
                revocation: self.revocation.map(|store| Revocation {
                    store,
                    accept_on_outage,
                    is_out: Default::default(),
                }),
            }),
            old_profile: OldProfile::default(),
        })))
    }
}

/// Revocations and policies know an issuer by its name, so one name is one authority: entries of one kind, or of
/// compatible and strict tokens while a fleet moves from the one to the other.
fn check_names(issuers: &[Trusted]) -> Result<(), BuildError> {
    let is_one =
        |a: &Trusted, b: &Trusted| a.kind == b.kind || !(a.kind.has_subjects() || b.kind.has_subjects());
    for (index, issuer) in issuers.iter().enumerate() {
        let name = &issuer.expectations.issuer;
        let mut namesakes = issuers.iter().skip(index + 1).filter(|other| other.expectations.issuer == *name);
        if namesakes.any(|other| !is_one(issuer, other)) {
            return Err(BuildError::IssuerOfTwoKinds(quoted(name)));
        }
    }
    Ok(())
}

/// The issuer that the builder's own methods describe.
struct OwnIssuer {
    issuer: Option<String>,
    keys: Option<Arc<dyn KeySource>>,
    audience: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
}

impl OwnIssuer {
    /// Nothing said at all is fine where others are trusted; half of it said is a mistake.
    fn trusted(self, required: bool) -> Result<Option<TrustedIssuer>, BuildError> {
        let silent = self.issuer.is_none()
            && self.keys.is_none()
            && self.audience.is_empty()
            && self.algorithms.is_none();
        if silent && !required {
            return Ok(None);
        }
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty()).ok_or(BuildError::NoIssuer)?;
        let mut trusted = TrustedIssuer::compatible(issuer).keys(self.keys.ok_or(BuildError::NoKeys)?);
        for audience in self.audience {
            trusted = trusted.audience(audience);
        }
        Ok(Some(match self.algorithms {
            Some(algorithms) => trusted.algorithms(algorithms),
            None => trusted,
        }))
    }
}

/// `quoted-string` of RFC 9110 section 5.6.4 without escapes.
fn is_quotable(realm: &str) -> bool {
    !realm.is_empty()
        && realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests;
