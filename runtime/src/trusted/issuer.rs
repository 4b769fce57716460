//! An issuer as the verifier uses it: each check of a token that depends on its issuer.

use std::sync::Arc;

#[cfg(feature = "experimental-wimse")]
use super::wit;
use super::{
    access::AccessTokens,
    expectations::{Expectations, bad_signature},
    kind::{Kind, Read},
    own_claims::Claims,
    rule::Members,
    services::Namespace,
    subject::Names,
};
use crate::{
    claims::{Confirmation, Origin, RawClaims},
    denial::{Code, Denial, quoted},
    error::BuildError,
    evidence::Evidence,
    keys::{Algorithm, AlgorithmSet, KeyId, KeySet, KeySource},
    times::{Moment, Times},
    token::{Header, Segments, SignatureRoom},
};

/// A valid signature: the keys, the algorithm, and the `kid` of the header.
pub(crate) struct Signed {
    pub(crate) keys: KeySet,
    pub(crate) algorithm: Algorithm,
    /// The `kid` of the header.
    pub(crate) kid: Option<KeyId>,
    /// The name of the key that verified the signature, if it has one.
    pub(crate) key_id: Option<KeyId>,
}

/// An issuer in the form that the verifier uses.
pub(crate) struct Trusted {
    pub(crate) kind: Kind,
    pub(crate) expectations: Expectations,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) algorithms: Option<AlgorithmSet>,
    pub(crate) allowed_to_kind: AlgorithmSet,
    pub(crate) names: Names,
    /// How the tokens of an OAuth 2.0 server name a service; unused by the other kinds.
    pub(crate) access: AccessTokens,
    /// The services that its tokens may name, if they name their service themselves.
    pub(crate) namespace: Namespace,
}

impl Trusted {
    pub(crate) fn name(&self) -> &str {
        &self.expectations.issuer
    }

    /// Returns the issuer's current keys.
    pub(crate) fn keys_now(&self) -> Result<KeySet, Denial> {
        let keys = self.keys.snapshot().map_err(|error| {
            Denial::new(Code::KeysUnavailable, format!("the keys of `{}`: {error}", self.name()))
        })?;
        refuse_development_keys(&keys, cfg!(debug_assertions))
            .map_err(|error| Denial::new(Code::UnknownKey, error.to_string()))?;
        Ok(keys)
    }

    /// Checks the signature with the one key that `kid` and `alg` select.
    pub(crate) fn check_signature(
        &self,
        segments: &Segments<'_>,
        header: &Header<'_>,
        keys: KeySet,
    ) -> Result<Signed, Denial> {
        refuse_development_kid(header.kid.as_deref(), cfg!(debug_assertions))?;
        self.kind.check_typ(&self.access, header.typ.as_deref())?;
        // The algorithm must be accepted and must belong to the key: RFC 8725 section 3.1.
        let algorithm = header
            .algorithm(self.accepted(&keys))
            .map_err(|not_allowed| of_a_replaced_key(header, &keys).unwrap_or(not_allowed))?;
        let key = keys.key_for(algorithm, header.kid.as_deref())?;
        let mut room = SignatureRoom::new();
        if !key.verifies(algorithm, segments.signed(), segments.signature(&mut room)?) {
            return Err(bad_signature(algorithm, key.kid()));
        }
        let key_id = key.kid().cloned();
        // A key with a name was selected by it; a key without a name verifies a token with any `kid`.
        let kid = header.kid.as_deref().map(|kid| key_id.clone().unwrap_or_else(|| KeyId::new(kid)));
        Ok(Signed { keys, algorithm, kid, key_id })
    }

    /// The key that a token of this issuer is bound to, in its claims and its payload.
    pub(crate) fn confirmation(
        &self,
        claims: &RawClaims<'_>,
        payload: &[u8],
    ) -> Result<Confirmation, Denial> {
        #[cfg(feature = "experimental-wimse")]
        if self.kind.is_wimse() {
            return wit::confirmation(payload);
        }
        let _ = payload;
        Ok(claims.confirmation)
    }

