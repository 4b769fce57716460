//! What can be asserted about: anything with the status of a decision.

use http::{StatusCode, header::WWW_AUTHENTICATE};

use crate::audit::RecordingAudit;

/// An answer that shows a decision: a [`TestResponse`](crate::TestResponse), any `http::Response`, a status alone.
pub trait Answer {
    /// The status.
    fn status_code(&self) -> StatusCode;
    /// Whether a challenge came with it; `None` where only the status is known.
    fn has_challenge(&self) -> Option<bool> {
        None
    }
    /// The answer in words, for a failing assertion.
    fn describe(&self) -> String {
        self.status_code().to_string()
    }
    /// The audit of the app that answered.
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
