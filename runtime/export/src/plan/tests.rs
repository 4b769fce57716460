use proptest::{collection::vec, prelude::*, sample::select};
use regex::Regex;

use super::*;

const SEGMENTS: [&str; 7] = ["a", "b", "ab", "", "{x}", "a{x}", "{{b}}"];
const REQUESTED: [&str; 7] = ["a", "b", "ab", "", "c", "{b}", "abc"];

fn template() -> impl Strategy<Value = String> {
    (vec(select(SEGMENTS.to_vec()), 0..4), select(vec!["", "/{*rest}"])).prop_map(|(segments, rest)| {
        // A parameter name is unique within a path, and depends only on the position.
        let named = segments.iter().enumerate().map(|(at, it)| it.replace("{x}", &format!("{{p{at}}}")));
        let path = format!("/{}{rest}", named.collect::<Vec<_>>().join("/"));
        if segments.is_empty() { path.replace("//", "/") } else { path }
    })
}

fn requested() -> impl Strategy<Value = String> {
    vec(select(REQUESTED.to_vec()), 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn expression(template: &Template) -> Regex {
    Regex::new(&format!("^(?:{})$", template.regex())).unwrap()
}

/// Inserts a row's path into a matchit router; `false` if the router rejects it.
fn insert(router: &mut matchit::Router<String>, template: &str) -> bool {
    router.insert(template.to_owned(), template.to_owned()).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A proxy evaluates all its rules, in no order. So exactly one rule may match a request: that of the
    /// route that the router chooses. A router tries all of its routes before any fallback.
    #[test]
    fn the_matching_rule_belongs_to_the_route_that_the_router_chooses(
        templates in vec((template(), any::<bool>()), 1..9),
        paths in vec(requested(), 1..20),
    ) {
        let (mut routes, mut fallbacks) = (matchit::Router::new(), matchit::Router::new());
        let mut table = RouteTable::new("orders");
        for (template, is_fallback) in templates {
            let route = Route::new(["GET"], template.clone(), Access::public("a test"));
            if is_fallback && insert(&mut fallbacks, &template) {
                table = table.route(route.as_fallback());
            } else if !is_fallback && insert(&mut routes, &template) {
                table = table.route(route);
            }
        }
        let rules = rules(&table).unwrap();
        let taking = rules.iter().map(|rule| {
            let without: Vec<Regex> = rule.without_paths.iter().map(expression).collect();
            ((rule.route.path(), rule.route.is_fallback()), expression(&rule.template), without)
        });
        let taking: Vec<_> = taking.collect();
        for path in paths {
            let takes = |(route, own, without): &((_, bool), Regex, Vec<Regex>)| {
                let takes = own.is_match(&path) && !without.iter().any(|other| other.is_match(&path));
                takes.then_some(*route)
            };
            let taking: Vec<(&str, bool)> = taking.iter().filter_map(takes).collect();
            let chosen = match (routes.at(&path), fallbacks.at(&path)) {
                (Ok(found), _) => vec![(found.value.as_str(), false)],
                (_, Ok(found)) => vec![(found.value.as_str(), true)],
                _ => Vec::new(),
            };
            prop_assert_eq!(taking, chosen, "{} of {:?}", path, table.routes());
        }
    }
}

#[test]
fn durations_are_written_in_the_syntax_of_the_attribute() {
    let written = [0, 59, 60, 90, 3600, 86_400].map(duration);
    assert_eq!(written, ["0s", "59s", "1m", "90s", "1h", "24h"]);
}
