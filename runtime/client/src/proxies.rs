//! The proxies of the environment, which could read a token on plain HTTP.

use std::{fmt, sync::Arc};

use http::{Uri, uri::Scheme};
use hyper_util::client::proxy::matcher::Matcher;

/// The proxies of the environment, as reqwest reads them.
#[derive(Clone)]
pub(crate) struct Proxies(pub(crate) Option<Arc<Matcher>>);

impl Proxies {
    pub(crate) fn of_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_system())))
    }

    /// Whether a proxy would read a request to this target. An HTTPS request goes through the proxy as an
    /// encrypted tunnel.
    pub(crate) fn read(&self, target: &Uri) -> bool {
        target.scheme() == Some(&Scheme::HTTP)
            && self.0.as_ref().is_some_and(|matcher| matcher.intercept(target).is_some())
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may contain a password.
        f.write_str(if self.0.is_some() { "of the environment" } else { "none" })
    }
}
