//! Checks the method and the host of a request, before the gateway reads anything else.
//!
//! The method must be one that the API has. `CONNECT` asks for a tunnel and `TRACE` for an echo of what the
//! gateway added; servers interpret an unknown method differently. A request must have one host: two `Host`
//! fields are two answers to one question.
//! means something else to each server. Two `Host` fields are two answers to one question.

use http::header::{self, HeaderMap};
use http::uri::Authority;
use http::{Method, Version};

/// The accepted methods, as the `Allow` header lists them.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

pub(crate) fn is_forwarded(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// RFC 9112 section 3.2: one valid `Host`; HTTP/1.0 may have none.
pub(crate) fn has_one_host(headers: &HeaderMap, version: Version) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, None) => version < Version::HTTP_11,
        _ => false,
    }
}

fn is_host(value: &[u8]) -> bool {
    // RFC 3986 allows commas in a name, and joined `Host` fields look the same.
    Authority::try_from(value).is_ok() && !value.iter().any(|byte| matches!(byte, b'@' | b','))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_methods_of_the_allow_header_are_forwarded() {
        for name in METHODS.split(", ") {
            assert!(is_forwarded(&name.parse().unwrap()), "{name}");
        }
        for name in ["CONNECT", "TRACE", "PROPFIND", "get", "PRI"] {
            assert!(!is_forwarded(&name.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn host_is_one_name_with_or_without_a_port() {
        let one = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(value))]);
            has_one_host(&headers, Version::HTTP_11)
        };
        assert!(one("gateway") && one("gateway:8080") && one("10.0.0.1:80") && one("[::1]:80"));
        for value in ["", "a, b", "a,b", "user@a", "a/b", "a b", "http://a"] {
            assert!(!one(value), "{value:?}");
        }
    }
}
