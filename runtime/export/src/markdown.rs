//! Exports a Markdown table, for a README or a pull request.

use crate::{
    plan::{self, Asked},
    yaml::one_line,
};
use service_only::routes::{Access, Route, RouteTable};

const PLACE: [&str; 3] = ["method", "path", "handler"];
const ASKED: [&str; 4] = ["services", "roles", "scopes", "max age"];

/// The table in GitHub's Markdown, in the order of the routes. A column without a requirement contains `any`
/// or is empty. A route that no caller can use is marked as such. The table has a column for issuers if a
/// route requires some.
pub fn markdown(table: &RouteTable) -> String {
    let asks = |route: &Route| matches!(route.access(), Access::ServiceOnly { issuers: Some(_), .. });
    let with_issuers = table.routes().iter().any(asks);
    let issuers = with_issuers.then_some("issuers");
    let head: Vec<_> = PLACE.into_iter().chain(issuers).chain(ASKED).map(str::to_owned).collect();
    let mut text = row(&head);
    text.push_str(&row(&vec!["---".to_owned(); head.len()]));
    for route in table.routes() {
        text.push_str(&row(&cells(route, with_issuers)));
    }
    text
}

fn cells(route: &Route, with_issuers: bool) -> Vec<String> {
    let method = match route.methods() {
        [] if route.is_fallback() => "fallback".to_owned(),
        [] => "any".to_owned(),
        methods if route.is_fallback() => format!("fallback {}", codes(methods)),
        methods => codes(methods),
    };
    let handler = route.endpoint().map(code).unwrap_or_default();
    let any_of = |names: Option<&[String]>| names.map_or("any".to_owned(), codes);
    let (issuers, asked) = match Asked::of(route.access()) {
        Asked::Public { reason } => (String::new(), only(format!("public: {}", code(reason)))),
        Asked::NoCaller => (String::new(), only("no caller".to_owned())),
        Asked::Service(needs) => (
            any_of(needs.issuers),
            [
                any_of(needs.services),
                any_of(needs.roles),
                codes(needs.scopes),
                needs.max_age.map(plan::duration).unwrap_or_default(),
            ],
        ),
    };
    let issuers = with_issuers.then_some(issuers);
    [method, code(route.path()), handler].into_iter().chain(issuers).chain(asked).collect()
}

/// The cells of a route without other requirements.
fn only(who: String) -> [String; 4] {
    [who, String::new(), String::new(), String::new()]
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn codes(names: &[String]) -> String {
    names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
}

/// A code span, in which Markdown interprets no link, HTML or emphasis. Its fence is longer than any run of
/// backticks in it (CommonMark section 6.1), and a `|` is escaped for the table.
fn code(text: &str) -> String {
    let text = one_line(text).replace('|', r"\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space =
        if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}
