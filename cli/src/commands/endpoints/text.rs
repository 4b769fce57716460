//! The table for a terminal.

use service_only::routes::{Access, Requirements, Route, RouteTable};

use crate::output::{Cell, Table};

pub(crate) fn table(routes: &RouteTable) -> Table {
    let mut table = Table::new(["method", "path", "who may call", "handler"]);
    for route in routes.routes() {
        table.row([
            Cell::word(methods(route)),
            Cell::word(route.path()),
            Cell::text(who(route.access())),
            Cell::text(handler(route)),
        ]);
    }
    table
}

pub(crate) fn methods(route: &Route) -> String {
    match (route.is_fallback(), route.methods()) {
        (false, []) => "any".to_owned(),
        (false, methods) => methods.join(", "),
        (true, []) => "fallback".to_owned(),
        (true, methods) => format!("fallback {}", methods.join(", ")),
    }
}

fn handler(route: &Route) -> String {
    route.endpoint().unwrap_or_default().to_owned()
}

/// Describes the access in words.
pub(crate) fn who(access: &Access) -> String {
    if let Access::Public { reason } = access {
        return format!("public: {reason}");
    }
    let services = access.for_services().map(|services| requirements("service", services));
    let users = access.for_users().map(|users| requirements("user", users));
    let all: Vec<_> = services.into_iter().chain(users).collect();
    if all.is_empty() { "an access that this program does not know".to_owned() } else { all.join("; or ") }
}

fn requirements(kind: &str, asked: &Requirements) -> String {
    std::iter::once(callers(kind, asked)).chain(conditions(asked)).collect::<Vec<_>>().join(", ")
}

fn named(names: &[String]) -> String {
    if names.is_empty() { "no caller".to_owned() } else { names.join(" or ") }
}

/// Who may call, by name.
pub(crate) fn callers(kind: &str, asked: &Requirements) -> String {
    asked.services.as_deref().map_or_else(|| format!("any {kind}"), named)
}

/// What else is required of a caller: one text for each requirement.
pub(crate) fn conditions(asked: &Requirements) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(asked.actors.as_deref().map(|actors| format!("via {}", named(actors))));
    words.extend(asked.issuers.as_deref().map(|issuers| format!("issuer {}", named(issuers))));
    words.extend(asked.roles.as_deref().map(|roles| format!("role {}", named(roles))));
    words.extend(asked.scopes.iter().map(|scope| format!("scope {scope}")));
    words.extend(asked.any_scope.as_deref().map(|scopes| format!("scope {}", named(scopes))));
    words.extend(asked.claims.iter().map(|(name, value)| format!("claim {name} = {value}")));
    words.extend(asked.max_age.map(|age| format!("token of at most {age} s")));
    words.extend(asked.proof.map(|proof| format!("proof {proof}")));
    words
}
