//! The policy of a handler: what it requires of its caller. Also the name and source location of the handler.
//!
//! A [`Policy`] is data, built in a `const`. The module `authorize` decides whether a caller meets it.

use std::{fmt, num::NonZeroU64, time::Duration};

use serde::{Serialize, Serializer};

use crate::proof::RequiredProof;

/// What a handler requires of its caller.
///
/// The token must have:
///
/// - one of the `issuers`, one of the `services`, one of the `actors` and one of the `roles`,
/// - all of the `scopes`, and one of the scopes of [`any_scope`](Self::any_scope),
/// - all of the `claims`,
/// - an age of at most `max_age`.
///
/// Its sender must give the [`proof`](Self::proof). A requirement that you do not set does not apply.
///
/// A policy is for services, for users, or for both. Text is compared byte for byte, without patterns: a `*` in a scope,
/// in the policy or in a token, matches only itself.
///
/// ```
/// use service_only::Policy;
///
/// const POLICY: Policy<'static> = Policy::any_service()
///     .services(&["tenant-deletion-orchestrator"])
///     .scopes(&["tenants:delete"]);
/// assert_eq!(POLICY.required_scopes(), ["tenants:delete"]);
///
/// const MANAGERS: Policy<'static> = Policy::any_user().roles(&["manager"]);
/// const BOTH: Policy<'static> = POLICY.or_users(&MANAGERS);
/// assert_eq!(BOTH.for_users(), Some(&MANAGERS));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    issuers: Option<&'a [&'a str]>,
    services: Option<&'a [&'a str]>,
    actors: Option<&'a [&'a str]>,
    roles: Option<&'a [&'a str]>,
    scopes: &'a [&'a str],
    any_scope: Option<&'a [&'a str]>,
    claims: &'a [(&'a str, &'a str)],
    max_age: Option<Duration>,
    proof: Option<RequiredProof>,
    /// Whether the policy is for users only.
    is_for_users: bool,
    users: Option<&'a Policy<'a>>,
}

impl<'a> Policy<'a> {
    /// Allows any verified service, like `#[service_only]` without keys.
    pub const fn any_service() -> Self {
        Self {
            issuers: None,
            services: None,
            actors: None,
            roles: None,
            scopes: &[],
            any_scope: None,
            claims: &[],
            max_age: None,
            proof: None,
            is_for_users: false,
            users: None,
        }
    }

    /// Allows any verified user and no service, like `#[users_only]` without keys.
    pub const fn any_user() -> Self {
        Self { is_for_users: true, ..Self::any_service() }
    }

    /// The same requirements, for users instead of services.
    pub(crate) const fn of_users(self) -> Self {
        Self { is_for_users: true, ..self }
    }

    /// Also allows users that meet another policy, like `#[callers]`.
    #[must_use]
    pub const fn or_users(self, users: &'a Self) -> Self {
        Self { users: Some(users), ..self }
    }

