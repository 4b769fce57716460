//! Why a caller was refused, for the operator. The module `rejection` decides what the caller learns.

mod explanation;
mod quoted;

use std::{borrow::Cow, error::Error, fmt};

pub use explanation::{Advice, Compared, Explanation};
pub(crate) use quoted::{Backslash, escaped, quoted};
use serde::{Serialize, Serializer};

/// Why a caller was refused: the stage, the rule, and the two values that were compared.
///
/// `Display` prints the sentence for the operator. It may quote the token, escaped and truncated, and names the
/// source of each value. It never contains the whole token and is never sent to the caller.
// Boxed, so that the result for an allowed caller, the common case, stays as small as a `Caller`.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial(Box<Refusal>);

#[derive(Clone, PartialEq, Eq)]
struct Refusal {
    code: Code,
    reason: Cow<'static, str>,
    missing_scopes: Vec<String>,
    /// Whether the request had no token, so that the challenge names no error.
    without_token: bool,
}

impl Denial {
    /// The maximum length of a quotation from an unverified token, in characters.
    pub const MAX_QUOTED: usize = quoted::MAX_QUOTED;

    pub(crate) fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::boxed(code, reason.into(), Vec::new())
    }

    pub(crate) fn missing_scopes_of(scopes: Vec<String>) -> Self {
        let reason = format!("the token lacks the scope `{}`", scopes.join(" "));
        Self::boxed(Code::MissingScope, reason.into(), scopes)
    }

    /// One of several scopes would be enough. The challenge names the first.
    pub(crate) fn missing_one_scope_of(scopes: &[&str]) -> Self {
        let reason = format!("the token has none of the scopes `{}`", scopes.join(" "));
        let first = scopes.first().map(|first| (*first).to_owned());
        Self::boxed(Code::MissingScope, reason.into(), first.into_iter().collect())
    }

    // Off the hot path, which is that of an admitted caller.
    #[cold]
    fn boxed(code: Code, reason: Cow<'static, str>, missing_scopes: Vec<String>) -> Self {
        Self(Box::new(Refusal {
            code,
            reason: bounded(reason),
            missing_scopes,
            without_token: code == Code::MissingToken,
        }))
    }

    /// The same refusal, of a request without a token.
    pub(crate) fn without_token(mut self) -> Self {
        self.0.without_token = true;
        self
    }

    /// Whether the request had no token.
    pub(crate) fn is_without_token(&self) -> bool {
        self.0.without_token
    }

    /// The stable name of the rule that refused.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The stage of the verification that refused. If several stages would refuse, this is the first.
    pub fn stage(&self) -> Stage {
        self.0.code.stage()
    }

    /// The HTTP status for this refusal: 400, 401, 403, 500 or 503.
    pub fn status(&self) -> u16 {
        self.0.code.status()
    }

    /// The sentence for the operator.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The scopes that the caller lacks; empty unless the code is [`Code::MissingScope`].
    pub fn missing_scopes(&self) -> &[String] {
        &self.0.missing_scopes
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { code, reason, missing_scopes, .. } = &*self.0;
        f.debug_struct("Denial")
            .field("code", code)
            .field("reason", reason)
            .field("missing_scopes", missing_scopes)
            .finish()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl Error for Denial {}

/// The maximum length of a denial's sentence, in characters.
const MAX_REASON: usize = 1024;

/// Makes a reason one line of bounded length, even if it contains the message of a parser.
fn bounded(reason: Cow<'static, str>) -> Cow<'static, str> {
    match escaped(&reason, MAX_REASON, Backslash::Kept) {
        Cow::Borrowed(_) => reason,
        Cow::Owned(escaped) => Cow::Owned(escaped),
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $stage:ident, $status:literal;)*) => {
        /// The rule that refused. The names are stable, so you can build dashboards and alerts on them.
        #[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, for dashboards, alerts and documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The code as the audit log and the command line print it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The stage that this code belongs to.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)* }
            }

            /// The HTTP status for this code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// No verifier is installed, so every caller is refused.
    NoVerifier = "no_verifier", Configuration, 500;
    /// A part of the verifier panicked: a custom key source or revocation store.
    Panicked = "panicked", Configuration, 500;
    /// No token came with the request.
    MissingToken = "missing_token", Bearer, 401;
    /// More than one `Authorization` header, or one that RFC 6750 section 2.1 does not allow.
    InvalidRequest = "invalid_request", Bearer, 400;
    /// The token is longer than the limit.
    TooLarge = "too_large", Token, 401;
    /// The token is not a JWS in compact form: its segments, base64url or JSON are wrong.
    Malformed = "malformed", Token, 401;
    /// `crit` names an extension, but this crate implements none (RFC 7515 section 4.1.11).
    Crit = "crit", Header, 401;
    /// `typ` is that of another kind of JWT (RFC 8725 section 3.11).
    WrongTyp = "wrong_typ", Header, 401;
    /// `alg` is not one of the verifier's algorithms. A token of another algorithm whose `kid` no key has is
    /// [`UnknownKey`](Self::UnknownKey), since its key may have been replaced.
    AlgNotAllowed = "alg_not_allowed", Header, 401;
    /// The issuer's keys are unavailable, and no key is left to trust.
    KeysUnavailable = "keys_unavailable", Key, 503;
    /// The request ended while it waited for the key that the token's `kid` names.
    Cancelled = "cancelled", Key, 401;
    /// No key of the verifier has the token's `kid`.
    UnknownKey = "unknown_key", Key, 401;
    /// The key that `kid` names is not for the token's `alg`.
    KeyAlgMismatch = "key_alg_mismatch", Key, 401;
    /// The signature does not verify.
    BadSignature = "bad_signature", Signature, 401;
    /// A required claim is missing.
    MissingClaim = "missing_claim", Claims, 401;
    /// A claim has the wrong JSON type.
    BadClaimType = "bad_claim_type", Claims, 401;
    /// A claim has a value that is not allowed.
    BadClaimValue = "bad_claim_value", Claims, 401;
    /// `iss` is not the issuer that the key belongs to.
    WrongIssuer = "wrong_issuer", Claims, 401;
    /// `aud` does not contain the verifier's audience, or is present although none is expected.
    WrongAudience = "wrong_audience", Claims, 401;
    /// The token has expired.
    Expired = "expired", Claims, 401;
    /// The token is not valid yet.
    NotYetValid = "not_yet_valid", Claims, 401;
    /// The token's lifetime is longer than the limit for its issuer.
    LivesTooLong = "lives_too_long", Claims, 401;
    /// A proof of possession is missing. The token is bound to a key by `cnf` (RFC 7800 section 3), or the handler or
    /// the verifier requires a proof.
    ProofMissing = "proof_missing", Claims, 401;
    /// The proof does not fit the token or the request: another certificate than the one of the connection (RFC 8705
    /// section 3), or a proof of DPoP that is not valid (RFC 9449 section 4.3).
    ProofMismatch = "proof_mismatch", Claims, 401;
    /// The proof of DPoP does not contain a current nonce of this service. The response contains one, with which the
    /// client sends the request again (RFC 9449 section 9).
    UseDpopNonce = "use_dpop_nonce", Claims, 401;
    /// The proof of DPoP cannot be recorded as used, so an attacker could replay it.
    ProofUnavailable = "proof_unavailable", Claims, 503;
    /// `sub` and `service` differ.
    SubServiceMismatch = "sub_service_mismatch", Claims, 401;
    /// One of these is revoked: the token, its key, or the tokens of its service up to that age.
    Revoked = "revoked", Revocation, 401;
    /// The revocation state of the token is unknown.
    RevocationUnavailable = "revocation_unavailable", Revocation, 503;
    /// The token is authentic, but does not belong to a service.
    NotService = "not_service", Service, 403;
    /// The token belongs to a service, and the handler is for users only.
    NotUser = "not_user", Service, 403;
    /// The token's issuer is not one of those that the handler allows.
    IssuerNotAllowed = "issuer_not_allowed", Policy, 403;
    /// The service is not one of those that the handler allows.
    ServiceNotAllowed = "service_not_allowed", Policy, 403;
    /// No actor that the handler allows acts for the caller (RFC 8693 section 4.1).
    ActorNotAllowed = "actor_not_allowed", Policy, 403;
    /// The role is not one of those that the handler allows.
    RoleNotAllowed = "role_not_allowed", Policy, 403;
    /// The token lacks a scope that the handler needs.
    MissingScope = "missing_scope", Policy, 403;
    /// The token was issued longer ago than the handler allows.
    TooOld = "too_old", Policy, 403;
    /// A claim of the token is not the one that the policy requires, or not of the type that the handler reads.
    ClaimNotAllowed = "claim_not_allowed", Policy, 403;
    /// The handler refused the caller, see [`Caller::refuse`](crate::Caller::refuse).
    Refused = "refused", Handler, 403;
    /// The audit record could not be written, and the verifier is configured to require it.
    AuditUnavailable = "audit_unavailable", Audit, 503;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The stages of a verification, in order.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Finding the verifier.
    Configuration,
    /// Finding the one bearer token of the request.
    Bearer,
    /// Splitting and decoding the token.
    Token,
    /// Reading the token's header.
    Header,
    /// Choosing the key.
    Key,
    /// Checking the signature.
    Signature,
    /// Comparing the claims.
    Claims,
    /// Checking whether the token, its service or its key is revoked.
    Revocation,
    /// Checking that the token belongs to a service.
    Service,
    /// Applying the handler's policy.
    Policy,
    /// Running the handler.
    Handler,
    /// Writing the audit record.
    Audit,
}

impl Stage {
    /// The stage as the audit log prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Bearer => "bearer",
            Self::Token => "token",
            Self::Header => "header",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Revocation => "revocation",
            Self::Service => "service",
            Self::Policy => "policy",
            Self::Handler => "handler",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_shows_its_reason_and_its_names() {
        let denial = Denial::new(Code::TooOld, "the token was issued 60 s ago, allowed: 5 s");
        assert_eq!(denial.reason(), "the token was issued 60 s ago, allowed: 5 s");
        assert_eq!(denial.to_string(), denial.reason());
        let debug = format!("{denial:?}");
        assert!(debug.starts_with("Denial { code: TooOld, ") && debug.contains(denial.reason()), "{debug}");
        assert_eq!(
            (denial.code().to_string(), denial.stage().to_string()),
            ("too_old".into(), "policy".into())
        );
        assert_eq!(format!("{:>9}|{:<8}|", Code::Crit, Stage::Key), "     crit|key     |");
        for stage in Code::ALL.iter().map(|code| code.stage()) {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
    }

    #[test]
    fn a_reason_is_one_bounded_line_of_printable_ascii() {
        let denial = Denial::new(Code::Malformed, format!("the header: {}\r\n\u{9b}1m", "é".repeat(5000)));
        assert!(denial.reason().len() <= MAX_REASON && denial.reason().ends_with('~'));
        assert!(denial.reason().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(Denial::new(Code::Malformed, "a `\\u{a}`").reason(), "a `\\u{a}`", "escaped once");
    }

    #[test]
    fn codes_are_unique_snake_case_names() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn everything_up_to_the_claims_is_401_and_everything_after_is_403() {
        for code in Code::ALL {
            let expected = match code.stage() {
                Stage::Bearer => continue,
                Stage::Configuration => 500,
                _ if code.as_str().ends_with("_unavailable") => 503,
                stage if stage <= Stage::Revocation => 401,
                _ => 403,
            };
            assert_eq!(code.status(), expected, "{code}");
        }
    }
}
