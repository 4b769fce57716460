use service_only::error::Code;

use super::*;

const DENIED: Expectation = Expectation::Denied(Code::Expired);

fn status(status: u16) -> Answer {
    Ok(reply(status))
}

fn reply(status: u16) -> Reply {
    Reply::new(StatusCode::from_u16(status).unwrap(), &http::HeaderMap::new(), Vec::new())
}

fn judged(expectation: Expectation, answer: Answer) -> &'static str {
    let passing = Passing(vec![reply(201), reply(409)]);
    match attack(expectation, &answer, &passing, None) {
        Outcome::Met(_) => "met",
        Outcome::TurnedAway(_) => "turned away",
        Outcome::Refused(_) => "refused",
        Outcome::GotIn(_) => "got in",
        Outcome::Broke(_) => "broke",
        Outcome::NoConclusion(_) => "no conclusion",
        Outcome::NotSent(_) => "not sent",
    }
}

#[test]
fn success_or_the_response_of_the_control_is_a_finding() {
    for (answer, expected) in [
        (200, "got in"),
        (204, "got in"),
        (409, "got in"),
        (401, "met"),
        (403, "refused"),
        (404, "refused"),
        (302, "refused"),
        (500, "broke"),
        (503, "broke"),
    ] {
        assert_eq!(judged(DENIED, status(answer)), expected, "{answer}");
    }
}

#[test]
fn any_refusal_is_accepted_if_only_the_handler_must_not_run() {
    let answers = [
        (101, "got in"),
        (200, "got in"),
        (301, "met"),
        (308, "met"),
        (400, "met"),
        (404, "met"),
        (405, "met"),
        (413, "met"),
        (414, "met"),
        (431, "met"),
        (501, "met"),
        (505, "met"),
        (500, "broke"),
    ];
    for (answer, expected) in answers {
        assert_eq!(judged(Expectation::NotRun, status(answer)), expected, "{answer}");
    }
}

#[test]
fn a_closed_connection_is_a_refusal_and_a_missing_response_is_a_finding() {
    assert_eq!(judged(DENIED, Err(Unanswered::Closed("reset".into()))), "refused");
    assert_eq!(judged(DENIED, Err(Unanswered::Broken("no answer".into()))), "broke");
    assert_eq!(judged(DENIED, Err(Unanswered::NotSent("no header".into()))), "not sent");
}

#[test]
fn a_control_that_looks_like_a_refusal_proves_nothing() {
    let passes = |answer| matches!(control(&answer, None), Control::Passes(_));
    assert!(passes(status(200)) && passes(status(422)) && passes(status(409)));
    for refusal in [301, 302, 307, 308, 400, 401, 403, 404, 405, 500] {
        assert!(!passes(status(refusal)), "{refusal}");
    }
    assert!(!passes(Err(Unanswered::Closed("reset".into()))));
}

#[test]
fn an_audit_without_a_record_of_the_control_is_reported() {
    assert!(matches!(control(&status(200), Some(&[])), Control::ProvesNothing(_)));
}

#[test]
fn a_refusal_without_a_record_is_not_from_the_guard() {
    let outcome = attack(DENIED, &status(401), &Passing::default(), Some(&[]));
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}

#[test]
fn a_server_may_refuse_an_oversized_request_before_the_guard() {
    for (answer, met) in [(413, true), (414, true), (431, true), (400, false), (404, false)] {
        let outcome = attack(DENIED, &status(answer), &Passing::default(), Some(&[]));
        assert_eq!(matches!(outcome, Outcome::Met(_)), met, "{answer}: {outcome:?}");
    }
}

#[test]
fn the_heaviest_outcome_of_several_variants_is_reported() {
    let said = || "200".to_owned();
    let ascending = [
        Outcome::NotSent(said()),
        Outcome::Met(StatusCode::UNAUTHORIZED),
        Outcome::NoConclusion(said()),
        Outcome::Refused(said()),
        Outcome::NotSent(BOUND.to_owned()),
        Outcome::Broke(said()),
        Outcome::GotIn(said()),
    ];
    assert!(ascending.iter().map(Outcome::weight).is_sorted_by(|one, next| one < next));
}
