//! Sets when a token is valid, relative to the authority's clock at the time of the call.

use std::time::Duration;

use super::TokenDraft;

impl TokenDraft {
    /// Makes the token expire this long from now, by the authority's clock.
    #[doc(alias = "ttl")]
    #[doc(alias = "lifetime")]
    pub fn expires_in(self, duration: Duration) -> Self {
        let exp = self.now().saturating_add(whole_seconds(duration));
        self.claim("exp", exp)
    }

    /// Makes the token expire this long ago. With zero it expires at this very second, so it has already
    /// expired.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    /// use std::time::Duration;
    ///
    /// let authority = TestAuthority::new();
    /// let at_the_second = authority.service("orders").expired_for(Duration::ZERO).token();
    /// let one_before = authority.service("orders").expires_in(Duration::from_secs(1)).token();
    /// assert!(authority.verifier().verify(&at_the_second).is_err());
    /// assert!(authority.verifier().verify(&one_before).is_ok());
    /// ```
    pub fn expired_for(self, duration: Duration) -> Self {
        let exp = self.now().saturating_sub(whole_seconds(duration));
        self.claim("exp", exp)
    }

    /// Sets how long ago the token was issued, which a handler's `max_age` checks.
    ///
    /// ```
    /// use service_only::Policy;
    /// use service_only_testkit::TestAuthority;
    /// use std::time::Duration;
    ///
    /// let authority = TestAuthority::new();
    /// let policy = Policy::any_service().max_age(Duration::from_secs(60));
    /// let issued = |ago| authority.service("orders").issued_ago(Duration::from_secs(ago)).token();
    /// assert!(authority.verifier().verify_with(&issued(60), &policy).is_ok());
    /// assert!(authority.verifier().verify_with(&issued(61), &policy).is_err());
    /// ```
    pub fn issued_ago(self, duration: Duration) -> Self {
        let iat = self.now().saturating_sub(whole_seconds(duration));
        self.claim("iat", iat)
    }

    /// Makes the token valid from this long in the future (`nbf`), and not before.
    pub fn valid_in(self, duration: Duration) -> Self {
        let nbf = self.now().saturating_add(whole_seconds(duration));
        self.claim("nbf", nbf)
    }

    pub(crate) fn now(&self) -> i64 {
        self.authority.clock().now().unix()
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
