//! Authentication, on one screen: from the text of a token to the proof that a service sent it.

mod acceptance;
mod builder;
mod cache;
mod issuer;
mod kind;
mod refresh;
mod services;
mod usage;
mod validate;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use acceptance::Acceptance;
use acceptance::Signed;
pub use builder::{BuildError, MAX_LEEWAY, VerifierBuilder};
pub use cache::{DEFAULT_CACHED_TOKENS, MAX_CACHED_TOKENS};
use cache::{Grounds, Remembered, TokenCache};
pub use issuer::TrustedIssuer;
use issuer::{Trusted, refuse_development_keys, refuse_development_kid};
#[cfg(feature = "issue")]
pub(crate) use kind::STRICT_TYP;
use usage::OldProfile;
use validate::Claims;
pub use validate::MAX_ISSUED_AHEAD;
pub(crate) use validate::{Moment, Times, check_times, user_refused};

use crate::{
    bearer::BearerToken,
    caller::{Caller, Identity, User},
    claims::{RawClaims, UserClaims, unverified_service},
    denial::{Code, Denial},
    keys::{KeyId, KeySet},
    policy::Policy,
    recorder::Recorder,
    revocation::PresentedToken,
    token::{Header, HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};

/// Verifies service tokens: keys, expectations, clock and audit. The only thing that a guarded
/// service must be given.
///
/// Cheap to clone; all clones share one state. See [`Verifier::builder`].
///
/// ```
/// # use service_only::{Algorithm, Verifier, VerifyingKey};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = [7; 32];
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(VerifyingKey::hmac(Algorithm::HS256, &secret)?)
///     .build()?;
/// assert_eq!(verifier.verify("garbage").unwrap_err().code().as_str(), "malformed");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    issuers: Vec<Arc<Trusted>>,
    cache: TokenCache,
    /// Whether a source of keys may offer to look for new ones.
    refreshes: bool,
    recorder: Arc<Recorder>,
    old_profile: OldProfile,
}

/// What is known of a token when its decision is recorded.
#[derive(Default)]
pub(crate) struct Known {
    /// The key of a token that has no caller to say it.
    pub(crate) kid: Option<String>,
    pub(crate) profile: Option<&'static str>,
    pub(crate) unverified_service: Option<String>,
    /// A caller that was authenticated, whatever the policy says of it.
    pub(crate) caller: Option<Caller>,
    /// A user who was authenticated and refused because a service is wanted.
    pub(crate) user: Option<User>,
}

impl Verifier {
    /// Starts building one. An issuer and keys must be said; they have no default.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies a service token, and records the decision. For code without a framework; handlers
    /// have `#[service_only]`. Uses the CPU only and never waits.
    ///
    /// # Errors
    /// When the token is not authentic (401) or not a service's (403), or a dependency of the
    /// verifier failed closed (503).
    pub fn verify(&self, token: &str) -> Result<Caller, Denial> {
        self.verify_with(token, &Policy::any_service())
    }

    /// Verifies a service token and applies a policy, and records the decision.
    ///
    /// # Errors
    /// As [`Verifier::verify`], and when the policy is not met (403).
    pub fn verify_with(&self, token: &str, policy: &Policy<'_>) -> Result<Caller, Denial> {
        self.enforce_token(token, policy)
    }

    /// Verifies a token of a service or of a user, and records the decision. For a gateway, which
    /// forwards both; a handler wants [`Verifier::verify`].
    ///
    /// # Errors
    /// When the token is not authentic (401), or its type is neither `service` nor `access` (403).
    pub fn authenticate(&self, token: &str) -> Result<Identity, Denial> {
        self.enforce_identity(token)
    }

    /// How many tokens of the compatible profile each service has sent, where the strict one is
    /// accepted too: who still has to move. Services beyond the first 1,024 are counted together.
    pub fn old_profile_tokens(&self) -> BTreeMap<String, u64> {
        self.0.old_profile.counts()
    }

    /// Why the audit sink does not keep records now, for a health check; nothing while it does.
    pub fn audit_failure(&self) -> Option<String> {
        self.recorder().audit.ready().err().map(|error| error.to_string())
    }

    /// How often a token was known from before, so that its signature was not checked again.
    pub fn token_cache_hits(&self) -> u64 {
        self.0.cache.hits()
    }

