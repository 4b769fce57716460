use service_only::Code;

use super::*;

const DENIED: Expectation = Expectation::Denied(Code::Expired);

fn status(status: u16) -> Answer {
    Ok(StatusCode::from_u16(status).unwrap())
}

fn judged(expectation: Expectation, answer: Answer) -> &'static str {
    let passing = Passing(vec![StatusCode::CREATED, StatusCode::CONFLICT]);
    match attack(expectation, &answer, &passing, None) {
        Outcome::Met(_) => "met",
        Outcome::Refused(_) => "refused",
        Outcome::GotIn(_) => "got in",
        Outcome::Broke(_) => "broke",
        Outcome::NotSent(_) => "not sent",
    }
}

#[test]
fn success_and_the_answer_of_the_control_mean_that_it_got_in() {
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
fn any_refusal_will_do_where_only_the_handler_must_not_run() {
    for (answer, expected) in [(400, "met"), (405, "met"), (404, "met"), (301, "met"), (200, "got in")] {
        assert_eq!(judged(Expectation::NotRun, status(answer)), expected, "{answer}");
    }
}

#[test]
fn a_closed_connection_refuses_and_silence_is_a_fault() {
    assert_eq!(judged(DENIED, Err(Unanswered::Closed("reset".into()))), "refused");
    assert_eq!(judged(DENIED, Err(Unanswered::Broken("no answer".into()))), "broke");
    assert_eq!(judged(DENIED, Err(Unanswered::NotSent("no header".into()))), "not sent");
}

#[test]
fn a_control_proves_something_only_where_it_differs_from_a_refusal() {
    let passes = |answer| matches!(control(&answer, None), Control::Passes(_));
    assert!(passes(status(200)) && passes(status(422)) && passes(status(409)));
    for refusal in [400, 401, 403, 404, 405, 500] {
        assert!(!passes(status(refusal)), "{refusal}");
    }
    assert!(!passes(Err(Unanswered::Closed("reset".into()))));
}

#[test]
fn an_audit_without_a_record_of_the_control_is_another_ones() {
    assert!(matches!(control(&status(200), Some(&[])), Control::ProvesNothing(_)));
}

#[test]
fn a_refusal_that_left_no_record_is_not_the_guards() {
    let outcome = attack(DENIED, &status(401), &Passing::default(), Some(&[]));
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
}
