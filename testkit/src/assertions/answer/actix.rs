//! The responses and errors of actix-web.

use actix_web::{
    Error, HttpResponse,
    dev::ServiceResponse,
    http::{StatusCode, header::WWW_AUTHENTICATE},
};
use service_only::Rejection;

use super::{Answer, Answered};

/// The status of actix-web, which is a type of another version of `http`.
impl Answer for StatusCode {
    fn answered(&self) -> Answered {
        self.as_u16().answered()
    }
}

/// A response of the guard carries its rejection, which names the audit record and the reason.
impl<B> Answer for HttpResponse<B> {
    fn answered(&self) -> Answered {
        let rejection = self.error().and_then(Error::as_error::<Rejection>);
        let answered = rejection.map_or_else(|| self.status().answered(), Answer::answered);
        let has_challenge = Some(self.headers().contains_key(WWW_AUTHENTICATE));
        Answered { has_challenge, ..answered }
    }
}

impl<B> Answer for ServiceResponse<B> {
    fn answered(&self) -> Answered {
        self.response().answered()
    }
}

/// The response that actix-web makes of the error.
impl Answer for Error {
    fn answered(&self) -> Answered {
        match self.as_error::<Rejection>() {
            Some(rejection) => rejection.answered(),
            None => self.error_response().answered(),
        }
    }
}

impl<B> Answer for Result<ServiceResponse<B>, Error> {
    fn answered(&self) -> Answered {
        self.as_ref().map_or_else(Error::answered, ServiceResponse::answered)
    }
}
