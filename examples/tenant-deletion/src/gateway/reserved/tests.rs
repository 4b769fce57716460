use super::*;

/// Fields in which proxies and platforms name a caller, as their manuals spell them.
const OF_PROXIES: &[&str] = &[
    // The contract of this gateway.
    "X-User-Id",
    "X-User-Type",
    "X-User-Role",
    "X-User-Email",
    "X-User-",
    "X-Service-Name",
    "X-Service-Anything",
    // nginx, Apache, HAProxy and CGI.
    "Remote-User",
    "Remote_User",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Addr",
    "Remote-Addr",
    "X-Real-IP",
    "SSL-Client-Cert",
    "SSL-Client-Subject-DN",
    "SSL_CLIENT_S_DN",
    "X-SSL-Client-Verify",
    "X-SSL-Client-DN",
    "X-SSL-Client-SHA1",
    "X-Client-Cert",
    "X-Client-Verify",
    "Client-Cert",
    "Client-Cert-Chain",
    "Proxy",
    "Proxy-User",
    "X-WebAuth-User",
    // oauth2-proxy, Traefik, Caddy.
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Access-Token",
    // Authelia, authentik, Vouch, Pomerium, Keycloak, mod_auth_openidc, Shibboleth, SiteMinder, WebSEAL.
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-authentik-username",
    "X-authentik-jwt",
    "X-Vouch-User",
    "X-Vouch-IdP-Claims-Groups",
    "X-Pomerium-Jwt-Assertion",
    "X-Pomerium-Claim-Email",
    "OIDC_CLAIM_sub",
    "OIDC_access_token",
    "Shib-Identity-Provider",
    "eppn",
    "SM_USER",
    "SM_SERVERSESSIONID",
    "iv-user",
    "iv-creds",
    // Envoy, Istio, Linkerd, Dapr.
    "X-Forwarded-Client-Cert",
    "X-Envoy-Peer-Metadata",
    "X-Envoy-External-Address",
    "X-Envoy-Original-Path",
    "X-Istio-Attributes",
    "l5d-client-id",
    "dapr-caller-app-id",
    // Kong, Tyk, API gateways.
    "X-Consumer-ID",
    "X-Consumer-Username",
    "X-Consumer-Custom-ID",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "X-Authenticated-UserId",
    "X-Authenticated-Groups",
    "X-Apigateway-Api-Userinfo",
    "X-Endpoint-API-UserInfo",
    "X-JWT-Assertion",
    "X-JWT-Payload",
    "X-Id-Token",
    "X-Access-Token",
    "X-Userinfo",
    // Clouds and their edges.
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Mtls-Clientcert",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-IAP-JWT-Assertion",
    "X-Appengine-Inbound-Appid",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-Name",
    "X-MS-Token-AAD-Id-Token",
    "X-ARR-ClientCert",
    "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion",
    "Tailscale-User-Login",
    "Teleport-Jwt-Assertion",
    // Kubernetes and others that allow impersonation.
    "Impersonate-User",
    "Impersonate-Extra-scopes",
    "X-Scope-OrgID",
    "X-Hasura-Role",
    "X-On-Behalf-Of",
    "From",
    "X-Act-As",
    "X-Run-As",
    "X-Application-Id",
    "X-App-Name",
    "X-Client",
    "X-Client-CN",
    "X-Client-SAN",
    "X-Sender",
    "X-Source",
    "X-Issuer",
    "X-Preauthenticated",
    "X-Kuma-Tags",
    "X-CloudScheduler",
    "X-Apigee-App",
    "X-Gravitee-Application",
];

/// Fields that make some servers treat a request as another one: with another address, path, host or method.
const OF_ANOTHER_REQUEST: &[&str] = &[
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Uri",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fly-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Azure-SocketIP",
    "X-Originating-IP",
    "X-Original-URL",
    "X-Original-Uri",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-Host",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Middleware-Subrequest",
    "X-Request-Method",
    "X-Request-Uri",
    "Cookie",
    "X-Cookie",
    "X-Path",
    "X-Replaced-Path",
    "X-Script-Name",
    "X-Accel-Redirect",
    "X-Url-Scheme",
    "Front-End-Https",
];

/// Fields that clients of an API send.
const OF_CLIENTS: &[&str] = &[
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "DPoP",
    "Digest",
    "Idempotency-Key",
    "If-Match",
    "If-Modified-Since",
    "Last-Event-ID",
    "Origin",
    "Prefer",
    "Priority",
    "Range",
    "Referer",
    "Sec-Fetch-User",
    "Sec-WebSocket-Key",
    "Traceparent",
    "Tracestate",
    "User-Agent",
    "Via",
    "X-B3-TraceId",
    "X-CSRF-Token",
    "X-Correlation-Id",
    "X-Request-Id",
    "X-Requested-With",
];

fn reserved(name: &str) -> bool {
    is_reserved(&HeaderName::from_bytes(name.as_bytes()).unwrap())
}

#[test]
fn fields_in_which_a_proxy_names_a_caller_are_reserved_in_every_spelling() {
    for name in OF_PROXIES.iter().chain(OF_ANOTHER_REQUEST) {
        for spelling in [
            (*name).to_owned(),
            name.to_lowercase(),
            name.to_uppercase().replace('-', "_"),
            name.replacen('-', "_", 1),
            name.replace('-', "."),
            name.replace('-', "--"),
            format!("http_{name}"),
            format!("{name}-"),
            format!("_{name}"),
        ] {
            assert!(reserved(&spelling), "{spelling}");
        }
    }
}

#[test]
fn what_clients_of_an_api_send_is_not_reserved() {
    for name in OF_CLIENTS {
        assert!(!reserved(name), "{name}");
    }
}

#[test]
fn header_of_clients_is_reserved_in_other_spellings() {
    for name in CLIENTS_OWN {
        assert!(!reserved(name), "{name}");
        if name.contains('-') {
            assert!(reserved(&name.replace('-', "_")), "{name}");
        }
    }
}
