//! The answers that assertions accept: anything with the status of a decision.

use http::{StatusCode, header::WWW_AUTHENTICATE};

use crate::audit::RecordingAudit;

/// An answer with a decision: a [`TestResponse`](crate::TestResponse), any `http::Response`, or only a
/// status.
pub trait Answer {
    /// The status.
    fn status_code(&self) -> StatusCode;
    /// Whether the answer has a challenge; `None` if only the status is known.
    fn has_challenge(&self) -> Option<bool> {
        None
    }
    /// Describes the answer, for a failing assertion.
    fn describe(&self) -> String {
        self.status_code().to_string()
    }
    /// The audit log of the app that answered.
    fn audit(&self) -> Option<&RecordingAudit> {
        None
    }
}

impl<B> Answer for http::Response<B> {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn has_challenge(&self) -> Option<bool> {
        Some(self.headers().contains_key(WWW_AUTHENTICATE))
    }
}

impl Answer for StatusCode {
    fn status_code(&self) -> StatusCode {
        *self
    }
}

impl<A: Answer + ?Sized> Answer for &A {
    fn status_code(&self) -> StatusCode {
        (**self).status_code()
    }

    fn has_challenge(&self) -> Option<bool> {
        (**self).has_challenge()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn audit(&self) -> Option<&RecordingAudit> {
        (**self).audit()
    }
}
