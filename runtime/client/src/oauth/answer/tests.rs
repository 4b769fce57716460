use serde_json::{Value, json};

use super::{
    super::transport::{DEFAULT_RETRY_AFTER, RetryAfter},
    *,
};

const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);

/// An unsigned text with the form of a token.
fn jwt(claims: &Value) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    format!("eyJhbGciOiJFUzI1NiJ9.{}.AA", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn good() -> Value {
    let token = jwt(&json!({"aud": "orders", "exp": NOW.unix() + 300, "iat": NOW.unix()}));
    json!({"access_token": token, "token_type": "Bearer", "expires_in": 300})
}

fn with(changes: Value) -> Value {
    let mut answer = good();
    answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    answer
}

fn without(name: &str) -> Value {
    let mut answer = good();
    answer.as_object_mut().unwrap().remove(name);
    answer
}

fn response(status: u16, body: impl ToString) -> Response {
    let body = body.to_string().into_bytes();
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        is_html: false,
        retry_after: None,
        #[cfg(feature = "issue")]
        nonce: None,
        body: body.into(),
    }
}

fn read(response: &Response) -> Result<Sendable, TokenErrorKind> {
    token(response, Some("orders"), AudienceParameter::Resource, TokenType::Bearer, NOW)
}

fn expiry(answer: Value) -> Result<i64, TokenErrorKind> {
    read(&response(200, answer)).map(|token| token.expires_at.unwrap().unix() - NOW.unix())
}

#[test]
fn the_earlier_of_two_expiries_counts() {
    assert_eq!(expiry(good()), Ok(300));
    assert_eq!(expiry(with(json!({"expires_in": 60}))), Ok(60));
    assert_eq!(expiry(with(json!({"expires_in": "60"}))), Ok(60));
    assert_eq!(expiry(with(json!({"expires_in": 3600}))), Ok(300));
    assert_eq!(expiry(without("expires_in")), Ok(300));
    // A value that is not a lifetime is not one.
    for odd in [json!(-5), json!(0), json!("soon"), json!(null), json!([60]), json!(1e300)] {
        assert_eq!(expiry(with(json!({"expires_in": odd}))), Ok(300), "{odd}");
    }
    let opaque_times = with(json!({"access_token": jwt(&json!({"aud": "orders"}))}));
    assert_eq!(expiry(opaque_times), Ok(300));
}

#[test]
fn a_token_without_an_expiry_is_refused() {
    let mut answer = with(json!({"access_token": jwt(&json!({"aud": "orders"}))}));
    answer.as_object_mut().unwrap().remove("expires_in");
    assert_eq!(expiry(answer), Err(TokenErrorKind::NoExpiry));
}

#[test]
fn a_token_for_another_audience_is_refused_with_both() {
    let of = |aud: Value| with(json!({"access_token": jwt(&json!({"aud": aud, "exp": NOW.unix() + 300}))}));
    assert_eq!(expiry(of(json!(["stock", "orders"]))), Ok(300));
    for aud in [json!("stock"), json!(["stock", "order"]), json!([]), json!(null), json!({"orders": 1})] {
        let Err(TokenErrorKind::WrongAudience(why)) = expiry(of(aud.clone())) else { panic!("{aud}") };
        assert!(why.contains("expected `orders`; allow this client"), "{why}");
    }
    let entra = response(200, of(json!("orders")));
    assert!(
        token(&entra, Some("api://orders"), AudienceParameter::DefaultScope, TokenType::Bearer, NOW).is_ok()
    );
    assert!(
        token(&entra, Some("api://stock"), AudienceParameter::DefaultScope, TokenType::Bearer, NOW).is_err()
    );
    assert!(
        token(&entra, Some("api://orders"), AudienceParameter::Configured, TokenType::Bearer, NOW).is_err()
    );
    let bare = response(200, with(json!({"access_token": jwt(&json!({}))})));
    assert!(token(&bare, Some("orders"), AudienceParameter::Scope, TokenType::Bearer, NOW).is_ok());
    assert!(
        token(&entra, Some("stock"), AudienceParameter::Scope, TokenType::Bearer, NOW).is_err(),
        "an `aud` is compared"
    );
}

