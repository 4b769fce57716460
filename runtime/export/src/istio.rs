//! Exports Istio resources: a `RequestAuthentication`, which verifies a token if the request has one, and an
//! `AuthorizationPolicy`, which requires one. Without the second, requests without a token pass.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};

use crate::{
    ExportError, MeshOption, MeshOptions,
    options::MeshKeys,
    plan::{self, Asked, Kind, Needs, Rule},
    template::{Piece, Template},
    yaml::Page,
};
use service_only::routes::RouteTable;

/// The oldest Istio version that supports the whole output: it introduced `{*}` in paths.
pub const ISTIO_VERSION: &str = "1.22";

/// A `RequestAuthentication` and an `AuthorizationPolicy` as YAML, for `kubectl apply`.
///
/// A caller needs the principal of a listed service, proven by mutual TLS, and the token of that same
/// service. So a stolen token is useless to another workload. Roles and scopes are compared as claims. The
/// code must check `is_service`, because Istio compares only strings. A policy with `proof = "mtls"` requires a
/// principal also where it names no service. The code also checks `max_age`, the binding of a token to its sender,
/// revocation, and the minute after expiry during which Istio still accepts a token. Istio reads some names
/// as patterns, such as a scope that ends in `*`. The output writes such a name as the pattern, with a
/// comment about it.
///
/// # Errors
/// When no namespace is set, or Istio cannot express a path: a parameter must be a whole segment.
pub fn istio(table: &RouteTable, mesh: &MeshOptions) -> Result<String, ExportError> {
    mesh.check()?;
    let rules = plan::rules(table)?;
    let namespace = mesh
        .namespace
        .as_deref()
        .ok_or_else(|| ExportError::option(MeshOption::Namespace, "name the one of the workload"))?;
    let metadata = json!({ "name": resource_name(table.service()), "namespace": namespace });
    let selector = json!({ "matchLabels": labels(table, mesh)? });

    let mut page = Page::default();
    page.comment(
        0,
        &format!(
            "Allowed callers of {}, for Istio {ISTIO_VERSION} or later. Written by service-only.",
            table.service()
        ),
    );
    page.comment(
        0,
        "All other requests are denied. Checked only by the code: `is_service`, revocation, the last minute of a token, its details.",
    );
    page.value(
        0,
        &json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "RequestAuthentication",
            "metadata": metadata,
            "spec": { "jwtRules": [jwt_rule(mesh)], "selector": selector },
        }),
    );
    page.line(0, "---");
    page.value(
        0,
        &json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": metadata,
            // An `ALLOW` policy without a matching rule denies the request.
            "spec": { "action": "ALLOW", "selector": selector },
        }),
    );
    if !rules.is_empty() {
        page.line(2, "rules:");
    }
    for rule in &rules {
        page.comment(2, &rule.remark());
        for name in patterns(rule) {
            page.comment(
                2,
                &format!("Checked only by the code: the exact `{name}`, whose `*` is a pattern to Istio"),
            );
        }
        for (path, _) in empty_segments(rule).iter().filter(|(_, pattern)| pattern.is_none()) {
            page.comment(
                2,
                &format!("Checked only by the code: `{path}` with an empty segment for a later parameter"),
            );
        }
        page.value(2, &policy_rules(rule, mesh, namespace)?);
    }
    Ok(page.finish())
}

fn jwt_rule(mesh: &MeshOptions) -> Value {
    let mut rule = json!({
        // The code verifies the token again.
        "forwardOriginalToken": true,
        // By default Istio also reads the token from the query, which the code ignores.
        "fromHeaders": [{ "name": "Authorization", "prefix": "Bearer " }],
        "issuer": mesh.issuer,
    });
    if let Some(rule) = rule.as_object_mut() {
        if !mesh.audiences.is_empty() {
            rule.insert("audiences".to_owned(), json!(mesh.audiences));
        }
        match &mesh.keys {
            MeshKeys::Uri(uri) => rule.insert("jwksUri".to_owned(), json!(uri)),
            MeshKeys::Inline(set) => rule.insert("jwks".to_owned(), json!(set)),
        };
    }
    rule
}

