//! A Markdown table, for a README or a pull request.

use super::{
    plan::{self, Asked},
    yaml::one_line,
};
use crate::routes::{Route, RouteTable};

const HEAD: [&str; 7] = ["method", "path", "handler", "services", "roles", "scopes", "max age"];

/// The table in GitHub's Markdown, in the table's order. A column that asks for nothing says `any` or
/// is empty; a list that lets nobody in says so.
pub fn markdown(table: &RouteTable) -> String {
    let mut text = row(&HEAD.map(str::to_owned));
    text.push_str(&row(&HEAD.map(|_| "---".to_owned())));
    for route in table.routes() {
        text.push_str(&row(&cells(route)));
    }
    text
}

fn cells(route: &Route) -> [String; 7] {
    let method = match route.methods() {
        [] if route.is_fallback() => "fallback".to_owned(),
        [] => "any".to_owned(),
        methods if route.is_fallback() => format!("fallback {}", codes(methods)),
        methods => codes(methods),
    };
    let handler = route.endpoint().map(code).unwrap_or_default();
    let [services, roles, scopes, max_age] = match Asked::of(route.access()) {
        Asked::Anybody { reason } => {
            [format!("anybody: {}", code(reason)), String::new(), String::new(), String::new()]
        }
        Asked::Nobody => ["nobody".to_owned(), String::new(), String::new(), String::new()],
        Asked::Service(needs) => [
            needs.services.map_or("any".to_owned(), codes),
            needs.roles.map_or("any".to_owned(), codes),
            codes(needs.scopes),
            needs.max_age.map(plan::duration).unwrap_or_default(),
        ],
    };
    [method, code(route.path()), handler, services, roles, scopes, max_age]
}

fn row(cells: &[String; 7]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn codes(names: &[String]) -> String {
    names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
}

/// A code span: in it nothing is a link, HTML or emphasis. Its fence is longer than any run of
/// backticks in it (CommonMark section 6.1), and a `|` is escaped for the table around it.
fn code(text: &str) -> String {
    let text = one_line(text).replace('|', r"\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space =
        if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}
