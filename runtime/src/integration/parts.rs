//! Shared code of the frameworks that use the types of the crate `http`.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri,
    header::{AUTHORIZATION, GetAll},
    request::Parts,
    uri::PathAndQuery,
};

use super::{
    decided::{Credentials, Decided, Owner},
    unfinished::Unfinished,
};
use crate::{
    audit::RequestContext,
    bearer::OnlyHeader,
    caller::Identity,
    peer::PeerCertificate,
    recorder::{Asked, Attempt, Attempted, KeptRequest, Recorder},
    rejection::{CREDENTIALS, Rejection, RequestHeaders},
    trace_context::{TraceParent, trace_parent},
    verifier::{Companion, Incoming, Verifier},
};

/// Waits for an unknown key at most once per request; the key source bounds the wait. A cancelled wait leaves a
/// record.
pub(crate) async fn await_unknown_key<A: Asked>(
    verifier: &Verifier,
    authorization: &Authorization<'_>,
    asked: impl FnOnce() -> Attempted<A>,
) {
    let refresh = verifier.refresh_keys_for_request(bytes(authorization));
    #[cfg(feature = "experimental-wimse")]
    let refresh = refresh.or_else(|| {
        let token = || authorization.companion(Companion::IdentityToken);
        verifier.refresh_keys_for_workload(bytes(authorization), token)
    });
    if let Some(refresh) = refresh {
        let waiting = Unfinished::new(|| verifier.record_cancelled(bytes(authorization), asked()));
        refresh.await;
        waiting.finish();
    }
}

/// The `Authorization` headers of a request: looked up once, and iterated as often as needed.
pub(crate) struct Authorization<'r> {
    headers: &'r HeaderMap,
    values: GetAll<'r, HeaderValue>,
}

pub(crate) fn authorization(headers: &HeaderMap) -> Authorization<'_> {
    Authorization { headers, values: headers.get_all(AUTHORIZATION) }
}

pub(crate) fn bytes<'r>(authorization: &Authorization<'r>) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    authorization.values.iter().map(HeaderValue::as_bytes)
}

impl Credentials<HeaderValue> for Authorization<'_> {
    fn authorization(&self) -> impl Iterator<Item = &HeaderValue> {
        self.values.iter()
    }

    fn companions(&self, companion: Companion) -> impl Iterator<Item = &HeaderValue> {
        let name = match companion {
            Companion::Proof => &DPOP,
            #[cfg(feature = "experimental-wimse")]
            Companion::IdentityToken => &IDENTITY_TOKEN,
        };
        self.headers.get_all(name).iter()
    }
}

static DPOP: HeaderName = HeaderName::from_static("dpop");

#[cfg(feature = "experimental-wimse")]
static IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

impl Authorization<'_> {
    fn companion(&self, companion: Companion) -> OnlyHeader<'_> {
        OnlyHeader::of(self.companions(companion).map(HeaderValue::as_bytes))
    }
}

#[cfg(feature = "experimental-wimse")]
impl crate::dpop::NamedHeaders for Authorization<'_> {
    fn named(&self, name: &str) -> OnlyHeader<'_> {
        OnlyHeader::of(self.headers.get_all(name).iter().map(HeaderValue::as_bytes))
    }
}

/// The request that a token came with.
pub(crate) struct Sent<'r> {
    pub(crate) method: &'r Method,
    /// The path as the client sent it.
    pub(crate) path: &'r str,
    pub(crate) authorization: &'r Authorization<'r>,
    pub(crate) extensions: &'r Extensions,
}

impl<'r> Sent<'r> {
    pub(crate) fn of(parts: &'r Parts, authorization: &'r Authorization<'r>) -> Self {
        Self { method: &parts.method, path: uri(parts).path(), authorization, extensions: &parts.extensions }
    }
}

