//! Changes the header fields of a request: removes those that a client may not set, and sets those from the
//! verified token.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use service_only::{Caller, Identity, User};

use super::reserved::is_reserved;

const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const USER_TYPE: HeaderName = HeaderName::from_static("x-user-type");
const USER_ROLE: HeaderName = HeaderName::from_static("x-user-role");
const USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
const SERVICE_NAME: HeaderName = HeaderName::from_static("x-service-name");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Fields of one connection (RFC 9110 section 7.6.1), and `expect`, which this gateway answers itself.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Removes the fields of one connection, including those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // The gateway replaces this field. A client cannot remove it by naming it in `Connection`.
        .filter(|name| name != header::AUTHORIZATION)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes every field that a service could take for a statement of this gateway or of another proxy.
pub(crate) fn remove_reserved(headers: &mut HeaderMap) {
    let reserved: Vec<HeaderName> = headers.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in reserved {
        headers.remove(name);
    }
}

/// Sets the fields of the verified identity. A missing claim sets nothing.
pub(crate) fn set_identity(headers: &mut HeaderMap, identity: &Identity, client: Option<IpAddr>) {
    match identity {
        Identity::Service(caller) => set_service(headers, caller),
        Identity::User(user) => set_user(headers, user),
        // For an unknown kind of identity, the gateway sets no field.
        _ => {}
    }
    // The client's own list is reserved and was removed. The gateway knows only the address of this
    // connection.
    if let Some(client) = client {
        set(headers, FORWARDED_FOR, Some(&client.to_string()));
    }
}

fn set_service(headers: &mut HeaderMap, caller: &Caller) {
    let claims = caller.claims();
    set(headers, USER_ID, claims.user_id.as_deref());
    set(headers, USER_TYPE, Some("service"));
    set(headers, USER_ROLE, claims.role.as_deref());
    set(headers, USER_EMAIL, claims.email.as_deref());
    set(headers, SERVICE_NAME, Some(caller.service()));
}

fn set_user(headers: &mut HeaderMap, user: &User) {
    let claims = user.claims();
    set(headers, USER_ID, user.id());
    set(headers, USER_TYPE, Some("access"));
    set(headers, USER_ROLE, claims.role.as_deref());
    set(headers, USER_EMAIL, claims.email.as_deref());
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    // `from_str` accepts only visible ASCII. A claim with a line break, or with letters that servers decode
    // differently, sets no field rather than a doubtful one.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn reserved_fields_are_removed_with_every_repetition() {
        let mut seen = headers(&[
            ("X-User-Type", "service"),
            ("x-user-type", "service"),
            ("X_User_Type", "service"),
            ("X-Forwarded-Email", "root@example.com"),
            ("x-request-id", "stays"),
            ("authorization", "Bearer stays"),
        ]);
        remove_reserved(&mut seen);
        let mut left: Vec<_> = seen.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "x-request-id"]);
    }

    #[test]
    fn fields_named_in_connection_are_removed_but_authorization_stays() {
        let mut seen = headers(&[
            ("connection", "close, X-Secret-Hop ,authorization"),
            ("connection", "x-other,,\u{7e}"),
            ("x-secret-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic eA=="),
            ("authorization", "Bearer stays"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut seen);
        let mut left: Vec<_> = seen.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "authorization"]);
    }
}
