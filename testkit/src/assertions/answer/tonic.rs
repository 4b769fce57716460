//! The responses and statuses of tonic. A gRPC response has no challenge: its HTTP status is 200.

use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{Answer, Answered};
use crate::grpc::http_status;

impl Answer for Code {
    fn answered(&self) -> Answered {
        Answered { description: format!("{self:?}"), ..Answered::with(http_status(i32::from(*self))) }
    }
}

/// A status of the guard names its audit record in the metadata `instance`.
impl Answer for Status {
    fn answered(&self) -> Answered {
        let instance = self.metadata().get("instance").and_then(|value| value.to_str().ok());
        let instance = instance.and_then(|instance| instance.strip_prefix("urn:uuid:")?.parse::<Uuid>().ok());
        let description = format!("the status of gRPC is {:?}: {}", self.code(), self.message());
        Answered { instance, description, ..self.code().answered() }
    }
}

/// A response with a message, so its status is `OK`.
impl<T> Answer for Response<T> {
    fn answered(&self) -> Answered {
        Code::Ok.answered()
    }
}

impl<T> Answer for Result<Response<T>, Status> {
    fn answered(&self) -> Answered {
        self.as_ref().map_or_else(Status::answered, Response::answered)
    }
}
