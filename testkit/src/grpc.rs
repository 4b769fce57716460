//! The status codes and messages of gRPC. A code becomes an HTTP status, so that the assertions and the attack
//! have one rule for both protocols.

#![cfg_attr(
    not(feature = "axum"),
    allow(dead_code, reason = "only a service in the test's own process sends a response of gRPC")
)]

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use crate::fail::OrFail;

/// The HTTP status of a gRPC status code.
///
/// The codes of a refusal are those that the guard of tonic sends. The others are those of `google.rpc.Code`.
pub(crate) fn http_status(code: i32) -> StatusCode {
    match code {
        0 => StatusCode::OK,
        // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        // UNAUTHENTICATED
        16 => StatusCode::UNAUTHORIZED,
        // PERMISSION_DENIED
        7 => StatusCode::FORBIDDEN,
        // NOT_FOUND
        5 => StatusCode::NOT_FOUND,
        // ALREADY_EXISTS, ABORTED
        6 | 10 => StatusCode::CONFLICT,
        // RESOURCE_EXHAUSTED
        8 => StatusCode::TOO_MANY_REQUESTS,
        // UNIMPLEMENTED
        12 => StatusCode::NOT_IMPLEMENTED,
        // UNAVAILABLE
        14 => StatusCode::SERVICE_UNAVAILABLE,
        // CANCELLED and DEADLINE_EXCEEDED
        1 | 4 => StatusCode::GATEWAY_TIMEOUT,
        // UNKNOWN, INTERNAL, DATA_LOSS, and codes that gRPC does not define.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of a response. For a gRPC response it comes from `grpc-status`, which is in the headers if the
/// response has no message, and else in the trailers. Other responses keep their HTTP status.
///
/// A response with a message keeps its HTTP status too: the caller has received the message, whatever status
/// follows.
pub(crate) fn status_of(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    trailers: Option<&HeaderMap>,
) -> StatusCode {
    if !status.is_success() || !is_grpc(headers) || !body.is_empty() {
        return status;
    }
    trailers.into_iter().chain([headers]).find_map(grpc_status).unwrap_or(status)
}

/// Whether a response is one of gRPC: `application/grpc`, and `application/grpc+proto` or another encoding of
/// messages, but not `application/grpc-web`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(is_grpc_type)
}

pub(crate) fn is_grpc_type(media_type: &str) -> bool {
    let encoding = media_type.strip_prefix("application/grpc");
    encoding.is_some_and(|encoding| encoding.is_empty() || encoding.starts_with(['+', ';', ' ']))
}

fn grpc_status(fields: &HeaderMap) -> Option<StatusCode> {
    let code = fields.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    Some(http_status(code))
}

/// A message as gRPC sends it: a byte for "not compressed", the length in four bytes, and the message.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).or_fail("the length of a message");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_status_is_in_the_headers_or_in_the_trailers() {
        let grpc = ("content-type", "application/grpc");
        let of = |headers: &[_], body: &[u8], trailers: Option<&[_]>| {
            let trailers = trailers.map(fields);
            status_of(StatusCode::OK, &fields(headers), body, trailers.as_ref()).as_u16()
        };
        assert_eq!(of(&[grpc, ("grpc-status", "16")], b"", None), 401);
        assert_eq!(of(&[grpc], b"", Some(&[("grpc-status", "7")])), 403);
        assert_eq!(of(&[grpc], b"", None), 200, "a stream that is still open");
        assert_eq!(of(&[grpc], b"message", Some(&[("grpc-status", "7")])), 200, "the caller has the message");
        // Other responses have no status of gRPC, whatever a header claims.
        assert_eq!(of(&[("grpc-status", "16")], b"", None), 200);
        let web = ("content-type", "application/grpc-web+proto");
        assert_eq!(of(&[web, ("grpc-status", "16")], b"", None), 200);
        let refused = fields(&[grpc, ("grpc-status", "0")]);
        assert_eq!(status_of(StatusCode::FORBIDDEN, &refused, b"", None), 403);
    }

    #[test]
    fn a_message_is_framed_with_its_length() {
        assert_eq!(frame(b"ab"), b"\0\0\0\0\x02ab");
        assert_eq!(frame(&[7; 300]).get(..5), Some(&[0, 0, 0, 1, 44][..]));
    }
}
