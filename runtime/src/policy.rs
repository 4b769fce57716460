//! What a handler asks of its caller, and the name of the handler that asks.
//!
//! A [`Policy`] is data, built in a `const`. Whether a caller meets it is decided in `authorize`.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// What a handler asks of its caller: any of the issuers, any of the services, any of the roles, all of the scopes, and
/// a token issued no longer ago than `max_age`. A list that is left out asks for nothing.
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
    /// Any verified service may call; what `#[service_only]` without keys means.
    pub const fn any_service() -> Self {
        Self { issuers: None, services: None, roles: None, scopes: &[], max_age: None }
    }

    /// Only tokens of these issuers may call: the verifier trusts the issuer by this name, the `iss` of its tokens or
    /// the trust domain of SPIFFE, byte for byte. An empty list lets nobody in. For a verifier that trusts several
    /// issuers, where a handler is for the services of one.
    #[must_use]
    pub const fn issuers(self, issuers: &'a [&'a str]) -> Self {
        Self { issuers: Some(issuers), ..self }
    }

    /// Only these services may call: the token's `service` equals one of them, byte for byte. An
    /// empty list lets nobody in.
    #[must_use]
    pub const fn services(self, services: &'a [&'a str]) -> Self {
        Self { services: Some(services), ..self }
    }

    /// Only these roles may call: the token's `role` equals one of them, byte for byte. An empty list
    /// lets nobody in.
    #[must_use]
    pub const fn roles(self, roles: &'a [&'a str]) -> Self {
        Self { roles: Some(roles), ..self }
    }

    /// The token's `scope` must hold every one of these.
    #[must_use]
    pub const fn scopes(self, scopes: &'a [&'a str]) -> Self {
        Self { scopes, ..self }
    }

    /// The token must have an `iat`, no further back than this.
    #[must_use]
    pub const fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// The issuers whose tokens may call; `None` for any that the verifier trusts.
    pub const fn allowed_issuers(&self) -> Option<&'a [&'a str]> {
        self.issuers
    }

    /// The services that may call; `None` for any.
    pub const fn allowed_services(&self) -> Option<&'a [&'a str]> {
        self.services
    }

    /// The roles that may call; `None` for any.
    pub const fn allowed_roles(&self) -> Option<&'a [&'a str]> {
        self.roles
    }

    /// The scopes that a caller needs, all of them.
    pub const fn required_scopes(&self) -> &'a [&'a str] {
        self.scopes
    }

    /// How long ago the token may have been issued.
    pub const fn allowed_age(&self) -> Option<Duration> {
        self.max_age
    }
}

/// A handler: where it stands, known when compiling.
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

    /// One that the program's list does not know; only the names are poorer.
    pub(crate) const fn unregistered(function: &'static str, line: u32) -> Self {
        Self::new("", function, "", line)
    }

    /// The module that the handler stands in, as `module_path!()` gives it. Empty where the platform
    /// cannot list a program's endpoints.
    pub const fn module_path(&self) -> &'static str {
        self.module_path
    }

    /// The handler's name.
    pub const fn function(&self) -> &'static str {
        self.function
    }

    /// The file that the handler stands in, as `file!()` gives it. Empty as the module is.
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// The line that the handler's name stands on.
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
