//! When a token is valid, counted from what the authority's clock shows at the moment of saying it.

use std::time::Duration;

use super::TokenDraft;

impl TokenDraft {
    /// The token expires this long from now, by the authority's clock.
    #[doc(alias = "ttl")]
    #[doc(alias = "lifetime")]
    pub fn expires_in(self, duration: Duration) -> Self {
        let exp = self.now().saturating_add(whole_seconds(duration));
        self.claim("exp", exp)
    }

    /// The token expired this long ago; zero for "at this very second", which is expired already.
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

    /// The token was issued this long ago, which is what a handler's `max_age` looks at.
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

    /// The token is valid this long from now on (`nbf`), and not before.
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
