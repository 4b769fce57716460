//! The header fields that a client may not set, because a service could take them for a statement of the
//! gateway or of another proxy. They name a caller, an address, or another path or method.
//!
//! Each proxy has its own fields, and new ones appear, so a list of full names would miss some. This module
//! removes a field by the words in its name, or by its family if no word is reserved. If an API behind this
//! gateway needs a removed field, add it to [`CLIENTS_OWN`].

use http::HeaderName;

/// Client fields whose names contain a reserved word. `authorization` is the only credential that the gateway
/// verifies.
const CLIENTS_OWN: &[&str] = &[
    "authorization",
    "csrf-token",
    "sec-fetch-user",
    "service-worker",
    "service-worker-navigation-preload",
    "user-agent",
    "x-csrf-token",
    "x-xsrf-token",
    "access-control-request-method",
];

/// Words that name a caller, its rights or its credentials, or that replace the target of a request. A word
/// in a field's name is reserved if it starts with one of these: `x-remote-userid` is reserved by `remote`
/// and by `user`.
const RESERVED_WORDS: &[&str] = &[
    // Caller.
    "account",
    "actor",
    "admin",
    "anonymous",
    "behalf",
    "caller",
    "consumer",
    "delegat",
    "email",
    "eppn",
    "ident",
    "impersonat",
    "login",
    "logname",
    "mail",
    "org",
    "peer",
    "person",
    "principal",
    "service",
    "spiffe",
    "spn",
    "subject",
    "sudo",
    "tenant",
    "uid",
    "upn",
    "user",
    "workload",
    // Rights of the caller.
    "claim",
    "entitle",
    "group",
    "internal",
    "permission",
    "privilege",
    "role",
    "scope",
    "trusted",
    "verif",
    // Credentials and proofs.
    "apikey",
    "assertion",
    "auth",
    "cert",
    "clientcert",
    "cred",
    "jwt",
    "mtls",
    "oauth",
    "oidc",
    "saml",
    "secret",
    "ssl",
    "sso",
    "tls",
    "token",
    "webauth",
    "xfcc",
    // Target of the request.
    "forwarded",
    "original",
    "originating",
    "override",
    "proxied",
    "proxy",
    "remote",
    "rewrite",
    "rewritten",
    "application",
    "client",
    "issuer",
    "preauth",
    "sender",
];

/// Words that are reserved only as a whole: they name an address or a distinguished name, and harmless words
/// start with them. A cookie can name a caller too, and the callers of this gateway send tokens.
const RESERVED_WHOLE_WORDS: &[&str] = &[
    "addr", "address", "clientip", "dn", "ip", "ips", "ipv4", "ipv6", "realip", "socketip", "sub", "act",
    "app", "appid", "as", "cn", "cookie", "method", "path", "redirect", "san", "scheme", "source", "uri",
];

/// Names and prefixes of names, without `x-`, of fields that proxies and platforms set and that no word above
/// covers.
const RESERVED_FAMILIES: &[&str] = &[
    "3scale",
    "amzn-mtls",
    "amzn-oidc",
    "api-key",
    "apigateway",
    "app-id",
    "appengine",
    "arr",
    "azure",
    "cf-access",
    "client-app",
    "client-dn",
    "client-id",
    "client-name",
    "dapr",
    "endpoint-api",
    "envoy",
    "fly",
    "from",
    "goog",
    "grafana",
    "hasura",
    "host",
    "is",
    "istio",
    "iv",
    "kc",
    "keycloak",
    "kong",
    "l5d",
    "linkerd",
    "method",
    "middleware",
    "ms-client",
    "okta",
    "pomerium",
    "shib",
    "sm",
    "tailscale",
    "teleport",
    "vouch",
    "apigee",
    "cf-worker",
    "cloudscheduler",
    "front-end",
    "gravitee",
    "kuma",
    "access-key",
    "aeg",
    "amz-sns",
    "aws-sqsd",
    "baggage",
    "ce",
    "cloudtasks",
    "correlation-context",
    "cron",
    "github",
    "gitlab",
    "jaeger-baggage",
    "key-id",
    "request-context",
    "signature",
    "signature-input",
    "vercel",
    "requested-by",
    "script-name",
];

/// Whether a client may not set this field, in any spelling that some server treats as the same. CGI and its
/// descendants map `-`, `_` and other characters to one, and add `HTTP_` in front.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    if CLIENTS_OWN.contains(&name.as_str()) {
        return false;
    }
    // `http` has already converted the name to lower case.
    let words: Vec<&str> = name
        .as_str()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .skip_while(|word| matches!(*word, "x" | "http"))
        .collect();
    words.iter().any(|word| is_reserved_word(word)) || is_of_reserved_family(&words)
}

fn is_reserved_word(word: &str) -> bool {
    RESERVED_WHOLE_WORDS.contains(&word) || RESERVED_WORDS.iter().any(|start| word.starts_with(start))
}

fn is_of_reserved_family(words: &[&str]) -> bool {
    RESERVED_FAMILIES.iter().any(|family| {
        let mut rest = words.iter();
        family.split('-').all(|word| rest.next() == Some(&word))
    })
}

#[cfg(test)]
mod tests;
