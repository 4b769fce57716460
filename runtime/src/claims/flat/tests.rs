use proptest::prelude::*;

use super::*;

fn flat(payload: &[u8]) -> Option<RawClaims<'_>> {
    let mut claims = RawClaims::default();
    read(payload, &mut claims).map(|()| claims)
}

fn compared(payload: &[u8]) -> bool {
    RawClaims::compare_readers(payload)
}

const TYPICAL: &str = r#"{"sub":"orders","service":"orders","user_id":"orders","role":"service","email":"orders@internal.service","iss":"bakery-auth","exp":1827130526,"iat":1795594526,"nbf":0,"jti":"4fd40bf9-01e1-4773-ad9f-73888088e4fb","type":"service","is_service":true,"aud":"sales","scope":"a b","client_id":"","x":false,"y":"","z":999999999999999}"#;

#[test]
fn a_typical_payload_is_flat_and_reads_alike() {
    assert!(compared(TYPICAL.as_bytes()));
    for payload in [r#"{"cnf":""}"#, r#"{"cnf":0}"#, r#"{"cnf":false}"#] {
        assert!(compared(payload.as_bytes()), "{payload}");
        assert!(flat(payload.as_bytes()).is_some_and(|claims| claims.is_bound), "{payload}");
    }
    for payload in [r#"{"a":"b"}"#, r#"{"":""}"#, r#"{"exp":0}"#, r#"{"user_id":1,"role":true,"sub":2}"#] {
        assert!(compared(payload.as_bytes()), "{payload}");
    }
}

#[test]
fn whatever_is_not_flat_is_left_to_the_other_reader() {
    for payload in [
        "",
        "{",
        "}",
        "{}",
        "\"",
        "\"{\"",
        r#"{""#,
        r#"{"a""#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":"}"#,
        r#"{"a":"b""#,
        r#"{"a":"b","#,
        r#"{"a":"b",}"#,
        r#"{"a":"b"}}"#,
        r#"{"a":"b"}""#,
        r#"{"a":"b"}"x"#,
        r#"{"a":"b"}"x":1}"#,
        r#"{"a":"b"},"#,
        r#"{"a":"b"} "#,
        r#" {"a":"b"}"#,
        r#"{ "a":"b"}"#,
        r#"{"a": "b"}"#,
        r#"{"a" :1}"#,
        r#"{"a":1 }"#,
        r#"{"a":1}}"#,
        r#"{"a":1},"b":2}"#,
        r#"{"a":1,2}"#,
        r#"{"a":1,,"b":2}"#,
        r#"{"a"::1}"#,
        r#"{"a","b"}"#,
        r#"{"a":"b""c":"d"}"#,
        r#"{"a":"b":"c"}"#,
        r#"{"a":01}"#,
        r#"{"a":-1}"#,
        r#"{"a":+1}"#,
        r#"{"a":1.0}"#,
        r#"{"a":1e3}"#,
        r#"{"a":1000000000000000}"#,
        r#"{"a":null}"#,
        r#"{"a":True}"#,
        r#"{"a":tru}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":["b"]}"#,
        r#"{"a":"\u0062"}"#,
        r#"{"a":"ä"}"#,
        "{\"a\":\"\u{7f}\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"b\"}\n",
        r#"["a"]"#,
        r#"{"a":1,"a":2}"#,
        r#"{"exp":1,"exp":1}"#,
        r#"{"exp":"1"}"#,
        r#"{"exp":true}"#,
        r#"{"iss":1}"#,
        r#"{"jti":true}"#,
        r#"{"aud":1}"#,
        r#"{"kubernetes.io":"x"}"#,
    ] {
        assert!(flat(payload.as_bytes()).is_none(), "{payload}");
    }
    for byte in 0..=255_u8 {
        for place in 0..TYPICAL.len() {
            let mut payload = TYPICAL.as_bytes().to_vec();
            payload[place] = byte;
            compared(&payload);
            payload.insert(place, byte);
            compared(&payload);
        }
    }
    for place in 0..TYPICAL.len() {
        compared(&TYPICAL.as_bytes()[..place]);
        compared(&TYPICAL.as_bytes()[place..]);
    }
}

#[test]
fn a_text_is_split_at_its_first_quote_and_nowhere_else() {
    let letters = ['"', '!', '#', 'a', '~'];
    for length in 0..20_usize {
        for seed in 0..500_usize {
            let letter = |index: usize| letters[(seed * 31 + index * (seed + 7)) % letters.len()];
            let text: String = (0..length).map(letter).collect();
            assert_eq!(until_quote(&text), text.split_once('"'), "{text}");
        }
    }
}

#[test]
fn what_a_payload_that_is_not_flat_leaves_behind_means_nothing() {
    let payload = br#"{"iss":"bakery-auth","exp":9,"role":"admin","jti":"j","iss":"bakery-auth"}"#;
    assert!(flat(payload).is_none());
    assert_eq!(RawClaims::parse(payload).unwrap_err().code(), crate::Code::Malformed);
    let payload = br#"{"role":"admin","scope":"a","sub":"s","x":[]}"#;
    assert!(flat(payload).is_none());
    let expected = RawClaims { role: Some("admin".into()), scope: Some("a".into()), ..RawClaims::default() };
    assert_eq!(RawClaims { sub: None, ..RawClaims::parse(payload).unwrap() }, expected);
}

#[test]
fn the_number_of_members_is_bounded_here_too() {
    let object = |count: usize| {
        let members: Vec<_> = (0..count).map(|index| format!("\"{index}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(compared(object(crate::json::MAX_JSON_MEMBERS).as_bytes()));
    assert!(flat(object(crate::json::MAX_JSON_MEMBERS + 1).as_bytes()).is_none());
}

/// Pieces of which payloads and near misses are made.
fn piece() -> impl Strategy<Value = String> {
    const NAMES: &[&str] =
        &["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "type", "role", "service", "is_service", "x"];
    prop_oneof![
        proptest::sample::select(
            &["{", "}", "\"", ":", ",", " ", "\\", "[", "]", "true", "false", "null"][..]
        )
        .prop_map(str::to_owned),
        proptest::sample::select(NAMES).prop_map(|name| format!("\"{name}\"")),
        proptest::sample::select(NAMES).prop_map(|name| format!("\"{name}\":")),
        "-?[0-9]{0,17}(\\.[0-9])?",
        "\"[ -~]{0,9}\"",
    ]
}

/// A member that is well formed, or nearly.
fn member() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => "\"[a-z0-9-]{0,12}\"",
        3 => "[1-9][0-9]{0,15}",
        1 => proptest::sample::select(&["true", "false", "null", "0", "[]", "\"\\\\\""][..]).prop_map(str::to_owned),
    ];
    ("[a-z_]{1,3}|exp|iat|nbf|iss|aud|sub|jti|type|service|is_service", value)
        .prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

proptest! {
    #[test]
    fn two_readers_never_read_one_payload_in_two_ways(pieces in prop::collection::vec(piece(), 0..16)) {
        compared(format!("{{{}}}", pieces.concat()).as_bytes());
        compared(pieces.concat().as_bytes());
    }

    #[test]
    fn objects_that_are_nearly_flat_read_alike(members in prop::collection::vec(member(), 1..12)) {
        compared(format!("{{{}}}", members.join(",")).as_bytes());
    }
}
