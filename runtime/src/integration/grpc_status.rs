//! A refusal as the status of a gRPC response.

use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::rejection::Rejection;

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.status() {
            // gRPC's table for answers that are not gRPC says INTERNAL, as no client of it sends a
            // malformed request. This one has, and is not to try again.
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            503 => Code::Unavailable,
            _ => Code::Internal,
        };
        let instance = rejection.instance().urn().to_string();
        let mut metadata = MetadataMap::new();
        let entries = [("www-authenticate", rejection.challenge()), ("instance", Some(instance.as_str()))];
        for (name, text) in entries {
            if let Some(Ok(value)) = text.map(MetadataValue::try_from) {
                metadata.insert(name, value);
            }
        }
        Self::with_metadata(code, rejection.title(), metadata)
    }
}

/// Adds the status to the refusal of a request that speaks gRPC: tonic's client would read the body as a
/// message. The HTTP status stays what it is. gRPC's own 200 would let a stranger choose, by his content
/// type, that a refusal looks like an answer to whoever sees the HTTP status only.
pub(crate) fn with_status<B>(
    mut response: http::Response<B>,
    rejection: Rejection,
    request: &HeaderMap,
) -> http::Response<B> {
    let kind = request.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        // What cannot be written as a header is left out, and the HTTP status says enough.
        let _ = Status::from(rejection).add_header(response.headers_mut());
    }
    response
}
