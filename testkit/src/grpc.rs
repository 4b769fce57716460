//! The status codes of gRPC. A code becomes an HTTP status, so that the assertions have one rule for both
//! protocols.

#![cfg_attr(not(feature = "tonic"), allow(dead_code, reason = "only tonic has codes"))]

use http::StatusCode;

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
