//! Verifying: key sources, expectations, policy, and the exit code of each outcome.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, claims_of};

const SECRET: &str = "a secret of the bakery, 32 bytes";

/// A sandbox with a secret and a token of `orders` that it signs.
fn with_secret() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.write("secret", SECRET);
    let token = sandbox
        .run(&[
            "generate",
            "orders",
            "--key",
            "secret",
            "--algorithm",
            "HS256",
            "--secret-encoding",
            "raw",
            "--issuer",
            "i",
            "--scope",
            "orders:read",
            "--lifetime",
            "1h",
        ])
        .done()
        .line()
        .to_owned();
    (sandbox, token)
}

const EXPECT: [&str; 5] = ["verify", "--secret-file", "secret", "--issuer", "i"];

fn expect<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [EXPECT.as_slice(), more].concat()
}

#[test]
fn accepted_token_ends_with_0_and_shows_its_claims() {
    let (sandbox, token) = with_secret();
    let answer = sandbox.feed(&expect(&["--format", "json", "-"]), &token).done().json();
    assert_eq!((&answer["verdict"], &answer["code"]), (&"accept".into(), &"ok".into()));
    let claims = &answer["claims"];
    assert_eq!(
        (&claims["service"], &claims["iss"], &claims["type"]),
        (&"orders".into(), &"i".into(), &"service".into())
    );

    let text = sandbox.run(&expect(&[&token])).done().stdout;
    assert!(text.starts_with("accepted: ") && text.contains("service: \"orders\""), "{text}");
    assert!(!text.contains(&token));
}

#[test]
fn token_that_is_not_authentic_ends_with_1() {
    let (sandbox, token) = with_secret();
    for (code, arguments) in [
        ("wrong_issuer", vec!["verify", "--secret-file", "secret", "--issuer", "other"]),
        ("missing_claim", expect(&["--audience", "a"])),
        ("expired", expect(&["--now", "4102444800"])),
    ] {
        let ran = sandbox.feed(&[arguments.as_slice(), &["--format", "json", "-"]].concat(), &token);
        assert_eq!((ran.code, &ran.json()["code"]), (1, &code.into()), "{}", ran.stdout);
        assert_eq!((&ran.json()["verdict"], &ran.json()["claims"]), (&"reject_401".into(), &Value::Null));
    }
}

#[test]
fn policy_that_is_not_met_ends_with_3() {
    let (sandbox, token) = with_secret();
    for (code, policy) in [
        ("service_not_allowed", ["--service", "inventory"]),
        ("role_not_allowed", ["--role", "reader"]),
        ("missing_scope", ["--scope", "orders:write"]),
    ] {
        let ran = sandbox.feed(&[expect(&policy), vec!["--format", "json", "-"]].concat(), &token);
        assert_eq!((ran.code, &ran.json()["verdict"]), (3, &"reject_403".into()), "{}", ran.stdout);
        assert_eq!(ran.json()["code"], code);
    }
    let met = [
        "--service",
        "inventory,orders",
        "--role",
        "reader",
        "--role",
        "admin",
        "--scope",
        "orders:read",
        "-",
    ];
    sandbox.feed(&expect(&met), &token).done();
}

#[test]
fn token_that_was_issued_too_long_ago_ends_with_3() {
    let (sandbox, token) = with_secret();
    let issued = claims_of(&token)["iat"].as_i64().unwrap();
    for (age, expected) in [(60, 0), (61, 3)] {
        let now = (issued + age).to_string();
        let ran = sandbox.feed(&expect(&["--max-age", "1m", "--now", &now, "--format", "json", "-"]), &token);
        assert_eq!(ran.code, expected, "{}", ran.stdout);
        assert_eq!(ran.json()["code"], if expected == 0 { "ok" } else { "too_old" });
    }
}

#[test]
fn strict_verifier_without_an_audience_names_the_option_that_is_missing() {
    let (sandbox, token) = with_secret();
    let said = sandbox.feed(&expect(&["--profile", "strict", "-"]), &token).refused();
    assert!(said.contains("--audience AUDIENCE"), "{said}");
    let mint = ["generate", "orders", "--key", "secret", "--algorithm", "HS256", "--issuer", "i"];
    let said = sandbox.run(&[mint.as_slice(), &["--profile", "strict"]].concat()).refused();
    assert!(said.contains("--audience AUDIENCE"), "{said}");
}

