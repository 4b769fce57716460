//! The verifier: authenticates a token, applies a policy, and records the decision. The stages of authentication are
//! in `stages`.

mod builder;
mod cache;
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
mod incoming;
mod refresh;
mod stages;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use self::builder::VerifierBuilder;
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
pub(crate) use self::incoming::{Companion, Incoming};
use self::{
    cache::{Remembered, TokenCache},
    stages::Verification,
    usage::CompatibleTokens,
};
#[cfg(all(feature = "experimental-wimse", any(feature = "actix", feature = "axum", feature = "tower")))]
use crate::bearer::OnlyHeader;
#[cfg(any(feature = "actix", feature = "axum"))]
use crate::caller::Argument;
use crate::{
    authorize::PathParameters,
    bearer,
    bearer::BearerToken,
    caller::{Caller, Identity},
    denial::Denial,
    error,
    evidence::Evidence,
    handle::{self, WeakHandle},
    json,
    keys::Refresh,
    peer::PeerCertificate,
    policy::Policy,
    recorder::{Attempted, Connection, Denied, Recorder, Refused},
    registry,
    rejection::Rejection,
    resource::{Resource, ResourceMetadata},
    sets::{self, ServiceSetError},
    times,
    times::Moment,
    trusted::{Kind, TrustDomain, Trusted},
};
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
use crate::{
    denial::Code,
    dpop::{AboutRequest, PresentedProof},
    recorder::{Asked, Recorded},
    token::Segments,
};

/// Verifies service tokens, with its keys, expectations, clock and audit sink.
///
/// A guarded service needs only this object. It is cheap to clone; all clones share one state. See
/// [`Verifier::builder`].
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
    /// The trust domains whose callers need no token.
    domains: Vec<Arc<TrustDomain>>,
    cache: TokenCache,
    /// Whether a key source may offer a wait for newer keys.
    refreshes: bool,
    recorder: Arc<Recorder>,
    compatible: CompatibleTokens,
    resource: Option<Resource>,
}

impl Verifier {
    /// The maximum leeway. If clocks differ by more, repair them.
    pub const MAX_LEEWAY: Duration = times::MAX_LEEWAY;

    /// How far `iat` may be ahead of the verifier's clock, beyond the leeway, and still prove an age. Clocks that are
    /// set by NTP differ by less. A token with a later `iat` is treated like a token without `iat`. Otherwise it would
    /// remain valid after a revocation of its service.
    pub const MAX_ISSUED_AHEAD: Duration = times::MAX_ISSUED_AHEAD;

    /// The maximum number of members in one JSON object of a token. The largest token seen in the field has 60. Comparing each name
    /// with all earlier ones is cheap up to this number.
    pub const MAX_JSON_MEMBERS: usize = json::MAX_JSON_MEMBERS;

    /// The maximum nesting depth of a token's JSON. It is serde_json's own limit, pinned by a test.
    pub const MAX_JSON_DEPTH: usize = json::MAX_JSON_DEPTH;

    /// The maximum length of a token, in bytes. 8 KiB must work, and HTTP servers refuse header
    /// fields somewhere between 8 and 64 KiB; a service token has 500 to 1,500 bytes.
    pub const MAX_TOKEN_LENGTH: usize = bearer::MAX_TOKEN_LENGTH;

    /// The maximum number of tokens that a thread can cache. Eviction walks a full table, and the walk must be cheaper
    /// than a signature check.
    pub const MAX_CACHED_TOKENS: usize = error::MAX_CACHED_TOKENS;

    /// How many tokens a thread caches by default: one of each of a thousand callers, in at most
    /// two and a quarter mebibytes.
    pub const DEFAULT_CACHED_TOKENS: usize = cache::DEFAULT_CACHED_TOKENS;

    /// The maximum number of services in one named set. For a larger group, use a role or a scope.
    pub const MAX_SET: usize = sets::MAX_SET;

    /// Creates a builder. An issuer and keys are required; they have no default.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies a service token, and records the decision. Use it in code without a framework; handlers
    /// have `#[service_only]`. It uses only the CPU and never waits.
    ///
    /// # Errors
    /// When the token is not authentic (401) or does not belong to a service (403), or when a dependency of the
    /// verifier failed closed (503).
    pub fn verify(&self, token: &str) -> Result<Caller, Denial> {
        self.verify_with(token, const { &Policy::any_service() })
    }

