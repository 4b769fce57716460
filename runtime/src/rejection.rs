//! What the wire sees of a refusal: a status, a challenge, a problem body. Never the reason.

use uuid::Uuid;

use crate::denial::{Code, Denial};

/// The answer to a refused caller, before a framework turns it into its own response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    status: u16,
    challenge: Option<String>,
    instance: Uuid,
}

impl Rejection {
    pub(crate) fn new(denial: &Denial, realm: &str, instance: Uuid) -> Self {
        Self { status: denial.status(), challenge: challenge(denial, realm), instance }
    }

    /// The HTTP status: 400, 401, 403 or 503.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3), where there is one.
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// The id of the audit record, which is all that connects this answer with its reason.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// The media type of [`Rejection::body`].
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// The body, a problem document of RFC 9457.
    pub fn body(&self) -> String {
        let (kind, title) = match self.status {
            400 => ("urn:service-only:invalid-request", "The request is malformed"),
            401 => ("urn:service-only:unauthenticated", "A valid service token is required"),
            403 => ("urn:service-only:forbidden", "The caller may not do this"),
            _ => ("urn:service-only:unavailable", "The caller cannot be verified at the moment"),
        };
        let status = self.status;
        let instance = self.instance.urn();
        // Every part is a constant, a number or a UUID, so nothing needs escaping.
        format!(r#"{{"type":"{kind}","title":"{title}","status":{status},"instance":"{instance}"}}"#)
    }
}

/// RFC 6750 section 3: no `error` when no token came, and never an `error_description`.
fn challenge(denial: &Denial, realm: &str) -> Option<String> {
    let bearer = format!(r#"Bearer realm="{realm}""#);
    match (denial.status(), denial.code()) {
        (_, Code::MissingToken) => Some(bearer),
        (400, _) => Some(format!(r#"{bearer}, error="invalid_request""#)),
        (401, _) => Some(format!(r#"{bearer}, error="invalid_token""#)),
        (_, Code::MissingScope) => {
            let scope = denial.missing_scopes().join(" ");
            Some(format!(r#"{bearer}, error="insufficient_scope", scope="{scope}""#))
        }
        (403, _) => Some(bearer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge_of(code: Code) -> Option<String> {
        challenge(&Denial::new(code, "the reason"), "bakery")
    }

    #[test]
    fn a_missing_token_gets_a_challenge_without_an_error() {
        assert_eq!(challenge_of(Code::MissingToken).as_deref(), Some(r#"Bearer realm="bakery""#));
    }

    #[test]
    fn a_refused_token_gets_invalid_token_whatever_was_wrong_with_it() {
        for code in
            Code::ALL.iter().copied().filter(|code| code.status() == 401 && *code != Code::MissingToken)
        {
            let expected = r#"Bearer realm="bakery", error="invalid_token""#;
            assert_eq!(challenge_of(code).as_deref(), Some(expected), "{code}");
        }
    }

    #[test]
    fn missing_scopes_are_named_and_nothing_else_is() {
        let denial = Denial::missing_scopes_of(vec!["a:b".to_owned(), "c".to_owned()]);
        assert_eq!(
            challenge(&denial, "bakery").as_deref(),
            Some(r#"Bearer realm="bakery", error="insufficient_scope", scope="a:b c""#)
        );
        assert_eq!(challenge_of(Code::ServiceNotAllowed).as_deref(), Some(r#"Bearer realm="bakery""#));
    }

    #[test]
    fn the_body_is_a_problem_document_without_the_reason() {
        for code in Code::ALL {
            let rejection = Rejection::new(&Denial::new(*code, "the reason"), "bakery", Uuid::nil());
            let body: serde_json::Value = serde_json::from_str(&rejection.body()).unwrap();
            assert_eq!(body["status"], code.status());
            assert_eq!(body["instance"], "urn:uuid:00000000-0000-0000-0000-000000000000");
            assert_eq!(body.as_object().unwrap().len(), 4);
            assert!(!rejection.body().contains("the reason"));
        }
    }
}
