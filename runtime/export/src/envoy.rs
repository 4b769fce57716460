//! Exports two Envoy filters for deployments without Istio. `jwt_authn` verifies the token and keeps its
//! claims, and `rbac` after it compares the claims.

use serde_json::{Value, json};

use crate::{
    ExportError, MeshOptions,
    options::MeshKeys,
    plan::{self, Asked, Kind, Needs, Rule},
    template::{Template, quote_meta},
    yaml::Page,
};
use service_only::routes::RouteTable;

/// The oldest Envoy version that supports the whole output: it introduced `sourced_metadata`.
pub const ENVOY_VERSION: &str = "1.34";

/// The cluster through which Envoy fetches a key set.
const JWKS_CLUSTER: &str = "service_only_jwks";

const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";

/// The name of the provider, and of the claims in the metadata.
const TOKEN: &str = "service_token";

/// The pattern of a service name, without its length limit.
const SERVICE_NAME: &str = "[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?";

/// The pattern of other scopes in the `scope` claim: scope-tokens of RFC 6749 section 3.3, and spaces.
const SCOPES: &str = r"[!#-\[\]-~ ]*";

/// `http_filters` as YAML; insert them before the router in a `HttpConnectionManager`.
///
/// Envoy compares these claims as the code does: `type`, `is_service`, `service` and `sub`, `role`, each
/// scope as a whole word, `aud`. For `proof = "mtls"` it requires a certificate of the client. The code must
/// check `max_age`, revocation, and what Envoy ignores in a token: a critical header that it does not know, a
/// duplicate member, and a binding to a key of the sender (`cnf`). Envoy allows a clock skew of one second
/// where the code allows none.
///
/// Envoy fetches keys that are named by a URL through a cluster `service_only_jwks`. You must define this
/// cluster, with TLS that verifies the host name.
///
/// # Errors
/// For a route that the router would not accept either.
pub fn envoy(table: &RouteTable, mesh: &MeshOptions) -> Result<String, ExportError> {
    mesh.check()?;
    let rules = plan::rules(table)?;
    let mut page = Page::default();
    page.comment(
        0,
        &format!(
            "Allowed callers of {}, for Envoy {ENVOY_VERSION} or later. Written by service-only.",
            table.service()
        ),
    );
    page.comment(
        0,
        "All other requests are denied. Checked only by the code: revocation, and the details of a token.",
    );
    if let MeshKeys::Uri(uri) = &mesh.keys {
        page.comment(
            0,
            &format!("You must define the cluster {JWKS_CLUSTER}, which reaches {uri} over TLS."),
        );
    }
    page.line(0, "http_filters:");
    page.value(
        0,
        &json!([{
            "name": JWT_FILTER,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": { TOKEN: provider(mesh) },
                "rules": requirements(&rules),
            },
        }]),
    );
    page.value(
        0,
        &json!([{
            "name": "envoy.filters.http.rbac",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" },
        }]),
    );
    page.line(4, "rules:");
    page.line(6, "action: ALLOW");
    page.line(6, if rules.is_empty() { "policies: {}" } else { "policies:" });
    for rule in &rules {
        page.comment(8, &rule.remark());
        let policy = json!({ "permissions": [permission(rule)], "principals": [principal(rule, mesh)] });
        page.value(8, &json!({ plan::name(rule.route): policy }));
    }
    Ok(page.finish())
}

fn provider(mesh: &MeshOptions) -> Value {
    let mut provider = json!({
        // Envoy reads zero as its default of one minute.
        "clock_skew_seconds": mesh.leeway.as_secs().max(1),
        // The code verifies the token again.
        "forward": true,
        // By default Envoy also reads the token from the query, which the code ignores.
        "from_headers": [{ "name": "Authorization", "value_prefix": "Bearer " }],
        "issuer": mesh.issuer,
        "payload_in_metadata": TOKEN,
        "require_expiration": true,
    });
    if let Some(provider) = provider.as_object_mut() {
        if !mesh.audiences.is_empty() {
            provider.insert("audiences".to_owned(), json!(mesh.audiences));
        }
        match &mesh.keys {
            MeshKeys::Uri(uri) => provider.insert(
                "remote_jwks".to_owned(),
                json!({ "http_uri": { "cluster": JWKS_CLUSTER, "timeout": "5s", "uri": uri } }),
            ),
            MeshKeys::Inline(set) => {
                provider.insert("local_jwks".to_owned(), json!({ "inline_string": set }))
            }
        };
    }
    provider
}

