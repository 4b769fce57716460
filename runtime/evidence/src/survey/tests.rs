#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::fixture::{Line, call, survey};

#[test]
fn usage_counts_calls_of_a_service_to_an_endpoint() {
    let refused = Line { code: Some("service_not_allowed"), ..call(5) };
    let survey = survey([call(0), call(10), refused, Line { service: "stock", jti: "j2", ..call(3) }]);
    let usage = survey.usage();
    assert_eq!(usage.len(), 2);
    let orders = &usage[0];
    assert_eq!((orders.service.as_str(), orders.endpoint.as_str()), ("orders", "stock::reserve"));
    assert_eq!((orders.calls.allowed, orders.calls.refused), (2, 1));
    assert_eq!(
        (orders.calls.first.as_str(), orders.calls.last.as_str()),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z")
    );
    assert_eq!(orders.calls.p50_us, 51);
    assert_eq!(survey.token_usage().len(), 2);
    let keys = survey.key_usage();
    assert_eq!(
        (keys[0].calls.allowed, &keys[0].services[..]),
        (3, &["orders".to_owned(), "stock".to_owned()][..])
    );
}

#[test]
fn last_record_of_an_id_is_the_outcome() {
    let amended = Line { code: Some("refused"), ..call(7) };
    let survey = survey([call(7), amended, call(8)]);
    let calls = &survey.usage()[0].calls;
    assert_eq!((calls.allowed, calls.refused), (1, 1));
}

#[test]
fn refused_handler_is_no_use_if_it_was_the_only_call() {
    let survey = survey([call(7), Line { code: Some("refused"), ..call(7) }]);
    assert_eq!(survey.callers("stock::reserve", 0), Vec::<&str>::new());
}

#[test]
fn names_of_unauthenticated_callers_are_not_counted_by_name() {
    let mut survey = Survey::new();
    let text: String = (0..100)
        .map(|number| {
            format!(
                r#"{{"id":"{number}","time":"2026-01-01T00:00:00Z","decision":"deny","status":401,"code":"expired","http.request.method":"X{number}","http.route":"/a","url.path":"/{number}","duration_us":1,"unverified.service":"s{number}"}}"#
            ) + "\n"
        })
        .collect();
    crate::read::stream(Path::new("x"), std::io::Cursor::new(text), &mut survey);
    let usage = survey.usage();
    assert_eq!(usage.len(), 1);
    assert_eq!((usage[0].service.as_str(), usage[0].endpoint.as_str()), (UNAUTHENTICATED, "any /a"));
    assert_eq!(usage[0].calls.refused, 100);
}

/// Counts lines with small limits.
fn limited(limits: Limits, lines: impl IntoIterator<Item = Line>) -> Survey {
    let mut survey = Survey { limits, ..Survey::new() };
    let text: String = lines.into_iter().map(|line| line.text()).collect();
    crate::read::stream(Path::new("x"), std::io::Cursor::new(text), &mut survey);
    survey
}

#[test]
fn limits_are_the_documented_ones() {
    let Limits { pairs, tokens } = Survey::new().limits;
    assert_eq!((pairs, tokens), (MAX_PAIRS, MAX_TOKENS));
}

#[test]
fn pairs_up_to_the_limit_are_counted_and_calls_of_further_ones_are_omitted() {
    let lines = ["a", "b", "c", "a", "d"].map(|endpoint| Line { endpoint, ..call(1) });
    let survey = limited(Limits { pairs: 2, tokens: 9 }, lines);
    let usage = survey.usage();
    let counts: Vec<_> = usage.iter().map(|used| (used.endpoint.as_str(), used.calls.allowed)).collect();
    assert_eq!(counts, [("a", 2), ("b", 1)]);
    assert_eq!(survey.omitted(), 2);
    assert_eq!(survey.names.find("c"), None, "a name that is not counted is not stored");
    // The token is counted all the same.
    assert_eq!(survey.token_usage()[0].calls.allowed, 5);
    let all = limited(
        Limits { pairs: 4, tokens: 9 },
        ["a", "b", "c", "d"].map(|endpoint| Line { endpoint, ..call(1) }),
    );
    assert_eq!((all.usage().len(), all.omitted()), (4, 0));
}

#[test]
fn tokens_and_keys_up_to_the_limit_are_counted_and_further_ones_are_omitted() {
    let lines = [("j1", "k1"), ("j2", "k2"), ("j3", "k3"), ("j1", "k1")];
    let survey =
        limited(Limits { pairs: 9, tokens: 2 }, lines.map(|(jti, kid)| Line { jti, kid, ..call(1) }));
    let tokens = survey.token_usage();
    let counts: Vec<_> = tokens.iter().map(|used| (used.jti.as_str(), used.calls.allowed)).collect();
    assert_eq!(counts, [("j1", 2), ("j2", 1)]);
    assert_eq!((survey.key_usage().len(), survey.omitted()), (2, 1));
    assert_eq!((survey.names.find("j3"), survey.names.find("k3")), (None, None));
    assert_eq!(survey.usage()[0].calls.allowed, 4);
}

#[test]
fn refusals_are_counted_up_to_the_limit() {
    let refused = |code| Line { code: Some(code), ..call(1) };
    let survey = limited(Limits { pairs: 2, tokens: 9 }, ["a", "b", "c"].map(refused));
    assert_eq!((survey.refusals.len(), survey.omitted()), (2, 1));
    assert_eq!(survey.usage()[0].calls.refused, 3);
}

#[test]
fn networks_of_a_token_up_to_the_limit_are_told_apart() {
    let from = |networks: usize| {
        let addresses = (0..networks).map(|network| &*format!("10.0.{network}.1").leak());
        let survey = survey(addresses.map(|address| Line { address, ..call(1) }));
        let tokens = survey.token_usage();
        (tokens[0].networks, tokens[0].calls.allowed)
    };
    assert_eq!(from(MAX_USES), (MAX_USES, 64));
    assert_eq!(from(MAX_USES + 1), (MAX_USES, 65));
}

#[test]
fn rotated_files_belong_to_the_log_they_were_rotated_from() {
    for file in ["/a/audit.jsonl", "/a/audit.jsonl.2026-01-01T00-00-00.000000Z.gz", "/a/audit.jsonl.3.zst"] {
        assert_eq!(log_name(Path::new(file)), "/a/audit.jsonl", "{file}");
    }
    assert_eq!(log_name(Path::new("2026")), "2026");
}
