//! The response to a refused caller: a status, a challenge and a body. It never contains the reason.

mod body;

use std::{error::Error, fmt};

use uuid::Uuid;

#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
pub(crate) use self::body::CREDENTIALS;
pub use self::body::{Refusal, RefusalBody, RefusalClass};
pub(crate) use self::body::{RefusalBodies, RequestHeaders};
use crate::denial::{Code, Denial};

/// The response to a refused caller, before a framework converts it to its own type.
///
/// It converts to the [`Denial`] that was recorded, for code without a framework. No other method, not even
/// `Debug`, reveals the reason.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejection {
    denial: Denial,
    challenge: Option<String>,
    /// The nonce of the next proof of DPoP.
    nonce: Option<String>,
    instance: Uuid,
    /// The body of the application, if it has one.
    body: Option<Box<Written>>,
}

/// A body of the application, and the header that identifies the audit record whatever the body contains.
#[derive(Clone, PartialEq, Eq)]
struct Written {
    body: RefusalBody,
    instance: String,
}

impl Rejection {
    pub(crate) fn new(
        denial: Denial,
        challenges: Challenges<'_>,
        instance: Uuid,
        body: Option<RefusalBody>,
    ) -> Self {
        let body = body.map(|body| Box::new(Written { body, instance: instance.urn().to_string() }));
        Self { challenge: challenges.about(&denial), nonce: None, denial, instance, body }
    }

    /// Adds the nonce that the next proof of the client needs (RFC 9449 section 9).
    pub(crate) fn with_nonce(self, nonce: Option<String>) -> Self {
        Self { nonce, ..self }
    }

    /// Adds the URL of the resource's metadata to the challenge, if there is one (RFC 9728 section 5.1).
    pub(crate) fn with_metadata(mut self, url: Option<&str>) -> Self {
        if let (Some(challenge), Some(url)) = (&mut self.challenge, url) {
            challenge.push_str(&format!(r#", resource_metadata="{url}""#));
        }
        self
    }

    /// How long a caller should wait after a 503 before it repeats the request, in seconds.
    pub const RETRY_AFTER_SECONDS: u8 = 5;

    /// The maximum length of a body that an application builds, in bytes. A longer one is replaced by the default.
    pub const MAX_BODY_LENGTH: usize = body::MAX_BODY_LENGTH;

    /// The HTTP status: 400, 401, 403, 500 or 503.
    pub fn status(&self) -> u16 {
        self.denial.status()
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3), if there is one.
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// The id of the audit record. Only this id connects the response with its reason.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// The headers of the response, with names in lower case. A body of the application comes with the header `instance`,
    /// because it may leave out the id of the audit record.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        // A refusal is about one caller at one moment, so no cache may store it.
        let always = [("content-type", self.content_type()), ("cache-control", "no-store")];
        let challenge = self.challenge().map(|challenge| ("www-authenticate", challenge));
        let nonce = self.nonce.as_deref().map(|nonce| ("dpop-nonce", nonce));
        let retry = self.retry_after().map(|seconds| ("retry-after", seconds));
        let instance = self.body.as_ref().map(|written| ("instance", written.instance.as_str()));
        always.into_iter().chain(challenge).chain(nonce).chain(retry).chain(instance)
    }

    /// The header `Retry-After`, which only a 503 has.
    pub(crate) fn retry_after(&self) -> Option<&'static str> {
        (self.status() == 503).then_some(RETRY_AFTER)
    }

    /// The media type of the default [`Rejection::body`].
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    fn content_type(&self) -> &str {
        self.body.as_ref().map_or(Self::CONTENT_TYPE, |written| &written.body.content_type)
    }

    /// The body: by default a problem document of RFC 9457.
    pub fn body(&self) -> String {
        if let Some(written) = &self.body {
            return written.body.text.clone();
        }
        let (kind, title) = self.problem();
        let status = self.status();
        let instance = self.instance.urn();
        // Every part is a constant, a number or a UUID, so nothing needs escaping.
        format!(r#"{{"type":"{kind}","title":"{title}","status":{status},"instance":"{instance}"}}"#)
    }

    /// The meaning of the status, in words that are the same for every caller.
    pub fn title(&self) -> &'static str {
        self.problem().1
    }

    fn problem(&self) -> (&'static str, &'static str) {
        let class = RefusalClass::of(self.status());
        (class.as_str(), class.title())
    }
}

const RETRY_AFTER: &str = "5";

impl From<Rejection> for Denial {
    fn from(rejection: Rejection) -> Self {
        rejection.denial
    }
}

/// For the log of a program. It prints only what the caller receives.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status())
            .field("challenge", &self.challenge)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// For the log of a framework. It prints only what the caller receives.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with {}, the audit record is {}", self.status(), self.instance)
    }
}

impl Error for Rejection {}

/// The schemes that a verifier accepts, for the challenge of a refusal.
#[derive(Copy, Clone)]
pub(crate) struct Challenges<'v> {
    pub(crate) realm: &'v str,
    pub(crate) accepts_bearer: bool,
    /// The algorithms of the accepted proofs of DPoP, if any is accepted.
    pub(crate) dpop: Option<&'v str>,
    /// Whether Workload Proof Tokens are accepted.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) wpt: Wpt,
}

