//! Exports a Markdown table, for a README or a pull request.

use crate::{
    plan::{self, Asked, Kind, Needs},
    yaml::one_line,
};
use service_only::routes::{Route, RouteTable};

const PLACE: [&str; 3] = ["method", "path", "handler"];
const ASKED: [&str; 3] = ["services", "roles", "scopes"];

/// The table in GitHub's Markdown, in the order of the routes. A column without a requirement contains `any` or is
/// empty. A route that no caller can use is marked as such. A route for services and users has two rows, one for each
/// kind of caller. The table has columns for issuers, claims and the proof only if a route requires them.
pub fn markdown(table: &RouteTable) -> String {
    let accesses = || table.routes().iter().map(Route::access);
    let asked = || accesses().flat_map(|access| access.for_services().into_iter().chain(access.for_users()));
    let optional = Optional {
        issuers: asked().any(|asked| asked.issuers.is_some()),
        claims: asked().any(|asked| !asked.claims.is_empty()),
        proof: asked().any(|asked| asked.proof.is_some()),
    };
    let head = PLACE.into_iter().chain(optional.issuers.then_some("issuers")).chain(ASKED);
    let head = head.chain(optional.claims.then_some("claims")).chain(["max age"]);
    let head = head.chain(optional.proof.then_some("proof"));
    let head: Vec<_> = head.map(str::to_owned).collect();
    let mut text = row(&head);
    text.push_str(&row(&vec!["---".to_owned(); head.len()]));
    for route in table.routes() {
        for cells in rows(route, optional) {
            text.push_str(&row(&cells));
        }
    }
    text
}

/// The columns that a table has only if one of its routes needs them.
#[derive(Copy, Clone)]
struct Optional {
    issuers: bool,
    claims: bool,
    proof: bool,
}

fn rows(route: &Route, optional: Optional) -> Vec<Vec<String>> {
    let method = match route.methods() {
        [] if route.is_fallback() => "fallback".to_owned(),
        [] => "any".to_owned(),
        methods if route.is_fallback() => format!("fallback {}", codes(methods)),
        methods => codes(methods),
    };
    let place = [method, code(route.path()), route.endpoint().map(code).unwrap_or_default()];
    let row = |asked: Cells| {
        let Cells { issuers, asked, claims, age, proof } = asked;
        let cells = place.clone().into_iter().chain(optional.issuers.then_some(issuers)).chain(asked);
        let cells = cells.chain(optional.claims.then_some(claims)).chain([age]);
        cells.chain(optional.proof.then_some(proof)).collect()
    };
    let asked = Asked::of(route.access());
    match asked {
        Asked::Public { reason } => vec![row(Cells::only(format!("public: {}", code(reason))))],
        Asked::NoCaller => vec![row(Cells::only("no caller".to_owned()))],
        Asked::Callers { .. } => asked.needs().map(|needs| row(Cells::of(needs))).collect(),
    }
}

#[derive(Default)]
struct Cells {
    issuers: String,
    /// Services, roles, scopes.
    asked: [String; 3],
    claims: String,
    age: String,
    proof: String,
}

impl Cells {
    /// The cells of a route without other requirements.
    fn only(who: String) -> Self {
        Self { asked: [who, String::new(), String::new()], ..Self::default() }
    }

    fn of(needs: Needs<'_>) -> Self {
        let any_of = |names: Option<&[String]>| names.map_or("any".to_owned(), codes);
        let services = match needs.kind {
            Kind::User => "users".to_owned(),
            // A name is a code span, so a service with the name `users` looks different.
            Kind::Service => any_of(needs.written),
        };
        let services = match needs.actors {
            None => services,
            Some(actors) => format!("{services} via {}", codes(actors)),
        };
        let one_of = |scopes: &[String]| {
            format!("one of {}", scopes.iter().map(|scope| code(scope)).collect::<Vec<_>>().join(", "))
        };
        let scopes = Some(codes(needs.scopes)).filter(|scopes| !scopes.is_empty());
        let scopes: Vec<_> = scopes.into_iter().chain(needs.any_scope.map(one_of)).collect();
        let claims = needs.claims.iter().map(|(name, value)| code(&format!("{name} = {value}")));
        Self {
            issuers: any_of(needs.issuers),
            asked: [services, any_of(needs.roles), scopes.join("; ")],
            claims: claims.collect::<Vec<_>>().join(", "),
            age: needs.max_age.map(plan::duration).unwrap_or_default(),
            proof: needs.proof.map(|proof| proof.to_string()).unwrap_or_default(),
        }
    }
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
