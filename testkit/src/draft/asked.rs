//! The requirements of a handler, if a test names them. The token then meets them, and the attack can break
//! what only such a handler refuses.

use serde_json::Value;
use service_only::routes::Access;

use super::{DEFAULT_ROLE, TokenDraft};

impl TokenDraft {
    /// Makes the token meet a policy: it gets the first service, the first role and all scopes of the policy.
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

    /// Whether the handler names the services that may call. By default it does.
    pub(crate) fn asks_for_services(&self) -> bool {
        match &self.asked {
            Some(Access::ServiceOnly { services, .. }) => services.is_some(),
            _ => true,
        }
    }

    /// Whether the handler names roles. It does if the policy does. Without a policy, it does if the token
    /// has a role other than the default, which then must be for the handler.
    pub(crate) fn asks_for_roles(&self) -> bool {
        match &self.asked {
            Some(Access::ServiceOnly { roles, .. }) => roles.is_some(),
            Some(_) => false,
            None => self.held("role").and_then(Value::as_str).is_some_and(|role| role != DEFAULT_ROLE),
        }
    }

    /// The maximum age in seconds, if the handler is known to require one.
    pub(crate) fn asked_age(&self) -> Option<i64> {
        match &self.asked {
            Some(Access::ServiceOnly { max_age: Some(seconds), .. }) => i64::try_from(*seconds).ok(),
            _ => None,
        }
    }
}