/// Whether Workload Proof Tokens are accepted.
#[cfg(feature = "experimental-wimse")]
#[derive(Copy, Clone)]
pub(crate) enum Wpt {
    No,
    AmongOthers,
    Only,
}

impl<'v> Challenges<'v> {
    pub(crate) const fn bearer(realm: &'v str) -> Self {
        Self {
            realm,
            accepts_bearer: true,
            dpop: None,
            #[cfg(feature = "experimental-wimse")]
            wpt: Wpt::No,
        }
    }

    #[cfg(feature = "experimental-wimse")]
    pub(crate) fn with_wpt(self, accepted: bool, required: bool) -> Self {
        let wpt = match (accepted, required) {
            (false, _) => Wpt::No,
            (true, false) => Wpt::AmongOthers,
            (true, true) => Wpt::Only,
        };
        Self { wpt, ..self }
    }

    /// The challenge of each scheme (RFC 9110 section 11.6.1, RFC 9449 section 7.1), with the same parameters.
    fn about(self, denial: &Denial) -> Option<String> {
        let others = self.of_tokens(denial)?;
        // The scheme WPT has no parameters (draft-ietf-wimse-wpt-02 section 2.1).
        #[cfg(feature = "experimental-wimse")]
        match self.wpt {
            Wpt::No => {}
            Wpt::AmongOthers => return Some(format!("{others}, WPT")),
            Wpt::Only => return Some("WPT".to_owned()),
        }
        Some(others)
    }

