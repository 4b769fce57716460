//! The addresses of the services behind the gateway.

use std::collections::BTreeMap;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::catalogue::{self, Service, UnknownService};

/// The address of each service that the gateway forwards to.
#[derive(Clone, Debug, Default)]
pub struct Upstreams(BTreeMap<&'static str, Authority>);

/// An invalid `NAME=https://HOST:PORT`.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It has no `=`.
    #[error("`{0}` is not of the form NAME=https://HOST:PORT")]
    Form(String),
    /// The name is not one of the twelve.
    #[error(transparent)]
    Service(#[from] UnknownService),
    /// The same service occurs twice.
    #[error("`{0}` is named twice")]
    Repeated(&'static str),
    /// The address is not an `https` address without a path.
    #[error("`{0}` is not an address of the form https://HOST:PORT")]
    Address(String),
    /// The list of upstreams is empty.
    #[error("no upstream is named")]
    None,
}

impl Upstreams {
    /// Reads pairs of the form `orders=https://orders:8443`.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, UpstreamError> {
        let mut upstreams = Self::default();
        for pair in pairs {
            let (name, address) = pair.split_once('=').ok_or_else(|| UpstreamError::Form(pair.to_owned()))?;
            let service: &'static Service = name.trim().parse()?;
            let authority = authority(address.trim())?;
            if upstreams.0.insert(service.name, authority).is_some() {
                return Err(UpstreamError::Repeated(service.name));
            }
        }
        if upstreams.0.is_empty() {
            return Err(UpstreamError::None);
        }
        Ok(upstreams)
    }

    /// The services of the catalogue that have no address.
    pub fn missing(&self) -> Vec<&'static str> {
        catalogue::names().filter(|name| !self.0.contains_key(name)).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Authority> {
        self.0.get(name)
    }
}

fn authority(address: &str) -> Result<Authority, UpstreamError> {
    let refused = || UpstreamError::Address(address.to_owned());
    let parts = address.parse::<Uri>().map_err(|_| refused())?.into_parts();
    let plain =
        parts.scheme == Some(Scheme::HTTPS) && parts.path_and_query.is_none_or(|path| path.as_str() == "/");
    // `user:password@host` would end up in `Host`.
    parts.authority.filter(|authority| plain && !authority.as_str().contains('@')).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_each_service_is_found() {
        let upstreams = Upstreams::parse(["orders=https://orders:8443", "pos=https://127.0.0.1:9/"]).unwrap();
        assert_eq!(upstreams.find("orders").unwrap().as_str(), "orders:8443");
        assert_eq!(upstreams.find("pos").unwrap().as_str(), "127.0.0.1:9");
        assert_eq!(upstreams.find("sales"), None);
        assert_eq!(upstreams.missing().len(), 10);
    }

    #[test]
    fn invalid_upstream_pair_is_refused_with_its_reason() {
        for (pairs, reason) in [
            (&["orders"][..], "`orders` is not of the form NAME=https://HOST:PORT"),
            (&["orders=http://orders"], "`http://orders` is not an address of the form https://HOST:PORT"),
            (
                &["orders=https://orders/base"],
                "`https://orders/base` is not an address of the form https://HOST:PORT",
            ),
            (
                &["orders=https://a:b@orders"],
                "`https://a:b@orders` is not an address of the form https://HOST:PORT",
            ),
            (&["orders=https://a", "orders=https://b"], "`orders` is named twice"),
            (&[], "no upstream is named"),
        ] {
            assert_eq!(Upstreams::parse(pairs.iter().copied()).unwrap_err().to_string(), reason);
        }
    }
}