    /// Allows only tokens of these issuers. A name is compared byte for byte with the name under which the verifier
    /// trusts the issuer: the `iss` of its tokens, or the trust domain of SPIFFE. An empty list refuses every caller.
    /// Use it if the verifier trusts several issuers and the handler is for the services of one of them.
    #[must_use]
    pub const fn issuers(self, issuers: &'a [&'a str]) -> Self {
        Self { issuers: Some(issuers), ..self }
    }

    /// Allows only these services: the token's `service` must equal one of them, byte for byte. An
    /// empty list refuses every caller, and so does a list in a policy for users. `@deleters` allows the services of the
    /// verifier's [set](crate::verifier::VerifierBuilder::service_set) `deleters`.
    #[must_use]
    pub const fn services(self, services: &'a [&'a str]) -> Self {
        Self { services: Some(services), ..self }
    }

    /// Allows only tokens with which one of these parties, the actors, acts for the caller (RFC 8693 section 4.1). The
    /// `sub` of the token's `act` must equal one of them, byte for byte. If `act` has an `iss`, it must be the issuer
    /// of the token, because another issuer may use the same name for another party. Prior actors are not compared. An
    /// empty list refuses every caller. Without this requirement, a caller may call directly, or through any actor that
    /// the issuer allows.
    #[must_use]
    pub const fn actors(self, actors: &'a [&'a str]) -> Self {
        Self { actors: Some(actors), ..self }
    }

    /// Allows only these roles: the token's `role` must equal one of them, byte for byte. An empty list
    /// refuses every caller.
    #[must_use]
    pub const fn roles(self, roles: &'a [&'a str]) -> Self {
        Self { roles: Some(roles), ..self }
    }

    /// Requires the token's `scope` to contain every one of these.
    #[must_use]
    pub const fn scopes(self, scopes: &'a [&'a str]) -> Self {
        Self { scopes, ..self }
    }

    /// Requires the token's `scope` to contain one of these. An empty list refuses every caller.
    #[must_use]
    pub const fn any_scope(self, scopes: &'a [&'a str]) -> Self {
        Self { any_scope: Some(scopes), ..self }
    }

    /// Requires claims of the token to be strings that equal these values, byte for byte. A value in braces, such as
    /// `{tenant}`, is the path parameter of that name, as the handler gets it. Without such a parameter the caller is
    /// refused.
    #[must_use]
    pub const fn claims(self, claims: &'a [(&'a str, &'a str)]) -> Self {
        Self { claims, ..self }
    }

    /// Requires the token to have an `iat`, at most this long ago.
    #[must_use]
    pub const fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Requires the sender to prove that it has the key of its token, or of its certificate. A bearer token is refused
    /// with 401 (`proof_missing`), before anything else of the policy is compared.
    ///
    /// ```
    /// use service_only::{Policy, RequiredProof};
    ///
    /// const POLICY: Policy<'static> = Policy::any_service().proof(RequiredProof::Mtls);
    /// assert_eq!(POLICY.required_proof(), Some(RequiredProof::Mtls));
    /// ```
    #[must_use]
    pub const fn proof(self, proof: RequiredProof) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// What is required of a service; `None` if no service may call.
    pub const fn for_services(&self) -> Option<&Self> {
        if self.is_for_users { None } else { Some(self) }
    }

    /// What is required of a user; `None` if no user may call.
    pub const fn for_users(&self) -> Option<&Self> {
        if self.is_for_users { Some(self) } else { self.users }
    }

    /// The issuers whose tokens may call; `None` means every issuer that the verifier trusts.
    pub const fn allowed_issuers(&self) -> Option<&'a [&'a str]> {
        self.issuers
    }

    /// The services that may call; `None` means any service.
    pub const fn allowed_services(&self) -> Option<&'a [&'a str]> {
        self.services
    }

    /// One of these parties must act for the caller; `None` means no such requirement.
    pub const fn allowed_actors(&self) -> Option<&'a [&'a str]> {
        self.actors
    }

    /// The roles that may call; `None` means any role.
    pub const fn allowed_roles(&self) -> Option<&'a [&'a str]> {
        self.roles
    }

    /// The scopes that a caller needs. It needs all of them.
    pub const fn required_scopes(&self) -> &'a [&'a str] {
        self.scopes
    }

    /// The caller needs one of these scopes; `None` means no such requirement.
    pub const fn alternative_scopes(&self) -> Option<&'a [&'a str]> {
        self.any_scope
    }

    /// The claims that a caller needs, with their values. A value in braces is a path parameter.
    pub const fn required_claims(&self) -> &'a [(&'a str, &'a str)] {
        self.claims
    }

    /// The path parameters that claims are compared with, for services and for users.
    #[cfg(feature = "axum")]
    pub(crate) fn path_parameters(&self) -> impl Iterator<Item = &'a str> {
        let users = self.users.map_or(&[][..], |users| users.claims);
        self.claims.iter().chain(users).filter_map(|(_, value)| path_parameter(value))
    }

    /// The sets of services that the policy refers to, such as `deleters` for `@deleters`.
    pub(crate) fn service_sets(&self) -> impl Iterator<Item = &'a str> {
        self.services.unwrap_or_default().iter().filter_map(|word| word.strip_prefix('@'))
    }

    /// Whether a service or a user must give a proof of DPoP.
    pub(crate) fn requires_dpop(&self) -> bool {
        let requires = |policy: &Policy<'_>| policy.proof == Some(RequiredProof::Dpop);
        requires(self) || self.users.is_some_and(requires)
    }

    /// Whether a claim is compared with a path parameter. It is evaluated at compile time for a handler.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) const fn reads_path(&self) -> bool {
        let of_users = match self.users {
            Some(users) => has_path_parameter(users.claims),
            None => false,
        };
        of_users || has_path_parameter(self.claims)
    }

    /// The maximum age of the token, counted from its `iat`.
    pub const fn allowed_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The proof that the sender must give; `None` means that a bearer token is enough.
    pub const fn required_proof(&self) -> Option<RequiredProof> {
        self.proof
    }
}