#[test]
fn a_web_page_and_other_texts_are_not_a_token() {
    let page = Response { is_html: true, ..response(200, "<html>sign in</html>") };
    assert_eq!(read(&page).err(), Some(TokenErrorKind::Html));
    for text in ["", "[]", "null", "s3cr3t", r#"{"access_token":"#, r#"{"access_token":1}"#] {
        let Some(TokenErrorKind::Response(why)) = read(&response(200, text)).err() else { panic!("{text}") };
        assert!(!why.contains("s3cr3t"), "{why}");
    }
    assert!(
        matches!(expiry(without("access_token")), Err(TokenErrorKind::Response(why)) if why.contains("`access_token`"))
    );
    assert!(
        matches!(expiry(without("token_type")), Err(TokenErrorKind::Response(why)) if why.contains("`token_type`"))
    );
    let bound = expiry(with(json!({"token_type": "DPoP"})));
    assert!(matches!(bound, Err(TokenErrorKind::Response(why)) if why.contains("`DPoP`")));
    let opaque = expiry(with(json!({"access_token": "2YotnFZFEjr1zCsicMWpAA"})));
    assert!(
        matches!(opaque, Err(TokenErrorKind::Response(why)) if why.contains("not a JWT") && !why.contains("2Yot"))
    );
}

#[test]
fn a_refusal_of_the_provider_names_the_next_step() {
    let body = json!({"error": "invalid_client", "error_description": "bad\nsecret"});
    let Some(TokenErrorKind::Refused(why)) = read(&response(401, body)).err() else { panic!() };
    assert!(why.starts_with("401: `invalid_client` (bad\\u{a}secret); check the client id"), "{why}");
    for (error, remedy) in
        [("invalid_target", "register the audience"), ("invalid_scope", "allow the scopes")]
    {
        let refused = read(&response(400, json!({"error": error}))).err();
        assert!(matches!(refused, Some(TokenErrorKind::Refused(why)) if why.contains(remedy)));
    }
    assert_eq!(read(&response(500, "oops")).err(), Some(TokenErrorKind::Status(500)));
    assert_eq!(read(&response(302, "")).err(), Some(TokenErrorKind::Status(302)));
}

#[test]
fn a_provider_that_limits_requests_states_the_pause() {
    let limited = |value: Option<&str>| {
        let retry_after = value.and_then(RetryAfter::parse);
        let limited = Response { retry_after, ..response(429, "<html>slow down</html>") };
        match read(&limited).err() {
            Some(TokenErrorKind::RateLimited(wait)) => wait,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(limited(Some("17")), Duration::from_secs(17));
    // It is midnight of the first of January 2026.
    assert_eq!(limited(Some("Thu, 01 Jan 2026 00:02:00 GMT")), Duration::from_secs(120));
    assert_eq!(limited(Some(" Thursday, 01-Jan-26 00:02:00 GMT")), Duration::from_secs(120));
    assert_eq!(limited(Some("Wed, 31 Dec 2025 23:59:00 GMT")), Duration::ZERO);
    for none in [None, Some(""), Some("soon"), Some("-1"), Some("1.5"), Some("2026-01-01T00:02:00Z")] {
        assert_eq!(limited(none), DEFAULT_RETRY_AFTER, "{none:?}");
    }
}

#[test]
fn a_token_that_has_expired_is_not_used() {
    let old = with(json!({"access_token": jwt(&json!({"aud": "orders", "exp": NOW.unix()}))}));
    assert!(matches!(expiry(old), Err(TokenErrorKind::Response(why)) if why.contains("NTP")));
}

#[cfg(feature = "issue")]
#[test]
fn a_client_with_a_key_takes_only_a_bound_token() {
    let dpop = |response: &Response| {
        token(response, Some("orders"), AudienceParameter::Resource, TokenType::Dpop, NOW).map(drop)
    };
    let of_type = |kind: &str| response(200, with(json!({"token_type": kind})));
    assert_eq!(dpop(&of_type("DPoP")), Ok(()));
    assert!(
        matches!(dpop(&of_type("Bearer")), Err(TokenErrorKind::Response(why)) if why.contains("expected `DPoP`"))
    );
    for (status, error, expected) in [
        (400, json!({"error": "use_dpop_nonce"}), true),
        (401, json!({"error": "use_dpop_nonce", "error_description": "again"}), true),
        (400, json!({"error": "invalid_dpop_proof"}), false),
        (200, json!({"error": "use_dpop_nonce"}), false),
        (400, json!("use_dpop_nonce"), false),
    ] {
        assert_eq!(needs_nonce(&response(status, error.clone())), expected, "{status} {error}");
    }
}
