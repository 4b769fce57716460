use super::*;

names! {
    /// Names of one letter, and two similar names.
    Letter { T = "t", E = "e", N = "n", B = "b", Z = "z", L = "l", M = "m", O = "o", Exp = "exp", Exq = "exq", }
}

/// Collects names and values.
#[derive(Default)]
struct All<'de>(Vec<(&'static str, Value<'de>)>);

impl<'de> Members<'de> for All<'de> {
    type Name = Letter;

    fn member<A: MapAccess<'de>>(&mut self, name: Letter, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value()?;
        self.0.push((name.as_str(), value));
        Ok(())
    }
}

fn read(text: &[u8]) -> Result<Vec<(&'static str, Value<'_>)>, JsonError> {
    let mut all = All::default();
    read_object(text, &mut all).map(|()| all.0)
}

fn nested(depth: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1))
}

#[test]
fn text_that_is_not_an_object_is_an_error_that_names_an_object() {
    for text in ["[]", "7", "null", "\"a\""] {
        for error in [read(text.as_bytes()).unwrap_err(), read_named(text.as_bytes(), &["a"]).unwrap_err()] {
            let (JsonError::Malformed(why) | JsonError::WrongType(why)) = error;
            assert!(why.contains("expected a JSON object"), "{text}: {why}");
        }
    }
}

#[test]
fn members_are_read_in_order_with_the_requested_values() {
    let text = br#" {"t":"x","e":"\u0041","n":1.5e3,"b":true,"z":null,"l":["a","b"],"m":["a",1],"o":{"p":{}}}
"#;
    let expected = [
        ("t", Value::Text("x".into())),
        ("e", Value::Text("A".into())),
        ("n", Value::Other),
        ("b", Value::Bool(true)),
        ("z", Value::Null),
        ("l", Value::Texts(vec!["a".into(), "b".into()])),
        ("m", Value::Other),
        ("o", Value::Other),
    ];
    assert_eq!(read(text), Ok(expected.to_vec()));
}

#[test]
fn anything_but_one_object_is_malformed() {
    let cases: [&[u8]; 18] = [
        b"",
        b" ",
        b"[]",
        b"null",
        b"\"{}\"",
        b"1",
        b"{} {}",
        b"{}x",
        b"x{}",
        b"{}\0",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{\"a\":01}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\n\"}",
    ];
    for case in cases {
        assert!(matches!(read(case), Err(JsonError::Malformed(_))), "{:?}", String::from_utf8_lossy(case));
    }
}

#[test]
fn a_duplicate_member_is_malformed_in_every_spelling() {
    for case in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":1}"#,
        r#"{"":1,"":2}"#,
        r#"{"t":1,"t":1}"#,
        r#"{"exp":1,"b":2,"a":3,"\u0065xp":1}"#,
        r#"{"exp":1,"exq":2,"ex":3,"exp":4}"#,
    ] {
        assert!(
            matches!(read(case.as_bytes()), Err(JsonError::Malformed(why)) if why.contains("twice")),
            "{case}"
        );
    }
}

#[test]
fn names_are_compared_byte_for_byte() {
    for text in ["exp", "exq", "t"] {
        assert_eq!(Letter::of(text).map(Letter::as_str), Some(text));
    }
    for text in ["", "ex", "exr", "Exp", "exp ", " exp", "expp", "tt", "T", "ｅxp", "exp\0"] {
        assert_eq!(Letter::of(text), None, "{text:?}");
    }
    assert_eq!(
        read(br#"{"exr":1,"exq":true,"exp":null}"#).unwrap(),
        [("exq", Value::Bool(true)), ("exp", Value::Null)]
    );
}

#[test]
fn the_number_of_members_is_bounded() {
    let object = |count: usize| {
        let members: Vec<_> = (0..count).map(|index| format!("\"{index}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(read(object(MAX_JSON_MEMBERS).as_bytes()).is_ok());
    assert!(read(object(MAX_JSON_MEMBERS + 1).as_bytes()).is_err());
    // Known names count like the others.
    let with_two = |others| object(others).replacen('{', r#"{"exp":1,"t":1,"#, 1);
    assert!(read(with_two(MAX_JSON_MEMBERS - 2).as_bytes()).is_ok());
    assert!(read(with_two(MAX_JSON_MEMBERS - 1).as_bytes()).is_err());
}

#[test]
fn nesting_is_bounded() {
    assert!(read(nested(16).as_bytes()).is_ok());
    assert!(read(nested(MAX_JSON_DEPTH).as_bytes()).is_ok());
    assert!(read(nested(MAX_JSON_DEPTH + 1).as_bytes()).is_err());
    assert!(read(nested(100_000).as_bytes()).is_err());
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert!(read(objects.as_bytes()).is_err());
}

#[test]
fn numbers_are_doubles_and_nothing_else_is_a_number() {
    let number = |text: &str| serde_json::from_str::<Number>(text).ok().map(|Number(number)| number);
    assert_eq!(number("1767225600"), Some(1_767_225_600.0));
    assert_eq!(number("-1.5"), Some(-1.5));
    assert_eq!(number("1e3"), Some(1000.0));
    assert_eq!(number("18446744073709551616"), Some(18_446_744_073_709_551_616.0));
    for text in ["1e999", &"9".repeat(5000), "\"1\"", "true", "null", "[1]", "{}"] {
        assert_eq!(number(text), None, "{}", &text[..text.len().min(9)]);
    }
}
