//! The errors of the crate's front page: why a caller is refused, and why a verifier cannot be built. Other errors are in
//! the module of the type that returns them.

use std::{error::Error, fmt, time::Duration};

pub use crate::denial::{Code, MAX_QUOTED, Stage};
use crate::{keys::Algorithm, times::MAX_LEEWAY};

/// The most tokens that a thread can cache. Eviction walks a full table, and the walk must stay cheaper than a
/// signature.
pub const MAX_CACHED_TOKENS: usize = 8_192;

/// A verifier that cannot be built; says what is missing and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No issuer was said, or an empty one.
    NoIssuer,
    /// No keys were said.
    NoKeys,
    /// An issuer's keys are not to be had.
    KeysUnavailable(String),
    /// An empty audience was said.
    EmptyAudience,
    /// No audience was said, and this kind of tokens must have one.
    NoAudience(String),
    /// An algorithm was said that this kind of tokens may not use.
    AlgorithmNotForKind(Algorithm),
    /// A maximum lifetime is zero, or not whole seconds.
    Lifetime,
    /// Names were given to subjects, and this kind of tokens names its services itself.
    NamesNotForKind,
    /// A SPIFFE trust domain has a scheme, a port or other letters than it may have.
    TrustDomain(String),
    /// A subject was given two names.
    NamedTwice(String),
    /// A subject was given a name that is not a service name, or an issuer was declared to name it.
    ServiceName(String),
    /// A prefix of services is not the start of a service name, or does not end in a separator.
    ServicePrefix(String),
    /// An issuer was declared to name no service at all.
    NoServices,
    /// Services were declared for an issuer whose tokens do not name their service themselves.
    ServicesNotForKind,
    /// Two issuers of different kinds have one name.
    IssuerOfTwoKinds(String),
    /// Two issuers could both name any service.
    ServicesNotDeclared(String, String),
    /// Two issuers were declared to name one service.
    SharedService {
        /// The one issuer.
        issuer: String,
        /// The other one.
        other: String,
        /// The service, or the prefix, that both could name.
        shared: String,
    },
    /// An empty list of algorithms was said.
    NoAlgorithms,
    /// None of the keys is for one of the algorithms that were said.
    NoKeyForAlgorithms,
    /// The leeway is longer than [`MAX_LEEWAY`], or not whole seconds.
    Leeway(Duration),
    /// The realm is empty, or has characters that a challenge cannot hold.
    Realm(String),
    /// The token cache would be larger than [`MAX_CACHED_TOKENS`].
    TokenCache(usize),
    /// The key is for development, and this is a release build.
    DevelopmentKey(String),
    /// Two handlers of the program share a key, so audit records could not tell them apart.
    AmbiguousEndpoints(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmbiguousEndpoints(handlers) => write!(
                f,
                "two handlers share a key, so audit records cannot tell them apart ({handlers}); rename one of them"
            ),
            Self::KeysUnavailable(why) => write!(f, "the keys are not to be had: {why}"),
            Self::NoAudience(issuer) => {
                write!(f, "no audience for the tokens of `{issuer}`; name this service with `.audience(…)`")
            }
            Self::AlgorithmNotForKind(algorithm) => {
                write!(
                    f,
                    "this kind of tokens may not be signed with {algorithm}; use a key pair that it allows"
                )
            }
            Self::Lifetime => f.write_str("a maximum lifetime is zero or not whole seconds"),
            Self::NamesNotForKind => {
                f.write_str("these tokens name their service themselves; leave `.name(…)` out")
            }
            Self::TrustDomain(name) => {
                write!(
                    f,
                    "`{name}` is no trust domain; write it as in `spiffe://TRUST-DOMAIN/…`, in lower case"
                )
            }
            Self::NamedTwice(subject) => write!(f, "the subject `{subject}` has two names; give it one"),
            Self::ServicePrefix(prefix) => write!(
                f,
                "`{prefix}` is not the start of service names; write a prefix that ends in `.`, `-` or `_`, such as `mill.`"
            ),
            Self::NoServices => {
                f.write_str("the list of services is empty; leave `.services(…)` out to allow every service")
            }
            Self::ServicesNotForKind => f.write_str(
                "these tokens do not name their service themselves; write `.name(…)`, not `.services(…)`",
            ),
            Self::IssuerOfTwoKinds(issuer) => write!(
                f,
                "two issuers of different kinds have the name `{issuer}`, by which policies and revocations know them; \
                 trust one of them, or give each its own verifier"
            ),
            Self::ServicesNotDeclared(issuer, other) => write!(
                f,
                "tokens of `{issuer}` and of `{other}` could both name any service; \
                 say which services one of them may name with `.services(…)` or `.service_prefix(…)`"
            ),
            Self::SharedService { issuer, other, shared } => write!(
                f,
                "tokens of `{issuer}` and of `{other}` may both name `{shared}`; give each service to one issuer"
            ),
            Self::ServiceName(name) => write!(f, "`{name}` is no service name"),
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
            Self::TokenCache(tokens) => {
                write!(f, "a cache of {tokens} tokens for each thread; {MAX_CACHED_TOKENS} is the most")
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
