//! A model of the verdict on a payload whose signature is good, as the contract says it and as
//! simply as it can be written: no types, no stages, no codes.

use serde_json::Value;

use super::signing::NOW;

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Accept(String),
    Refuse(u16),
}

pub(crate) fn verdict(claims: &Value, audience: Option<&str>, leeway: i64) -> Verdict {
    let named = claims.get("jti").is_none_or(Value::is_string);
    if !(named && has_issuer(claims) && has_audience(claims, audience) && is_in_time(claims, leeway)) {
        return Verdict::Refuse(401);
    }
    if claims.get("cnf").is_some() {
        return Verdict::Refuse(401);
    }
    let sub = claims.get("sub");
    match claims.get("type").and_then(Value::as_str) {
        Some("service") if claims.get("is_service") == Some(&Value::from(true)) => {}
        Some("access") if sub.is_some_and(|sub| !sub.is_string()) => return Verdict::Refuse(401),
        _ => return Verdict::Refuse(403),
    }
    match claims.get("service").and_then(Value::as_str) {
        Some(service) if is_service_name(service) && sub == Some(&Value::from(service)) => {
            Verdict::Accept(service.to_owned())
        }
        _ => Verdict::Refuse(401),
    }
}

fn has_issuer(claims: &Value) -> bool {
    claims.get("iss") == Some(&Value::from("bakery-auth"))
}

fn has_audience(claims: &Value, expected: Option<&str>) -> bool {
    match (claims.get("aud"), expected) {
        (None, None) => true,
        (Some(Value::String(aud)), Some(expected)) => aud == expected,
        (Some(Value::Array(aud)), Some(expected)) => {
            aud.iter().all(Value::is_string) && aud.iter().any(|aud| aud == expected)
        }
        _ => false,
    }
}

fn is_in_time(claims: &Value, leeway: i64) -> bool {
    let (now, leeway) = (NOW.unix() as f64, leeway as f64);
    let absent_or = |name: &str, good: &dyn Fn(f64) -> bool| match claims.get(name) {
        None => true,
        Some(value) => value.as_f64().is_some_and(good),
    };
    claims.get("exp").is_some()
        && absent_or("exp", &|exp| now < exp.floor() + leeway)
        && absent_or("nbf", &|nbf| now + leeway >= nbf.ceil())
        && absent_or("iat", &|_| true)
}

fn is_service_name(name: &str) -> bool {
    let inner = name.trim_matches(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let ends = [name.chars().next(), name.chars().last()];
    inner.is_empty()
        && name.len() <= 253
        && ends.iter().all(|end| end.is_some_and(|c| c.is_ascii_alphanumeric()))
}
