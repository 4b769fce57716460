//! Finds the service of a request target, from a path that has only one spelling.
//!
//! If two parsers read a path differently, a request can bypass the rule for its path. The API's paths are
//! plain, so the gateway rewrites nothing. A target that is not canonical (an escape, a dot segment, an empty
//! segment, a backslash) is refused with 400.
//! canonical (an escape, a dot segment, an empty segment, a backslash) is refused with 400.

use http::Uri;

/// A longer path is not part of the API: the longest has 90 bytes.
const MAX_PATH: usize = 512;

/// The canonical path of a request, with the name of its service.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePath<'u> {
    /// The third segment of `/api/v1/{service}/…`, or `None` if the path does not have that form.
    pub(crate) service: Option<&'u str>,
}

/// Why a request target is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// `CONNECT`'s authority form, `OPTIONS *`, or an empty path.
    #[error("the request target has no absolute path")]
    NotAbsolute,
    /// Longer than any path of the API.
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
    /// `//` or a trailing slash.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// An escape, a backslash, a semicolon, or a byte beyond ASCII.
    #[error("the path has a character other than letters, digits, `-`, `_`, `.` and `~`")]
    Character,
}

impl<'u> ServicePath<'u> {
    /// Parses the path of origin form (`/path`) or absolute form (`http://host/path`).
    pub(crate) fn parse(target: &'u Uri) -> Result<Self, PathError> {
        let path = target.path();
        let Some(relative) = path.strip_prefix('/') else {
            return Err(PathError::NotAbsolute);
        };
        if path.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        for segment in relative.split('/') {
            check(segment)?;
        }
        let mut segments = relative.split('/');
        let prefix = [segments.next(), segments.next()];
        let service = segments.next().filter(|_| prefix == [Some("api"), Some("v1")]);
        Ok(Self { service })
    }
}

fn check(segment: &str) -> Result<(), PathError> {
    match segment {
        "" => Err(PathError::EmptySegment),
        "." | ".." => Err(PathError::DotSegment),
        _ if segment.bytes().all(is_unreserved) => Ok(()),
        _ => Err(PathError::Character),
    }
}

/// `unreserved` of RFC 3986 section 2.3: bytes that are never escaped in a canonical path.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_path_names_its_service() {
        for (path, service) in [
            ("/api/v1/orders/tenant/0c5a1de0-7e57-4b1a-9f0e-5019a4d30001", Some("orders")),
            (
                "http://gateway:8080/api/v1/alert-processor/tenant/x/deletion-preview?a=%2F..//",
                Some("alert-processor"),
            ),
            ("/api/v1/orders", Some("orders")),
            ("/api/v1", None),
            ("/API/v1/orders", None),
            ("/api/v2/orders", None),
            ("/metrics", None),
        ] {
            let uri = path.parse::<Uri>().unwrap();
            assert_eq!(ServicePath::parse(&uri), Ok(ServicePath { service }), "{path}");
        }
    }

    #[test]
    fn second_spelling_of_a_path_is_refused() {
        use PathError::{Character, DotSegment, EmptySegment, NotAbsolute, TooLong};
        let long = format!("/api/v1/orders/{}", "a".repeat(MAX_PATH));
        for (path, error) in [
            ("//api/v1/orders/tenant/x", EmptySegment),
            ("/api/v1//orders/tenant/x", EmptySegment),
            ("/api/v1/orders/tenant/x/", EmptySegment),
            ("/", EmptySegment),
            ("/api/v1/orders/../sales/tenant/x", DotSegment),
            ("/api/v1/./orders/tenant/x", DotSegment),
            ("/api/v1/orders/tenant/..", DotSegment),
            ("/api/v1/orders%2Ftenant/x", Character),
            ("/api/v1/orders/%2e%2e/sales/tenant/x", Character),
            ("/api/v1/%6frders/tenant/x", Character),
            ("/api/v1/orders/tenant/x%00", Character),
            ("/api/v1/orders\\tenant/x", Character),
            ("/api/v1/orders;a=b/tenant/x", Character),
            ("/api/v1/orders/tenant/\u{e9}", Character),
            ("*", NotAbsolute),
            (&long, TooLong),
        ] {
            // A path that `Uri` refuses never reaches the gateway.
            if let Ok(uri) = path.parse::<Uri>() {
                assert_eq!(ServicePath::parse(&uri), Err(error), "{path}");
            }
        }
    }
}
