use proptest::{collection::vec, prelude::*, sample::select};
use regex::Regex;

use super::*;

const SEGMENTS: [&str; 7] = ["a", "b", "ab", "", "{x}", "a{x}", "{{b}}"];
const REQUESTED: [&str; 7] = ["a", "b", "ab", "", "c", "{b}", "abc"];

fn template() -> impl Strategy<Value = String> {
    (vec(select(SEGMENTS.to_vec()), 0..4), select(vec!["", "/{*rest}"])).prop_map(|(segments, rest)| {
        // A name stands once in a path, and is the same wherever two paths have a parameter.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A proxy takes the union of its rules, in no order. So the one rule that takes a request must
    /// be that of the route that the router would choose, and no other may.
    #[test]
    fn the_rule_that_takes_a_request_is_that_of_the_routers_choice(
        templates in vec(template(), 1..7),
        paths in vec(requested(), 1..20),
    ) {
        let mut router = matchit::Router::new();
        let mut table = RouteTable::new("orders");
        for template in templates {
            if router.insert(template.clone(), template.clone()).is_ok() {
                table = table.route(Route::new(["GET"], template, Access::public("a test")));
            }
        }
        let rules = rules(&table).unwrap();
        let taking = rules.iter().map(|rule| {
            let without: Vec<Regex> = rule.without_paths.iter().map(expression).collect();
            (rule.route.path(), expression(&rule.template), without)
        });
        let taking: Vec<_> = taking.collect();
        for path in paths {
            let takes = |(route, own, without): &(_, Regex, Vec<Regex>)| {
                let takes = own.is_match(&path) && !without.iter().any(|other| other.is_match(&path));
                takes.then_some(*route)
            };
            let taking: Vec<&str> = taking.iter().filter_map(takes).collect();
            let chosen: Vec<&str> = router.at(&path).ok().map(|found| found.value.as_str()).into_iter().collect();
            prop_assert_eq!(taking, chosen, "{} of {:?}", path, table.routes());
        }
    }
}

#[test]
fn durations_are_written_as_the_attribute_takes_them() {
    let written = [0, 59, 60, 90, 3600, 86_400].map(duration);
    assert_eq!(written, ["0s", "59s", "1m", "90s", "1h", "24h"]);
}