    /// The token is known from before and good still, or it goes through all stages. Only an accepted
    /// one is remembered, so what is refused is always refused by the stages.
    pub(crate) fn identify(
        &self,
        token: BearerToken<'_>,
        at: Moment,
        known: &mut Known,
    ) -> Result<Identity, Denial> {
        let (cache, issuers, recorder) = (&self.0.cache, &self.0.issuers, &*self.0.recorder);
        let miss = match cache.find(token.unread(), issuers, recorder, at, known) {
            Ok((identity, issuer)) => {
                if let Some(issuer) = issuers.get(issuer) {
                    self.count_old_profile(issuer, &identity);
                }
                return Ok(identity);
            }
            Err(miss) => miss,
        };
        let token = token.read()?;
        let mut grounds = miss.grounds();
        let (identity, issuer, kid) = self.identify_by_signature(token, at, known, &mut grounds)?;
        cache.accepted(miss, grounds, at, Remembered { token, issuer, kid, identity: &identity });
        Ok(identity)
    }

    /// The stages of authentication; the first that fails is the one reported.
    fn identify_by_signature(
        &self,
        token: &str,
        at: Moment,
        known: &mut Known,
        grounds: &mut Grounds,
    ) -> Result<Accepted, Denial> {
        let segments = Segments::split(token)?;
        let mut room = HeaderRoom::new();
        let accepted = segments.header(&mut room).and_then(|header| {
            let accepted = self.by_any_issuer(&header, &segments, at, known, grounds)?;
            segments.keep_header(&header);
            Ok(accepted)
        });
        accepted.inspect_err(|_| {
            let mut room = PayloadRoom::new();
            known.unverified_service = segments.payload(&mut room).ok().and_then(unverified_service);
        })
    }

    /// The first issuer that stands for the token; else the refusal that came furthest.
    fn by_any_issuer(
        &self,
        header: &Header<'_>,
        segments: &Segments<'_>,
        at: Moment,
        known: &mut Known,
        grounds: &mut Grounds,
    ) -> Result<Accepted, Denial> {
        let mut refusal: Option<Denial> = None;
        for (index, issuer) in self.0.issuers.iter().enumerate() {
            match self.by_issuer(issuer, header, segments, at, known, grounds) {
                Ok((identity, kid)) => return Ok((identity, index, kid)),
                Err(denial) => {
                    grounds.refused(&denial);
                    match &refusal {
                        Some(earlier) if earlier.stage() >= denial.stage() => {}
                        _ => refusal = Some(denial),
                    }
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Denial::new(Code::UnknownKey, "no issuer is trusted")))
    }

    fn by_issuer(
        &self,
        issuer: &Arc<Trusted>,
        header: &Header<'_>,
        segments: &Segments<'_>,
        at: Moment,
        known: &mut Known,
        grounds: &mut Grounds,
    ) -> Result<(Identity, Option<KeyId>), Denial> {
        let (kid, signed) = issuer.check_signature(header, segments, grounds)?;
        // Only from here on are the claims the issuer's.
        let claims = self.claims(issuer, kid.as_ref(), segments, at, grounds);
        let identity = match claims {
            Ok(Claims::Service(claims)) => {
                let acceptance = Acceptance::new(issuer, signed);
                let recorder = Arc::clone(&self.0.recorder);
                Identity::Service(Caller::verified(claims, kid.clone(), acceptance, recorder))
            }
            Ok(Claims::User(claims)) => {
                known.kid = kid.as_ref().map(|kid| kid.as_str().to_owned());
                Identity::User(User::verified(claims, Arc::clone(&self.0.recorder)))
            }
            Err(denial) => {
                known.kid = kid.map(|kid| kid.as_str().to_owned());
                return Err(denial);
            }
        };
        known.profile = Some(issuer.kind.as_str());
        self.count_old_profile(issuer, &identity);
        Ok((identity, kid))
    }

    /// Whom the claims stand for, if all that is asked of them is met.
    fn claims(
        &self,
        issuer: &Trusted,
        kid: Option<&KeyId>,
        segments: &Segments<'_>,
        at: Moment,
        grounds: &mut Grounds,
    ) -> Result<Claims, Denial> {
        let mut room = PayloadRoom::new();
        let claims = RawClaims::parse(segments.authentic_payload(&mut room)?)?;
        let times = issuer.expectations.check(issuer.kind, &claims, at)?;
        let name = &issuer.expectations.issuer;
        let claims = issuer.kind.claims(&claims, &times, name, &issuer.names)?;
        issuer.check_namespace(&claims)?;
        grounds.times(times);
        grounds.good_in(self.check_revocation(&claims, name, kid, at)?);
        Ok(claims)
    }

    fn check_revocation(
        &self,
        claims: &Claims,
        issuer: &str,
        kid: Option<&KeyId>,
        at: Moment,
    ) -> Result<Option<u64>, Denial> {
        let Some(revocation) = &self.0.recorder.revocation else { return Ok(None) };
        revocation.check(&match claims {
            Claims::Service(claims) => claims.presented(kid, at),
            Claims::User(claims) => presented_user(claims, issuer, kid, at),
        })
    }

    fn count_old_profile(&self, issuer: &Trusted, identity: &Identity) {
        let old = issuer.kind == kind::Kind::Compatible;
        if let (true, Identity::Service(caller)) = (old && self.accepts_strict(), identity) {
            self.0.old_profile.count(caller.service());
        }
    }

    fn accepts_strict(&self) -> bool {
        self.0.issuers.iter().any(|issuer| issuer.kind == kind::Kind::Strict)
    }

    /// The verifier again, for as long as somebody else has it.
    #[cfg(feature = "metrics")]
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + use<> {
        let own = Arc::downgrade(&self.0);
        move || own.upgrade().map(Self)
    }

    /// Whether an issuer is trusted by this name.
    #[cfg(feature = "tower")]
    pub(crate) fn trusts(&self, issuer: &str) -> bool {
        self.0.issuers.iter().any(|trusted| trusted.expectations.issuer == issuer)
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.0.recorder
    }

    pub(crate) fn realm(&self) -> &str {
        &self.0.recorder.realm
    }
}

/// The name that a token gives itself which nobody has authenticated.
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
pub(crate) fn unverified_service_of(token: &str) -> Option<String> {
    let mut room = PayloadRoom::new();
    unverified_service(Segments::split(token).ok()?.payload(&mut room).ok()?)
}

/// Whom the token stands for, by which issuer, and by which of its keys.
type Accepted = (Identity, usize, Option<KeyId>);

/// What a revocation store is asked about a token that was accepted before.
fn presented<'t>(
    identity: &'t Identity,
    issuer: &'t str,
    kid: Option<&'t KeyId>,
    at: Moment,
) -> PresentedToken<'t> {
    match identity {
        Identity::Service(caller) => caller.presented(at),
        Identity::User(user) => presented_user(user.claims(), issuer, kid, at),
    }
}