#[test]
fn secret_comes_from_file_or_variable_in_three_encodings() {
    let (sandbox, token) = with_secret();
    sandbox.write("text", format!("{SECRET}\n"));
    sandbox.write("base64", "YSBzZWNyZXQgb2YgdGhlIGJha2VyeSwgMzIgYnl0ZXM\n");
    for (file, encoding) in [("secret", "raw"), ("text", "utf8"), ("base64", "base64url")] {
        let arguments =
            ["verify", "--secret-file", file, "--secret-encoding", encoding, "--issuer", "i", "-"];
        sandbox.feed(&arguments, &token).done();
    }
    let variable = ["verify", "--secret-env", "BAKERY_SECRET", "--issuer", "i", "-"];
    assert_eq!(sandbox.run_with(&variable, token.as_bytes(), &[("BAKERY_SECRET", SECRET)]).code, 0);
    let message = sandbox.feed(&variable, &token).refused();
    assert!(message.contains("`BAKERY_SECRET` is not set"), "{message}");
}

#[test]
fn standard_input_loses_one_line_ending_and_no_more() {
    let (sandbox, token) = with_secret();
    for ending in ["", "\n", "\r\n"] {
        sandbox.feed(&expect(&["-"]), format!("{token}{ending}")).done();
        sandbox.feed(&["inspect", "-"], format!("{token}{ending}")).done();
    }
    for spoiled in ["\n\n", "\r\n\r\n", "\r\r\n", "\n\r", "\r", " \n"] {
        assert_eq!(sandbox.feed(&expect(&["-"]), format!("{token}{spoiled}")).code, 1, "{spoiled:?}");
    }
    for spoiled in [format!(" {token}"), format!("\n{token}"), format!("\u{feff}{token}")] {
        assert_eq!(sandbox.feed(&expect(&["-"]), &spoiled).code, 1, "{spoiled:?}");
    }
}

#[test]
fn bytes_that_are_not_a_token_are_refused_without_panic_or_echo() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", SECRET);
    let huge = vec![b'a'; 3_000_000];
    for bytes in [b"\xff\xff.\xff.\xff".as_slice(), b"\x1b[31m.a.b", b"....", b"-", &huge] {
        let ran = sandbox.feed(&expect(&["-"]), bytes);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stdout.len() < 500 && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    }
}

#[test]
fn empty_input_is_a_usage_error_wherever_a_token_is_read() {
    let (sandbox, _) = with_secret();
    for input in ["", "\n", "\r\n"] {
        for arguments in [expect(&["-"]), vec!["inspect", "-"], vec!["verify", "--batch", "-"]] {
            let message = sandbox.feed(&arguments, input).refused();
            assert!(message.contains("is empty") && message.contains("help: "), "{message}");
        }
        let ran = sandbox.feed(&expect(&["--format", "json", "-"]), input);
        assert_eq!((ran.code, &ran.json()["code"]), (2, &"usage".into()), "{}", ran.stdout);
    }
    for arguments in [expect(&[""]), vec!["inspect", ""]] {
        assert!(sandbox.run(&arguments).refused().contains("TOKEN argument is empty"));
    }
    sandbox.write("empty.jsonl", "\n\n");
    assert!(sandbox.run(&["verify", "--batch", "empty.jsonl"]).refused().contains("the batch is empty"));
}

#[test]
fn secret_file_with_a_line_ending_is_the_same_secret_for_the_command_and_for_a_service() {
    use service_only::{Algorithm, FileKeys, Verifier, audit::NoAudit, keys::SecretEncoding};
    for ending in ["", "\n", "\r\n"] {
        let sandbox = Sandbox::new();
        sandbox.write("secret", format!("{SECRET}{ending}"));
        for (name, encoding) in [("raw", SecretEncoding::Raw), ("utf8", SecretEncoding::Utf8)] {
            let mint = ["generate", "orders", "--key", "secret", "--algorithm", "HS256", "--issuer", "i"];
            let token = sandbox.run(&[&mint[..], &["--secret-encoding", name]].concat()).done();
            let keys =
                FileKeys::hmac(Algorithm::HS256, sandbox.path("secret")).encoding(encoding).open().unwrap();
            let verifier = Verifier::builder().issuer("i").keys(keys).audit(NoAudit).build().unwrap();
            assert!(verifier.verify(token.line()).is_ok(), "{ending:?} {name}");
            let verify =
                ["verify", "--secret-file", "secret", "--issuer", "i", "--secret-encoding", name, "-"];
            sandbox.feed(&verify, token.line()).done();
            let note = "is a part of the secret";
            assert_eq!(token.stderr.contains(note), name == "raw" && !ending.is_empty(), "{}", token.stderr);
        }
    }
}

