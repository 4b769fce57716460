//! The token drafts that an authority can start, one for each kind of token, and a verifier for each kind.

use serde_json::json;
use service_only::{TrustedIssuer, Verifier};

use super::TokenDraft;
use crate::{
    authority::TestAuthority,
    fail::{OrFail, fail},
};

impl TestAuthority {
    /// Starts a service token. The draft is already valid; see [`TokenDraft`].
    pub fn service(&self, name: impl Into<String>) -> TokenDraft {
        TokenDraft::service(self, name.into())
    }

    /// Starts a user token (`type: "access"`): it is authentic, and a guarded handler refuses it with 403.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let denial = authority.verifier().verify(&authority.user("anna").token()).unwrap_err();
    /// assert_eq!((denial.status(), denial.code().as_str()), (403, "not_service"));
    /// ```
    pub fn user(&self, id: impl Into<String>) -> TokenDraft {
        TokenDraft::of_user(self, id.into())
    }

    /// Starts a strict service token, as [`TrustedIssuer::strict`] requires it: with `typ: service+jwt`, for
    /// this authority's audience.
    ///
    /// ```
    /// use service_only::TrustedIssuer;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().audience("orders");
    /// let verifier = authority.verifier_trusting(TrustedIssuer::strict);
    /// assert!(verifier.verify(&authority.strict_service("gateway").token()).is_ok());
    ///
    /// let denial = verifier.verify(&authority.service("gateway").token()).unwrap_err();
    /// assert_eq!(denial.code().as_str(), "wrong_typ");
    /// ```
    ///
    /// # Panics
    /// When the authority has no audience; these tokens must have one.
    #[track_caller]
    pub fn strict_service(&self, name: impl Into<String>) -> TokenDraft {
        self.needs_audience();
        self.service(name).header("typ", "service+jwt")
    }

    /// Starts a bound service-account token of a Kubernetes cluster. Its service name is `NAMESPACE.ACCOUNT`,
    /// unless the verifier sets another.
    ///
    /// ```
    /// use service_only::TrustedIssuer;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().audience("orders");
    /// let verifier = authority.verifier_trusting(TrustedIssuer::kubernetes);
    /// let token = authority.kubernetes("bakery", "gateway").token();
    /// assert_eq!(verifier.verify(&token).unwrap().service(), "bakery.gateway");
    ///
    /// // A token that is not bound has no such claim.
    /// let legacy = authority.kubernetes("bakery", "gateway").without_claim("kubernetes.io").token();
    /// assert_eq!(verifier.verify(&legacy).unwrap_err().code().as_str(), "missing_claim");
    /// ```
    ///
    /// # Panics
    /// When the authority has no audience.
    #[track_caller]
    pub fn kubernetes(&self, namespace: &str, account: &str) -> TokenDraft {
        self.needs_audience();
        let bound = json!({
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": self.next_jti()},
            "pod": {"name": format!("{account}-0"), "uid": self.next_jti()},
        });
        TokenDraft::of_nobody(self)
            .claim("sub", format!("system:serviceaccount:{namespace}:{account}"))
            .claim("kubernetes.io", bound)
    }

    /// Starts a SPIFFE JWT-SVID. The trust domain is this authority's issuer. The service name is the path
    /// with `.` in place of `/`, unless the verifier sets another.
    ///
    /// ```
    /// use service_only::TrustedIssuer;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().issuer("bakery.example").audience("orders");
    /// let verifier = authority.verifier_trusting(TrustedIssuer::spiffe);
    /// let token = authority.spiffe("/bakery/gateway").token();
    /// assert_eq!(verifier.verify(&token).unwrap().service(), "bakery.gateway");
    ///
    /// let foreign = authority.spiffe("/a").claim("sub", "spiffe://mill.example/a").token();
    /// assert_eq!(verifier.verify(&foreign).unwrap_err().status(), 401);
    /// ```
    ///
    /// # Panics
    /// When the authority has no audience.
    #[track_caller]
    pub fn spiffe(&self, path: &str) -> TokenDraft {
        self.needs_audience();
        TokenDraft::of_nobody(self)
            .without_claim("iss")
            .without_claim("jti")
            .claim("sub", format!("spiffe://{}{path}", self.iss()))
    }

    /// Starts an RFC 9068 access token for client credentials. Its service name is the client id, unless the
    /// verifier sets another.
    ///
    /// ```
    /// use service_only::TrustedIssuer;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().audience("orders");
    /// let verifier = authority.verifier_trusting(TrustedIssuer::oauth);
    /// let draft = authority.oauth("gateway").scope("orders:read");
    /// assert!(verifier.verify(&draft.token()).unwrap().has_scope("orders:read"));
    ///
    /// // Of another subject, it was given to a user.
    /// let denial = verifier.verify(&authority.oauth("gateway").claim("sub", "anna").token());
    /// assert_eq!(denial.unwrap_err().status(), 403);
    /// ```
    ///
    /// # Panics
    /// When the authority has no audience.
    #[track_caller]
    pub fn oauth(&self, client_id: &str) -> TokenDraft {
        self.needs_audience();
        TokenDraft::of_nobody(self)
            .header("typ", "at+jwt")
            .claim("client_id", client_id)
            .claim("sub", client_id)
    }

    /// This authority as a trusted issuer of one kind, for a verifier that trusts several.
    ///
    /// ```
    /// use service_only::{TrustedIssuer, Verifier};
    /// use service_only_testkit::TestAuthority;
    ///
    /// let own = TestAuthority::new().audience("orders");
    /// let cluster = TestAuthority::new().issuer("https://cluster").audience("orders");
    /// let kubernetes = cluster
    ///     .trusted_as(TrustedIssuer::kubernetes)
    ///     .name("system:serviceaccount:bakery:gateway", "gateway");
    /// let verifier = Verifier::builder()
    ///     .trust(own.trusted_as(TrustedIssuer::strict))
    ///     .trust(kubernetes)
    ///     .clock(own.clock().clone())
    ///     .build()
    ///     .unwrap();
    /// let token = cluster.kubernetes("bakery", "gateway").token();
    /// assert_eq!(verifier.verify(&token).unwrap().service(), "gateway");
    ///
    /// // What one issuer's key signed is never another's.
    /// let forged = own.kubernetes("bakery", "gateway").claim("iss", "https://cluster").token();
    /// assert!(verifier.verify(&forged).is_err());
    /// ```
    pub fn trusted_as(&self, kind: impl FnOnce(String) -> TrustedIssuer) -> TrustedIssuer {
        let trusted = kind(self.iss().to_owned()).keys(self.own_keys());
        match self.aud() {
            Some(audience) => trusted.audience(audience),
            None => trusted,
        }
    }

    /// Creates a verifier that trusts this authority as an issuer of one kind. It uses the authority's clock
    /// and records into its audit log.
    ///
    /// # Panics
    /// When the verifier cannot be built, for example without an audience.
    #[track_caller]
    pub fn verifier_trusting(&self, kind: impl FnOnce(String) -> TrustedIssuer) -> Verifier {
        Verifier::builder()
            .trust(self.trusted_as(kind))
            .clock(self.clock().clone())
            .audit(self.audit().clone())
            .build()
            .or_fail("the verifier of a test authority")
    }

    #[track_caller]
    pub(crate) fn needs_audience(&self) {
        if self.aud().is_none() {
            fail("tokens of this kind have an audience; write `TestAuthority::new().audience(…)`");
        }
    }
}