/// The rules of a route: one, or one for services and one for users. One matching rule is enough.
fn policy_rules(rule: &Rule<'_>, mesh: &MeshOptions, namespace: &str) -> Result<Value, ExportError> {
    let to = json!([{ "operation": operation(rule)? }]);
    Ok(match rule.access {
        Asked::Public { .. } => json!([{ "to": to }]),
        // No request both has a principal and has none, so this rule matches no request.
        Asked::NoCaller => json!([{
            "from": [{ "source": { "notRequestPrincipals": ["*"], "requestPrincipals": ["*"] } }],
            "to": to,
        }]),
        Asked::Callers { .. } => {
            let mut all = Vec::new();
            for needs in rule.access.needs() {
                let from = sources(needs, mesh, namespace);
                for issuer in actor_issuers(needs, mesh) {
                    let conditions: Vec<_> = conditions(needs, mesh).into_iter().chain(issuer).collect();
                    all.push(json!({ "from": from, "to": to, "when": conditions }));
                }
            }
            Value::Array(all)
        }
    })
}

/// One source per service: its mTLS principal must match its token (`iss/sub`), not the token of another
/// service. If an actor is required, the connection is the actor's, and the token names the service or the user. Without
/// named services and actors, any principal is enough for a policy that requires a certificate.
fn sources(needs: Needs<'_>, mesh: &MeshOptions, namespace: &str) -> Value {
    let source = |subject: &str, peers: Option<&[String]>| {
        let mut source = json!({ "requestPrincipals": [format!("{}/{subject}", mesh.issuer)] });
        let principals: Option<Vec<_>> = match peers {
            Some(peers) => Some(peers.iter().flat_map(|peer| mesh.principals_of(peer, namespace)).collect()),
            None => needs.needs_certificate().then(|| vec!["*".to_owned()]),
        };
        if let (Some(principals), Some(source)) = (principals, source.as_object_mut()) {
            source.insert("principals".to_owned(), json!(principals));
        }
        json!({ "source": source })
    };
    match needs.services {
        None => json!([source("*", needs.actors)]),
        Some(services) => {
            let of = |service: &String| source(service, needs.actors.or(Some(std::slice::from_ref(service))));
            services.iter().map(of).collect()
        }
    }
}

/// The conditions on the issuer that knows the actor, of which one must hold: there is none, or it is that of the token. An
/// actor of another issuer is another party (RFC 8693 section 4.1). A condition of Istio cannot be optional, so a policy
/// with actors becomes two rules.
fn actor_issuers(needs: Needs<'_>, mesh: &MeshOptions) -> Vec<Option<Value>> {
    const KEY: &str = "request.auth.claims[act][iss]";
    match needs.actors {
        None => vec![None],
        Some(_) => vec![
            Some(json!({ "key": KEY, "notValues": ["*"] })),
            Some(json!({ "key": KEY, "values": [mesh.issuer] })),
        ],
    }
}

fn conditions(needs: Needs<'_>, mesh: &MeshOptions) -> Vec<Value> {
    let claim = |name: &str, values: Value| json!({ "key": format!("request.auth.claims[{name}]"), "values": values });
    let mut all = vec![match needs.kind {
        Kind::Service => claim("type", json!(["service"])),
        Kind::User => claim("type", json!(["access"])),
    }];
    // The mesh verifies tokens of one issuer. If a handler accepts only other issuers, the rule matches no
    // request.
    all.extend(needs.issuers.map(|issuers| claim("iss", json!(issuers))));
    if needs.kind == Kind::Service {
        all.push(claim("service", needs.services.map_or(json!(["*"]), |services| json!(services))));
    }
    all.extend(needs.actors.map(|actors| claim("act][sub", json!(actors))));
    all.extend(needs.roles.map(|roles| claim("role", json!(roles))));
    // Istio reads `scope` as a space-separated list. Each scope is its own condition: all are required.
    all.extend(needs.scopes.iter().map(|scope| claim("scope", json!([scope]))));
    // One of these is enough.
    all.extend(needs.any_scope.map(|scopes| claim("scope", json!(scopes))));
    all.extend(
        needs
            .fixed_claims()
            .filter(|(name, _)| is_claim_name(name))
            .map(|(name, value)| claim(name, json!([value]))),
    );
    // A token with an audience is only for that audience (RFC 7519 section 4.1.3).
    all.push(match mesh.audiences.as_slice() {
        [] => json!({ "key": "request.auth.audiences", "notValues": ["*"] }),
        audiences => json!({ "key": "request.auth.audiences", "values": audiences }),
    });
    all
}

/// Brackets would end the name in Istio's key or select a member of an object.
fn is_claim_name(name: &str) -> bool {
    !name.contains(['[', ']'])
}