#[test]
fn public_key_needs_exactly_one_algorithm() {
    let sandbox = Sandbox::configured();
    sandbox.write("not.pem", "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n");
    let verify = ["verify", "--public-key", "not.pem", "--issuer", "i", "x"];
    assert!(sandbox.run(&verify).refused().contains("--algorithms"));
    assert!(
        sandbox
            .run(&[verify.as_slice(), &["--algorithms", "ES256,ES384"]].concat())
            .refused()
            .contains("exactly one")
    );
    assert!(
        sandbox
            .run(&[verify.as_slice(), &["--algorithms", "ES256"]].concat())
            .refused()
            .contains("`not.pem`")
    );
}

#[test]
fn configuration_supplies_key_issuer_and_audience() {
    let sandbox = Sandbox::configured();
    let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    sandbox.run(&["verify", &token]).done();
    assert_eq!(sandbox.run(&["verify", "--issuer", "other", &token]).code, 1);

    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    std::fs::rename(sandbox.path("service-token.toml"), sandbox.path("elsewhere/c.toml")).unwrap();
    std::fs::rename(sandbox.path("signing.pem"), sandbox.path("elsewhere/signing.pem")).unwrap();
    sandbox.run(&["verify", "--config", "elsewhere/c.toml", &token]).done();
    assert!(sandbox.run(&["verify", &token]).refused().contains("no key to verify with"));
}

#[test]
fn invalid_verifier_configuration_exits_with_2_also_as_json() {
    let (sandbox, token) = with_secret();
    sandbox.write("short", "short");
    sandbox.write("empty.json", r#"{"keys":[]}"#);
    for (code, arguments) in [
        ("weak_key", vec!["verify", "--secret-file", "short", "--issuer", "i"]),
        ("weak_key", expect(&["--algorithms", "HS512"])),
        ("bad_config", expect(&["--algorithms", "ES256"])),
        ("bad_config", expect(&["--leeway", "100000"])),
        ("bad_config", vec!["verify", "--secret-file", "secret"]),
        ("bad_key", vec!["verify", "--jwks", "empty.json", "--issuer", "i"]),
        ("io", vec!["verify", "--jwks", "missing.json", "--issuer", "i"]),
    ] {
        let ran = sandbox.feed(&[arguments.as_slice(), &["--format", "json", "-"]].concat(), &token);
        assert_eq!((ran.code, &ran.json()["verdict"]), (2, &"config_error".into()), "{}", ran.stdout);
        assert_eq!(ran.json()["code"], code, "{}", ran.stdout);
        sandbox.feed(&[arguments.as_slice(), &["-"]].concat(), &token).refused();
    }
}

#[test]
fn batch_answers_each_line_in_order_and_survives_bad_ones() {
    let (sandbox, token) = with_secret();
    let case = |id: &str, services: Value| {
        json!({
            "id": id,
            "config": {
                "hmac_secret_b64url": "YSBzZWNyZXQgb2YgdGhlIGJha2VyeSwgMzIgYnl0ZXM", "algorithms": ["HS256", "HS512"],
                "issuer": "i", "audience": null, "leeway_s": 0, "now": 1_767_225_600, "allowed_services": services,
            },
            "token": token,
        })
        .to_string()
    };
    let lines = [
        case("one", json!(["orders"])),
        "{\"id\":\"two\",".to_owned(),
        case("three", json!(["inventory"])),
        "nonsense".to_owned(),
        case("five", Value::Null),
        case("six", json!([])),
    ];
    sandbox.write("cases.jsonl", lines.join("\n"));
    let from_file = sandbox.run(&["verify", "--batch", "cases.jsonl"]).done();
    let answers: Vec<Value> =
        from_file.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        answers.iter().map(|answer| (answer["id"].as_str(), answer["verdict"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            (Some("one"), "accept"),
            (Some("two"), "config_error"),
            (Some("three"), "reject_403"),
            (None, "config_error"),
            (Some("five"), "accept"),
            (Some("six"), "reject_403"),
        ]
    );
    assert!(!from_file.stdout.contains(&token));
    let from_stdin = sandbox.feed(&["verify", "--batch", "-"], lines.join("\n")).done();
    assert_eq!(from_stdin.stdout, from_file.stdout);
    sandbox.run(&["verify", "--batch", "missing.jsonl"]).refused();
}
