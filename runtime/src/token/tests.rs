use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::json::MAX_JSON_MEMBERS;

fn code<T>(result: Result<T, Denial>) -> Option<Code> {
    result.err().map(|denial| denial.code())
}

fn header(json: &str) -> Result<Header<'_>, Code> {
    Header::parse(json.as_bytes()).map_err(|denial| denial.code())
}

#[test]
fn a_token_has_three_segments() {
    let segments = Segments::split("aa.bb.cc").unwrap();
    assert_eq!(segments.signed(), b"aa.bb");
    for token in ["", ".", "..", "a", "a.b", "a.b.c.d", ".b.c", "a..c", "a.b.c.", "...."] {
        assert_eq!(code(Segments::split(token)), Some(Code::Malformed), "{token:?}");
    }
}

#[test]
fn the_header_of_an_accepted_token_is_not_parsed_again() {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"kept-by-this-test"}"#);
    let token = format!("{head}.bb.cc");
    let segments = Segments::split(&token).unwrap();
    let mut room = HeaderRoom::new();
    let parsed = segments.header(&mut room).unwrap();
    assert!(matches!(parsed, ReadHeader::Parsed(_)));
    segments.keep_header(&parsed);
    let mut room = HeaderRoom::new();
    let known = segments.header(&mut room).unwrap();
    assert!(matches!(&known, ReadHeader::Known(_)) && *known == *parsed);
}

#[test]
fn an_empty_signature_is_refused() {
    let mut room = SignatureRoom::new();
    assert_eq!(code(Segments::split("aa.bb.").unwrap().signature(&mut room)), Some(Code::BadSignature));
}

#[test]
fn the_length_is_bounded() {
    let of_length = |length: usize| format!("a.b.{}", "c".repeat(length - 4));
    assert_eq!(code(Segments::split(&of_length(MAX_TOKEN_LENGTH))), None);
    assert_eq!(code(Segments::split(&of_length(MAX_TOKEN_LENGTH + 1))), Some(Code::TooLarge));
}

#[test]
fn base64url_is_strict() {
    let payload = |segment: &str| {
        let mut room = PayloadRoom::new();
        Segments::split(&format!("a.{segment}.c")).unwrap().payload(&mut room).ok().map(<[u8]>::to_vec)
    };
    assert_eq!(payload("AAAA"), Some(vec![0, 0, 0]));
    assert_eq!(payload("-_-_"), Some(vec![0xfb, 0xff, 0xbf]));
    assert_eq!(payload("AA"), Some(vec![0]));
    // Trailing bits, padding, the other alphabet, white space, a length that cannot be.
    for segment in ["AB", "AAB", "AA==", "AAA=", "+/+/", "AA AA", "AAAA\n", "A", "AAAAA", "AA%3D"] {
        assert_eq!(payload(segment), None, "{segment:?}");
    }
}

#[test]
fn a_header_has_a_text_for_each_member_that_decides() {
    let full = header(
        r#"{"alg":"ES256","kid":"k\u0031","typ":"JWT","x":[{}],"jwk":{"kty":"EC"},"jku":"https://x"}"#,
    );
    let expected = Header { alg: "ES256".into(), kid: Some("k1".into()), typ: Some("JWT".into()) };
    assert_eq!(full, Ok(expected));
    assert_eq!(header(r#"{"alg":"ES256"}"#).map(|header| header.kid), Ok(None));
    for json in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":1}"#,
        r#"{"Alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":null}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"alg":"ES256","typ":null}"#,
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"["alg"]"#,
    ] {
        assert_eq!(header(json), Err(Code::Malformed), "{json}");
    }
}

#[test]
fn any_crit_is_refused() {
    for crit in [r#"["exp"]"#, "[]", "null", r#""exp""#, r#"["b64"]"#] {
        assert_eq!(header(&format!(r#"{{"alg":"ES256","crit":{crit}}}"#)), Err(Code::Crit), "{crit}");
    }
}

#[test]
fn header_members_are_bounded() {
    let members: Vec<_> = (0..=MAX_JSON_MEMBERS).map(|index| format!(",\"{index}\":0")).collect();
    assert_eq!(header(&format!(r#"{{"alg":"ES256"{}}}"#, members.concat())), Err(Code::Malformed));
}

#[test]
fn an_algorithm_must_be_spelled_exactly_and_allowed() {
    let allowed = [Algorithm::ES256, Algorithm::HS256].into_iter().collect();
    let of = |alg: &str| Header { alg: alg.into(), kid: None, typ: None }.algorithm(allowed).ok();
    assert_eq!(of("ES256"), Some(Algorithm::ES256));
    for alg in
        ["none", "None", "NONE", "", "es256", "ES256 ", " ES256", "ES384", "HS512", "Ε S256", "ES256\0"]
    {
        assert_eq!(of(alg), None, "{alg:?}");
    }
}
