//! One issuer that a verifier trusts: its keys, its audience, and how its tokens name a service. This module contains
//! the settings of an issuer; `issuer` has each check of a token that depends on it, which the verifier calls in order.

mod acceptance;
mod access;
mod expectations;
mod issuer;
mod kind;
mod own_claims;
mod providers;
mod rule;
mod services;
mod subject;
mod svid;
#[cfg(feature = "experimental-wimse")]
mod wit;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use self::access::{AccessTokens, GrantClaim};
#[cfg(feature = "issue")]
pub(crate) use self::kind::STRICT_TYP;
pub(crate) use self::{
    acceptance::Acceptance,
    issuer::{Signed, Trusted},
    kind::Kind,
    own_claims::Claims,
    services::separate,
    svid::{TrustDomain, accept as accept_certificate},
};
use self::{
    expectations::Expectations,
    kind::MAX_STRICT_LIFETIME,
    services::{Declared, Namespace},
    subject::Names,
};
use crate::{
    claims::ServiceName,
    denial::quoted,
    error::BuildError,
    keys::{Algorithm, AlgorithmSet, KeySource},
};

/// An issuer to trust, with its keys, audience and algorithms.
///
/// A verifier may trust several issuers. A key of one issuer never verifies a token of another.
///
/// ```
/// use service_only::{KeySet, TrustedIssuer, Verifier};
/// # fn build(own: KeySet, cluster: KeySet) -> Result<Verifier, service_only::error::BuildError> {
/// Verifier::builder()
///     .trust(TrustedIssuer::strict("bakery-auth").keys(own).audience("orders"))
///     .trust(
///         TrustedIssuer::kubernetes("https://kubernetes.default.svc.cluster.local")
///             .keys(cluster)
///             .audience("orders")
///             .name("system:serviceaccount:bakery:orchestrator", "tenant-deletion-orchestrator"),
///     )
///     .build()
/// # }
/// ```
#[must_use = "an issuer is trusted only after you pass it to `VerifierBuilder::trust`"]
pub struct TrustedIssuer {
    credentials: Credentials,
    issuer: String,
    keys: Option<Arc<dyn KeySource>>,
    audience: Vec<String>,
    algorithms: Option<Vec<Algorithm>>,
    max_lifetime: Option<Duration>,
    names: Vec<(String, String)>,
    services: Option<Declared>,
    access: AccessTokens,
    /// What each configured subject must be, and how it begins.
    subjects: Option<(&'static str, String)>,
    /// A setting of a provider that is invalid.
    mistake: Option<BuildError>,
}

/// What the callers of an issuer present.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Credentials {
    Tokens(Kind),
    /// The certificate of their connection, without a token.
    Certificates,
}