fn operation(rule: &Rule<'_>) -> Result<Value, ExportError> {
    let said = |template: &Template| {
        path(template).map_err(|reason| ExportError::route(plan::name(rule.route), reason))
    };
    let mut operation = Map::new();
    if !rule.route.methods().is_empty() {
        operation.insert("methods".to_owned(), json!(rule.route.methods()));
    }
    if !rule.without_methods.is_empty() {
        operation.insert("notMethods".to_owned(), json!(rule.without_methods));
    }
    let path = said(&rule.template)?;
    let mut without = rule.without_paths.iter().map(said).collect::<Result<Vec<_>, _>>()?;
    without.extend(empty_segments(rule).into_iter().filter_map(|(_, pattern)| pattern));
    // For the router, the rest of a path is not empty; for Istio it can be empty.
    without.extend(path.strip_suffix("{**}").map(str::to_owned));
    let mut known = BTreeSet::new();
    without.retain(|path| known.insert(path.clone()));
    if !without.is_empty() {
        operation.insert("notPaths".to_owned(), json!(without));
    }
    operation.insert("paths".to_owned(), json!([path]));
    Ok(Value::Object(operation))
}

/// The path with Istio's operators. It accepts only text that Envoy's URI templates accept: a proxy that
/// cannot read a configuration keeps the previous one in force.
fn path(template: &Template) -> Result<String, String> {
    let mut path = String::new();
    let mut pieces = template.pieces().iter().peekable();
    while let Some(piece) = pieces.next() {
        let whole_segment = path.ends_with('/')
            && pieces.peek().is_none_or(|next| matches!(next, Piece::Text(text) if text.starts_with('/')));
        match piece {
            Piece::Text(text) if text.bytes().all(is_plain) => path.push_str(text),
            Piece::Text(_) => {
                return Err("Istio's paths cannot express one of its characters".to_owned());
            }
            Piece::Parameter(_) if whole_segment => path.push_str("{*}"),
            Piece::Rest(_) if whole_segment => path.push_str("{**}"),
            _ => return Err("in Istio, a parameter must be a whole segment of the path".to_owned()),
        }
    }
    if path.contains("//") && path.contains('{') {
        return Err("Envoy does not match an empty segment in a path with a parameter".to_owned());
    }
    Ok(path)
}

/// Lists the paths with an empty segment that a wider rule must exclude, each with its Istio prefix if it has
/// one.
///
/// If a narrower path has a parameter before its end, the router accepts an empty segment for it, as in
/// `/api//items`. Istio's `{*}` does not match an empty segment. So a wider rule that matches the rest of a
/// path must exclude these requests too. Only a parameter right after the first text has a prefix.
fn empty_segments(rule: &Rule<'_>) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    if !matches!(rule.template.pieces().last(), Some(Piece::Rest(_))) {
        return all;
    }
    for template in &rule.without_paths {
        let inner = template.pieces().split_last().map_or(&[][..], |(_, before)| before);
        for at in
            inner.iter().enumerate().filter_map(|(at, it)| matches!(it, Piece::Parameter(_)).then_some(at))
        {
            let pattern = match (at, inner.first()) {
                (1, Some(Piece::Text(text))) => Some(format!("{text}/*")),
                _ => None,
            };
            all.push((path(template).unwrap_or_default(), pattern));
        }
    }
    all
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()+,;:@=".contains(&byte)
}

/// Names that start or end with `*`, which Istio compares as a suffix or a prefix.
fn patterns<'r>(rule: &Rule<'r>) -> Vec<&'r String> {
    let names = rule.access.needs().flat_map(|needs| {
        let issuers = needs.issuers.unwrap_or_default().iter();
        let scopes = needs.scopes.iter().chain(needs.any_scope.unwrap_or_default());
        let claims = needs.claims.values();
        let issuers = issuers.chain(needs.actors.unwrap_or_default());
        issuers.chain(needs.roles.unwrap_or_default()).chain(scopes).chain(claims)
    });
    names.filter(|name| name.starts_with('*') || name.ends_with('*')).collect()
}

fn labels(table: &RouteTable, mesh: &MeshOptions) -> Result<Value, ExportError> {
    if !mesh.labels.is_empty() {
        return Ok(json!(mesh.labels));
    }
    // Kubernetes limits a label value to 63 characters.
    if table.service().len() > 63 {
        return Err(ExportError::option(
            MeshOption::Label,
            "the service's name is too long for a label; set one",
        ));
    }
    Ok(json!({ "app": table.service() }))
}

/// A DNS-1123 subdomain that resembles the service name and is unique to it. A changed name ends with a dot
/// and its digest. An unchanged name contains no dot, so the two cannot collide.
fn resource_name(service: &str) -> String {
    let resembling = service.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let cut: String = resembling.chars().take(200).collect();
    if cut == service {
        return format!("{cut}-service-only");
    }
    let digest = digest::digest(&digest::SHA256, service.as_bytes());
    let told_apart: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{told_apart}-service-only", cut.trim_end_matches('-'))
}
