//! Compares two route tables, change by change. It compares routes one method at a time. It does
//! not evaluate whether a wider route now handles the requests of a removed route.

use std::collections::BTreeMap;

use serde::Serialize;
use service_only::RequiredProof;
use service_only::routes::{Access, Requirements, RouteTable};

use super::text::who;
use crate::escape;

/// One change.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    #[serde(rename = "change")]
    kind: Kind,
    request: String,
    /// Who may call it now; `None` if it was removed.
    now: Option<String>,
    /// Who could call it before; `None` if it was added.
    before: Option<String>,
    /// Whether the rule of an existing request admits a caller that it refused before.
    pub(crate) admits_more: bool,
}

/// The kinds of changes.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Added,
    Removed,
    /// Admits more callers.
    Loosened,
    /// Admits fewer callers.
    Tightened,
    /// Admits other callers, or the same ones in other words.
    Changed,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Loosened => "loosened",
            Self::Tightened => "tightened",
            Self::Changed => "changed",
        }
    }
}

impl Change {
    pub(crate) fn line(&self) -> String {
        let Self { kind, request, now, before, .. } = self;
        let now = now.as_ref().map(|now| format!(": {now}")).unwrap_or_default();
        let before = before.as_ref().filter(|_| *kind != Kind::Removed);
        let before = before.map(|before| format!("; before: {before}")).unwrap_or_default();
        escape::one_line(&format!("{} {request}{now}{before}", kind.as_str()))
    }
}

pub(crate) fn changes(old: &RouteTable, new: &RouteTable) -> Vec<Change> {
    let (old, new) = (requests(old), requests(new));
    let mut changes = Vec::new();
    for (request, accesses) in &new {
        let (kind, admits_more) = match old.get(request) {
            None => (Kind::Added, false),
            Some(before) if before == accesses => continue,
            Some(before) => match (cover(accesses, before), cover(before, accesses)) {
                (true, false) => (Kind::Loosened, true),
                (false, true) => (Kind::Tightened, false),
                (_, covered) => (Kind::Changed, !covered),
            },
        };
        let before = old.get(request).map(|before| all(before));
        changes.push(Change {
            kind,
            request: request.clone(),
            now: Some(all(accesses)),
            before,
            admits_more,
        });
    }
    let gone = old.iter().filter(|(request, _)| !new.contains_key(*request));
    changes.extend(gone.map(|(request, before)| Change {
        kind: Kind::Removed,
        request: request.clone(),
        now: None,
        before: Some(all(before)),
        admits_more: false,
    }));
    changes
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
    if matches!((outer, inner), (Access::Public { .. }, _)) {
        return true;
    }
    let kind = |outer: Option<&Requirements>, inner: Option<&Requirements>| match (outer, inner) {
        (_, None) => true,
        (Some(outer), Some(inner)) => meets(outer, inner),
        (None, Some(inner)) => inner.refuse_everyone(),
    };
    let is_known = inner.for_services().is_some() || inner.for_users().is_some();
    is_known && kind(outer.for_services(), inner.for_services()) && kind(outer.for_users(), inner.for_users())
}

/// Whether every caller that meets `inner` meets `outer`.
fn meets(outer: &Requirements, inner: &Requirements) -> bool {
    let names = |outer: &Option<Vec<String>>, inner: &Option<Vec<String>>| match (outer, inner) {
        (None, _) => true,
        (Some(outer), Some(inner)) => inner.iter().all(|name| outer.contains(name)),
        (Some(_), None) => false,
    };
    let has_one_of = |scopes: &Vec<String>| inner.scopes.iter().any(|scope| scopes.contains(scope));
    names(&outer.issuers, &inner.issuers)
        && names(&outer.services, &inner.services)
        && names(&outer.actors, &inner.actors)
        && names(&outer.roles, &inner.roles)
        && outer.scopes.iter().all(|scope| inner.scopes.contains(scope))
        && (names(&outer.any_scope, &inner.any_scope) || outer.any_scope.as_ref().is_some_and(has_one_of))
        && outer.claims.iter().all(|(name, value)| inner.claims.get(name) == Some(value))
        && outer.max_age.is_none_or(|age| inner.max_age.is_some_and(|younger| younger <= age))
        && outer.proof.is_none_or(|outer| {
            inner.proof.is_some_and(|inner| outer == RequiredProof::Any || outer == inner)
        })
}

#[cfg(test)]
mod tests {
    use service_only::routes::Route;

    use super::*;

    fn table(access: &str) -> RouteTable {
        let access: Access = serde_json::from_str(access).unwrap();
        RouteTable::new("orders").route(Route::new(["GET"], "/a", access))
    }

    fn lines(old: &RouteTable, new: &RouteTable) -> Vec<String> {
        changes(old, new).iter().map(Change::line).collect()
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
        let (proven, certified) =
            (r#"{"service_only":{"proof":"any"}}"#, r#"{"service_only":{"proof":"mtls"}}"#);
        let signed = r#"{"service_only":{"proof":"dpop"}}"#;
        let issued = r#"{"service_only":{"issuers":["bakery-auth"]}}"#;
        let by_either = r#"{"service_only":{"issuers":["https://mill.example","bakery-auth"]}}"#;
        for (tight, loose) in [(issued, any), (issued, by_either), (by_either, any), (issued, public)] {
            assert_eq!(change(tight, loose), "loosened", "{tight} {loose}");
            assert_eq!(change(loose, tight), "tightened", "{loose} {tight}");
        }
        for (tight, loose) in [(proven, any), (certified, any), (certified, proven), (signed, proven)] {
            assert_eq!(change(tight, loose), "loosened", "{tight} {loose}");
            assert_eq!(change(loose, tight), "tightened", "{loose} {tight}");
        }
        assert_eq!(change(certified, signed), "changed");
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
