//! The requirements of a handler, if a test names them. The token then meets them, and the attack can break
//! what only such a handler refuses.

use serde_json::Value;
use service_only::routes::{Access, Requirements};

use super::{DEFAULT_ROLE, TokenDraft};

impl TokenDraft {
    /// Makes the token meet a policy: it gets the first service, the first actor, the first role and all scopes of the policy.
    /// A token of an identity provider does not change, because the provider determines its claims. The test sets them.
    /// The classes about scopes and roles then change those that the policy names.
    ///
    /// The attack classes about roles and age then fit the token; a token alone is not enough for them. The
    /// classes about names and scopes then fit only if the policy requires some.
    ///
    /// ```
    /// use service_only::Policy;
    /// use service_only_testkit::{Defect, TestAuthority};
    ///
    /// const ADMINS: Policy<'static> = Policy::any_service().roles(&["admin"]).scopes(&["stock:read"]);
    /// let authority = TestAuthority::new();
    /// let draft = authority.service("orders").role("viewer").meeting(&ADMINS);
    /// assert!(authority.verifier().verify_with(&draft.token(), &ADMINS).is_ok());
    ///
    /// let fixture = draft.fixture(Defect::OtherRole).unwrap();
    /// let denial = authority.verifier().verify_with(fixture.token().unwrap(), &ADMINS).unwrap_err();
    /// assert_eq!(denial.code().as_str(), "role_not_allowed");
    /// assert!(draft.fixture(Defect::OtherService).is_none(), "any service may call");
    /// ```
    pub fn meeting(self, policy: impl Into<Access>) -> Self {
        let access = policy.into();
        if self.provider.is_some() {
            return Self { asked: Some(access), ..self };
        }
        let mut draft = self.without_scopes();
        let is_user = draft.is_user();
        let requirements = if is_user { access.for_users() } else { access.for_services() };
        if let Some(Requirements { services, actors, roles, scopes, any_scope, claims, .. }) = requirements {
            draft = draft.scopes(scopes);
            let has_one = |scopes: &Vec<String>| draft.has_one_scope_of(scopes);
            if let Some(scope) =
                any_scope.as_ref().filter(|scopes| !has_one(scopes)).and_then(|scopes| scopes.first())
            {
                draft = draft.scope(scope);
            }
            if let Some(service) = services.iter().flatten().find(|service| !service.starts_with('@')) {
                draft = draft.named(service);
            }
            if let Some(actor) = actors.as_ref().and_then(|actors| actors.first()) {
                draft = draft.via(actor);
            }
            if let Some(role) = roles.as_ref().and_then(|roles| roles.first()) {
                draft = draft.role(role);
            }
            // The value of a path parameter depends on the request, so the test sets that claim.
            for (name, value) in claims.iter().filter(|(_, value)| !value.starts_with('{')) {
                draft = draft.claim(name, value.as_str());
            }
        }
        Self { asked: Some(access), ..draft }
    }

    /// Whether the token is a user's.
    pub(crate) fn is_user(&self) -> bool {
        self.held("type").and_then(Value::as_str) == Some("access")
    }

    /// Whether the handler admits users and services, as far as the test said.
    pub(crate) fn is_for_both(&self) -> bool {
        let both = |access: &Access| access.for_users().is_some() && access.for_services().is_some();
        self.asked.as_ref().is_some_and(both)
    }

    /// Whether the token is a user's, and no service may call the handler.
    pub(crate) fn is_for_users_only(&self) -> bool {
        self.is_user() && self.asked.as_ref().is_none_or(|access| access.for_services().is_none())
    }

    /// A service's token with the same role, scopes and other claims.
    pub(crate) fn as_service(&self) -> Self {
        self.clone().claim("type", "service").claim("is_service", true).named("any-service")
    }

    /// The first claim that the handler requires, with the value that the token has.
    pub(crate) fn asked_claim(&self) -> Option<(String, String)> {
        let (name, _) = self.requirements()?.claims.first_key_value()?;
        let value = self.held(name)?.as_str()?;
        Some((name.clone(), value.to_owned()))
    }

    /// The actor of the token, if the handler requires one.
    pub(crate) fn asked_actor(&self) -> Option<String> {
        self.requirements()?.actors.as_ref()?;
        Some(self.held("act")?.get("sub")?.as_str()?.to_owned())
    }

    fn has_one_scope_of(&self, scopes: &[String]) -> bool {
        let held = self.held("scope").and_then(Value::as_str).unwrap_or_default();
        scopes.iter().any(|scope| held.split(' ').any(|held| held == scope))
    }

    /// What the handler requires of a caller of this kind; `None` if the test did not say.
    pub(super) fn requirements(&self) -> Option<&Requirements> {
        let access = self.asked.as_ref()?;
        if self.is_user() { access.for_users() } else { access.for_services() }
    }

    /// The first service that the handler allows, if it names services. The name of a set does not name a service.
    pub(crate) fn asked_service(&self) -> Option<&str> {
        let services = self.requirements()?.services.as_ref()?;
        services.iter().map(String::as_str).find(|service| !service.starts_with('@'))
    }

    /// The only service that the handler allows.
    pub(crate) fn only_service(&self) -> Option<&str> {
        let services = self.requirements()?.services.as_ref()?;
        self.asked_service().filter(|_| services.len() == 1)
    }

    /// Whether the handler names the services that may call. By default it does.
    pub(crate) fn asks_for_services(&self) -> bool {
        !self.is_user() && self.requirements().is_none_or(|asked| asked.services.is_some())
    }

    /// Whether the handler names roles. It does if the policy does. Without a policy, it does if the token
    /// has a role other than the default, which then must be for the handler.
    pub(crate) fn asks_for_roles(&self) -> bool {
        match (&self.asked, self.requirements()) {
            (_, Some(asked)) => asked.roles.is_some(),
            (Some(_), None) => false,
            (None, None) => {
                self.held("role").and_then(Value::as_str).is_some_and(|role| role != DEFAULT_ROLE)
            }
        }
    }

    /// The maximum age in seconds, if the handler is known to require one.
    pub(crate) fn asked_age(&self) -> Option<i64> {
        self.requirements()?.max_age.and_then(|seconds| i64::try_from(seconds).ok())
    }
}
