//! The recipients of a token: an origin is scheme, host and port (RFC 6454 section 4).

use std::{
    error::Error,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use http::{Uri, uri::Scheme};

use service_only::{__satellite::escaped, Denial};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: Scheme,
    /// In its [canonical] form.
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a request's target; `None` if the target has none, or does not use HTTP.
    pub(crate) fn of(target: &Uri) -> Option<Self> {
        let scheme = target.scheme().cloned()?;
        let default = if scheme == Scheme::HTTPS {
            443
        } else if scheme == Scheme::HTTP {
            80
        } else {
            return None;
        };
        let host = target.host().filter(|host| !host.is_empty())?;
        let authority = target.authority()?.as_str();
        let named = authority.rsplit_once('@').map_or(authority, |(_, named)| named);
        // An invalid port must not fall back to the default port, as `Uri::port` suggests.
        let port = match named.strip_prefix(host)? {
            "" => default,
            port => port_of(port.strip_prefix(':')?)?,
        };
        Some(Self { scheme, host: canonical(host), port })
    }

    /// The URL of a path at this origin, with its port only if it is not the default one.
    #[cfg(feature = "issue")]
    pub(crate) fn url(&self, path: &str) -> String {
        let Self { scheme, host, port } = self;
        match (scheme == &Scheme::HTTPS, port) {
            (true, 443) | (false, 80) => format!("{scheme}://{host}{path}"),
            _ => format!("{scheme}://{host}:{port}{path}"),
        }
    }
}

/// Hosts are compared without case (RFC 3986 section 3.2.2). An IPv6 address has several spellings, and an HTTP client may
/// use another one than the configuration.
fn canonical(host: &str) -> String {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
    address.map_or_else(|| host.to_ascii_lowercase(), |address| format!("[{address}]"))
}

/// Whether HTTP clients rewrite this host to an IPv4 address, such as `127.1` or `0x7f.0.0.1` to `127.0.0.1`. No request
/// would match it.
fn is_rewritten(host: &str) -> bool {
    let last = host.rsplit('.').find(|label| !label.is_empty()).unwrap_or_default();
    let is_of = |text: &str, digit: fn(&u8) -> bool| text.as_bytes().iter().all(digit);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = is_of(last, u8::is_ascii_digit)
        || hexadecimal.is_some_and(|digits| is_of(digits, u8::is_ascii_hexdigit));
    is_number && host.parse::<Ipv4Addr>().is_err()
}

/// RFC 3986 section 3.2.3: only digits. `parse` alone would accept a sign.
fn port_of(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(escaped(text, Denial::MAX_QUOTED).into_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let nobody = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let named = uri.host().is_some_and(|host| !is_rewritten(host));
        if bare && nobody && named { Self::of(&uri).ok_or_else(invalid) } else { Err(invalid()) }
    }
}

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an origin; write scheme, host and port, as in `http://orders:8000`", self.0)
    }
}

impl Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Option<Origin> {
        Origin::of(&target.parse().unwrap())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let orders: Origin = "http://Orders:8000".parse().unwrap();
        assert_eq!(of("http://orders:8000/api/v1?x=y"), Some(orders.clone()));
        for other in
            ["https://orders:8000/", "http://orders:8001/", "http://orders/", "http://orders.evil:8000/"]
        {
            assert_ne!(of(other), Some(orders.clone()), "{other}");
        }
        assert_eq!(of("https://orders/x"), "https://orders:443/".parse().ok());
        assert_eq!(of("http://orders/x"), "http://orders".parse().ok());
        assert_eq!(of("http://[::1]:80/x"), "http://[::1]".parse().ok());
    }

    #[test]
    fn an_ipv6_address_is_the_same_origin_in_each_spelling() {
        let origin: Origin = "http://[2001:DB8:0:0:0:0:0:1]:8000".parse().unwrap();
        for spelling in ["2001:db8::1", "2001:0db8::0001", "2001:db8:0:0::1"] {
            assert_eq!(of(&format!("http://[{spelling}]:8000/x")), Some(origin.clone()), "{spelling}");
        }
        assert_ne!(of("http://[2001:db8::2]:8000/x"), Some(origin));
    }

    #[test]
    fn a_host_that_clients_rewrite_is_refused_because_no_request_would_match_it() {
        for host in ["127.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.0.0.256", "127.0.0.01", "a.1"] {
            assert!(format!("http://{host}:8000").parse::<Origin>().is_err(), "{host}");
        }
        for host in ["127.0.0.1", "orders-1", "1.orders", "orders.0xa.example", "0x.example", "0xorders"] {
            assert!(format!("http://{host}:8000").parse::<Origin>().is_ok(), "{host}");
        }
    }

    #[test]
    fn user_info_in_a_url_does_not_change_its_origin() {
        assert_eq!(of("http://orders:8000@evil/"), "http://evil".parse().ok());
    }

    #[test]
    fn an_invalid_port_is_not_the_default_port() {
        for port in ["", "0x50", "80x", "+80", "-1", "65536", "99999", "80000000000"] {
            for before in ["orders", "[::1]", "a:80@orders"] {
                let target = format!("http://{before}:{port}");
                let origin = target.parse::<Uri>().ok().and_then(|uri| Origin::of(&uri));
                assert_eq!(origin, None, "{target}");
                assert!(target.parse::<Origin>().is_err(), "{target}");
            }
        }
        assert_eq!(of("http://a:81@orders/"), "http://orders:80".parse().ok());
        assert_eq!(of("http://a:81@orders:080/"), "http://orders".parse().ok());
        assert_eq!(of("http://[::80]/"), "http://[::80]:80".parse().ok());
    }

    #[test]
    fn a_target_without_an_origin_has_none() {
        for target in ["/api", "*", "orders:8000", "ftp://orders/", "unix://orders/"] {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn a_url_with_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "orders",
            "orders:8000",
            "http://",
            "http://orders/api",
            "http://orders?x",
            "http://a@orders",
            "ws://orders",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
