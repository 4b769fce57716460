//! The answers that assertions accept: anything with the status of a decision.

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "tonic")]
mod tonic;

use std::convert::Infallible;

use http::{StatusCode, header::WWW_AUTHENTICATE};
use service_only::{Caller, Denial, Rejection, error::Explanation};
use uuid::Uuid;

use crate::{audit::RecordingAudit, fail::OrFail};

/// An answer with the status of a decision, for [`assert_denied!`](crate::assert_denied) and
/// [`assert_allowed!`](crate::assert_allowed).
///
/// | an answer | its status |
/// | --- | --- |
/// | [`TestResponse`](crate::TestResponse), [`http::Response`] | its own |
/// | [`http::StatusCode`], `u16` | itself, for any other client |
/// | [`Denial`], [`Rejection`] | the status that the caller receives |
/// | `Result<T, Denial>`, `Result<T, Rejection>` | of `Ok`: 200, as the guard admitted the caller |
/// | [`Caller`] | 200 |
/// | `Result<http::Response<B>, Infallible>`, as a tower service returns it | that of the response |
/// | feature `actix`: `HttpResponse`, `ServiceResponse`, `Error`, `Result<ServiceResponse, Error>`, `StatusCode` | its own |
/// | feature `tonic`: `Status`, `Code`, `Response`, `Result<Response<T>, Status>` | `OK` is 200, `INVALID_ARGUMENT` 400, `UNAUTHENTICATED` 401, `PERMISSION_DENIED` 403, `UNAVAILABLE` 503, and others as in `google.rpc.Code` |
///
/// References to these are answers too. For another type, pass its status.
///
/// ```
/// use service_only::Caller;
/// use service_only_testkit::{TestAuthority, assert_allowed, assert_denied};
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
///
/// assert_allowed!(verifier.verify(&authority.service("orders").token()));
/// assert_denied!(verifier.verify(&authority.user("anna").token()), 403);
///
/// let denial = verifier.verify("nonsense").unwrap_err();
/// assert_denied!(denial, http::StatusCode::UNAUTHORIZED);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an answer with the status of a decision",
    note = "pass its status: a `u16` or an `http::StatusCode`",
    note = "answers of actix-web and tonic need the features `actix` and `tonic` of the test kit"
)]
pub trait Answer {
    /// What the assertions check.
    fn answered(&self) -> Answered;
}

/// What an assertion checks of an [`Answer`], and prints if it fails.
#[derive(Debug, Clone)]
pub struct Answered {
    pub(crate) status: StatusCode,
    /// `None` if it is not known, or if the protocol has no challenge.
    pub(crate) has_challenge: Option<bool>,
    /// The id of the audit record, if the answer names it.
    pub(crate) instance: Option<Uuid>,
    pub(crate) description: String,
    /// The refusal in sentences, if the answer has its reason.
    pub(crate) explanation: Option<Explanation>,
    pub(crate) audit: Option<RecordingAudit>,
}

impl Answered {
    /// An answer of which only the status is known.
    pub fn with(status: StatusCode) -> Self {
        let description = status.to_string();
        Self { status, has_challenge: None, instance: None, description, explanation: None, audit: None }
    }

    /// The guard admitted the caller.
    fn admitted() -> Self {
        Self { description: "the caller was admitted".to_owned(), ..Self::with(StatusCode::OK) }
    }
}

impl Answer for StatusCode {
    fn answered(&self) -> Answered {
        Answered::with(*self)
    }
}

/// # Panics
/// When the number is not an HTTP status.
impl Answer for u16 {
    fn answered(&self) -> Answered {
        Answered::with(StatusCode::from_u16(*self).or_fail("the status of an answer"))
    }
}

impl<B> Answer for http::Response<B> {
    fn answered(&self) -> Answered {
        let has_challenge = Some(self.headers().contains_key(WWW_AUTHENTICATE));
        Answered { has_challenge, ..Answered::with(self.status()) }
    }
}

impl<B> Answer for Result<http::Response<B>, Infallible> {
    fn answered(&self) -> Answered {
        match self {
            Ok(response) => response.answered(),
            Err(never) => match *never {},
        }
    }
}

impl Answer for Denial {
    fn answered(&self) -> Answered {
        let description = format!("the caller was refused with {} `{}`: {self}", self.status(), self.code());
        let explanation = Some(self.explanation());
        Answered { description, explanation, ..self.status().answered() }
    }
}

impl Answer for Rejection {
    fn answered(&self) -> Answered {
        let (has_challenge, instance) = (Some(self.challenge().is_some()), Some(self.instance()));
        // The response hides the reason. The message of a failed test may contain it.
        Answered { has_challenge, instance, ..Denial::from(self.clone()).answered() }
    }
}

/// A caller exists only after it was admitted.
impl Answer for Caller {
    fn answered(&self) -> Answered {
        Answered::admitted()
    }
}

impl<T> Answer for Result<T, Denial> {
    fn answered(&self) -> Answered {
        self.as_ref().map_or_else(Denial::answered, |_| Answered::admitted())
    }
}

impl<T> Answer for Result<T, Rejection> {
    fn answered(&self) -> Answered {
        self.as_ref().map_or_else(Rejection::answered, |_| Answered::admitted())
    }
}

impl<A: Answer + ?Sized> Answer for &A {
    fn answered(&self) -> Answered {
        (**self).answered()
    }
}
