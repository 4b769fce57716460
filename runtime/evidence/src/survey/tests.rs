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
    assert_eq!(survey.key_usage()[0].calls.allowed, 3);
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

#[test]
fn rotated_files_belong_to_the_log_they_were_rotated_from() {
    for file in ["/a/audit.jsonl", "/a/audit.jsonl.2026-01-01T00-00-00.000000Z.gz", "/a/audit.jsonl.3.zst"] {
        assert_eq!(log_name(Path::new(file)), "/a/audit.jsonl", "{file}");
    }
    assert_eq!(log_name(Path::new("2026")), "2026");
}
