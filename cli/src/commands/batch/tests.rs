//! Tests lines that are not cases, and the ids in their answers.

use super::*;

fn answers(input: &[u8]) -> Vec<Value> {
    let mut input = input;
    let mut verifiers = Verifiers::default();
    let mut line = Vec::new();
    let mut answers = Vec::new();
    while let Some(end) = read_line(&mut input, &mut line).unwrap() {
        answers.push(serde_json::to_value(verifiers.answer(&line, end)).unwrap());
    }
    answers
}

fn answer(line: &str) -> Value {
    answers(line.as_bytes()).remove(0)
}

const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn case(change: impl FnOnce(&mut Value)) -> Value {
    let mut case = serde_json::json!({
        "id": "c1",
        "config": {
            "hmac_secret_b64url": SECRET, "algorithms": ["HS256"], "issuer": "i",
            "audience": null, "leeway_s": 0, "now": 0,
        },
        "token": "a.b.c",
    });
    change(&mut case);
    answer(&case.to_string())
}

#[test]
fn case_without_fault_reaches_the_verifier() {
    let answer = case(|_| {});
    assert_eq!((&answer["id"], &answer["verdict"]), (&"c1".into(), &"reject_401".into()));
    assert_eq!(answer["claims"], Value::Null);
}

#[test]
fn broken_lines_are_answered_under_the_id_that_could_be_read() {
    for (line, id) in [
        (r#"{"id":"c1","config":{},"token":"#, Value::from("c1")),
        (r#"{"token":5,"config":{},"id":"c1"}"#, "c1".into()),
        (r#"{"id":7,"config":{}}"#, 7.into()),
        (r#"{"config":{},"token":"x""#, Value::Null),
        ("[]", Value::Null),
        ("\u{0}", Value::Null),
    ] {
        let answer = answer(line);
        assert_eq!((&answer["id"], &answer["verdict"]), (&id, &"config_error".into()), "{line}");
        assert_eq!(answer["code"], "bad_case", "{line}");
    }
}

#[test]
fn line_that_is_not_utf_8_is_answered_under_its_id() {
    let answers = answers(b"{\"id\":\"c1\",\"config\":{},\"token\":\"\xff\"}\n{\"id\":\"c2\"}");
    assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&"c1".into(), &"c2".into()));
}

#[test]
fn token_of_lone_surrogates_is_a_bad_token_in_a_valid_case() {
    let text = format!(
        r#"{{"id":"c1","config":{{"hmac_secret_b64url":"{SECRET}","algorithms":["HS256"],"issuer":"i","now":0}},"token":"\ud800.b.c"}}"#
    );
    let answer = answer(&text);
    assert_eq!((&answer["verdict"], &answer["code"]), (&"reject_401".into(), &"malformed".into()));
}

#[test]
fn wrong_configurations_are_config_errors() {
    for (code, change) in [
        ("bad_config", serde_json::json!({ "surprise": 1 })),
        ("bad_config", serde_json::json!({ "issuer": 5 })),
        ("bad_config", serde_json::json!({ "issuer": "" })),
        ("bad_config", serde_json::json!({ "now": "soon" })),
        ("bad_config", serde_json::json!({ "leeway_s": -1 })),
        ("bad_config", serde_json::json!({ "leeway_s": u64::MAX })),
        ("bad_config", serde_json::json!({ "algorithms": [] })),
        ("bad_config", serde_json::json!({ "algorithms": ["ES256"] })),
        ("unknown_algorithm", serde_json::json!({ "algorithms": ["none"] })),
        ("weak_key", serde_json::json!({ "hmac_secret_b64url": "c2hvcnQ" })),
        ("weak_key", serde_json::json!({ "algorithms": ["HS512"] })),
        ("bad_key", serde_json::json!({ "hmac_secret_b64url": "*" })),
        ("bad_config", serde_json::json!({ "hmac_secret_b64url": null })),
        ("bad_key", serde_json::json!({ "hmac_secret_b64url": null, "jwks": { "keys": [] } })),
    ] {
        let answer = case(|case| {
            for (name, value) in change.as_object().unwrap() {
                case["config"][name] = value.clone();
            }
        });
        assert_eq!((&answer["verdict"], &answer["code"]), (&"config_error".into(), &code.into()), "{change}");
        assert_eq!(answer["id"], "c1");
    }
}

#[test]
fn wrong_type_in_a_configuration_does_not_echo_the_value() {
    let answer = case(|case| case["config"]["audience"] = serde_json::json!([SECRET]));
    assert!(!answer["reason"].as_str().unwrap().contains(SECRET));
    let answer = case(|case| case["config"]["now"] = SECRET.into());
    assert!(!answer["reason"].as_str().unwrap().contains(SECRET));
}

#[test]
fn secret_in_the_place_of_a_member_or_an_algorithm_is_not_echoed() {
    for answer in [
        case(|case| case["config"][SECRET] = 1.into()),
        case(|case| case["config"]["algorithms"] = serde_json::json!([SECRET])),
        case(|case| case["config"]["hunter2"] = 1.into()),
        case(|case| case["config"] = SECRET.into()),
    ] {
        let reason = answer["reason"].as_str().unwrap();
        assert_eq!(answer["verdict"], "config_error", "{reason}");
        assert!(!reason.contains("AAAAA") && !reason.contains("hunter2"), "{reason}");
    }
}

#[test]
fn kept_configurations_are_bounded_by_their_bytes() {
    let mut verifiers = Verifiers::default();
    let padding = " ".repeat(10 * 1024 * 1024);
    for issuer in 0..8 {
        let line = format!(
            r#"{{"id":{issuer},"config":{{{padding}"hmac_secret_b64url":"{SECRET}","algorithms":["HS256"],"issuer":"{issuer}","now":0}},"token":"a.b.c"}}"#
        );
        let answer = serde_json::to_value(verifiers.answer(line.as_bytes(), LineEnd::Complete)).unwrap();
        assert_eq!(answer["code"], "malformed");
        assert!(verifiers.bytes() <= MAX_CONFIG_BYTES, "{}", verifiers.bytes());
    }
    assert!(!verifiers.made.is_empty());
}

#[test]
fn kept_configurations_are_bounded_by_their_number_and_found_again() {
    let mut verifiers = Verifiers::default();
    let mut ask = |issuer: usize| {
        let line = format!(
            r#"{{"config":{{"hmac_secret_b64url":"{SECRET}","algorithms":["HS256"],"issuer":"{issuer}","now":0}},"token":"a.b.c"}}"#
        );
        verifiers.answer(line.as_bytes(), LineEnd::Complete);
        verifiers.made.len()
    };
    for issuer in 0..MAX_VERIFIERS {
        assert_eq!(ask(issuer), issuer + 1);
    }
    assert_eq!(ask(5), MAX_VERIFIERS);
    assert_eq!(ask(MAX_VERIFIERS), 1);
}

#[test]
fn huge_line_is_answered_and_the_next_one_read() {
    let mut input = br#"{"id":"huge","config":{},"token":""#.to_vec();
    input.resize(input.len() + usize::try_from(MAX_LINE_BYTES).unwrap() + 5, b'a');
    input.extend_from_slice(b"\"}\n{\"id\":\"next\"}\n");
    let answers = answers(&input);
    assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&"huge".into(), &"next".into()));
}

#[test]
fn deeply_nested_line_is_answered_under_its_id() {
    let line = format!(r#"{{"id":"c1","config":{},"token":""}}"#, "[".repeat(100_000));
    assert_eq!(answer(&line)["id"], "c1");
}
