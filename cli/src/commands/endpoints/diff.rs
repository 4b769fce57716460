//! Compares two route tables and prints one line per change. It compares routes one method at a time. It does
//! not evaluate whether a wider route now handles the requests of a removed route.

use std::collections::BTreeMap;

use service_only::routes::{Access, RouteTable};

use super::text::who;
use crate::escape;

pub(crate) fn lines(old: &RouteTable, new: &RouteTable) -> Vec<String> {
    let (old, new) = (requests(old), requests(new));
    let mut lines = Vec::new();
    for (request, accesses) in &new {
        match old.get(request) {
            None => lines.push(format!("added {request}: {}", all(accesses))),
            Some(before) if before != accesses => {
                let word = match (cover(accesses, before), cover(before, accesses)) {
                    (true, false) => "loosened",
                    (false, true) => "tightened",
                    _ => "changed",
                };
                lines.push(format!("{word} {request}: {}; before: {}", all(accesses), all(before)));
            }
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|request| !new.contains_key(*request));
    lines.extend(gone.map(|request| format!("removed {request}")));
    lines.iter().map(|line| escape::one_line(line)).collect()
}

/// The rows of each request, in order. A request may have several rows: the table need not come from a
/// router.
fn requests(table: &RouteTable) -> BTreeMap<String, Vec<&Access>> {
    let mut requests: BTreeMap<String, Vec<&Access>> = BTreeMap::new();
    for route in table.routes() {
        let fallback = if route.is_fallback() { "fallback " } else { "" };
        let any = ["any method".to_owned()];
        let methods = if route.methods().is_empty() { &any[..] } else { route.methods() };
        for method in methods {
            let request = format!("{fallback}{method} {}", route.path());
            requests.entry(request).or_default().push(route.access());
        }
    }
    requests
}

fn all(accesses: &[&Access]) -> String {
    accesses.iter().map(|access| who(access)).collect::<Vec<_>>().join(" / ")
}

/// Whether `outer` accepts every caller that `inner` accepts, over several rows.
fn cover(outer: &[&Access], inner: &[&Access]) -> bool {
    inner.iter().all(|inner| outer.iter().any(|outer| covers(outer, inner)))
}

/// Whether `outer` accepts every caller that `inner` accepts.
fn covers(outer: &Access, inner: &Access) -> bool {
    match (outer, inner) {
        (Access::Public { .. }, _) => true,
        (
            Access::ServiceOnly { issuers, services, roles, scopes, max_age },
            Access::ServiceOnly {
                issuers: fewer_issuers,
                services: fewer,
                roles: fewer_roles,
                scopes: more,
                max_age: younger,
            },
        ) => {
            let names = |outer: &Option<Vec<String>>, inner: &Option<Vec<String>>| match (outer, inner) {
                (None, _) => true,
                (Some(outer), Some(inner)) => inner.iter().all(|name| outer.contains(name)),
                (Some(_), None) => false,
            };
            names(issuers, fewer_issuers)
                && names(services, fewer)
                && names(roles, fewer_roles)
                && scopes.iter().all(|scope| more.contains(scope))
                && max_age.is_none_or(|age| younger.is_some_and(|younger| younger <= age))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use service_only::routes::Route;

    use super::*;

    fn table(access: &str) -> RouteTable {
        let access: Access = serde_json::from_str(access).unwrap();
        RouteTable::new("orders").route(Route::new(["GET"], "/a", access))
    }

    fn change(old: &str, new: &str) -> String {
        let lines = lines(&table(old), &table(new)).concat();
        lines.split(' ').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn diff_reports_every_row_of_two_rows_with_the_same_name() {
        let rows = |route: &str, fallback: &str, marked: bool| {
            let row = |access: &str| Route::new([""; 0], "/{*rest}", serde_json::from_str(access).unwrap());
            let (route, fallback) = (row(route), row(fallback));
            let fallback = if marked { fallback.as_fallback() } else { fallback };
            RouteTable::new("orders").route(route).route(fallback)
        };
        let closed = r#"{"service_only":{}}"#;
        let public = r#"{"public":{"reason":"a test"}}"#;
        let told = |(route, fallback), marked| {
            lines(&rows(closed, closed, marked), &rows(route, fallback, marked)).join("\n")
        };
        assert_eq!(
            told((public, closed), false),
            "loosened any method /{*rest}: public: a test / any service; before: any service / any service"
        );
        assert_eq!(
            told((public, closed), true),
            "loosened any method /{*rest}: public: a test; before: any service"
        );
        assert_eq!(
            told((closed, public), true),
            "loosened fallback any method /{*rest}: public: a test; before: any service"
        );
        let swapped = lines(&rows(closed, public, false), &rows(public, closed, false));
        assert_eq!(swapped.len(), 1, "{swapped:?}");
        let unmarked = lines(&rows(closed, public, false), &rows(public, public, true));
        assert_eq!(unmarked.len(), 2, "{unmarked:?}");
    }

    #[test]
    fn diff_distinguishes_loosened_and_tightened_routes() {
        let any = r#"{"service_only":{}}"#;
        let public = r#"{"public":{"reason":"a test"}}"#;
        let a = r#"{"service_only":{"services":["a"]}}"#;
        let b = r#"{"service_only":{"services":["b"]}}"#;
        let nobody = r#"{"service_only":{"services":[]}}"#;
        let scoped = r#"{"service_only":{"scopes":["x:y"]}}"#;
        let young = r#"{"service_only":{"max_age":60}}"#;
        let issued = r#"{"service_only":{"issuers":["bakery-auth"]}}"#;
        let by_either = r#"{"service_only":{"issuers":["https://mill.example","bakery-auth"]}}"#;
        for (tight, loose) in [(issued, any), (issued, by_either), (by_either, any), (issued, public)] {
            assert_eq!(change(tight, loose), "loosened", "{tight} {loose}");
            assert_eq!(change(loose, tight), "tightened", "{loose} {tight}");
        }
        assert_eq!(change(issued, a), "changed");
        for (tight, loose) in
            [(a, any), (nobody, a), (nobody, any), (scoped, any), (young, any), (any, public), (a, public)]
        {
            assert_eq!(change(tight, loose), "loosened", "{tight} {loose}");
            assert_eq!(change(loose, tight), "tightened", "{loose} {tight}");
        }
        assert_eq!(change(a, b), "changed");
        assert_eq!(change(scoped, young), "changed");
        assert_eq!(change(a, a), "");
    }
}
