//! The table for a terminal.

use service_only::routes::{Access, Route, RouteTable};

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
    match access {
        Access::Public { reason } => format!("public: {reason}"),
        Access::ServiceOnly { issuers, services, roles, scopes, max_age } => {
            let named =
                |names: &[String]| if names.is_empty() { "no caller".to_owned() } else { names.join(" or ") };
            let mut words = vec![services.as_deref().map_or("any service".to_owned(), named)];
            words.extend(issuers.as_deref().map(|issuers| format!("issuer {}", named(issuers))));
            words.extend(roles.as_deref().map(|roles| format!("role {}", named(roles))));
            words.extend(scopes.iter().map(|scope| format!("scope {scope}")));
            words.extend(max_age.map(|age| format!("token of at most {age} s")));
            words.join(", ")
        }
        _ => "an access that this program does not know".to_owned(),
    }
}
