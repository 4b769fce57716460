//! Looking into a token without believing it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::sandbox::Sandbox;

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn inspect_warns_that_nothing_is_verified() {
    let token = token(r#"{"alg":"none"}"#, r#"{"service":"orders","exp":1767225600}"#);
    let ran = Sandbox::new().run(&["inspect", &token]).done();
    assert!(ran.stdout.starts_with("NOT VERIFIED\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("NOT VERIFIED"), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("service: \"orders\"") && ran.stdout.contains("2026-01-01T00:00:00"),
        "{}",
        ran.stdout
    );

    let json = Sandbox::new().feed(&["inspect", "--format", "json", "-"], &token).done().json();
    assert_eq!((&json["verified"], &json["claims"]["service"]), (&false.into(), &"orders".into()));
}

#[test]
fn terminal_sequences_in_names_and_values_are_spelled_out() {
    let token =
        token(r#"{"alg":"\u001b[31m"}"#, "{\"\u{202e}name\":\"\\u001b]0;x\\u0007\\r\\n\u{9b}2J\u{2028}\"}");
    for format in ["text", "json"] {
        let ran = Sandbox::new().feed(&["inspect", "--format", format, "-"], &token).done();
        let harmless = |c: char| c == '\n' || !(c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
        assert!(ran.stdout.chars().all(harmless), "{:?}", ran.stdout);
        assert!(ran.stderr.chars().all(harmless), "{:?}", ran.stderr);
    }
}

#[test]
fn text_that_is_not_a_token_gives_exit_code_1_and_is_not_echoed() {
    let sandbox = Sandbox::new();
    for bytes in [b"eyJsecret".as_slice(), b"a.b.c.d", b"eyJ.e30.x", b"\xff\xfe.\x00.\x1b", b"W10.W10.W10"] {
        let ran = sandbox.feed(&["inspect", "-"], bytes);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
        assert!(!ran.stderr.contains("eyJ") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    }
}
