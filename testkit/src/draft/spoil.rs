//! Named defects: each changes one property of the token and leaves the rest unchanged.

use std::time::Duration;

use super::{Signer, TokenDraft, base64url};
use crate::token::FixtureToken;

const HOUR: Duration = Duration::from_secs(3600);

impl TokenDraft {
    /// Makes the token expire an hour ago, which no leeway covers.
    pub fn expired(self) -> Self {
        self.issued_ago(2 * HOUR).expired_for(HOUR)
    }

    /// Makes the token valid only from an hour in the future, which no leeway covers.
    pub fn not_yet_valid(self) -> Self {
        self.valid_in(HOUR).expires_in(2 * HOUR)
    }

    /// Signs with a key that the verifier does not have, under the key id of the right key.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let denial = authority.verifier().verify(&authority.service("orders").wrong_key().token());
    /// assert_eq!(denial.unwrap_err().code().as_str(), "bad_signature");
    /// ```
    #[track_caller]
    pub fn wrong_key(self) -> Self {
        let impostor = self.authority.impostor();
        Self { signer: Signer::Key(impostor), ..self }
    }

    /// Signs with a key that the verifier does not have, under that key's own id.
    #[track_caller]
    pub fn unknown_key(self) -> Self {
        let impostor = self.authority.impostor();
        self.sign_with(impostor)
    }

    /// Names an issuer that the verifier does not trust, signed by the right key.
    pub fn wrong_issuer(self) -> Self {
        self.claim("iss", "https://issuer.somewhere-else.example")
    }

    /// Names an audience that is not the verifier's.
    pub fn wrong_audience(self) -> Self {
        self.audience("somewhere-else")
    }

    /// Names another service: the token is authentic, and refused if the handler names the services that may
    /// call.
    pub fn other_service(self) -> Self {
        let name = "some-other-service";
        self.named(name).claim("user_id", name).claim("email", format!("{name}@internal.service"))
    }

    /// Removes all scopes.
    pub fn without_scopes(self) -> Self {
        self.without_claim("scope")
    }

    /// Makes it a user token: `type` is `access`, and no claim names a service.
    pub fn user_token(self) -> Self {
        self.claim("type", "access").without_claim("is_service").without_claim("service")
    }

    /// Changes the role after signing.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").tampered().token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "bad_signature");
    /// ```
    pub fn tampered(self) -> Self {
        self.with_claim_after_signing("role", "tampered")
    }

    /// Changes one claim after signing.
    pub(crate) fn with_claim_after_signing(self, claim: &'static str, value: &'static str) -> Self {
        self.edit_token(move |token| {
            let mut claims = FixtureToken::from_text(token.as_str()).claims();
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(claim.to_owned(), value.into());
            }
            match token.split('.').collect::<Vec<_>>().as_slice() {
                [header, _, signature] => format!("{header}.{}.{signature}", base64url(claims.to_string())),
                _ => token,
            }
        })
    }

    /// Removes the signature and sets `alg` to `none` (RFC 7519 section 6).
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").unsigned().token();
    /// assert!(token.ends_with('.'));
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "alg_not_allowed");
    /// ```
    pub fn unsigned(self) -> Self {
        Self { signer: Signer::Nobody, ..self }.algorithm_header("none")
    }
}
