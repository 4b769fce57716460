//! A token that is not yet minted: it starts valid, and you change one property at a time.

mod asked;
mod bound;
mod edit;
mod forge;
mod grants;
mod impostors;
mod machines;
mod shapes;
mod signer;
mod spoil;
mod times;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service_only::{PeerCertificate, issue::SigningKey, routes::Access};

pub use self::impostors::{Impersonation, Impostor};
use self::{edit::Edit, signer::Signer};
pub(crate) use self::{forge::der, signer::Tolerance};
use crate::{authority::TestAuthority, dpop::Prover, provider::Provider, token::FixtureToken};

/// The default role that the real issuer gives to a service.
const DEFAULT_ROLE: &str = "admin";

/// A token that is not yet minted. It starts valid, with the claims that the real issuer mints. You can
/// change any claim and header, also to values that no issuer would sign.
///
/// Changes apply in the order of the calls. Each common defect has a method: [`expired`](Self::expired),
/// [`wrong_key`](Self::wrong_key), [`tampered`](Self::tampered) and so on. [`fixtures`](Self::fixtures)
/// returns the same token with every defect, one at a time.
///
/// ```
/// use service_only::Policy;
/// use service_only_testkit::TestAuthority;
/// use std::time::Duration;
///
/// let authority = TestAuthority::new().audience("orders");
/// let policy = Policy::any_service().services(&["orchestrator"]).scopes(&["tenants:delete"]);
/// let draft = authority
///     .service("orchestrator")
///     .scope("tenants:delete")
///     .expires_in(Duration::from_secs(60));
///
/// assert!(authority.verifier().verify_with(&draft.token(), &policy).is_ok());
///
/// let denial = authority.verifier().verify_with(&draft.without_claim("scope").token(), &policy);
/// assert_eq!(denial.unwrap_err().code().as_str(), "missing_scope");
/// ```
#[must_use = "nothing is minted until `token` is called"]
#[derive(Clone)]
pub struct TokenDraft {
    authority: TestAuthority,
    // Sorted, so that a seeded token does not depend on the features of serde_json that a program enables.
    header: BTreeMap<String, Value>,
    claims: BTreeMap<String, Value>,
    signer: Signer,
    edits: Vec<Edit>,
    tolerance: Tolerance,
    /// The identity provider that issues such tokens; `None` for a token of a service-only issuer.
    provider: Option<Provider>,
    /// What the handler requires, if the test specified it.
    asked: Option<Access>,
    /// The certificate of the sender, for a token that is bound to it.
    #[cfg_attr(
        not(any(debug_assertions, feature = "double-in-release")),
        expect(dead_code, reason = "for calls of a handler as a function")
    )]
    sender: Option<PeerCertificate>,
    /// Adds a proof of DPoP to each request.
    prover: Option<Prover>,
    /// The certificates of an attack over TLS.
    #[cfg(feature = "tls")]
    certificates: Option<Arc<crate::tls::Certificates>>,
}

impl TokenDraft {
    /// The default lifetime of a token: long enough for any test, and short enough that one step of the clock
    /// passes its end.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

    pub(crate) fn service(authority: &TestAuthority, name: String) -> Self {
        Self::start(authority)
            .claim("email", format!("{name}@internal.service"))
            .claim("is_service", true)
            .claim("role", DEFAULT_ROLE)
            .claim("type", "service")
            .claim("user_id", name.as_str())
            .named(&name)
    }

    pub(crate) fn of_user(authority: &TestAuthority, id: String) -> Self {
        Self::start(authority)
            .claim("email", format!("{id}@users.example"))
            .claim("role", "user")
            .claim("sub", id.as_str())
            .claim("type", "access")
            .claim("user_id", id)
    }

    /// Starts a token without a subject; the caller sets one later.
    pub(crate) fn of_nobody(authority: &TestAuthority) -> Self {
        Self::start(authority)
    }

