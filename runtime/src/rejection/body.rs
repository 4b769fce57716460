//! The body that an application builds for a refusal. It decides nothing: the status and the headers that concern
//! security stay those of this crate.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use uuid::Uuid;

/// See [`Rejection::MAX_BODY_LENGTH`](super::Rejection::MAX_BODY_LENGTH).
pub(super) const MAX_BODY_LENGTH: usize = 64 * 1024;

/// What an application may know about a refusal: what the caller learns anyway, and the headers of the request.
///
/// It has no reason and no code of the audit. The status and the headers of the response do not depend on the body.
#[derive(Clone, Copy)]
pub struct Refusal<'r> {
    status: u16,
    instance: Uuid,
    headers: &'r dyn RequestHeaders,
}

impl<'r> Refusal<'r> {
    pub(crate) fn new(status: u16, instance: Uuid, headers: &'r dyn RequestHeaders) -> Self {
        Self { status, instance, headers }
    }

    /// The HTTP status: 400, 401, 403, 500 or 503.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The meaning of the status.
    pub fn class(&self) -> RefusalClass {
        RefusalClass::of(self.status)
    }

    /// The id of the audit record.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// The first header of the request with this name, such as `accept-language`, if it is visible ASCII. Credentials
    /// (`authorization`, `proxy-authorization`, `cookie`, `dpop`, `workload-identity-token`) are absent. The caller has written
    /// the header, so escape it.
    ///
    /// It is `None` for a token that came without a request, and after the attempt of a caller has ended.
    pub fn header(&self, name: &str) -> Option<&'r str> {
        let is_secret = CREDENTIALS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
        if is_secret { None } else { self.headers.header(name) }
    }
}

/// The headers that a refusal does not show.
pub(crate) const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "dpop", "workload-identity-token"];

impl fmt::Debug for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// The meaning of a refusal's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalClass {
    /// 400: the request is malformed.
    InvalidRequest,
    /// 401: a valid token is required.
    Unauthenticated,
    /// 403: the caller may not do this.
    Forbidden,
    /// 500: no caller can be verified here.
    Misconfigured,
    /// 503: the caller cannot be verified at the moment.
    Unavailable,
}

impl RefusalClass {
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            400 => Self::InvalidRequest,
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            500 => Self::Misconfigured,
            _ => Self::Unavailable,
        }
    }

    /// The `type` of the default problem document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "urn:service-only:invalid-request",
            Self::Unauthenticated => "urn:service-only:unauthenticated",
            Self::Forbidden => "urn:service-only:forbidden",
            Self::Misconfigured => "urn:service-only:misconfigured",
            Self::Unavailable => "urn:service-only:unavailable",
        }
    }

    /// The `title` of the default problem document.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed",
            Self::Unauthenticated => "A valid service token is required",
            Self::Forbidden => "The caller may not do this",
            Self::Misconfigured => "No caller can be verified here",
            Self::Unavailable => "The caller cannot be verified at the moment",
        }
    }
}

/// The body of a refusal, with its media type.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusalBody {
    pub(super) content_type: String,
    pub(super) text: String,
}

impl RefusalBody {
    /// Creates a body. The media type is visible ASCII, such as `application/json`.
    pub fn new(content_type: impl Into<String>, text: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), text: text.into() }
    }

    /// What is wrong with the body.
    fn fault(&self) -> Option<String> {
        if self.text.len() > MAX_BODY_LENGTH {
            return Some(format!(
                "the body has {} bytes, and the limit is {MAX_BODY_LENGTH}",
                self.text.len()
            ));
        }
        let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
        let is_media_type = self.content_type.contains('/') && self.content_type.bytes().all(is_visible);
        (!is_media_type).then(|| "the media type is not `type/subtype` in visible ASCII".to_owned())
    }
}

impl fmt::Debug for RefusalBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalBody").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// The headers of a request, as a framework has them.
pub(crate) trait RequestHeaders {
    /// The first header of this name, if it is visible ASCII.
    fn header(&self, name: &str) -> Option<&str>;
}

/// The function of an application that builds bodies.
pub(crate) struct RefusalBodies(Box<dyn Fn(&Refusal<'_>) -> RefusalBody + Send + Sync>);

impl RefusalBodies {
    pub(crate) fn new(build: impl Fn(&Refusal<'_>) -> RefusalBody + Send + Sync + 'static) -> Self {
        Self(Box::new(build))
    }

    /// Builds a body. `None` if the function panics or its body is not usable: the default body is then sent.
    pub(crate) fn build(&self, refusal: &Refusal<'_>) -> Option<RefusalBody> {
        let built = catch_unwind(AssertUnwindSafe(|| (self.0)(refusal)));
        let fault = match built {
            Ok(body) => match body.fault() {
                None => return Some(body),
                Some(fault) => fault,
            },
            Err(_) => "the function panicked".to_owned(),
        };
        tracing::error!(
            target: "service_only",
            fault, instance = %refusal.instance,
            "the application built no usable body for a refusal, so the default is sent"
        );
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Language;

    impl RequestHeaders for Language {
        fn header(&self, _: &str) -> Option<&str> {
            Some("de")
        }
    }

    fn built(build: impl Fn(&Refusal<'_>) -> RefusalBody + Send + Sync + 'static) -> Option<RefusalBody> {
        RefusalBodies::new(build).build(&Refusal::new(403, Uuid::nil(), &Language))
    }

    #[test]
    fn a_body_is_built_from_what_the_caller_learns_and_the_headers() {
        let body = built(|refusal| {
            assert_eq!((refusal.status(), refusal.class()), (403, RefusalClass::Forbidden));
            let language = refusal.header("accept-language").unwrap_or_default();
            RefusalBody::new("text/plain", format!("{language} {}", refusal.instance()))
        });
        assert_eq!(body.unwrap().text, "de 00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn credentials_are_absent_in_every_spelling() {
        let refusal = Refusal::new(401, Uuid::nil(), &Language);
        for name in ["authorization", "Authorization", "COOKIE", "Proxy-Authorization"] {
            assert_eq!(refusal.header(name), None, "{name}");
        }
    }

    #[test]
    fn a_function_that_panics_or_an_unusable_body_gets_the_default() {
        assert!(built(|_| RefusalBody::new("text/plain", "a".repeat(MAX_BODY_LENGTH))).is_some());
        assert!(built(|_| RefusalBody::new("text/plain", "a".repeat(MAX_BODY_LENGTH + 1))).is_none());
        assert!(built(|_| panic!("a test")).is_none());
        for media_type in ["", "plain", "text/plain\r\nset-cookie: a=b", "text/\u{e4}"] {
            assert!(built(move |_| RefusalBody::new(media_type, "a")).is_none(), "{media_type}");
        }
    }
}