impl Incoming for Sent<'_> {
    fn peer(&self) -> Option<&PeerCertificate> {
        peer(self.extensions)
    }

    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.path
    }

    fn companion(&self, companion: Companion) -> OnlyHeader<'_> {
        self.authorization.companion(companion)
    }

    #[cfg(feature = "experimental-wimse")]
    fn named_headers(&self) -> &dyn crate::dpop::NamedHeaders {
        self.authorization
    }

    fn accepted_before(&self, by: &Arc<Recorder>) -> Option<[u8; 32]> {
        self.extensions.get::<Decided<HeaderValue>>()?.accepted_key(by, self.authorization)
    }
}

/// A request before its handler runs.
impl Asked for &Parts {
    type Kept = KeptParts;

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            endpoint: None,
            method: Some(self.method.as_str()),
            route: route(&self.extensions).map(Cow::Borrowed),
            path: Some(uri(self).path()),
            client_address: client_address(&self.extensions),
            peer: peer(&self.extensions).and_then(PeerCertificate::id),
            trace: trace(&self.headers),
        }
    }

    fn keep(&self, with_headers: bool) -> KeptParts {
        KeptParts {
            headers: with_headers.then(|| without_credentials(&self.headers)),
            method: self.method.clone(),
            target: uri(self).path_and_query().cloned(),
            #[cfg(feature = "axum")]
            route: self.extensions.get().cloned(),
            client_address: client_address(&self.extensions),
            peer: peer(&self.extensions).cloned(),
            traceparent: traceparent(&self.headers).cloned(),
        }
    }
}

/// The recorded parts of a request, shared with it.
#[derive(Clone)]
pub(crate) struct KeptParts {
    /// Only if the application builds the bodies of refusals.
    pub(crate) headers: Option<Box<HeaderMap>>,
    pub(crate) method: Method,
    pub(crate) target: Option<PathAndQuery>,
    #[cfg(feature = "axum")]
    pub(crate) route: Option<axum::extract::MatchedPath>,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) peer: Option<PeerCertificate>,
    pub(crate) traceparent: Option<HeaderValue>,
}

impl RequestHeaders for &Parts {
    fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }
}

impl RequestHeaders for KeptParts {
    fn header(&self, name: &str) -> Option<&str> {
        text(self.headers.as_ref()?, name)
    }
}

/// The first header of this name, if it is visible ASCII.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A copy of the headers for the body of a later refusal. A request may be stored, and a credential must not be.
pub(crate) fn without_credentials(headers: &HeaderMap) -> Box<HeaderMap> {
    let mut headers = Box::new(headers.clone());
    for secret in CREDENTIALS {
        headers.remove(secret);
    }
    headers
}

impl KeptRequest for KeptParts {
    fn context(&self) -> RequestContext<'_> {
        #[cfg(feature = "axum")]
        let route = self.route.as_ref().map(|route| Cow::Borrowed(route.as_str()));
        #[cfg(not(feature = "axum"))]
        let route = None;
        RequestContext {
            endpoint: None,
            method: Some(self.method.as_str()),
            route,
            path: Some(self.target.as_ref().map_or("", PathAndQuery::path)),
            client_address: self.client_address,
            peer: self.peer.as_ref().and_then(PeerCertificate::id),
            trace: self.traceparent.as_ref().and_then(|value| trace_parent(value.as_bytes())),
        }
    }
}

/// Stores a decision for later extractors of the same request.
pub(crate) fn leave_decided(
    extensions: &mut Extensions,
    authorization: &Authorization<'_>,
    identity: &Identity,
    epoch: Option<u64>,
    owner: Owner,
) {
    let decided = Decided::new(authorization, identity, epoch, owner);
    // axum's router drops the request before its handler or with it. If a program takes the parts out of a request,
    // it may keep them for any time.
    #[cfg(feature = "axum")]
    let decided = match owner {
        Owner::Extractors if extensions.get::<axum::extract::OriginalUri>().is_some() => decided.owning(),
        _ => decided,
    };
    extensions.insert(decided);
}

