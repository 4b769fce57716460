//! Random payloads, and random spellings of one.

use std::collections::BTreeMap;

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};
use serde_json::{Value, json};

use super::signing::NOW;

/// The claims of a service token that must be accepted.
pub(crate) fn valid() -> impl Strategy<Value = Value> {
    let service = "[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?";
    (service, 1..400_i64, 0..400_i64, "[a-z]{0,8}", "([a-z:]{1,8} ){0,3}").prop_map(
        |(service, ahead, behind, role, scope)| {
            json!({
                "sub": service, "service": service, "user_id": service, "type": "service", "is_service": true,
                "iss": "bakery-auth", "exp": NOW.unix() + ahead, "iat": NOW.unix() - behind, "role": role,
                "scope": scope,
            })
        },
    )
}

/// The same with up to three changes, most of which end its validity.
pub(crate) fn any() -> impl Strategy<Value = Value> {
    (valid(), vec(change(), 0..4)).prop_map(|(mut claims, changes)| {
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes {
            match value {
                Some(value) => members.insert(name.to_owned(), value),
                None => members.remove(name),
            };
        }
        claims
    })
}

/// A claim and its new value, or none.
fn change() -> impl Strategy<Value = (&'static str, Option<Value>)> {
    const CLAIMS: &[&str] = &[
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "sub",
        "service",
        "type",
        "is_service",
        "user_id",
        "role",
        "jti",
        "scope",
        "cnf",
    ];
    let texts = |texts: &'static [&'static str]| select(texts).prop_map(|text| Some(json!(text)));
    let names = texts(&["orders", "orders.", "Orders", "", "-orders", "a/b", "ördërs"]);
    prop_oneof![
        (select(CLAIMS), Just(None)),
        (select(CLAIMS), anything().prop_map(Some)),
        (select(&["exp", "nbf", "iat"][..]), instant().prop_map(Some)),
        (Just("iss"), texts(&["bakery-auth", "Bakery-auth", "bakery-auth ", "bakery", "bakery-auth\0"])),
        (Just("aud"), audience().prop_map(Some)),
        (select(&["service", "sub"][..]), names),
        (Just("type"), texts(&["service", "access", "refresh", "Service", ""])),
        (Just("is_service"), any_bool().prop_map(Some)),
    ]
}

fn any_bool() -> impl Strategy<Value = Value> {
    select(vec![json!(true), json!(false), json!("true"), json!(1)])
}

fn audience() -> impl Strategy<Value = Value> {
    select(vec![
        json!("orders"),
        json!(["orders"]),
        json!(["sales", "orders"]),
        json!([]),
        json!("orders "),
        json!(["sales"]),
        json!(["orders", 1]),
        json!([["orders"]]),
    ])
}

/// Instants on both sides of now, with and without the leeways, as every kind of number.
fn instant() -> impl Strategy<Value = Value> {
    let offset = select(vec![-100_000_i64, -61, -60, -59, -2, -1, 0, 1, 2, 59, 60, 61, 100_000]);
    let near = (offset, select(vec![0.0, 0.25, 0.75])).prop_map(|(offset, fraction)| {
        let seconds = NOW.unix() + offset;
        if fraction == 0.0 { json!(seconds) } else { json!(seconds as f64 + fraction) }
    });
    let far = select(vec![
        json!(0),
        json!(-1),
        json!(-0.5),
        json!(1e300),
        json!(-1e300),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
    ]);
    prop_oneof![4 => near, 1 => far]
}

/// Any JSON value, of little depth.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        proptest::bool::ANY.prop_map(Value::from),
        proptest::num::i64::ANY.prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("\\PC{0,4}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

pub(crate) fn text(claims: &Value) -> String {
    claims.to_string()
}

pub(crate) type Members = Vec<(String, Value)>;

pub(crate) fn members(object: &Value) -> Members {
    object.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// One of the many texts that mean the same object to whoever ignores what he does not know.
#[derive(Debug)]
pub(crate) struct Spelling {
    unknown: BTreeMap<String, Value>,
    choices: Vec<u8>,
}

pub(crate) fn spelling() -> impl Strategy<Value = Spelling> {
    (btree_map("x_[a-z]{1,6}", anything(), 0..4), vec(proptest::num::u8::ANY, 1..40))
        .prop_map(|(unknown, choices)| Spelling { unknown, choices })
}

impl Spelling {
    /// Writes the members, and unknown ones, in some order and with some whitespace and escapes.
    pub(crate) fn write(&self, members: &Members) -> String {
        let unknown = self.unknown.iter().map(|(name, value)| (name.clone(), value.clone()));
        let mut rest: Members = members.iter().cloned().chain(unknown).collect();
        let mut writer = Writer { choices: self.choices.iter().cycle(), text: String::new() };
        let mut ordered = Members::new();
        while !rest.is_empty() {
            let next = writer.choose(rest.len());
            ordered.push(rest.swap_remove(next));
        }
        writer.space();
        writer.object(&ordered);
        writer.space();
        writer.text
    }
}

struct Writer<'s> {
    choices: std::iter::Cycle<std::slice::Iter<'s, u8>>,
    text: String,
}

impl Writer<'_> {
    fn choose(&mut self, among: usize) -> usize {
        usize::from(*self.choices.next().unwrap()) % among
    }

    fn space(&mut self) {
        let space = ["", "", " ", "\n", "\t", "\r\n  "][self.choose(6)];
        self.text.push_str(space);
    }

    fn token(&mut self, token: &str) {
        self.space();
        self.text.push_str(token);
        self.space();
    }

    fn object(&mut self, members: &Members) {
        self.token("{");
        for (index, (name, value)) in members.iter().enumerate() {
            if index > 0 {
                self.token(",");
            }
            self.string(name);
            self.token(":");
            self.value(value);
        }
        self.token("}");
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(_) => self.object(&members(value)),
            Value::Array(values) => {
                self.token("[");
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.token(",");
                    }
                    self.value(value);
                }
                self.token("]");
            }
            Value::String(text) => self.string(text),
            other => self.token(&other.to_string()),
        }
    }

    fn string(&mut self, text: &str) {
        if self.choose(4) > 0 {
            return self.token(&Value::from(text).to_string());
        }
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        self.token(&format!("\"{escaped}\""));
    }
}
