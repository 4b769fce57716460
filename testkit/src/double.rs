//! Calls a guarded function without a request, as a unit test does.
//!
//! The required proof is real: the test kit mints and verifies a token, and applies the policy. So this
//! module does not weaken the guard. A release build excludes it, unless a feature declares that the release
//! build is for a test.

use service_only::{__private, Caller, Denial, Identity, Policy, User};

use crate::{
    draft::TokenDraft,
    fail::{OrFail, fail},
};

impl TokenDraft {
    /// The hidden argument of a guarded handler, to call the handler as a function. It applies the handler's
    /// policy to this caller.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use axum::extract::Path;
    /// use service_only::{Caller, service_only};
    /// use service_only_testkit::TestAuthority;
    ///
    /// #[service_only(services("orchestrator"))]
    /// async fn delete_tenant(Path(tenant): Path<u32>, caller: Caller) -> String {
    ///     format!("{tenant} deleted for {}", caller.service())
    /// }
    ///
    /// let authority = TestAuthority::new();
    /// let orchestrator = authority.service("orchestrator");
    /// let answer = delete_tenant(orchestrator.guard(), Path(7), orchestrator.caller()).await;
    /// assert_eq!(answer, "7 deleted for orchestrator");
    ///
    /// // For a caller that the handler refuses, the kit returns the denial instead of a proof.
    /// let refused = authority.service("orders").try_guard();
    /// let Err(denial) = refused.map(|guard| delete_tenant(guard, Path(7), orchestrator.caller())) else {
    ///     panic!("orders was let in");
    /// };
    /// assert_eq!(denial.code().as_str(), "service_not_allowed");
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the handler would refuse this caller; see [`TokenDraft::try_guard`].
    #[track_caller]
    pub fn guard<P: __private::StaticPolicy>(&self) -> __private::Guard<P> {
        self.try_guard().or_fail("the guard of a handler")
    }

    /// The hidden argument of a guarded handler, or the denial if the handler would refuse this caller.
    ///
    /// # Errors
    /// When the token or the caller does not meet the handler's policy.
    #[track_caller]
    pub fn try_guard<P: __private::StaticPolicy>(&self) -> Result<__private::Guard<P>, Denial> {
        __private::Guard::of_token(&self.authority().verifier(), self.sender(), &self.token())
    }

    /// This service as a verified caller, to pass to a function.
    ///
    /// ```
    /// use service_only::Caller;
    /// use service_only_testkit::TestAuthority;
    ///
    /// fn greeting(caller: &Caller) -> String {
    ///     format!("hello, {}", caller.service())
    /// }
    ///
    /// let authority = TestAuthority::new();
    /// assert_eq!(greeting(&authority.service("orders").caller()), "hello, orders");
    ///
    /// // The verifier returns no `Caller` for a user.
    /// assert!(authority.verifier().verify(&authority.user("anna").token()).is_err());
    /// ```
    ///
    /// # Panics
    /// When the verifier of the authority refuses the token.
    #[track_caller]
    pub fn caller(&self) -> Caller {
        let any = Policy::any_service();
        self.authority().verifier().verify_from(self.sender(), &self.token(), &any).or_fail("a caller")
    }

    /// This user as a verified user, to pass to a function.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let mia = TestAuthority::new().user("mia").user();
    /// assert_eq!(mia.id(), Some("mia"));
    /// ```
    ///
    /// # Panics
    /// When the verifier of the authority refuses the token, or it is a service's.
    #[track_caller]
    pub fn user(&self) -> User {
        match self.identity() {
            Identity::User(user) => user,
            _ => fail("the token is a service's, expected a user's"),
        }
    }

    /// This service or user as a verified identity, to pass to a function.
    ///
    /// # Panics
    /// When the verifier of the authority refuses the token.
    #[track_caller]
    pub fn identity(&self) -> Identity {
        const USERS: Policy<'static> = Policy::any_user();
        let anyone = Policy::any_service().or_users(&USERS);
        let verifier = self.authority().verifier();
        verifier.authenticate_from(self.sender(), &self.token(), &anyone).or_fail("an identity")
    }
}
