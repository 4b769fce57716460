//! What the frameworks that speak in types of the crate `http` share.

use std::{borrow::Cow, net::IpAddr};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri,
    header::{AUTHORIZATION, GetAll},
    request::Parts,
};

use crate::{
    recorder::RequestContext,
    rejection::Rejection,
    trace_context::{TraceParent, trace_parent},
    verifier::Verifier,
};

/// At most once a request, and bounded by the key source.
pub(super) async fn await_unknown_key(verifier: &Verifier, authorization: &Authorization<'_>) {
    if let Some(refresh) = verifier.refresh_keys_for_request(bytes(authorization)) {
        refresh.await;
    }
}

/// The `Authorization` headers of a request: looked for once, and gone through as often as needed.
pub(super) type Authorization<'r> = GetAll<'r, HeaderValue>;

pub(super) fn authorization(headers: &HeaderMap) -> Authorization<'_> {
    headers.get_all(AUTHORIZATION)
}

pub(super) fn bytes<'r>(authorization: &Authorization<'r>) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    authorization.iter().map(HeaderValue::as_bytes)
}

pub(super) fn context(parts: &Parts) -> RequestContext<'_> {
    RequestContext {
        endpoint: None,
        method: Some(parts.method.as_str()),
        route: route(&parts.extensions).map(Cow::Borrowed),
        path: Some(uri(parts).path()),
        client_address: client_address(&parts.extensions),
        trace: trace(&parts.headers),
    }
}

/// Looked for at each request; as a text it would be read as a name each time.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Among so many headers a look at each is faster than a hash of the name.
const FEW: usize = 12;

pub(super) fn trace(headers: &HeaderMap) -> Option<TraceParent<'_>> {
    let value = if headers.len() <= FEW {
        headers.iter().find_map(|(name, value)| (*name == TRACEPARENT).then_some(value))
    } else {
        headers.get(&TRACEPARENT)
    };
    value.and_then(|value| trace_parent(value.as_bytes()))
}

/// What was asked for: a nested router of axum takes its prefix off.
pub(super) fn uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(uri) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return uri;
    }
    &parts.uri
}

/// The template, where a router of axum has matched one.
pub(super) fn route(extensions: &Extensions) -> Option<&str> {
    #[cfg(feature = "axum")]
    if let Some(route) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(route.as_str());
    }
    let _ = extensions;
    None
}

/// The peer of the connection, where the server says it.
pub(super) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
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

pub(super) fn response<B: From<String>>(rejection: &Rejection) -> Response<B> {
    let mut response = Response::new(B::from(rejection.body()));
    // A status that is none would be a defect here; it must not become a success.
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