    /// Checks the claims: issuer, audience, times, what the kind requires, and whether the issuer may name the
    /// service.
    pub(crate) fn check_claims(
        &self,
        claims: &RawClaims<'_>,
        payload: &[u8],
        evidence: Evidence<'_>,
        at: Moment,
    ) -> Result<(Claims, Times), Denial> {
        let members = if self.kind == Kind::OAuth { self.access.read(payload)? } else { Members::default() };
        let token = Read { claims, access: &self.access, members: &members };
        let times = self.expectations.check(self.kind, token, evidence, at)?;
        let claims = self.kind.claims(token, &times, self.name(), &self.names)?;
        self.check_namespace(&claims)?;
        Ok((claims, times))
    }

    /// Checks that the issuer may name the service. No service is declared for an issuer whose tokens have subjects, so it
    /// may name all: its names were checked before.
    fn check_namespace(&self, claims: &Claims) -> Result<(), Denial> {
        match claims {
            Claims::Service(claims) => self.namespace.check(self.name(), claims.service.as_str()),
            Claims::User(_) => self.namespace.check_user(self.name()),
        }
    }

    /// The configured algorithms, or by default those of the keys, limited to those that the kind allows.
    pub(crate) fn accepted(&self, keys: &KeySet) -> AlgorithmSet {
        self.algorithms.unwrap_or_else(|| keys.accepts()).and(self.allowed_to_kind)
    }

    /// Whether one of the keys has this `kid`.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.keys.snapshot().is_ok_and(|keys| keys.has(kid))
    }

    /// Whether a token with this header can come from the issuer.
    pub(crate) fn reads(&self, header: &Header<'_>) -> bool {
        self.kind.check_typ(&self.access, header.typ.as_deref()).is_ok()
    }

    /// Whether a token that says it has this origin can come from the issuer. A JWT-SVID names its issuer in `sub`, and so
    /// does a Workload Identity Token.
    pub(crate) fn is_origin(&self, origin: &Origin<'_>) -> bool {
        if self.kind.compares_issuer() {
            return origin.iss.as_deref() == Some(self.name());
        }
        #[cfg(feature = "experimental-wimse")]
        if self.kind.is_wimse() {
            return origin.sub.as_deref().is_some_and(|sub| wit::has_origin(sub, self.name()));
        }
        let id = origin.sub.as_deref().and_then(|sub| sub.strip_prefix("spiffe://"));
        id.is_some_and(|id| id.split_once('/').unwrap_or((id, "")).0 == self.name())
    }

    /// Checks the keys when the verifier is built.
    pub(crate) fn check_keys(&self, keys: &KeySet, development_build: bool) -> Result<(), BuildError> {
        refuse_development_keys(keys, development_build)?;
        let accepted = self.accepted(keys);
        if accepted.and(keys.accepts()) == AlgorithmSet::default() {
            return Err(BuildError::NoKeyForAlgorithms);
        }
        Ok(())
    }
}

/// The refusal of a token that names a key which the set does not have. Such a token of a real algorithm is not a forgery:
/// its key was replaced by one of another algorithm. Alerts on `alg_not_allowed` do not report it.
fn of_a_replaced_key(header: &Header<'_>, keys: &KeySet) -> Option<Denial> {
    let algorithm: Algorithm = header.alg.parse().ok()?;
    let refused = keys.key_for(algorithm, Some(header.kid.as_deref()?)).err()?;
    (refused.code() == Code::UnknownKey).then_some(refused)
}

/// Refuses keys for development in a release build, because such a key is stored unprotected on some machine. It also
/// runs for every token, because a source may have changed since the verifier was built.
pub(crate) fn refuse_development_keys(keys: &KeySet, development_build: bool) -> Result<(), BuildError> {
    match keys.development_key() {
        Some(kid) if !development_build => Err(BuildError::DevelopmentKey(quoted(kid.as_str()))),
        _ => Ok(()),
    }
}

/// Refuses a token that was signed with a key for development, even if the key has another name here.
pub(crate) fn refuse_development_kid(kid: Option<&str>, development_build: bool) -> Result<(), Denial> {
    match kid {
        Some(kid) if !development_build && kid.starts_with(KeyId::DEVELOPMENT_PREFIX) => {
            let reason = format!("the token's `kid` is `{}`, a key for development", quoted(kid));
            Err(Denial::new(Code::UnknownKey, reason))
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Trusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedIssuer")
            .field("kind", &self.kind)
            .field("expectations", &self.expectations)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
