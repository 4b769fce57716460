//! Who may see the pages, and the headers that keep other sites out.
//!
//! Three checks come in this order: the name in the `Host` header, which defeats DNS rebinding; the guard or the
//! certificate of the client; and for a change, the token of the form (`revocation`).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{Extensions, HeaderMap, StatusCode};
use service_only::{Caller, PeerCertificate, User};

use super::App;
use crate::store;

/// Nothing is loaded from elsewhere, no script and no style is inline, and no other page shows this one in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The person or the service of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// The name that a revocation records.
    pub(crate) name: String,
    /// How the name is known.
    pub(crate) how: &'static str,
}

/// What has to be proven before a page is shown. Without a requirement, only this machine reaches the port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Required {
    /// A client certificate: of any client that the roots verify, or of one of these SPIFFE IDs.
    pub(crate) certificate: Option<BTreeSet<String>>,
    /// A token, which the guard has checked.
    pub(crate) token: bool,
}

pub(crate) struct Access {
    required: Required,
    /// The names that a browser may use for this server, without a port, in lower case.
    hosts: BTreeSet<String>,
    /// The name for the changes of a request without an identity.
    operator: String,
}

impl Access {
    pub(crate) fn new(required: Required, listen: SocketAddr, names: &[String], operator: String) -> Self {
        let mut hosts: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if !listen.ip().is_unspecified() {
            hosts.insert(host_of(listen.ip()));
        }
        if listen.ip().is_loopback() || listen.ip().is_unspecified() {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        Self { required, hosts, operator }
    }

    pub(crate) fn operator(&self) -> Who {
        Who { name: self.operator.clone(), how: "the person who started the dashboard on this machine" }
    }

    fn is_own_name(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        // A name with a user is not one that a browser sends.
        authority.is_some_and(|authority| {
            !authority.as_str().contains('@') && self.hosts.contains(&authority.host().to_ascii_lowercase())
        })
    }

    /// Who sent a request; `None` if something that is required is not proven.
    fn identify(&self, request: &Request) -> Option<Who> {
        let Required { certificate, token } = &self.required;
        let mut who = self.operator();
        if let Some(allowed) = certificate {
            who = by_certificate(request.extensions().get()?, allowed)?;
        }
        if *token {
            who = by_token(request.extensions())?;
        }
        Some(who)
    }
}

fn by_certificate(peer: &PeerCertificate, allowed: &BTreeSet<String>) -> Option<Who> {
    let id = peer.spiffe_id();
    let is_allowed = allowed.is_empty() || id.is_some_and(|id| allowed.contains(id));
    let thumbprint = || {
        let hex: String = peer.thumbprint().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("certificate {hex}")
    };
    let name = id.map_or_else(thumbprint, str::to_owned);
    (is_allowed && peer.is_valid_at(store::now())).then_some(Who { name, how: "by a client certificate" })
}

fn by_token(extensions: &Extensions) -> Option<Who> {
    let service = extensions.get::<Caller>().map(|caller| caller.service().to_string());
    let user =
        || extensions.get::<User>().map(|user| format!("user:{}", user.id().unwrap_or("without an id")));
    service.or_else(user).map(|name| Who { name, how: "by a token" })
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Refuses a foreign name, and adds the headers to every response.
pub(super) async fn secure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = if app.access.is_own_name(request.headers()) {
        next.run(request).await
    } else {
        let text = "this server does not have the name in the Host header; name it with `--host`\n";
        (StatusCode::MISDIRECTED_REQUEST, text).into_response()
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses a request whose sender is not proven, and tells the pages who it is.
pub(super) async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match app.access.identify(&request) {
        Some(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        None => (StatusCode::FORBIDDEN, "this client may not see the dashboard\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(listen: &str, names: &[&str], host: &str) -> bool {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let access = Access::new(Required::default(), listen.parse().unwrap(), &names, "ops".to_owned());
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        access.is_own_name(&headers)
    }

    #[test]
    fn only_the_own_names_are_answered() {
        for host in ["127.0.0.1:9400", "localhost", "LOCALHOST:1", "[::1]:9400"] {
            assert!(is_own("127.0.0.1:9400", &[], host), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example:9400", "localhost.", "", "a@localhost", "10.0.0.1", "["]
        {
            assert!(!is_own("127.0.0.1:9400", &[], host), "{host}");
        }
        assert!(is_own("10.0.0.1:443", &["Ops.Example"], "ops.example"));
        assert!(is_own("10.0.0.1:443", &[], "10.0.0.1"));
        assert!(!is_own("10.0.0.1:443", &[], "localhost"));
    }

    #[test]
    fn two_host_headers_and_none_are_refused() {
        let access = Access::new(Required::default(), "127.0.0.1:1".parse().unwrap(), &[], "ops".to_owned());
        let mut headers = HeaderMap::new();
        assert!(!access.is_own_name(&headers));
        headers.append(HOST, "localhost".parse().unwrap());
        headers.append(HOST, "localhost".parse().unwrap());
        assert!(!access.is_own_name(&headers));
    }
}
