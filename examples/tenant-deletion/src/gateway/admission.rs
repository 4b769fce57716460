//! Checks the method and the host of a request, before the gateway reads anything else.
//!
//! The method must be one that the API has. `CONNECT` asks for a tunnel and `TRACE` for an echo of what the
//! gateway added; servers interpret an unknown method differently. A request must have one host: two `Host`
//! fields are two answers to one question. HTTP/2 has `:authority` instead, which the URI contains.

use http::header::{self, HeaderMap};
use http::uri::Authority;
use http::{Method, Uri, Version};

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

/// RFC 9112 section 3.2: one valid `Host`; HTTP/1.0 may have none. RFC 9113 section 8.3.1: one `:authority`, which a
/// `Host` repeats if there is one.
pub(crate) fn has_one_host(headers: &HeaderMap, uri: &Uri, version: Version) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = uri.authority().filter(|_| version >= Version::HTTP_2).map(Authority::as_str);
    match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => false,
        (Some(authority), host, None) => {
            is_host(authority.as_bytes()) && host.is_none_or(|host| host == authority)
        }
        (None, Some(host), None) => is_host(host.as_bytes()),
        (None, None, None) => version < Version::HTTP_11,
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
            has_one_host(&headers, &Uri::from_static("/"), Version::HTTP_11)
        };
        assert!(one("gateway") && one("gateway:8080") && one("10.0.0.1:80") && one("[::1]:80"));
        for value in ["", "a, b", "a,b", "user@a", "a/b", "a b", "http://a"] {
            assert!(!one(value), "{value:?}");
        }
    }

    #[test]
    fn host_of_http_2_is_its_authority_and_a_host_field_repeats_it() {
        let has_one = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            has_one_host(&headers, &Uri::from_static(uri), Version::HTTP_2)
        };
        assert!(has_one("https://gateway:8443/a", &[]));
        assert!(has_one("https://gateway:8443/a", &["gateway:8443"]));
        assert!(!has_one("https://gateway:8443/a", &["elsewhere"]));
        assert!(!has_one("https://gateway:8443/a", &["gateway:8443", "gateway:8443"]));
        assert!(!has_one("https://user@gateway/a", &[]));
        assert!(!has_one("/a", &[]));
    }
}