/// Which paths require a token. The first matching rule decides, so narrower paths come first. The last rule
/// requires a token wherever no public route matches.
fn requirements(rules: &[Rule<'_>]) -> Value {
    let token = json!({ "provider_name": TOKEN });
    let is_public = |rule: &&Rule<'_>| matches!(rule.access, Asked::Public { .. });
    let needed = rules.iter().rposition(|rule| is_public(&rule)).map_or(0, |last| last + 1);
    let mut all = Vec::new();
    for rule in rules.iter().take(needed) {
        let fits = |method: Option<&String>| {
            let mut fits = path_of_route(&rule.template);
            if let (Some(method), Some(fits)) = (method, fits.as_object_mut()) {
                fits.insert("headers".to_owned(), json!([method_is(method)]));
            }
            if is_public(&rule) {
                json!({ "match": fits })
            } else {
                json!({ "match": fits, "requires": token })
            }
        };
        match rule.route.methods() {
            [] => all.push(fits(None)),
            methods => all.extend(methods.iter().map(|method| fits(Some(method)))),
        }
    }
    all.push(json!({ "match": { "prefix": "/" }, "requires": token }));
    Value::Array(all)
}

fn path_of_route(template: &Template) -> Value {
    match template.literal() {
        Some(path) => json!({ "path": path }),
        None => json!({ "safe_regex": { "regex": template.regex() } }),
    }
}

fn permission(rule: &Rule<'_>) -> Value {
    let mut all = vec![path_is(&rule.template)];
    all.extend(rule.without_paths.iter().map(|path| json!({ "not_rule": path_is(path) })));
    let method = |method: &str| json!({ "header": method_is(method) });
    if !rule.route.methods().is_empty() {
        let methods: Vec<Value> = rule.route.methods().iter().map(|name| method(name)).collect();
        all.push(json!({ "or_rules": { "rules": methods } }));
    }
    all.extend(rule.without_methods.iter().map(|name| json!({ "not_rule": method(name) })));
    json!({ "and_rules": { "rules": all } })
}

fn path_is(template: &Template) -> Value {
    let path = match template.literal() {
        Some(path) => json!({ "exact": path }),
        None => json!({ "safe_regex": { "regex": template.regex() } }),
    };
    json!({ "url_path": { "path": path } })
}

fn method_is(method: &str) -> Value {
    json!({ "name": ":method", "string_match": { "exact": method } })
}

fn principal(rule: &Rule<'_>, mesh: &MeshOptions) -> Value {
    match rule.access {
        Asked::Public { .. } => json!({ "any": true }),
        Asked::NoCaller => json!({ "not_id": { "any": true } }),
        Asked::Callers { services: Some(needs), users: None } => caller(needs, mesh),
        Asked::Callers { .. } => any_of(rule.access.needs().map(|needs| caller(needs, mesh))),
    }
}

fn caller(needs: Needs<'_>, mesh: &MeshOptions) -> Value {
    let mut all = match needs.kind {
        Kind::User => vec![claim("type", exact("access"))],
        Kind::Service => vec![
            claim("type", exact("service")),
            claim("is_service", json!({ "bool_match": true })),
            match needs.services {
                None => claim("service", matching(SERVICE_NAME)),
                Some(services) => any_of(services.iter().map(|name| {
                    json!({ "and_ids": { "ids": [claim("service", exact(name)), claim("sub", exact(name))] } })
                })),
            },
        ],
    };
    if needs.needs_certificate() {
        // Any certificate that the TLS settings of the listener accept.
        all.push(json!({ "authenticated": {} }));
    }
    // The filter verifies tokens of one issuer. If a handler accepts only other issuers, the rule matches no
    // request.
    all.extend(needs.issuers.map(|issuers| any_of(issuers.iter().map(|issuer| claim("iss", exact(issuer))))));
    // RFC 8693 section 4.1: only the current actor decides. An actor of another issuer is another party.
    all.extend(needs.actors.map(|actors| any_of(actors.iter().map(|actor| actor_is(actor, &mesh.issuer)))));
    all.extend(needs.roles.map(|roles| any_of(roles.iter().map(|role| claim("role", exact(role))))));
    all.extend(needs.scopes.iter().map(|scope| claim("scope", holds_scope(scope))));
    all.extend(
        needs.any_scope.map(|scopes| any_of(scopes.iter().map(|scope| claim("scope", holds_scope(scope))))),
    );
    all.extend(needs.fixed_claims().map(|(name, value)| claim(name, exact(value))));
    // A token with an audience is only for that audience (RFC 7519 section 4.1.3).
    all.push(match mesh.audiences.as_slice() {
        [] => json!({ "not_id": claim("aud", json!({ "present_match": true })) }),
        audiences => any_of(audiences.iter().flat_map(|audience| {
            let one = exact(audience);
            [claim("aud", json!({ "list_match": { "one_of": one } })), claim("aud", one)]
        })),
    });
    json!({ "and_ids": { "ids": all } })
}

fn any_of(ids: impl Iterator<Item = Value>) -> Value {
    json!({ "or_ids": { "ids": ids.collect::<Vec<_>>() } })
}

fn actor_is(name: &str, issuer: &str) -> Value {
    let issuer_of = |value: Value| member(&["act", "iss"], value);
    let unnamed = json!({ "not_id": issuer_of(json!({ "present_match": true })) });
    let known = any_of([unnamed, issuer_of(exact(issuer))].into_iter());
    json!({ "and_ids": { "ids": [member(&["act", "sub"], exact(name)), known] } })
}

fn claim(name: &str, value: Value) -> Value {
    member(&[name], value)
}

/// A claim, or a member of a claim that is an object.
fn member(path: &[&str], value: Value) -> Value {
    let path: Vec<_> = std::iter::once(&TOKEN).chain(path).map(|key| json!({ "key": key })).collect();
    let matcher = json!({ "filter": JWT_FILTER, "path": path, "value": value });
    json!({ "sourced_metadata": { "metadata_matcher": matcher } })
}

fn exact(text: &str) -> Value {
    json!({ "string_match": { "exact": text } })
}

fn matching(regex: &str) -> Value {
    json!({ "string_match": { "safe_regex": { "regex": regex } } })
}

/// Matches the scope as a whole word of a claim that is a list of scopes, as the code reads it. Envoy's
/// expressions match the whole text.
fn holds_scope(scope: &str) -> Value {
    matching(&format!("({SCOPES} )?{}( {SCOPES})?", quote_meta(scope)))
}