#[cfg(any(feature = "actix", feature = "axum"))]
const fn has_path_parameter(claims: &[(&str, &str)]) -> bool {
    let mut rest = claims;
    while let Some(((_, value), others)) = rest.split_first() {
        if let [b'{', .., b'}'] = value.as_bytes() {
            return true;
        }
        rest = others;
    }
    false
}

/// The name in `{name}`.
pub(crate) fn path_parameter(value: &str) -> Option<&str> {
    value.strip_prefix('{')?.strip_suffix('}')
}

/// The name and source location of a handler, known at compile time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    module_path: &'static str,
    function: &'static str,
    file: &'static str,
    line: u32,
    policy: Option<PolicyDigest>,
}

impl Endpoint {
    pub(crate) const fn new(
        module_path: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self { module_path, function, file, line, policy: None }
    }

    pub(crate) const fn with_policy(self, policy: Option<PolicyDigest>) -> Self {
        Self { policy, ..self }
    }

    /// Creates an endpoint that is missing from the program's list; only its names are less complete.
    pub(crate) const fn unregistered(function: &'static str, line: u32) -> Self {
        Self::new("", function, "", line)
    }

    /// The module of the handler, as `module_path!()` returns it. Empty if the platform cannot list a
    /// program's endpoints.
    pub const fn module_path(&self) -> &'static str {
        self.module_path
    }

    /// The handler's name.
    pub const fn function(&self) -> &'static str {
        self.function
    }

    /// The source file of the handler, as `file!()` returns it. Empty in the same case as the module.
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// The source line of the handler's name.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The digest of the handler's policy. `None` for a public handler, and if the platform cannot list a program's
    /// endpoints.
    pub const fn policy_digest(&self) -> Option<PolicyDigest> {
        self.policy
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module_path {
            "" => f.write_str(self.function),
            module => write!(f, "{module}::{}", self.function),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A digest of a policy, which prints as 16 hexadecimal digits. If a requirement of the policy changes, the digest
/// changes.
///
/// The digest is the beginning of a SHA-256 hash. The hashed text is the policy as JSON, in the form of `access` in a
/// [`RouteTable`](crate::routes::RouteTable), with sorted lists. The JSON contains the name of a set of services, and
/// not its members. So a change of the members does not change the digest.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyDigest(NonZeroU64);

impl PolicyDigest {
    pub(crate) const fn new(bytes: [u8; 8]) -> Self {
        match NonZeroU64::new(u64::from_be_bytes(bytes)) {
            Some(number) => Self(number),
            // Zeros, which no known policy has, print as one.
            None => Self(NonZeroU64::MIN),
        }
    }
}

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for PolicyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_the_path_only_if_a_claim_is_compared_with_a_parameter() {
        const FIXED: &[(&str, &str)] = &[("tenant", "a"), ("region", "{b")];
        const PATH: &[(&str, &str)] = &[("region", "b"), ("tenant", "{tenant}")];
        const USERS: Policy<'static> = Policy::any_user().claims(PATH);
        let services = Policy::any_service().claims(FIXED);
        assert!(!services.reads_path() && !Policy::any_service().reads_path());
        assert!(Policy::any_service().claims(PATH).reads_path() && services.or_users(&USERS).reads_path());
        assert_eq!(services.or_users(&USERS).path_parameters().collect::<Vec<_>>(), ["tenant"]);
        assert_eq!(services.path_parameters().count(), 0);
        let sets = Policy::any_service().services(&["billing", "@deleters", "@readers"]);
        assert_eq!(sets.service_sets().collect::<Vec<_>>(), ["deleters", "readers"]);
    }
}