fn presented_user<'t>(
    claims: &'t UserClaims,
    issuer: &'t str,
    kid: Option<&'t KeyId>,
    at: Moment,
) -> PresentedToken<'t> {
    PresentedToken {
        issuer,
        jti: claims.jti.as_deref(),
        service: None,
        issued_at: at.proven_issue(claims.iat),
        key_id: kid.map(KeyId::as_str),
    }
}

impl Trusted {
    /// The name of the key whose signature is on the token, and what it is chosen by.
    fn check_signature(
        &self,
        header: &Header<'_>,
        segments: &Segments<'_>,
        grounds: &mut Grounds,
    ) -> Result<(Option<KeyId>, Signed), Denial> {
        let keys = self.keys_now()?;
        grounds.keys(&keys);
        refuse_development_kid(header.kid.as_deref(), cfg!(debug_assertions))?;
        self.kind.check_typ(header.typ.as_deref())?;
        // The algorithm must be accepted and the key's own: RFC 8725 section 3.1.
        let algorithm = header.algorithm(self.accepted(&keys))?;
        let key = keys.key_for(algorithm, header.kid.as_deref())?;
        let mut room = SignatureRoom::new();
        if !key.verifies(algorithm, segments.signed(), segments.signature(&mut room)?) {
            return Err(validate::bad_signature(algorithm, key.kid()));
        }
        let own = key.kid().cloned();
        let kid = header.kid.as_deref().map(|kid| match &own {
            Some(own) if own.as_str() == kid => own.clone(),
            // A key without a name.
            _ => KeyId::new(kid),
        });
        Ok((own, Signed { keys, algorithm, kid }))
    }

    /// Whether the issuer may name the service, where its tokens name it themselves.
    fn check_namespace(&self, claims: &Claims) -> Result<(), Denial> {
        let issuer = &self.expectations.issuer;
        match claims {
            Claims::Service(_) if self.kind.has_subjects() => Ok(()),
            Claims::Service(claims) => self.namespace.check(issuer, claims.service()),
            Claims::User(_) => self.namespace.check_user(issuer),
        }
    }

    fn keys_now(&self) -> Result<KeySet, Denial> {
        let keys = self.keys.snapshot().map_err(|error| {
            Denial::new(Code::KeysUnavailable, format!("the keys of `{}`: {error}", self.expectations.issuer))
        })?;
        refuse_development_keys(&keys, cfg!(debug_assertions))
            .map_err(|error| Denial::new(Code::UnknownKey, error.to_string()))?;
        Ok(keys)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("issuers", &self.0.issuers).finish_non_exhaustive()
    }
}
