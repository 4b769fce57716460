//! Converts a refusal to the status of a gRPC response.

use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::rejection::Rejection;

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.status() {
            // gRPC's table for HTTP errors maps 400 to INTERNAL, because a gRPC client never sends a
            // malformed request. This client did, and should not retry.
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            503 => Code::Unavailable,
            _ => Code::Internal,
        };
        let instance = rejection.instance().urn().to_string();
        let mut metadata = MetadataMap::new();
        let entries = [
            ("www-authenticate", rejection.challenge()),
            ("retry-after", rejection.retry_after()),
            ("instance", Some(instance.as_str())),
        ];
        for (name, text) in entries {
            if let Some(Ok(value)) = text.map(MetadataValue::try_from) {
                metadata.insert(name, value);
            }
        }
        Self::with_metadata(code, rejection.title(), metadata)
    }
}

/// Adds the gRPC status to the refusal of a gRPC request, because tonic's client would read the body as a
/// message. The HTTP status stays the same. With gRPC's usual 200, an unauthenticated caller could choose, by the
/// content type, that a refusal looks like a success to any system that reads only the HTTP status.
pub(crate) fn with_status<B>(
    mut response: http::Response<B>,
    rejection: Rejection,
    request: &HeaderMap,
) -> http::Response<B> {
    let kind = request.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        // A part that cannot be written as a header is left out; the HTTP status is sufficient.
        let _ = Status::from(rejection).add_header(response.headers_mut());
    }
    response
}
