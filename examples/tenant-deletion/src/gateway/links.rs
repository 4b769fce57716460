//! Connections to the services by mutual TLS. A service is known by its name: its certificate must have that as a DNS
//! name, whatever the address is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use service_only_tls::Tls;

use super::Limits;
use super::body::Passing;
use crate::catalogue;

/// The current connections.
pub(crate) struct Links {
    tls: Tls,
    limits: Limits,
    current: Mutex<Arc<Link>>,
}

/// Connections that present one certificate.
pub(crate) struct Link {
    revision: u64,
    /// SHA-256 of the certificate. Tokens that are sent over these connections are bound to it.
    pub(crate) certificate: [u8; 32],
    clients: BTreeMap<&'static str, Client<HttpsConnector<HttpConnector>, Passing>>,
}

impl Links {
    pub(crate) fn new(tls: Tls, limits: Limits) -> Self {
        let current = Mutex::new(Arc::new(Link::new(&tls, limits)));
        Self { tls, limits, current }
    }

    /// The connections of the current certificate. A renewed certificate begins with new connections, because an open
    /// one has presented the former certificate, which does not fit a new token.
    pub(crate) fn current(&self) -> Arc<Link> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.revision != self.tls.status().revision {
            *current = Arc::new(Link::new(&self.tls, self.limits));
        }
        Arc::clone(&current)
    }
}

impl Link {
    fn new(tls: &Tls, limits: Limits) -> Self {
        let status = tls.status();
        let clients =
            catalogue::names().filter_map(|name| Some((name, client(name, tls, limits)?))).collect();
        Self { revision: status.revision, certificate: status.thumbprint, clients }
    }

    /// The client of a service of the catalogue.
    pub(crate) fn client(&self, service: &str) -> Option<&Client<HttpsConnector<HttpConnector>, Passing>> {
        self.clients.get(service)
    }
}

/// `None` for a name that is not a DNS name. No service of the catalogue has one.
fn client(
    service: &'static str,
    tls: &Tls,
    limits: Limits,
) -> Option<Client<HttpsConnector<HttpConnector>, Passing>> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(limits.connect));
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config((*tls.client_config()).clone())
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(service.try_into().ok()?))
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits.idle)
        .build(connector);
    Some(client)
}
