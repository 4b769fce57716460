//! The policy of a handler: what it requires of its caller. Also the name and source location of the handler.
//!
//! A [`Policy`] is data, built in a `const`. The module `authorize` decides whether a caller meets it.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// What a handler requires of its caller.
///
/// The token must have one of the issuers, one of the services, one of the roles and all of the scopes, and must be
/// issued no longer ago than `max_age`. A list that you leave out requires nothing.
///
/// ```
/// use service_only::Policy;
///
/// const POLICY: Policy<'static> = Policy::any_service()
///     .services(&["tenant-deletion-orchestrator"])
///     .scopes(&["tenants:delete"]);
/// assert_eq!(POLICY.required_scopes(), ["tenants:delete"]);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    issuers: Option<&'a [&'a str]>,
    services: Option<&'a [&'a str]>,
    roles: Option<&'a [&'a str]>,
    scopes: &'a [&'a str],
    max_age: Option<Duration>,
}

impl<'a> Policy<'a> {
    /// Allows any verified service, like `#[service_only]` without keys.
    pub const fn any_service() -> Self {
        Self { issuers: None, services: None, roles: None, scopes: &[], max_age: None }
    }

    /// Allows only tokens of these issuers. A name is compared byte for byte with the name under which the verifier
    /// trusts the issuer: the `iss` of its tokens, or the trust domain of SPIFFE. An empty list refuses every caller.
    /// Use it if the verifier trusts several issuers and the handler is for the services of one of them.
    #[must_use]
    pub const fn issuers(self, issuers: &'a [&'a str]) -> Self {
        Self { issuers: Some(issuers), ..self }
    }

    /// Allows only these services: the token's `service` must equal one of them, byte for byte. An
    /// empty list refuses every caller.
    #[must_use]
    pub const fn services(self, services: &'a [&'a str]) -> Self {
        Self { services: Some(services), ..self }
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

    /// Requires the token to have an `iat`, at most this long ago.
    #[must_use]
    pub const fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// The issuers whose tokens may call; `None` means every issuer that the verifier trusts.
    pub const fn allowed_issuers(&self) -> Option<&'a [&'a str]> {
        self.issuers
    }

    /// The services that may call; `None` means any service.
    pub const fn allowed_services(&self) -> Option<&'a [&'a str]> {
        self.services
    }

    /// The roles that may call; `None` means any role.
    pub const fn allowed_roles(&self) -> Option<&'a [&'a str]> {
        self.roles
    }

    /// The scopes that a caller needs. It needs all of them.
    pub const fn required_scopes(&self) -> &'a [&'a str] {
        self.scopes
    }

    /// The maximum age of the token, counted from its `iat`.
    pub const fn allowed_age(&self) -> Option<Duration> {
        self.max_age
    }
}

/// The name and source location of a handler, known at compile time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    module_path: &'static str,
    function: &'static str,
    file: &'static str,
    line: u32,
}

impl Endpoint {
    pub(crate) const fn new(
        module_path: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self { module_path, function, file, line }
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
