//! The URL of a request, as `htu` names it. Compared in one spelling: RFC 9449 section 4.3 and RFC 3986 section 6.2.

use std::borrow::Cow;

/// The URL of a service without a query: scheme, authority, and the path in front of the paths of its requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Base(String);

impl Base {
    /// Parses a URL. `None` if it is not an absolute `http` or `https` URL, or has a query or a fragment.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        if url.contains(['?', '#']) {
            return None;
        }
        let mut url = normalized(url)?;
        while url.ends_with('/') {
            url.pop();
        }
        Some(Self(url))
    }

    /// Whether `htu` names the request with this path at this service.
    pub(crate) fn is_target(&self, htu: &Htu, path: &Path<'_>) -> bool {
        htu.0.strip_prefix(&self.0) == Some(&*path.0)
    }
}

/// A normalized `htu`.
pub(crate) struct Htu(String);

impl Htu {
    /// RFC 9449 section 4.3: a query and a fragment are ignored.
    pub(crate) fn parse(htu: &str) -> Option<Self> {
        normalized(htu.split(['?', '#']).next()?).map(Self)
    }
}

/// The normalized path of a request.
pub(crate) struct Path<'r>(Cow<'r, str>);

impl<'r> Path<'r> {
    pub(crate) fn parse(path: &'r str) -> Option<Self> {
        normalized_path(path).map(Self)
    }
}

/// Normalizes an absolute URL without a query: scheme and host in lower case, no default port, a path.
fn normalized(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => ("https", "443"),
        "http" => ("http", "80"),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // The port follows the last colon that is not inside of an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = if port.is_empty() || port == default_port { String::new() } else { format!(":{port}") };
    let path = normalized_path(if path.is_empty() { "/" } else { path })?;
    Some(format!("{scheme}://{}{port}{path}", host.to_ascii_lowercase()))
}

/// Normalizes a path: unreserved characters are decoded, other escapes are in upper case. `None` for a path with dot
/// segments: two programs could read it differently, and clients send it without.
fn normalized_path(path: &str) -> Option<Cow<'_, str>> {
    let is_visible = |byte: u8| matches!(byte, b'!'..=b'~') && !b"\"<>\\^`{|}?#".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(is_visible) {
        return None;
    }
    let path = if path.contains('%') { Cow::Owned(with_one_escape(path)?) } else { Cow::Borrowed(path) };
    let has_dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    (!has_dots).then_some(path)
}

/// Writes each percent-encoded octet in its one spelling (RFC 3986 sections 6.2.2.1 and 6.2.2.2).
fn with_one_escape(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut normal = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let octet = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            normal.push(char::from(octet));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        normal.push_str(rest);
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_target(base: &str, htu: &str, path: &str) -> bool {
        let base = Base::parse(base).unwrap();
        Htu::parse(htu).zip(Path::parse(path)).is_some_and(|(htu, path)| base.is_target(&htu, &path))
    }

    #[test]
    fn a_url_has_one_spelling() {
        for (base, htu, path) in [
            ("https://a.example", "https://a.example/x", "/x"),
            ("https://a.example/", "https://a.example/x", "/x"),
            ("https://a.example", "https://a.example", "/"),
            ("https://a.example", "https://a.example/", "/"),
            ("https://a.example", "https://a.example?q", "/"),
            ("https://a.example", "HTTPS://A.Example:443/x", "/x"),
            ("https://a.example:443", "https://a.example:/x", "/x"),
            ("https://a.example:8443", "https://a.example:8443/x", "/x"),
            ("http://a.example:80", "http://a.example/x", "/x"),
            ("http://[::1]:8000", "http://[::1]:8000/x", "/x"),
            ("http://[::1]", "http://[::1]:80/x", "/x"),
            ("https://a.example", "https://a.example/x?query#fragment", "/x"),
            ("https://a.example", "https://a.example/x#fragment", "/x"),
            ("https://a.example", "https://a.example/%7euser/%2f%c3%a4", "/~user/%2F%C3%A4"),
            ("https://a.example", "https://a.example/a:b@c;d=e,f", "/a:b@c;d=e,f"),
            ("https://a.example/orders", "https://a.example/orders/x", "/x"),
            ("https://a.example/orders/", "https://a.example/orders/", "/"),
        ] {
            assert!(is_target(base, htu, path), "{base} {htu} {path}");
        }
    }

    #[test]
    fn another_url_is_another_target() {
        for (base, htu, path) in [
            ("https://a.example", "https://a.example/x", "/y"),
            ("https://a.example", "https://a.example/x/", "/x"),
            ("https://a.example", "https://a.example/X", "/x"),
            ("https://a.example", "https://a.example//x", "/x"),
            ("https://a.example", "http://a.example/x", "/x"),
            ("https://a.example", "https://a.example:8443/x", "/x"),
            ("https://a.example", "https://a.example:80/x", "/x"),
            ("https://a.example", "https://b.example/x", "/x"),
            ("https://a.example", "https://a.example.evil/x", "/x"),
            ("https://a.example", "https://u@a.example/x", "/x"),
            ("https://a.example", "https://u:p@a.example/x", "/x"),
            ("https://a.example", "https://a.example:443@evil/x", "/x"),
            ("https://a.example", "https://a.example\\@evil/x", "/x"),
            ("https://a.example", "https://a.example/y/../x", "/x"),
            ("https://a.example", "https://a.example/y/%2e%2E/x", "/x"),
            ("https://a.example", "https://a.example/./x", "/x"),
            ("https://a.example", "https://a.example/x", "/y/../x"),
            ("https://a.example", "https://a.example/y/../x", "/y/../x"),
            ("https://a.example", "https://a.example/%2Fx", "//x"),
            ("https://a.example", "https://a.example/x%", "/x%"),
            ("https://a.example", "https://a.example/x%+1", "/x%+1"),
            ("https://a.example", "https://a.example/x%g0", "/x%g0"),
            ("https://a.example", "https://a.example/x y", "/x y"),
            ("https://a.example", "https://a.example/é", "/é"),
            ("https://a.example", "/x", "/x"),
            ("https://a.example", "//a.example/x", "/x"),
            ("https://a.example", "a.example/x", "/x"),
            ("https://a.example", "", "/"),
            ("https://a.example", " https://a.example/x", "/x"),
            ("https://a.example/orders", "https://a.example/x", "/x"),
            ("https://a.example/orders", "https://a.example/ordersx", "/x"),
            ("https://a.example", "https://a.example/x", "x"),
            ("https://a.example", "https://a.example/*", "*"),
        ] {
            assert!(!is_target(base, htu, path), "{base} {htu} {path}");
        }
    }

    #[test]
    fn the_url_of_a_service_is_absolute_and_has_no_query() {
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https:///x",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://a b",
            "https://a/../b",
            "https://a:x",
            "https://ä.example",
            "https://a:1:2:",
        ] {
            let parsed = Base::parse(bad);
            assert!(parsed.is_none() || bad == "https://a:1:2:", "{bad}: {parsed:?}");
        }
    }
}