    /// Verifies a service token, applies a policy, and records the decision.
    ///
    /// # Errors
    /// As [`Verifier::verify`], and when the caller does not meet the policy (403).
    pub fn verify_with(&self, token: &str, policy: &Policy<'_>) -> Result<Caller, Denial> {
        self.verify_from(None, token, policy)
    }

    /// Verifies a service token that arrived on a connection with a client certificate, applies a policy, and records
    /// the decision. A token that is bound to a certificate (`cnf` with `x5t#S256`) is accepted only if it is this
    /// one, see RFC 8705 section 3. Without a certificate, every bound token is refused.
    ///
    /// # Errors
    /// As [`Verifier::verify_with`], and when the token is bound to another certificate (401).
    pub fn verify_from(
        &self,
        peer: Option<&PeerCertificate>,
        token: &str,
        policy: &Policy<'_>,
    ) -> Result<Caller, Denial> {
        let token = Some(BearerToken::Text(token));
        let decided =
            self.recorder().decide(|| of_peer(peer), |at| self.permit(token, peer.into(), policy, &[], at));
        decided.map_err(Denial::from)
    }

    /// Verifies a caller by the certificate of its connection, without a token. It applies a policy and records the
    /// decision. Use it in code without a framework; handlers have `#[service_only]`. The verifier must trust the trust
    /// domain with [`TrustedIssuer::spiffe_x509`](crate::TrustedIssuer::spiffe_x509).
    ///
    /// # Errors
    /// When the certificate is not an X.509-SVID of a trusted trust domain or is not valid now (401), or the caller does
    /// not meet the policy (403).
    pub fn verify_peer(&self, peer: &PeerCertificate, policy: &Policy<'_>) -> Result<Caller, Denial> {
        let peer = Some(peer);
        let decided =
            self.recorder().decide(|| of_peer(peer), |at| self.permit(None, peer.into(), policy, &[], at));
        decided.map_err(Denial::from)
    }

    /// Verifies a token of a service or of a user, applies a policy, and records the decision.
    ///
    /// # Errors
    /// As [`Verifier::authenticate`], and when the service or the user does not meet the policy (403).
    pub fn authenticate_with(&self, token: &str, policy: &Policy<'_>) -> Result<Identity, Denial> {
        self.authenticate_from(None, token, policy)
    }

    /// Verifies a token of a service or of a user that arrived on a connection with a client certificate, as
    /// [`Verifier::verify_from`] does for a service.
    ///
    /// # Errors
    /// As [`Verifier::authenticate_with`], and when the token is bound to another certificate (401).
    pub fn authenticate_from(
        &self,
        peer: Option<&PeerCertificate>,
        token: &str,
        policy: &Policy<'_>,
    ) -> Result<Identity, Denial> {
        let token = Some(BearerToken::Text(token));
        let decided = self
            .recorder()
            .decide(|| of_peer(peer), |at| self.permit_any(token, peer.into(), policy, &[], at));
        decided.map_err(Denial::from)
    }

    /// Verifies a token of a service or of a user, and records the decision. Use it in a gateway, which
    /// forwards both; a handler uses [`Verifier::verify`].
    ///
    /// # Errors
    /// When the token is not authentic (401), or its type is neither `service` nor `access` (403).
    pub fn authenticate(&self, token: &str) -> Result<Identity, Denial> {
        let token = Some(BearerToken::Text(token));
        let decided =
            self.recorder().decide(|| of_peer(None), |at| self.identify(token, Evidence::default(), at));
        decided.map_err(Denial::from)
    }

