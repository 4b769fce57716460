//! Exports a Mermaid flowchart: which caller calls which endpoint.

use std::fmt::Write as _;

use crate::{
    plan::{self, Asked, Kind, Needs},
    yaml::one_line,
};
use service_only::routes::RouteTable;

/// A flowchart with callers on the left and endpoints on the right. The label of an arrow has the
/// requirements beside the caller's name. An endpoint without an arrow accepts no caller.
pub fn mermaid(table: &RouteTable) -> String {
    let mut chart = String::from("flowchart LR\n");
    let mut callers: Vec<&str> = Vec::new();
    let mut arrows = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(chart, "  subgraph service[{}]", label(table.service()));
    for (number, route) in table.routes().iter().enumerate() {
        let _ = writeln!(chart, "    e{number}[{}]", label(&plan::name(route)));
        let asked = Asked::of(route.access());
        let public = matches!(asked, Asked::Public { .. }).then(|| (vec![ANY_CLIENT], String::new()));
        let callers_and_needs = asked.needs().map(|needs| (callers_of(needs), needed(needs)));
        for (names, needs) in public.into_iter().chain(callers_and_needs) {
            for name in names {
                let caller = callers.iter().position(|known| *known == name).unwrap_or_else(|| {
                    callers.push(name);
                    callers.len() - 1
                });
                let needs = if needs.is_empty() { String::new() } else { format!("|{}|", label(&needs)) };
                let _ = writeln!(arrows, "  c{caller} -->{needs} e{number}");
            }
        }
    }
    chart.push_str("  end\n");
    for (number, caller) in callers.iter().enumerate() {
        let _ = writeln!(chart, "  c{number}([{}])", label(caller));
    }
    chart.push_str(&arrows);
    chart
}

// A service name has no space, so these labels cannot collide with one.
const ANY_CLIENT: &str = "any client (public)";
const ANY_SERVICE: &str = "any service";
const ANY_USER: &str = "users with a token";

fn callers_of(needs: Needs<'_>) -> Vec<&str> {
    match (needs.kind, needs.written) {
        (Kind::User, _) => vec![ANY_USER],
        (Kind::Service, None) => vec![ANY_SERVICE],
        (Kind::Service, Some(services)) => services.iter().map(String::as_str).collect(),
    }
}

fn needed(needs: Needs<'_>) -> String {
    let issuers = needs.issuers.map(|issuers| format!("issuer {}", issuers.join(" or ")));
    let actors = needs.actors.map(|actors| format!("via {}", actors.join(" or ")));
    let roles = needs.roles.map(|roles| format!("role {}", roles.join(" or ")));
    let scopes = (!needs.scopes.is_empty()).then(|| needs.scopes.join(" and "));
    let any_scope = needs.any_scope.map(|scopes| scopes.join(" or "));
    let claims = needs.claims.iter().map(|(name, value)| format!("{name} = {value}"));
    let claims = (!needs.claims.is_empty()).then(|| claims.collect::<Vec<_>>().join(" and "));
    let age = needs.max_age.map(|age| format!("at most {} old", plan::duration(age)));
    let proof = needs.proof.map(|proof| format!("proof {proof}"));
    [issuers, actors, roles, scopes, any_scope, claims, age, proof]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// A string in quotes. Characters that could end it or act as markup become Mermaid entities.
fn label(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in one_line(text).chars() {
        if c.is_alphanumeric() || " /{}().,-_:*=".contains(c) {
            quoted.push(c);
        } else {
            let _ = write!(quoted, "#{};", u32::from(c));
        }
    }
    quoted.push('"');
    quoted
}
