//! Configures a verifier. No default makes a decision more permissive.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Inner, Verifier,
    cache::{DEFAULT_CACHED_TOKENS, TokenCache},
    usage::CompatibleTokens,
};
use crate::{
    audit::{AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    denial::quoted,
    dpop::Dpop,
    error::{BuildError, MAX_CACHED_TOKENS},
    keys::{Algorithm, KeySource},
    proof::RequiredProof,
    recorder::Recorder,
    registry::{self, warn_of_unreachable},
    rejection::{Refusal, RefusalBodies, RefusalBody},
    resource::Resource,
    revocation::{Revocation, RevocationStore},
    sets::Sets,
    times::MAX_LEEWAY,
    trusted::{Authority, Kind, TrustDomain, Trusted, TrustedIssuer, separate},
};

/// Builds a [`Verifier`].
///
/// [`issuer`](Self::issuer), [`keys`](Self::keys), [`audience`](Self::audience) and
/// [`algorithms`](Self::algorithms) describe one issuer of compatible service tokens, the same as
/// one [`TrustedIssuer::compatible`] that you pass to [`trust`](Self::trust). Use `trust` for other
/// kinds of tokens, and for more issuers.
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
    proof: Option<RequiredProof>,
    dpop: Option<Dpop>,
    #[cfg(feature = "experimental-wimse")]
    wpt: Option<crate::experimental_wimse::Wpt>,
    bodies: Option<RefusalBodies>,
    sets: Vec<(String, Vec<String>)>,
    resource: Option<String>,
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
    /// Sets the issuer whose tokens are accepted. It must equal `iss`, byte for byte. Required, unless you
    /// add an issuer with [`trust`](Self::trust).
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Sets the keys of that issuer: a [`KeySet`](crate::KeySet), a key, or any other source of keys.
    pub fn keys(self, keys: impl KeySource) -> Self {
        Self { keys: Some(Arc::new(keys)), ..self }
    }

    /// Trusts an issuer. You may call it repeatedly to trust several.
    pub fn trust(mut self, issuer: TrustedIssuer) -> Self {
        self.trusted.push(issuer);
        self
    }

    /// Checks each token against a revocation store. By default a token is valid until it expires.
    pub fn revocation(self, store: impl RevocationStore) -> Self {
        Self { revocation: Some(Box::new(store)), ..self }
    }

    /// Accepts tokens whose revocation cannot be checked because the store is unavailable. By default they
    /// are refused (503): an attacker who can take the store down must not be able to use a revoked token.
    ///
    /// The audit record of a token that is accepted unchecked is like any other. The log reports when an outage
    /// began, with its first reason, and when it ended.
    pub fn dangerously_accept_on_revocation_outage(self) -> Self {
        Self { accept_on_outage: true, ..self }
    }

    /// Adds an audience that this service accepts. You may call it repeatedly. A token must
    /// name one of them in `aud`. If you add none, a token that has an `aud` is refused, because it is
    /// meant for another service (RFC 7519 section 4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Sets the accepted algorithms. The default is the algorithms of the keys: each key
    /// has its own algorithm, so the token never chooses.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: Some(algorithms.into_iter().collect()), ..self }
    }

    /// Sets how far the clocks of issuer and verifier may differ, in whole seconds, up to [`Verifier::MAX_LEEWAY`]. The default
    /// is zero: machines that use NTP need none, and an expired token stays valid for the whole leeway.
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Sets the clock. The default is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// Sets the sink of the audit records. The default is [`TracingAudit`].
    pub fn audit(self, audit: impl AuditSink) -> Self {
        Self { audit: Some(Box::new(audit)), ..self }
    }

    /// Refuses every caller (503) whose record the sink does not accept. By default the sink counts and logs a lost
    /// record, and the decision stays the same.
    ///
    /// When an accepted record is on the disk depends on the sink: the module [`audit`](crate::audit) has a table
    /// of what each mode guarantees. For "no admitted caller without a record in the file", use
    /// [`write_before_handler`](crate::audit::JsonLinesBuilder::write_before_handler).
    ///
    /// It also decides when a record is written. By default an admitted caller is recorded when its handler ends, so
    /// that one record contains the outcome of the attempt. With this setting, or with a sink that
    /// [requires it](AuditSink::is_required), "allow" is written before the handler runs. A later change
    /// (the handler [refuses](crate::Caller::refuse), or a guarded function decides) writes another record with the
    /// same `id`. The last record of an `id` is the outcome.
    pub fn require_audit(self) -> Self {
        Self { require_audit: true, ..self }
    }

    /// Sets the `realm` of the challenge (RFC 9110 section 11.5). The default is `service`.
    pub fn realm(self, realm: impl Into<String>) -> Self {
        Self { realm: Some(realm.into()), ..self }
    }

    /// Requires each token, also one of a user, to be bound to a key of its sender, and its sender to give this proof. A
    /// bearer token is then refused (401, `proof_missing`). By default a bound token needs its proof, and a bearer token
    /// is accepted. A handler can require a proof in addition, by `proof = "mtls"` in its attribute or
    /// [`Policy::proof`](crate::Policy::proof).
    pub fn require_proof(self, proof: impl Into<RequiredProof>) -> Self {
        Self { proof: Some(proof.into()), ..self }
    }

    /// Accepts tokens that are bound to a key of their sender, with a proof for each request (RFC 9449). By default they are
    /// refused. With [`require_proof`](Self::require_proof) no other token is accepted. If a handler of the program has
    /// `proof = "dpop"`, a verifier without this setting does not build.
    pub fn dpop(self, dpop: Dpop) -> Self {
        Self { dpop: Some(dpop), ..self }
    }

    /// Accepts Workload Identity Tokens of the trusted [`TrustedIssuer::experimental_wimse`], with a Workload Proof Token for
    /// each request. By default they are refused. See [`experimental_wimse`](crate::experimental_wimse).
    #[cfg(feature = "experimental-wimse")]
    pub fn experimental_wpt(self, wpt: crate::experimental_wimse::Wpt) -> Self {
        Self { wpt: Some(wpt), ..self }
    }

    /// Names this service as a protected resource (RFC 9728): an `https` URL without a query and a fragment. Each challenge
    /// then has the parameter `resource_metadata` with the URL of [`Verifier::resource_metadata`]. The default is none.
    pub fn resource(self, identifier: impl Into<String>) -> Self {
        Self { resource: Some(identifier.into()), ..self }
    }

    /// Adds a set of services, to which policies refer as `services(@NAME)`. The services may be known only at run time, and
    /// [`Verifier::replace_service_set`] replaces them. Call it once for each set.
    ///
    /// ```standalone_crate
    /// use service_only::{Verifier, service_only};
    ///
    /// #[service_only(services(@deleters))]
    /// async fn delete_tenant() {}
    ///
    /// # fn configured() -> Vec<String> { vec!["orchestrator".to_owned()] }
    /// # let builder = Verifier::builder();
    /// let builder = builder.service_set("deleters", configured());
    /// ```
    pub fn service_set<S: Into<String>>(
        mut self,
        name: impl Into<String>,
        services: impl IntoIterator<Item = S>,
    ) -> Self {
        self.sets.push((name.into(), services.into_iter().map(Into::into).collect()));
        self
    }

    /// Builds the bodies of refusals by a function, such as an error format of your API or a page in the language of the
    /// client. [`Caller::refuse`](crate::Caller::refuse) uses it too.
    ///
    /// Status, challenge and `Cache-Control` stay the same, and the header `instance` has the id of the audit record. The
    /// function knows only what the caller learns, and the headers of the request without credentials. If it panics, or its
    /// body is longer than [`Rejection::MAX_BODY_LENGTH`](crate::Rejection::MAX_BODY_LENGTH), the default body is sent.
    ///
    /// Each guarded request then keeps a copy of its headers while its handler runs.
    ///
    /// ```
    /// use service_only::{Verifier, rejection::RefusalBody};
    /// # fn build(builder: service_only::verifier::VerifierBuilder) {
    /// let builder = builder.refusal_body(|refusal| {
    ///     let text = match refusal.header("accept-language") {
    ///         Some(languages) if languages.starts_with("de") => "Kein Zugriff",
    ///         _ => "No access",
    ///     };
    ///     let (status, id) = (refusal.status(), refusal.instance());
    ///     let json = format!(r#"{{"error":"{text}","status":{status},"id":"{id}"}}"#);
    ///     RefusalBody::new("application/json", json)
    /// });
    /// # }
    /// ```
    pub fn refusal_body(self, build: impl Fn(&Refusal<'_>) -> RefusalBody + Send + Sync + 'static) -> Self {
        Self { bodies: Some(RefusalBodies::new(build)), ..self }
    }

    /// Sets how many accepted tokens each thread caches. The signature of a cached token is not checked again, but
    /// everything that can change is. Each token takes at most two kibibytes. The default is
    /// [`Verifier::DEFAULT_CACHED_TOKENS`]; the maximum is [`Verifier::MAX_CACHED_TOKENS`].
    pub fn token_cache(self, tokens: usize) -> Self {
        Self { cached_tokens: Some(tokens), ..self }
    }

    /// Disables the token cache: each token is decoded and its signature checked, every time.
    pub fn without_token_cache(self) -> Self {
        self.token_cache(0)
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// When the issuer or the keys are missing, when a list is empty or a value is invalid,
    /// or when a key is for development and this is a release build.
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
        let resource = match self.resource {
            Some(identifier) => {
                Some(Resource::parse(&identifier).ok_or_else(|| BuildError::Resource(quoted(&identifier)))?)
            }
            None => None,
        };
        if self.proof == Some(RequiredProof::Dpop) && self.dpop.is_none() {
            return Err(BuildError::Dpop("no URL of this service; accept proofs with `.dpop(…)`".to_owned()));
        }
        let proofs = self.dpop.map(Dpop::build).transpose().map_err(BuildError::Dpop)?;
        #[cfg(feature = "experimental-wimse")]
        let wpt = match self.wpt {
            None if self.proof == Some(RequiredProof::Wpt) => {
                let why = "no URL of this service; accept proofs with `.experimental_wpt(…)`";
                return Err(BuildError::Wpt(why.to_owned()));
            }
            wpt => wpt.map(crate::experimental_wimse::Wpt::build).transpose().map_err(BuildError::Wpt)?,
        };
        if proofs.is_none()
            && let Some(handler) = registry::requires_dpop()
        {
            return Err(BuildError::MissingDpop(handler.to_string()));
        }
        let mut sets = Sets::default();
        for (name, services) in self.sets {
            sets.add(name, services).map_err(BuildError::ServiceSet)?;
        }
        if let Some((set, handler)) = registry::missing_set(|name| sets.has(name)) {
            return Err(BuildError::MissingServiceSet(set.to_owned(), handler.to_string()));
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
        let (mut issuers, mut domains) = (Vec::new(), Vec::new());
        for trusted in own.into_iter().chain(self.trusted) {
            match trusted.build()? {
                Authority::Issuer(issuer) => issuers.push(*issuer),
                Authority::Domain(domain) => domains.push(domain),
            }
        }
        #[cfg(feature = "experimental-wimse")]
        if let (None, Some(issuer)) = (&wpt, issuers.iter().find(|issuer| issuer.kind.is_wimse())) {
            let issuer = &issuer.expectations.issuer;
            return Err(BuildError::Wpt(format!(
                "tokens of `{issuer}` need a proof, and no URL of this service is set; accept proofs with `.experimental_wpt(…)`"
            )));
        }
        let several = issuers.len() + domains.len() > 1;
        let of_issuers = issuers.iter_mut().map(|issuer| &mut issuer.names);
        for names in of_issuers.chain(domains.iter_mut().map(|domain| &mut domain.names)) {
            names.only_given = several;
        }
        check_names(&issuers, &domains)?;
        let self_naming = issuers.iter_mut().filter(|issuer| !issuer.kind.has_subjects());
        separate(self_naming.map(|issuer| (issuer.expectations.issuer.as_str(), &mut issuer.namespace)))?;
        let accept_on_outage = self.accept_on_outage;
        let issuers: Vec<_> = issuers.into_iter().map(Arc::new).collect();
        let domains: Vec<_> = domains.into_iter().map(Arc::new).collect();
        let verifier = Verifier(Arc::new(Inner {
            refreshes: issuers.iter().any(|issuer| issuer.keys.refreshes()),
            cache: TokenCache::new(cached_tokens),
            issuers,
            domains,
            recorder: Arc::new(Recorder {
                clock: self.clock.unwrap_or_else(|| Box::new(SystemClock)),
                leeway: self.leeway,
                audit: self.audit.unwrap_or_else(|| Box::new(TracingAudit)),
                require_audit: self.require_audit,
                realm,
                bodies: self.bodies,
                sets,
                proofs,
                required_proof: self.proof,
                #[cfg(feature = "experimental-wimse")]
                wpt,
                metadata_url: resource.as_ref().map(Resource::metadata_url),
                revocation: self.revocation.map(|store| Revocation {
                    store,
                    accept_on_outage,
                    is_out: Default::default(),
                }),
            }),
            compatible: CompatibleTokens::default(),
            resource,
        }));
        warn_of_unreachable(|name| verifier.trusts(name));
        Ok(verifier)
    }
}

/// Checks that each name is one authority, because revocations and policies identify an issuer by its name. Entries
/// of one kind may share a name. So may compatible and strict tokens, while a fleet moves from one to the other, and the
/// tokens and certificates of a trust domain.
fn check_names(issuers: &[Trusted], domains: &[TrustDomain]) -> Result<(), BuildError> {
    let is_one =
        |a: &Trusted, b: &Trusted| a.kind == b.kind || !(a.kind.has_subjects() || b.kind.has_subjects());
    for (index, issuer) in issuers.iter().enumerate() {
        let name = &issuer.expectations.issuer;
        let mut namesakes = issuers.iter().skip(index + 1).filter(|other| other.expectations.issuer == *name);
        if namesakes.any(|other| !is_one(issuer, other)) {
            return Err(BuildError::IssuerOfTwoKinds(quoted(name)));
        }
    }
    for (index, TrustDomain { name, .. }) in domains.iter().enumerate() {
        if domains.iter().skip(index + 1).any(|other| other.name == *name) {
            return Err(BuildError::TrustDomainTwice(quoted(name)));
        }
        if issuers.iter().any(|issuer| issuer.kind != Kind::Spiffe && issuer.expectations.issuer == *name) {
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
    /// Builds the issuer. No setting at all is fine if others are trusted; an incomplete one is a mistake.
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

/// Whether the realm is a `quoted-string` of RFC 9110 section 5.6.4 without escapes.
fn is_quotable(realm: &str) -> bool {
    !realm.is_empty()
        && realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests;