    /// The challenges of the schemes that send a token.
    fn of_tokens(self, denial: &Denial) -> Option<String> {
        let parameters = parameters(denial)?;
        let realm = self.realm;
        let bearer = format!(r#"Bearer realm="{realm}"{parameters}"#);
        let Some(algorithms) = self.dpop else { return Some(bearer) };
        let dpop = format!(r#"DPoP realm="{realm}"{parameters}, algs="{algorithms}""#);
        // A nonce is missing in a proof only.
        match self.accepts_bearer && denial.code() != Code::UseDpopNonce {
            true => Some(format!("{bearer}, {dpop}")),
            false => Some(dpop),
        }
    }
}

/// The parameters of a challenge; `None` for a refusal without one. RFC 6750 section 3: no `error` if the request had no
/// token, and never an `error_description`.
fn parameters(denial: &Denial) -> Option<String> {
    match (denial.status(), denial.code()) {
        (401, _) if denial.is_without_token() => Some(String::new()),
        (_, Code::UseDpopNonce) => Some(r#", error="use_dpop_nonce""#.to_owned()),
        (400, _) => Some(r#", error="invalid_request""#.to_owned()),
        (401, _) => Some(r#", error="invalid_token""#.to_owned()),
        (_, Code::MissingScope) => {
            let scope = denial.missing_scopes().join(" ");
            Some(format!(r#", error="insufficient_scope", scope="{scope}""#))
        }
        (403, _) => Some(String::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge_of(code: Code) -> Option<String> {
        Challenges::bearer("bakery").about(&Denial::new(code, "the reason"))
    }

    #[test]
    fn a_missing_token_gets_a_challenge_without_an_error() {
        assert_eq!(challenge_of(Code::MissingToken).as_deref(), Some(r#"Bearer realm="bakery""#));
    }

    #[test]
    fn a_refused_token_gets_invalid_token_whatever_was_wrong_with_it() {
        let others = [Code::MissingToken, Code::UseDpopNonce];
        for code in Code::ALL.iter().copied().filter(|code| code.status() == 401 && !others.contains(code)) {
            let expected = r#"Bearer realm="bakery", error="invalid_token""#;
            assert_eq!(challenge_of(code).as_deref(), Some(expected), "{code}");
        }
    }

    #[test]
    fn a_verifier_that_accepts_proofs_names_both_schemes_and_its_algorithms() {
        let both = Challenges { dpop: Some("ES256 EdDSA"), ..Challenges::bearer("bakery") };
        let only = Challenges { accepts_bearer: false, ..both };
        let about = |challenges: Challenges<'_>, code| challenges.about(&Denial::new(code, "the reason"));
        assert_eq!(
            about(both, Code::MissingToken).as_deref(),
            Some(r#"Bearer realm="bakery", DPoP realm="bakery", algs="ES256 EdDSA""#)
        );
        assert_eq!(
            about(both, Code::ProofMismatch).as_deref(),
            Some(
                r#"Bearer realm="bakery", error="invalid_token", DPoP realm="bakery", error="invalid_token", algs="ES256 EdDSA""#
            )
        );
        assert_eq!(
            about(only, Code::ProofMissing).as_deref(),
            Some(r#"DPoP realm="bakery", error="invalid_token", algs="ES256 EdDSA""#)
        );
        for challenges in [both, only] {
            assert_eq!(
                about(challenges, Code::UseDpopNonce).as_deref(),
                Some(r#"DPoP realm="bakery", error="use_dpop_nonce", algs="ES256 EdDSA""#)
            );
            assert_eq!(about(challenges, Code::ProofUnavailable), None);
        }
    }

    #[test]
    fn missing_scopes_are_named_and_nothing_else_is() {
        let denial = Denial::missing_scopes_of(vec!["a:b".to_owned(), "c".to_owned()]);
        assert_eq!(
            Challenges::bearer("bakery").about(&denial).as_deref(),
            Some(r#"Bearer realm="bakery", error="insufficient_scope", scope="a:b c""#)
        );
        assert_eq!(challenge_of(Code::ServiceNotAllowed).as_deref(), Some(r#"Bearer realm="bakery""#));
    }

    #[test]
    fn headers_state_the_media_type_and_forbid_caching() {
        let rejection = |code| {
            Rejection::new(Denial::new(code, "the reason"), Challenges::bearer("bakery"), Uuid::nil(), None)
        };
        let refused = rejection(Code::Expired);
        let expected = [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("www-authenticate", r#"Bearer realm="bakery", error="invalid_token""#),
        ];
        assert_eq!(refused.headers().collect::<Vec<_>>(), expected);
        assert_eq!(rejection(Code::NoVerifier).headers().count(), 2, "a challenge would have no recipient");
        let unavailable = rejection(Code::KeysUnavailable);
        assert_eq!(unavailable.headers().last(), Some(("retry-after", "5")));
        assert_eq!(RETRY_AFTER, Rejection::RETRY_AFTER_SECONDS.to_string());
        assert!(!format!("{refused} {refused:?}").contains("the reason"));
        assert_eq!(Denial::from(refused).reason(), "the reason");
    }

    #[test]
    fn the_title_and_the_type_of_a_body_are_those_of_the_status() {
        let rejection = |code| {
            Rejection::new(Denial::new(code, "the reason"), Challenges::bearer("b"), Uuid::nil(), None)
        };
        let expired = rejection(Code::Expired);
        assert_eq!(expired.title(), RefusalClass::of(401).title());
        let body: serde_json::Value = serde_json::from_str(&expired.body()).unwrap();
        assert_eq!(body["title"], RefusalClass::of(401).title());
        assert_eq!(body["type"], RefusalClass::of(401).as_str());
        assert_ne!(rejection(Code::MissingScope).title(), expired.title());
    }

    #[test]
    fn each_status_has_a_class_with_a_type_and_a_title() {
        for (status, class, kind, title) in [
            (
                400,
                RefusalClass::InvalidRequest,
                "urn:service-only:invalid-request",
                "The request is malformed",
            ),
            (
                401,
                RefusalClass::Unauthenticated,
                "urn:service-only:unauthenticated",
                "A valid service token is required",
            ),
            (403, RefusalClass::Forbidden, "urn:service-only:forbidden", "The caller may not do this"),
            (
                500,
                RefusalClass::Misconfigured,
                "urn:service-only:misconfigured",
                "No caller can be verified here",
            ),
            (
                503,
                RefusalClass::Unavailable,
                "urn:service-only:unavailable",
                "The caller cannot be verified at the moment",
            ),
        ] {
            assert_eq!(RefusalClass::of(status), class);
            assert_eq!((class.as_str(), class.title()), (kind, title), "{status}");
        }
    }

    #[test]
    fn a_body_is_built_from_the_status_and_the_id_of_the_record() {
        let refusal = body::Refusal::new(403, Uuid::max(), &crate::recorder::NoRequest);
        assert_eq!((refusal.status(), refusal.instance()), (403, Uuid::max()));
        assert_eq!((refusal.class(), refusal.header("accept-language")), (RefusalClass::Forbidden, None));
        let debug = format!("{refusal:?}");
        assert!(debug.starts_with("Refusal { status: 403"), "{debug}");
        let debug = format!("{:?}", RefusalBody::new("text/plain", "the text"));
        assert_eq!(debug, r#"RefusalBody { content_type: "text/plain", .. }"#);
    }

    #[test]
    fn a_log_of_a_refusal_shows_what_the_caller_receives() {
        let refused = Rejection::new(
            Denial::new(Code::Expired, "the reason"),
            Challenges::bearer("bakery"),
            Uuid::nil(),
            None,
        );
        let debug = format!("{refused:?}");
        assert!(debug.contains("status: 401") && debug.contains("invalid_token"), "{debug}");
        assert!(refused.to_string().contains("401"), "{refused}");
    }

    #[test]
    fn the_body_is_a_problem_document_without_the_reason() {
        for code in Code::ALL {
            let rejection = Rejection::new(
                Denial::new(*code, "the reason"),
                Challenges::bearer("bakery"),
                Uuid::nil(),
                None,
            );
            let body: serde_json::Value = serde_json::from_str(&rejection.body()).unwrap();
            assert_eq!(body["status"], code.status());
            assert_eq!(body["instance"], "urn:uuid:00000000-0000-0000-0000-000000000000");
            assert_eq!(body.as_object().unwrap().len(), 4);
            assert!(!rejection.body().contains("the reason"));
        }
    }
}