    fn start(authority: &TestAuthority) -> Self {
        let key = authority.shared_key();
        let draft = Self {
            authority: authority.clone(),
            header: BTreeMap::new(),
            claims: BTreeMap::new(),
            signer: Signer::Nobody,
            edits: Vec::new(),
            tolerance: Tolerance::default(),
            provider: None,
            asked: None,
            sender: None,
            prover: None,
            #[cfg(feature = "tls")]
            certificates: None,
        };
        let draft = draft
            .header("typ", "JWT")
            .sign_with(key)
            .claim("iss", authority.iss())
            .claim("jti", authority.next_jti().to_string())
            .issued_ago(Duration::ZERO)
            .expires_in(TokenDraft::DEFAULT_LIFETIME);
        match authority.aud() {
            Some(audience) => draft.audience(audience),
            None => draft,
        }
    }

    pub(crate) fn named(self, service: &str) -> Self {
        self.claim("service", service).claim("sub", service)
    }

    /// Adds a scope to the `scope` claim (RFC 8693 section 4.2). A new token has none.
    pub fn scope(self, scope: impl AsRef<str>) -> Self {
        let scope = match self.claims.get("scope").and_then(Value::as_str) {
            Some(held) => format!("{held} {}", scope.as_ref()),
            None => scope.as_ref().to_owned(),
        };
        self.claim("scope", scope)
    }

    /// Adds scopes.
    pub fn scopes(self, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        scopes.into_iter().fold(self, Self::scope)
    }

