//! The verifying side of an authority: a verifier that trusts it, and its public key.

use service_only::{
    Dpop, KeySet, Verifier,
    issue::{PublicJwk, SigningKey},
    verifier::VerifierBuilder,
};

use super::{TestAuthority, keys};
use crate::fail::{OrFail, fail};

impl TestAuthority {
    /// Creates a verifier that trusts this authority, uses its clock, and records into its audit.
    #[track_caller]
    pub fn verifier(&self) -> Verifier {
        self.verifier_builder().build().or_fail("the verifier of a test authority")
    }

    /// The builder of such a verifier, for a test that changes one setting.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    /// use std::time::Duration;
    ///
    /// let authority = TestAuthority::new();
    /// let lenient = authority.verifier_builder().leeway(Duration::from_secs(30)).build().unwrap();
    /// let token = authority.service("orders").expired_for(Duration::from_secs(29)).token();
    /// assert!(lenient.verify(&token).is_ok());
    /// assert!(authority.verifier().verify(&token).is_err());
    /// ```
    pub fn verifier_builder(&self) -> VerifierBuilder {
        let builder = Verifier::builder()
            .issuer(&self.issuer)
            .keys(self.own_keys())
            .clock(self.clock.clone())
            .audit(self.audit.clone());
        let builder = match self.service_url() {
            Some(url) => builder.dpop(Dpop::new(url)),
            None => builder,
        };
        match &self.audience {
            Some(audience) => builder.audience(audience),
            None => builder,
        }
    }

    /// The keys that verify this authority's tokens, with their key ids. A verifier with these keys must
    /// refuse any other `kid`, and [`attack`](crate::attack) reports it if it does not.
    pub fn keys(&self) -> KeySet {
        self.publish();
        self.own_keys()
    }

    pub(crate) fn own_keys(&self) -> KeySet {
        self.hand_out();
        self.key().verifying_key().into()
    }

    /// The public key as a JWK set in text form (RFC 7517), for a program that reads one. It has a key id, as
    /// with [`keys`](Self::keys).
    ///
    /// ```
    /// use service_only::KeySet;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let keys = KeySet::from_jwks(TestAuthority::new().jwks().as_bytes()).unwrap();
    /// assert_eq!(keys.len(), 1);
    /// ```
    ///
    /// # Panics
    /// When the authority signs by HMAC: a JWK set must not contain its secret.
    #[track_caller]
    pub fn jwks(&self) -> String {
        self.publish();
        match self.key().public_jwk() {
            Some(jwk) => PublicJwk::set([&jwk]),
            None => {
                fail(format_args!("an authority of {} has no public key; use `keys`", self.key().algorithm()))
            }
        }
    }

    /// The signing key.
    pub fn key(&self) -> &SigningKey {
        &self.shared.key
    }

    /// The key id of the signing key.
    pub fn kid(&self) -> &str {
        self.key().kid().as_str()
    }

    /// The public key in PEM, as an issuer would publish it; `None` for HMAC.
    #[track_caller]
    pub(crate) fn public_pem(&self) -> Option<String> {
        keys::public_pem(self.key())
    }
}
