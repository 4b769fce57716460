//! What the handler asks of its caller, where a test says so: the token then meets it, and can be spoiled
//! in what only such a handler refuses.

use serde_json::Value;
use service_only::routes::Access;

use super::{DEFAULT_ROLE, TokenDraft};

impl TokenDraft {
    /// Makes this the token of a caller that a policy lets in: the first of its services and of its roles,
    /// and its scopes. The classes of attacks about roles and age, which no token alone can be tried by,
    /// fit it then; and those about names and scopes only where the policy asks for some.
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
        let mut draft = self.without_scopes();
        if let Access::ServiceOnly { services, roles, scopes, .. } = &access {
            draft = draft.scopes(scopes);
            if let Some(service) = services.as_ref().and_then(|services| services.first()) {
                draft = draft.named(service);
            }
            if let Some(role) = roles.as_ref().and_then(|roles| roles.first()) {
                draft = draft.role(role);
            }
        }
        Self { asked: Some(access), ..draft }
    }

    /// Whether the handler names the services that may call: unless something else was said, it does.
    pub(crate) fn asks_for_services(&self) -> bool {
        match &self.asked {
            Some(Access::ServiceOnly { services, .. }) => services.is_some(),
            _ => true,
        }
    }

    /// Whether the handler names roles: it is known to, or the token has another role than the one that each
    /// service's token starts with, which then is there for the handler.
    pub(crate) fn asks_for_roles(&self) -> bool {
        match &self.asked {
            Some(Access::ServiceOnly { roles, .. }) => roles.is_some(),
            Some(_) => false,
            None => self.held("role").and_then(Value::as_str).is_some_and(|role| role != DEFAULT_ROLE),
        }
    }

    /// The greatest age in seconds, where the handler is known to ask for one.
    pub(crate) fn asked_age(&self) -> Option<i64> {
        match &self.asked {
            Some(Access::ServiceOnly { max_age: Some(seconds), .. }) => i64::try_from(*seconds).ok(),
            _ => None,
        }
    }
}