    /// Sets the `role`. The default role of a service is `admin`, as the real issuer mints it.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.claim("role", role.into())
    }

    /// Sets the `aud`, in place of the authority's default.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.claim("aud", audience.into())
    }

    /// Sets any claim to any JSON value.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").claim("tenant", 7).token();
    /// assert!(authority.verifier().verify(&token).is_ok());
    ///
    /// let token = authority.service("orders").claim("exp", "tomorrow").token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "bad_claim_type");
    /// ```
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Binds the token to a certificate (RFC 8705 section 3.1). A verifier accepts it only from a connection with this
    /// certificate. A [`guard`](Self::guard) or a [`caller`](Self::caller) of the draft is that of its owner.
    #[cfg(feature = "tls")]
    pub fn bound_to(self, certificate: &crate::TestCertificate) -> Self {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let thumbprint = URL_SAFE_NO_PAD.encode(certificate.thumbprint());
        let bound = self.claim("cnf", serde_json::json!({ "x5t#S256": thumbprint }));
        Self { sender: Some(certificate.peer()), ..bound }
    }

    /// The certificate of the sender, if the token is bound to one.
    #[cfg(any(debug_assertions, feature = "double-in-release"))]
    pub(crate) fn sender(&self) -> Option<&PeerCertificate> {
        self.sender.as_ref()
    }

    /// Lets another party act for the caller (`act`, RFC 8693 section 4.1), as a gateway does.
    ///
    /// ```
    /// use service_only::Policy;
    /// use service_only_testkit::TestAuthority;
    ///
    /// const VIA_GATEWAY: Policy<'static> = Policy::any_service().actors(&["gateway"]);
    /// let authority = TestAuthority::new();
    /// let (direct, token) = (authority.service("orders"), authority.service("orders").via("gateway"));
    /// assert!(authority.verifier().verify_with(&token.token(), &VIA_GATEWAY).is_ok());
    /// let denial = authority.verifier().verify_with(&direct.token(), &VIA_GATEWAY).unwrap_err();
    /// assert_eq!(denial.code().as_str(), "actor_not_allowed");
    /// ```
    pub fn via(self, actor: &str) -> Self {
        self.claim("act", serde_json::json!({ "sub": actor }))
    }

    /// Uses the certificates of an attack, and binds the token to the one of the caller.
    #[cfg(feature = "tls")]
    pub(crate) fn with_certificates(self, certificates: Arc<crate::tls::Certificates>) -> Self {
        let own = certificates.own().cloned();
        let draft = Self { certificates: Some(certificates), ..self };
        match own {
            Some(own) => draft.held_by(&own),
            None => draft,
        }
    }

    /// The certificates of the attack, if it has some.
    #[cfg(feature = "tls")]
    pub(crate) fn certificates(&self) -> Option<&crate::tls::Certificates> {
        self.certificates.as_deref()
    }

    /// Whether the caller presents a certificate.
    #[cfg(feature = "tls")]
    pub(crate) fn has_certificate(&self) -> bool {
        self.certificates().is_some_and(|certificates| certificates.own().is_some())
    }

    /// Binds the token to a certificate if the attack binds its tokens.
    #[cfg(feature = "tls")]
    pub(crate) fn held_by(self, certificate: &crate::TestCertificate) -> Self {
        match self.certificates().is_some_and(crate::tls::Certificates::binds) {
            true => self.bound_to(certificate),
            false => self,
        }
    }

    /// Removes a claim.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").without_claim("email").token();
    /// assert!(authority.verifier().verify(&token).is_ok());
    ///
    /// let token = authority.service("orders").without_claim("exp").token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "missing_claim");
    /// ```
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets any header parameter to any JSON value.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").header("x-note", "ignored").token();
    /// assert!(authority.verifier().verify(&token).is_ok());
    ///
    /// let token = authority.service("orders").header("crit", ["x-note"].as_slice()).token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "crit");
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Removes a header parameter.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// // A verifier with one key accepts a token without `kid`.
    /// let authority = TestAuthority::new();
    /// let token = authority.service("orders").without_header("kid").token();
    /// assert!(authority.verifier().verify(&token).is_ok());
    ///
    /// let token = authority.service("orders").without_header("alg").token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "malformed");
    /// ```
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Names another algorithm in the header, without a change of the signature's algorithm.
    pub fn algorithm_header(self, name: impl Into<String>) -> Self {
        self.header("alg", name.into())
    }

    /// Signs with the key of another authority, under that key's algorithm and name.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    /// let token = authority.service("orders").signed_by(&other).token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "unknown_key");
    /// assert!(other.verifier().verify(&token).is_ok());
    /// ```
    pub fn signed_by(self, other: &TestAuthority) -> Self {
        self.sign_with(other.shared_key())
    }

    /// Mints the token.
    #[track_caller]
    pub fn token(&self) -> FixtureToken {
        let header = edit::header_json(&self.edits, json!(self.header).to_string());
        let claims = edit::claims_json(&self.edits, json!(self.claims).to_string());
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let token = format!("{signed}.{}", base64url(self.signer.sign(signed.as_bytes())));
        FixtureToken::from_text(edit::token(&self.edits, token))
    }

    /// The authority that this token started from.
    pub(crate) fn authority(&self) -> &TestAuthority {
        &self.authority
    }

    /// The `service` claim of the token. For a token of an identity provider, the service that the handler allows, or else
    /// the id of the machine.
    pub(crate) fn service_name(&self) -> Option<&str> {
        match self.provider {
            None => self.claims.get("service").and_then(Value::as_str),
            Some(_) => self.asked_service().or_else(|| self.machine_id()?.rsplit('/').next()),
        }
    }

    /// The value of the claim, if the token has it.
    pub(crate) fn held(&self, claim: &str) -> Option<&Value> {
        self.claims.get(claim)
    }

    /// Whether the token claims the strict profile.
    pub(crate) fn is_strict(&self) -> bool {
        self.header.get("typ").is_some_and(|typ| typ == "service+jwt")
    }

    pub(crate) fn tolerance(&self) -> Tolerance {
        self.tolerance
    }

    pub(crate) fn with_tolerance(self, tolerance: Tolerance) -> Self {
        let prover = match tolerance.is_exact() {
            true => self.prover,
            false => self.prover.map(Prover::with_running_clock),
        };
        Self { tolerance, prover, ..self }
    }

    fn sign_with(self, key: Arc<SigningKey>) -> Self {
        let (algorithm, kid) = (key.algorithm().as_str(), key.kid().as_str().to_owned());
        Self { signer: Signer::Key(key), ..self }.header("alg", algorithm).header("kid", kid)
    }
}

impl fmt::Debug for TokenDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDraft")
            .field("header", &format_args!("{}", json!(self.header)))
            .field("claims", &format_args!("{}", json!(self.claims)))
            .field("signer", &self.signer)
            .field("edits", &self.edits.len())
            .finish_non_exhaustive()
    }
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