    /// Returns a bounded wait for newer keys, or `None`, which is the usual case.
    ///
    /// It returns a wait if a key source offers one and the token names a key that no issuer has. The same applies
    /// if the token names no key while the keys of an issuer are not loaded. Await it, then call
    /// [`Verifier::verify`] as usual. `#[service_only]` does both for you.
    ///
    /// This method decides and records nothing. The name of the key is not verified yet, so a source such as
    /// `RemoteJwks` limits how often it can cause a fetch.
    ///
    /// ```
    /// # use service_only::{Caller, Denial, Verifier};
    /// async fn receive(verifier: &Verifier, token: &str) -> Result<Caller, Denial> {
    ///     if let Some(refresh) = verifier.refresh_keys_for(token) {
    ///         refresh.await;
    ///     }
    ///     verifier.verify(token)
    /// }
    /// ```
    pub fn refresh_keys_for(&self, token: &str) -> Option<Refresh<'_>> {
        if self.0.refreshes { refresh::refresh_keys_for(&self.0.issuers, token) } else { None }
    }

    /// How many compatible tokens each service has sent to a verifier that also accepts strict ones. It shows which
    /// services still have to migrate. Services beyond the first 1,024 are counted together.
    pub fn compatible_tokens(&self) -> BTreeMap<String, u64> {
        self.0.compatible.counts()
    }

    /// Why the audit sink cannot keep records now, for a health check; `None` while it can.
    pub fn audit_failure(&self) -> Option<String> {
        self.recorder().audit.ready().err().map(|error| error.to_string())
    }

    /// Replaces the services of a named set, for all clones of the verifier. Later decisions use the new services, also
    /// about tokens that are cached. An empty set allows no service.
    ///
    /// # Errors
    /// When the verifier was built without the set, or a service name is invalid. The set then stays the same.
    pub fn replace_service_set<S: Into<String>>(
        &self,
        name: &str,
        services: impl IntoIterator<Item = S>,
    ) -> Result<(), ServiceSetError> {
        self.recorder().sets.replace(name, services.into_iter().map(Into::into).collect())
    }

    /// The metadata of this service as a protected resource (RFC 9728), if the builder
    /// [named it](crate::verifier::VerifierBuilder::resource). It has the trusted issuers whose name is a URL, and the scopes
    /// of all guarded handlers of the program. `ClosedRouter::resource_metadata` serves it.
    pub fn resource_metadata(&self) -> Option<ResourceMetadata> {
        let names = self.0.issuers.iter().map(|issuer| issuer.name());
        let issuers: BTreeSet<_> = names.filter(|name| name.starts_with("https://")).collect();
        let issuers = issuers.into_iter().map(str::to_owned).collect();
        let metadata = self.0.resource.as_ref()?.metadata(issuers, registry::scopes());
        let recorder = self.recorder();
        Some(match &recorder.proofs {
            Some(proofs) => metadata.with_dpop(proofs.algorithm_names(), recorder.requires_dpop()),
            None => metadata,
        })
    }

    /// How often a token was found in the cache, so that its signature was not checked again.
    pub fn token_cache_hits(&self) -> u64 {
        self.0.cache.hits()
    }

    /// As [`refresh_keys_for`](Self::refresh_keys_for), for the `Authorization` headers of a request.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn refresh_keys_for_request<'r>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
    ) -> Option<Refresh<'_>> {
        // Check this first: it is nearly always the answer, and the decision reads the token anyway.
        if !self.0.refreshes {
            return None;
        }
        let token = BearerToken::from_header_values(authorization).ok().flatten()?;
        self.refresh_keys_for(token.read().ok()?)
    }

    /// As [`refresh_keys_for_request`](Self::refresh_keys_for_request), for a request whose token is in the header
    /// `Workload-Identity-Token`.
    #[cfg(all(feature = "experimental-wimse", any(feature = "actix", feature = "axum", feature = "tower")))]
    pub(crate) fn refresh_keys_for_workload<'r>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
        token: impl FnOnce() -> OnlyHeader<'r>,
    ) -> Option<Refresh<'_>> {
        if !self.0.refreshes || self.recorder().wpt.is_none() {
            return None;
        }
        match BearerToken::from_header_values(authorization).ok().flatten()? {
            BearerToken::Wpt(_) => {
                self.refresh_keys_for(BearerToken::from_identity_token(token()).ok()?.read().ok()?)
            }
            _ => None,
        }
    }

    /// Decides about the one token of a request, and applies a policy. The identity owns the attempt.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn enforce_request<'a, A: Asked>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: &impl Incoming,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        asked: impl FnOnce() -> Attempted<A>,
    ) -> Result<Identity, Rejection> {
        self.answer(authorization, request, asked, |token, evidence, at| {
            self.permit_any(token, evidence, policy, path, at)
        })
    }

    /// Decides about the one token of a request for an argument of a handler without a guard.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn enforce_argument<'a, I: Argument, A: Asked>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: &impl Incoming,
        asked: impl FnOnce() -> Attempted<A>,
    ) -> Result<I, Rejection> {
        self.answer(authorization, request, asked, |token, evidence, at| {
            I::admit(self.identify(token, evidence, at)?, at)
        })
    }

    /// Reads the one token of a request, decides about it, and turns a refusal into a response.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    fn answer<'a, T: Recorded, A: Asked>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: &impl Incoming,
        asked: impl FnOnce() -> Attempted<A>,
        decision: impl FnOnce(Option<BearerToken<'_>>, Evidence<'_>, Moment) -> Result<T, Refused>,
    ) -> Result<T, Rejection> {
        let decided = self.recorder().decide(asked, |at| {
            let token = BearerToken::from_header_values(authorization)?;
            match token {
                Some(token) if token.is_with_proof() => self.decide_with_proof(token, request, at, decision),
                #[cfg(feature = "experimental-wimse")]
                Some(BearerToken::Wpt(proof)) => self.decide_with_wpt(proof, request, at, decision),
                token => decision(token, request.peer().into(), at),
            }
        });
        decided.map_err(|refused| self.rejection(refused))
    }

    /// Decides about a token that is sent with the scheme DPoP (RFC 9449 section 7.1).
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    fn decide_with_proof<T: Recorded>(
        &self,
        token: BearerToken<'_>,
        request: &impl Incoming,
        at: Moment,
        decision: impl FnOnce(Option<BearerToken<'_>>, Evidence<'_>, Moment) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let Some(proofs) = &self.recorder().proofs else { return Err(bearer::other_scheme().into()) };
        let (method, path) = (request.method(), request.path());
        let about = AboutRequest { method, path, token: token.unread() };
        let proof = PresentedProof::new(proofs, request.companion(Companion::Proof), about);
        self.decide_by_proof(token, proof, request, at, decision)
    }

    /// Decides about a Workload Identity Token, whose proof is sent with the scheme WPT (draft-ietf-wimse-wpt-02 section 2).
    #[cfg(all(feature = "experimental-wimse", any(feature = "actix", feature = "axum", feature = "tower")))]
    fn decide_with_wpt<T: Recorded>(
        &self,
        proof: &[u8],
        request: &impl Incoming,
        at: Moment,
        decision: impl FnOnce(Option<BearerToken<'_>>, Evidence<'_>, Moment) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let Some(proofs) = &self.recorder().wpt else { return Err(bearer::other_scheme().into()) };
        let token = BearerToken::from_identity_token(request.companion(Companion::IdentityToken))?;
        let about = AboutRequest { method: request.method(), path: request.path(), token: token.unread() };
        let proof = PresentedProof::wpt(proofs, proof, about, request.named_headers());
        self.decide_by_proof(token, proof, request, at, decision)
    }

    /// Decides about a token with its proof, and records the proof of an accepted request.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    fn decide_by_proof<T: Recorded>(
        &self,
        token: BearerToken<'_>,
        proof: PresentedProof<'_>,
        request: &impl Incoming,
        at: Moment,
        decision: impl FnOnce(Option<BearerToken<'_>>, Evidence<'_>, Moment) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let proof = match request.accepted_before(self.recorder()) {
            Some(key) => proof.accepted_before(key),
            None => proof,
        };
        let accepted = decision(Some(token), Evidence { peer: request.peer(), dpop: Some(&proof) }, at)?;
        match proof.spend(at) {
            Ok(()) => Ok(accepted),
            Err(denial) => Err(Refused { who: accepted.identified(), ..denial.into() }),
        }
    }

    /// Records the refusal of a request that ends while it waits for a key.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn record_cancelled<'a, A: Asked>(
        &self,
        mut authorization: impl Iterator<Item = &'a [u8]>,
        asked: Attempted<A>,
    ) {
        let denial =
            Denial::new(Code::Cancelled, "the request ended while it waited for the key of its token");
        let token = BearerToken::from_header_values(&mut authorization);
        let unverified_service = token
            .ok()
            .flatten()
            .and_then(|token| Segments::split(token.read().ok()?).ok())
            .and_then(|segments| stages::unverified_service(&segments));
        let refused = Refused { unverified_service, ..denial.into() };
        drop(self.recorder().decide(|| asked, |_| Err::<std::convert::Infallible, _>(refused)));
    }

    /// Authenticates a service, and applies the policy to it.
    pub(crate) fn permit(
        &self,
        token: Option<BearerToken<'_>>,
        evidence: Evidence<'_>,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<Caller, Refused> {
        self.identify(token, evidence, at)?.into_service_that_meets(policy, path, at)
    }

    /// Authenticates a service or a user, and applies the policy to it.
    pub(crate) fn permit_any(
        &self,
        token: Option<BearerToken<'_>>,
        evidence: Evidence<'_>,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<Identity, Refused> {
        let identity = self.identify(token, evidence, at)?;
        match identity.meets(policy, path, at) {
            Ok(()) => Ok(identity),
            Err(denial) => Err(identity.refused(denial)),
        }
    }

    /// Returns the identity of a cached token, or runs the stages. The cache can only accept, so a
    /// refusal always comes from the stages. A request without a token is decided by the certificate of its connection.
    fn identify(
        &self,
        token: Option<BearerToken<'_>>,
        evidence: Evidence<'_>,
        at: Moment,
    ) -> Result<Identity, Refused> {
        let Some(token) = token else {
            return stages::by_certificate(self, evidence, at).map(Identity::Service);
        };
        let Inner { cache, issuers, recorder, .. } = &*self.0;
        let (miss, identity, issuer) = match cache.find(token.unread(), issuers, recorder, evidence, at) {
            Ok((identity, issuer)) => (None, identity, issuer),
            Err(miss) => {
                let text = token.read()?;
                let mut verification = Verification { verifier: self, evidence, at, grounds: miss.grounds() };
                let (identity, issuer) = verification.run(text)?;
                (Some((miss, verification.grounds, text)), identity, issuer)
            }
        };
        if let Some((miss, grounds, token)) = miss {
            cache.accepted(miss, grounds, at, Remembered { token, issuer, identity: &identity });
        }
        if let Some(issuer) = issuers.get(issuer) {
            self.count_compatible(issuer, &identity);
        }
        Ok(identity)
    }

    pub(crate) fn rejection(&self, denied: Denied) -> Rejection {
        self.recorder().rejection(denied)
    }

    fn count_compatible(&self, issuer: &Trusted, identity: &Identity) {
        let old = issuer.kind == Kind::Compatible;
        if let (true, Identity::Service(caller)) = (old && self.accepts_strict(), identity) {
            self.0.compatible.count(caller.service());
        }
    }

    fn accepts_strict(&self) -> bool {
        self.0.issuers.iter().any(|issuer| issuer.kind == Kind::Strict)
    }

    /// Whether an issuer or a trust domain is trusted by this name.
    pub(crate) fn trusts(&self, name: &str) -> bool {
        let Inner { issuers, domains, .. } = &*self.0;
        issuers.iter().any(|issuer| issuer.name() == name) || domains.iter().any(|domain| domain.name == name)
    }

    /// Whether it has a set of services of this name.
    #[cfg(feature = "tower")]
    pub(crate) fn has_service_set(&self, name: &str) -> bool {
        self.recorder().sets.has(name)
    }

    /// Whether it checks proofs of DPoP.
    #[cfg(feature = "tower")]
    pub(crate) fn checks_dpop(&self) -> bool {
        self.recorder().proofs.is_some()
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.0.recorder
    }
}

/// A decision without a request, about the peer of a connection.
fn of_peer(peer: Option<&PeerCertificate>) -> Attempted<Connection> {
    Attempted { endpoint: None, request: Connection(peer.cloned()), earlier: None, who: None }
}

impl WeakHandle for Verifier {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        handle::weak(&self.0, Self)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("issuers", &self.0.issuers).finish_non_exhaustive()
    }
}