/// Stores the admitted caller for the program, which reads extensions. Another one of an earlier request is removed.
#[cfg(feature = "tower")]
pub(crate) fn leave_identity(extensions: &mut Extensions, identity: Identity) {
    extensions.remove::<crate::caller::Caller>();
    extensions.remove::<crate::caller::User>();
    match &identity {
        Identity::Service(caller) => drop(extensions.insert(caller.clone())),
        Identity::User(user) => drop(extensions.insert(user.clone())),
    }
    extensions.insert(identity);
}

/// The path parameters of the route, decoded as for the handler.
#[cfg(feature = "axum")]
pub(crate) async fn path_parameters(parts: &mut Parts) -> Vec<(String, String)> {
    use axum::extract::{FromRequestParts, RawPathParams};
    let parameters = RawPathParams::from_request_parts(parts, &()).await;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    parameters.map(|parameters| parameters.iter().map(owned).collect()).unwrap_or_default()
}

/// The attempt of an earlier decision about the same request.
pub(crate) fn earlier(
    extensions: &Extensions,
    authorization: &Authorization<'_>,
    verifier: &Verifier,
) -> Option<Arc<Attempt>> {
    extensions.get::<Decided<HeaderValue>>()?.attempt(verifier, authorization, peer(extensions))
}

/// The certificate of the client of the connection, which `service-only-tls` stores in the request.
pub(crate) fn peer(extensions: &Extensions) -> Option<&PeerCertificate> {
    extensions.get()
}

/// The name is looked up for each request; as a text it would be parsed each time.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Up to this number of headers, a linear search is faster than a hash of the name.
const FEW: usize = 12;

pub(crate) fn trace(headers: &HeaderMap) -> Option<TraceParent<'_>> {
    traceparent(headers).and_then(|value| trace_parent(value.as_bytes()))
}

pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&HeaderValue> {
    if headers.len() <= FEW {
        headers.iter().find_map(|(name, value)| (*name == TRACEPARENT).then_some(value))
    } else {
        headers.get(&TRACEPARENT)
    }
}

/// The original URI of the request: a nested router of axum strips its prefix.
pub(crate) fn uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(uri) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return uri;
    }
    &parts.uri
}

/// The template of the route, if a router of axum has matched one.
pub(crate) fn route(extensions: &Extensions) -> Option<&str> {
    #[cfg(feature = "axum")]
    if let Some(route) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(route.as_str());
    }
    let _ = extensions;
    None
}

/// The address of the connection's peer, if the server provides it.
pub(crate) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>() {
        return Some(info.0.ip());
    }
    #[cfg(feature = "tonic")]
    if let Some(info) = extensions.get::<tonic::transport::server::TcpConnectInfo>() {
        return info.remote_addr().map(|address| address.ip());
    }
    let _ = extensions;
    None
}

/// Converts a rejection for a service of tower, which returns its response directly.
impl<B: From<String>> From<Rejection> for Response<B> {
    fn from(rejection: Rejection) -> Self {
        response(&rejection)
    }
}

pub(crate) fn response<B: From<String>>(rejection: &Rejection) -> Response<B> {
    let mut response = Response::new(B::from(rejection.body()));
    // An invalid status would be a defect of this crate; it must not become a success.
    *response.status_mut() =
        StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in rejection.headers() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_is_found_among_few_headers_and_many() {
        for others in [0, 1, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let mut headers = HeaderMap::new();
            for number in 0..others {
                let name = HeaderName::try_from(format!("x-{number}")).unwrap();
                headers.insert(name, HeaderValue::from_static(VALUE));
            }
            assert!(trace(&headers).is_none(), "{others} others");
            headers.append(&TRACEPARENT, HeaderValue::from_static(VALUE));
            headers.append(&TRACEPARENT, HeaderValue::from_static("the second"));
            let found = trace(&headers).map(|trace| trace.trace_id);
            assert_eq!(found, Some("4bf92f3577b34da6a3ce929d0e0e4736"), "{others} others");
        }
    }
}