impl std::fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedIssuer")
            .field("credentials", &self.credentials)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl TrustedIssuer {
    /// Trusts compatible service tokens, as the original issuer of the bakery platform mints them. `iss` must be the
    /// issuer; `aud`, `jti` and a bounded lifetime are optional.
    pub fn compatible(issuer: impl Into<String>) -> Self {
        Self::of(Kind::Compatible, issuer)
    }

    /// Trusts strict service tokens, the recommended kind. They are signed by a private key, have `typ:
    /// service+jwt`, a named audience and a `jti`, and live no longer than [`TrustedIssuer::max_lifetime`]. An
    /// `Issuer` mints them if you configure it with `IssuerBuilder::strict`.
    pub fn strict(issuer: impl Into<String>) -> Self {
        Self::of(Kind::Strict, issuer)
    }

    /// Trusts bound service-account tokens of a Kubernetes cluster. The service is
    /// `NAMESPACE.SERVICEACCOUNT`, unless you map it with [`TrustedIssuer::name`].
    pub fn kubernetes(issuer: impl Into<String>) -> Self {
        Self::of(Kind::Kubernetes, issuer)
    }

    /// Trusts JWT-SVIDs of a SPIFFE trust domain, such as `bakery.example`. The service is the path of the
    /// SPIFFE ID with `.` for `/`, unless you map it with [`TrustedIssuer::name`]. A path that contains a
    /// `.` needs such a name, or two paths could become one service.
    pub fn spiffe(trust_domain: impl Into<String>) -> Self {
        Self::of(Kind::Spiffe, trust_domain)
    }

    /// Trusts X.509-SVIDs of a SPIFFE trust domain, such as `bakery.example`, as the only credential: a request over a
    /// connection with such a certificate needs no token. The service is named as for [`spiffe`](Self::spiffe).
    ///
    /// - The connection must be one of `service-only-tls`, which checks the certificate in the handshake (X509-SVID
    ///   sections 2 to 5). For each request the verifier checks its times and its roots again.
    /// - A request with an `Authorization` header is decided by its token only: a refused token never falls back to the
    ///   certificate.
    /// - The caller has no scopes, no roles and no `jti`. Its proof is [`Proof::Mtls`](crate::Proof::Mtls). A
    ///   revocation of the service covers certificates whose validity began up to then.
    ///
    /// Keys, audiences and algorithms are settings of tokens, so a verifier with one of them here does not build.
    ///
    /// ```
    /// use service_only::{TrustedIssuer, Verifier};
    ///
    /// let verifier = Verifier::builder().trust(TrustedIssuer::spiffe_x509("bakery.example")).build();
    /// assert!(verifier.is_ok());
    /// ```
    pub fn spiffe_x509(trust_domain: impl Into<String>) -> Self {
        Self { credentials: Credentials::Certificates, ..Self::of(Kind::Spiffe, trust_domain) }
    }

    /// Trusts access tokens of RFC 9068 that an OAuth 2.0 server issued for client credentials. The service
    /// is the `client_id`, which must equal the `sub`: otherwise the token belongs to a user.
    pub fn oauth(issuer: impl Into<String>) -> Self {
        Self::of(Kind::OAuth, issuer)
    }

    /// Trusts other access tokens that an OAuth 2.0 server issued, as the settings describe them. For the usual providers
    /// use the constructors that are named after them.
    pub fn oauth_with(issuer: impl Into<String>, tokens: AccessTokens) -> Self {
        Self { access: tokens, ..Self::of(Kind::OAuth, issuer) }
    }

    /// Trusts Workload Identity Tokens of WIMSE. A caller sends each with a Workload Proof Token, which the verifier accepts
    /// with [`VerifierBuilder::experimental_wpt`](crate::verifier::VerifierBuilder::experimental_wpt). See
    /// [`experimental_wimse`](crate::experimental_wimse).
    ///
    /// The issuer is the origin of its workload identifiers: `wimse://` or `spiffe://`, and a trust domain. The service is the
    /// path of the identifier with `.` for `/`, unless you map it with [`TrustedIssuer::name`]. Such a token may omit `iss`,
    /// which is not compared, and `iat`. Its remaining time is limited to 24 hours, unless you set
    /// [`TrustedIssuer::max_lifetime`].
    #[cfg(feature = "experimental-wimse")]
    pub fn experimental_wimse(origin: impl Into<String>) -> Self {
        Self::of(Kind::Wimse, origin)
    }

    fn of(kind: Kind, issuer: impl Into<String>) -> Self {
        Self {
            credentials: Credentials::Tokens(kind),
            issuer: issuer.into(),
            keys: None,
            audience: Vec::new(),
            algorithms: None,
            max_lifetime: None,
            names: Vec::new(),
            services: None,
            access: AccessTokens::rfc9068(),
            subjects: None,
            mistake: None,
        }
    }

    /// Sets the issuer's keys. Required.
    pub fn keys(self, keys: impl KeySource) -> Self {
        Self { keys: Some(Arc::new(keys)), ..self }
    }

    /// Adds an audience, see [`VerifierBuilder::audience`](crate::verifier::VerifierBuilder::audience). Required,
    /// except for compatible tokens.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Sets the accepted algorithms, see
    /// [`VerifierBuilder::algorithms`](crate::verifier::VerifierBuilder::algorithms). Only compatible tokens may be
    /// signed with a secret.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: Some(algorithms.into_iter().collect()), ..self }
    }

    /// Sets the maximum lifetime of a token, in whole seconds: it limits both `exp - iat` and the remaining time.
    ///
    /// The default for strict tokens is 24 hours: long enough for renewal, and too short for a thief to wait for an
    /// opportunity. The default for the other kinds is unbounded, because their issuers bound it.
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        Self { max_lifetime: Some(lifetime), ..self }
    }

    /// Accepts the access tokens of users too, for handlers under `#[users_only]` and `#[callers]`. A token of an OAuth 2.0
    /// server without any mark of a machine is a user's, and its `sub` is the id of the user. It also needs a claim that only
    /// users have, if the settings of the provider name one, such as `uid` of Okta. A token with a part of the marks is neither
    /// a machine's nor a user's. A handler for services still refuses a user with 403. By default such a server has no users
    /// here. Users of compatible and strict issuers are always accepted.
    ///
    /// If a verifier trusts several issuers, two of them can have a user with one id. Then add `issuers(..)` to the
    /// policies of users.
    pub fn and_users(self) -> Self {
        Self { access: self.access.and_users(), ..self }
    }

    /// Maps a subject to a service name: a `sub` of Kubernetes or SPIFFE, or the client of an OAuth token. If
    /// a verifier trusts several issuers, a subject without a name is refused. Otherwise two
    /// systems could derive one name for two different services.
    pub fn name(mut self, subject: impl Into<String>, service: impl Into<String>) -> Self {
        self.names.push((subject.into(), service.into()));
        self
    }

    /// Adds services that compatible and strict tokens of this issuer may name, compared byte for byte. You may
    /// call it repeatedly. Together with [`service_prefix`](Self::service_prefix) the list is complete: a token
    /// that names another service is refused (401), and so is a user's token (403).
    ///
    /// Such tokens name their service themselves. If a verifier trusts several issuers of them, declare the
    /// services of each. Otherwise one issuer could mint a token that passes for a service of another. You may
    /// leave out the declaration for one issuer, which may then name every service that no other issuer declares.
    /// No service may be declared for two issuers. Entries with the same `iss` are one issuer and share their
    /// services.
    ///
    /// ```
    /// use service_only::{KeySet, TrustedIssuer, Verifier};
    /// # fn build(own: KeySet, partner: KeySet) -> Result<Verifier, service_only::error::BuildError> {
    /// Verifier::builder()
    ///     .trust(TrustedIssuer::strict("bakery-auth").keys(own).audience("orders"))
    ///     .trust(
    ///         TrustedIssuer::strict("https://mill.example")
    ///             .keys(partner)
    ///             .audience("orders")
    ///             .services(["flour-delivery"])
    ///             .service_prefix("mill."),
    ///     )
    ///     .build()
    /// # }
    /// ```
    pub fn services<S: Into<String>>(mut self, services: impl IntoIterator<Item = S>) -> Self {
        self.services.get_or_insert_default().names.extend(services.into_iter().map(Into::into));
        self
    }

    /// Adds a prefix of the services that compatible and strict tokens of this issuer may name, such as `mill.`.
    /// You may call it repeatedly. A prefix ends in `.`, `-` or `_`, so that `mill.` does not cover `millstone`.
    /// See [`services`](Self::services).
    pub fn service_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.services.get_or_insert_default().prefixes.push(prefix.into());
        self
    }

    pub(crate) fn build(self) -> Result<Authority, BuildError> {
        match self.credentials {
            Credentials::Tokens(kind) => Ok(Authority::Issuer(Box::new(self.build_issuer(kind)?))),
            Credentials::Certificates => self.build_domain().map(Authority::Domain),
        }
    }

    fn build_domain(self) -> Result<TrustDomain, BuildError> {
        let settings = [
            ("keys", self.keys.is_some()),
            ("audience", !self.audience.is_empty()),
            ("algorithms", self.algorithms.is_some()),
            ("max_lifetime", self.max_lifetime.is_some()),
            ("services", self.services.is_some()),
            ("and_users", self.access.admits_users()),
        ];
        if let Some((setting, _)) = settings.into_iter().find(|(_, is_set)| *is_set) {
            return Err(BuildError::SettingOfTokens(setting));
        }
        if self.issuer.is_empty() {
            return Err(BuildError::NoIssuer);
        }
        if !is_trust_domain(&self.issuer) {
            return Err(BuildError::TrustDomain(quoted(&self.issuer)));
        }
        let names = Names { given: names(Kind::Spiffe, self.names)?, only_given: false };
        Ok(TrustDomain { name: self.issuer, names })
    }

    fn build_issuer(self, kind: Kind) -> Result<Trusted, BuildError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        self.access.check()?;
        let keys = self.keys.ok_or(BuildError::NoKeys)?;
        if self.issuer.is_empty() {
            return Err(BuildError::NoIssuer);
        }
        if kind == Kind::Spiffe && !is_trust_domain(&self.issuer) {
            return Err(BuildError::TrustDomain(quoted(&self.issuer)));
        }
        #[cfg(feature = "experimental-wimse")]
        if kind.is_wimse() && !wit::is_origin(&self.issuer) {
            return Err(BuildError::WorkloadOrigin(quoted(&self.issuer)));
        }
        if self.audience.iter().any(String::is_empty) {
            return Err(BuildError::EmptyAudience);
        }
        if self.audience.is_empty() && kind.requires_audience() {
            return Err(BuildError::NoAudience(quoted(&self.issuer)));
        }
        let algorithms = self.algorithms;
        if let Some(said) = &algorithms {
            if said.is_empty() {
                return Err(BuildError::NoAlgorithms);
            }
            if let Some(other) = said.iter().find(|algorithm| !kind.may_use(**algorithm)) {
                return Err(BuildError::AlgorithmNotForKind(*other));
            }
        }
        if self.max_lifetime.is_some_and(|life| life.as_secs() == 0 || life.subsec_nanos() != 0) {
            return Err(BuildError::Lifetime);
        }
        if self.access.admits_users() && !matches!(kind, Kind::Compatible | Kind::Strict | Kind::OAuth) {
            return Err(BuildError::UsersNotForKind);
        }
        if let Some(declared) = &self.services {
            if kind.has_subjects() {
                return Err(BuildError::ServicesNotForKind);
            }
            declared.check()?;
        }
        if let Some((setting, start)) = &self.subjects {
            let is_one =
                |subject: &str| subject.strip_prefix(start.as_str()).is_some_and(|name| !name.is_empty());
            if let Some((value, _)) = self.names.iter().find(|(subject, _)| !is_one(subject)) {
                let expected = "it as in the claim `sub`";
                return Err(BuildError::ProviderSetting { setting, value: quoted(value), expected });
            }
        }
        if self.names.is_empty() && self.access.accepts_only_named() {
            return Err(BuildError::NoNames(quoted(&self.issuer)));
        }
        let bounded = (kind == Kind::Strict).then_some(MAX_STRICT_LIFETIME);
        // draft-ietf-wimse-workload-creds-02 section 5.1: they are renewed in the order of hours.
        #[cfg(feature = "experimental-wimse")]
        let bounded = bounded.or(kind.is_wimse().then_some(MAX_STRICT_LIFETIME));
        let trusted = Trusted {
            names: Names { given: names(kind, self.names)?, only_given: false },
            namespace: Namespace::of(self.services),
            expectations: Expectations {
                issuer: self.issuer,
                audience: self.audience,
                max_lifetime: self.max_lifetime.or(bounded),
                #[cfg(feature = "experimental-wimse")]
                iat_is_optional: kind.is_wimse(),
            },
            kind,
            access: self.access,
            keys,
            algorithms: algorithms.map(AlgorithmSet::from_iter),
            allowed_to_kind: Algorithm::ALL.into_iter().filter(|own| kind.may_use(*own)).collect(),
        };
        // Later changes are checked with every token. Report what is already wrong now.
        match trusted.keys.snapshot() {
            Ok(keys) => trusted.check_keys(&keys, cfg!(debug_assertions))?,
            Err(error) if error.is_pending() => {}
            Err(error) => return Err(BuildError::KeysUnavailable(error.to_string())),
        }
        Ok(trusted)
    }
}

/// Checks a trust domain. SPIFFE-ID section 2.1: lower case, no scheme, no port.
fn is_trust_domain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
}

fn names(kind: Kind, names: Vec<(String, String)>) -> Result<BTreeMap<String, ServiceName>, BuildError> {
    if !names.is_empty() && !kind.has_subjects() {
        return Err(BuildError::NamesNotForKind);
    }
    let mut table = BTreeMap::new();
    for (subject, service) in names {
        // A token with an empty claim would be that service, such as after a variable that is not set.
        if subject.is_empty() {
            let expected = "the subject as it is in the token";
            return Err(BuildError::ProviderSetting { setting: "a subject", value: subject, expected });
        }
        let name = service.parse().map_err(|_| BuildError::ServiceName(quoted(&service)))?;
        if table.insert(subject.clone(), name).is_some() {
            return Err(BuildError::NamedTwice(quoted(&subject)));
        }
    }
    Ok(table)
}

/// What a verifier trusts.
pub(crate) enum Authority {
    Issuer(Box<Trusted>),
    Domain(TrustDomain),
}

#[cfg(test)]
mod tests;
