//! Errors of the main types: why a caller is refused, and why a verifier cannot be built. Each other error is in the
//! module of the type that returns it.

use std::{error::Error, fmt, time::Duration};

pub use crate::{
    denial::{Advice, Code, Compared, Explanation, Stage},
    sets::ServiceSetError,
};
use crate::{keys::Algorithm, times::MAX_LEEWAY};

/// See [`Verifier::MAX_CACHED_TOKENS`](crate::Verifier::MAX_CACHED_TOKENS).
pub(crate) const MAX_CACHED_TOKENS: usize = 8_192;

/// Why a verifier cannot be built, or cannot check the policy of a layer. The message states what is missing and how to
/// fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No issuer is configured, or its name is empty.
    NoIssuer,
    /// No keys are configured.
    NoKeys,
    /// The keys of an issuer are unavailable.
    KeysUnavailable(String),
    /// The configured audience is empty.
    EmptyAudience,
    /// No audience is configured, and tokens of this kind must have one.
    NoAudience(String),
    /// An algorithm is configured that tokens of this kind must not use.
    AlgorithmNotForKind(Algorithm),
    /// A maximum lifetime is zero, or not whole seconds.
    Lifetime,
    /// Subjects are mapped to names, but tokens of this kind name their service themselves.
    NamesNotForKind,
    /// A SPIFFE trust domain has a scheme, a port or a letter that is not allowed.
    TrustDomain(String),
    /// A setting that applies only to tokens is set for a trust domain whose callers present a certificate. The value
    /// is the name of the method that sets it.
    SettingOfTokens(&'static str),
    /// Two entries of a verifier trust the same trust domain without tokens.
    TrustDomainTwice(String),
    /// One subject is mapped to two names.
    NamedTwice(String),
    /// A name for a subject, or a name declared for an issuer, is not a valid service name.
    ServiceName(String),
    /// A service prefix is not the start of a service name, or does not end in a separator.
    ServicePrefix(String),
    /// The list of services of an issuer is empty.
    NoServices,
    /// Services are declared for an issuer whose tokens do not name their service themselves.
    ServicesNotForKind,
    /// Users are accepted from an issuer whose tokens belong to machines only.
    UsersNotForKind,
    /// Two issuers of different kinds have the same name.
    IssuerOfTwoKinds(String),
    /// Two issuers could each name any service.
    ServicesNotDeclared(String, String),
    /// Two issuers are declared to name the same service.
    SharedService {
        /// The first issuer.
        issuer: String,
        /// The second issuer.
        other: String,
        /// The service, or the prefix, that both could name.
        shared: String,
    },
    /// Nothing marks the token of a machine, or the mark fits every token.
    NoMachineMark,
    /// No `typ` is accepted.
    NoTyp,
    /// The name of a claim, its value or a `typ` is empty.
    EmptyAccessSetting,
    /// The tokens of the issuer need a configured name for each subject, and there is none.
    NoNames(String),
    /// A setting of a provider, such as a tenant or a repository, is not in the expected form.
    ProviderSetting {
        /// What the setting is.
        setting: &'static str,
        /// The given value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// The configured list of algorithms is empty.
    NoAlgorithms,
    /// No key is for any of the configured algorithms.
    NoKeyForAlgorithms,
    /// The leeway is longer than [`Verifier::MAX_LEEWAY`](crate::Verifier::MAX_LEEWAY), or not whole seconds.
    Leeway(Duration),
    /// The realm is empty, or has characters that a challenge cannot contain.
    Realm(String),
    /// The token cache would be larger than [`Verifier::MAX_CACHED_TOKENS`](crate::Verifier::MAX_CACHED_TOKENS).
    TokenCache(usize),
    /// The key is for development, but this is a release build.
    DevelopmentKey(String),
    /// Two handlers of the program have the same key, so audit records could not distinguish them.
    AmbiguousEndpoints(String),
    /// The resource identifier is not an `https` URL, or contains a query or a fragment.
    Resource(String),
    /// A set of services is not usable.
    ServiceSet(ServiceSetError),
    /// A setting of DPoP is missing or not usable.
    Dpop(String),
    /// A handler, or the policy of a layer, requires a proof of DPoP, but the verifier is built without DPoP. The value
    /// is the handler.
    MissingDpop(String),
    /// The access of a layer is public, so that the layer would check nothing.
    PublicLayer,
    /// A handler refers to a set of services that the verifier lacks. The values are the set and the handler.
    MissingServiceSet(String, String),
    /// A setting of Workload Proof Tokens is missing or not usable.
    #[cfg(feature = "experimental-wimse")]
    Wpt(String),
    /// The issuer of Workload Identity Tokens is not a scheme and a trust domain.
    #[cfg(feature = "experimental-wimse")]
    WorkloadOrigin(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmbiguousEndpoints(handlers) => write!(
                f,
                "two handlers share a key, so audit records cannot distinguish them ({handlers}); rename one of them"
            ),
            Self::Resource(identifier) => write!(
                f,
                "the resource `{identifier}` must be an `https` URL that has no query and no fragment (RFC 9728 section 1.2)"
            ),
            Self::ServiceSet(why) => write!(f, "{why}"),
            Self::Dpop(why) => write!(f, "DPoP: {why}"),
            #[cfg(feature = "experimental-wimse")]
            Self::Wpt(why) => write!(f, "WPT: {why}"),
            #[cfg(feature = "experimental-wimse")]
            Self::WorkloadOrigin(name) => write!(
                f,
                "`{name}` is not the origin of workload identifiers; write `wimse://` or `spiffe://` and a trust domain, such as `wimse://bakery.example`"
            ),
            Self::PublicLayer => f.write_str(
                "the access of this layer is public, so it would check nothing; leave the layer out, or name what a caller must have",
            ),
            Self::MissingDpop(handler) => write!(
                f,
                "`{handler}` requires a proof of DPoP, and the verifier checks none, so every caller would be refused; name the URL of this service with `.dpop(Dpop::new(\"https://…\"))`"
            ),
            Self::MissingServiceSet(set, handler) => write!(
                f,
                "`{handler}` allows the services of `@{set}`, and the verifier has no such set; add it with `.service_set(\"{set}\", …)`"
            ),
            Self::KeysUnavailable(why) => write!(f, "keys unavailable: {why}"),
            Self::NoAudience(issuer) => {
                write!(f, "no audience for the tokens of `{issuer}`; name this service with `.audience(…)`")
            }
            Self::AlgorithmNotForKind(algorithm) => {
                write!(
                    f,
                    "tokens of this issuer's kind must not be signed with {algorithm}; \
                     name the issuer's algorithms with `.algorithms(…)`: a key pair, for SPIFFE not EdDSA"
                )
            }
            Self::Lifetime => f.write_str("a maximum lifetime is zero or not whole seconds"),
            Self::NamesNotForKind => {
                f.write_str("tokens of this issuer contain their service name; leave `.name(…)` out")
            }
            Self::TrustDomain(name) => {
                write!(
                    f,
                    "`{name}` is not a trust domain; write it as in `spiffe://TRUST-DOMAIN/…`, in lower case"
                )
            }
            Self::SettingOfTokens(setting) => write!(
                f,
                "callers of `spiffe_x509` present a certificate and no token; leave `.{setting}(…)` out"
            ),
            Self::TrustDomainTwice(domain) => write!(
                f,
                "two entries trust the trust domain `{domain}` without tokens; put all names into one entry"
            ),
            Self::NamedTwice(subject) => write!(f, "the subject `{subject}` has two names; give it one"),
            Self::ServicePrefix(prefix) => write!(
                f,
                "`{prefix}` is not the start of service names; write a prefix that ends in `.`, `-` or `_`, such as `mill.`"
            ),
            Self::NoServices => {
                f.write_str("the list of services is empty; leave `.services(…)` out to allow every service")
            }
            Self::ServicesNotForKind => f.write_str(
                "tokens of this issuer do not contain a service name; write `.name(…)`, not `.services(…)`",
            ),
            Self::UsersNotForKind => {
                f.write_str("tokens of Kubernetes and SPIFFE belong to no user; leave `.and_users()` out")
            }
            Self::IssuerOfTwoKinds(issuer) => write!(
                f,
                "two issuers of different kinds have the name `{issuer}`, and policies and revocations refer to issuers by name; \
                 trust one of them, or create a verifier for each"
            ),
            Self::ServicesNotDeclared(issuer, other) => write!(
                f,
                "tokens of `{issuer}` and of `{other}` could both name any service; \
                 declare the services of one issuer with `.services(…)` or `.service_prefix(…)`"
            ),
            Self::SharedService { issuer, other, shared } => write!(
                f,
                "tokens of `{issuer}` and of `{other}` may both name `{shared}`; give each service to one issuer"
            ),
            Self::ServiceName(name) => write!(
                f,
                "`{name}` is not a service name; use 1 to 253 ASCII letters, digits, `-`, `_`, `.`, \
                 starting and ending with a letter or digit"
            ),
            Self::NoMachineMark => f.write_str(
                "nothing separates the tokens of machines from those of users; \
                 add `.machine_if(…)`, or add `.machine_if_equal(…)` with two different claims",
            ),
            Self::NoTyp => {
                f.write_str("no `typ` is accepted; name one with `.typ(…)`, or add `.typ_may_be_absent()`")
            }
            Self::EmptyAccessSetting => {
                f.write_str("the name of a claim, its value or a `typ` is empty; use that of the provider")
            }
            Self::NoNames(issuer) => write!(
                f,
                "no subject of `{issuer}` has a service name; add one with `.pipeline(…)` or `.name(…)`"
            ),
            Self::ProviderSetting { setting, value, expected } => {
                write!(f, "`{value}` is not {setting}; write {expected}")
            }
            Self::NoIssuer => f.write_str("no issuer; name the `iss` of your tokens with `.issuer(…)`"),
            Self::NoKeys => f.write_str("no keys; pass the issuer's keys to `.keys(…)`"),
            Self::EmptyAudience => {
                f.write_str("an audience is empty; leave `.audience(…)` out to expect none")
            }
            Self::NoAlgorithms => f.write_str(
                "the list of algorithms is empty; leave `.algorithms(…)` out to accept those of the keys",
            ),
            Self::NoKeyForAlgorithms => f.write_str(
                "no key has one of the configured algorithms; add a key, or leave `.algorithms(…)` out",
            ),
            Self::Leeway(leeway) => {
                let most = MAX_LEEWAY.as_secs();
                write!(
                    f,
                    "the leeway {leeway:?} is not a number of whole seconds up to {most}; synchronize the clocks with NTP"
                )
            }
            Self::TokenCache(tokens) => {
                write!(
                    f,
                    "a cache of {tokens} tokens for each thread is too large; the maximum is {MAX_CACHED_TOKENS}"
                )
            }
            Self::Realm(realm) => {
                write!(
                    f,
                    "the realm `{realm}` is empty or has characters other than printable ASCII; choose another with `.realm(…)`"
                )
            }
            Self::DevelopmentKey(kid) => write!(
                f,
                "the key `{kid}` is for development, and this is a release build; use the key of your environment"
            ),
        }
    }
}

impl Error for BuildError {}
