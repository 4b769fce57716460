//! A token in the form in which it is sent. Nothing here verifies it: the called service does.

use http::HeaderValue;
use serde::Deserialize;
use service_only::{
    __satellite::{decode_text, escaped, is_cut, unverified_payload},
    Denial,
    clock::Timestamp,
};
use zeroize::Zeroizing;

/// A token in the form in which it is sent.
#[derive(Clone)]
pub(crate) struct Sendable {
    pub(crate) authorization: HeaderValue,
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) audiences: Vec<String>,
}

impl Sendable {
    /// Whether the end of the token is missing. The last token is still good, and a part of the next one is not.
    pub(crate) fn is_cut(&self) -> bool {
        let text = self.authorization.to_str().unwrap_or_default();
        text.strip_prefix("Bearer ").is_some_and(is_cut)
    }

    /// Checks that the token names an audience. The callee would refuse it, and every other audience could use it.
    pub(crate) fn check_audience(&self, audience: &str) -> Result<(), String> {
        if self.audiences.iter().any(|own| own == audience) {
            return Ok(());
        }
        let found = match self.audiences.as_slice() {
            [] => "the token has no `aud`".to_owned(),
            several => format!("the token is for `{}`", escaped(&several.join("`, `"), Denial::MAX_QUOTED)),
        };
        Err(format!("{found}, expected `{audience}`"))
    }
}

/// Editors and shells add white space around the token and a byte order mark, so these are ignored. An error
/// message never contains any part of other content: it may be another secret.
pub(crate) fn sendable(bytes: &[u8]) -> Result<Sendable, &'static str> {
    let text = decode_text(bytes).map_err(|_| "it is not text in UTF-8 or UTF-16")?;
    let token = text.trim();
    let payload = unverified_payload(token).ok_or_else(|| what_it_is(token))?;
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut authorization = HeaderValue::from_str(&value).map_err(|_| what_it_is(token))?;
    authorization.set_sensitive(true);
    let Claims { iat, exp, aud } = claims(&payload);
    Ok(Sendable {
        authorization,
        issued_at: iat.map(whole),
        expires_at: exp.map(whole),
        audiences: aud.into(),
    })
}

/// Describes a text that is not a token.
fn what_it_is(text: &str) -> &'static str {
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if text.is_empty() {
        "it is empty"
    } else if begins("bearer ") || begins("authorization:") {
        "it begins like a header; write only the token into the file"
    } else if begins("-----BEGIN ") {
        "it holds a key or a certificate in PEM"
    } else if begins("{") || begins("[") {
        "it holds JSON"
    } else if begins("\"") || begins("'") {
        "it begins with a quotation mark; write only the token into the file"
    } else if text.contains(char::is_whitespace) {
        "it contains white space; write one token, without line breaks, into the file"
    } else if text.split('.').count() != 3 {
        "it does not have three parts, separated by dots"
    } else {
        "its parts are not those of a token: base64url without padding, and JSON"
    }
}

/// What the token claims. No decision of a verifier depends on it.
fn claims(payload: &[u8]) -> Claims {
    serde_json::from_slice(payload).unwrap_or_default()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    iat: Option<f64>,
    exp: Option<f64>,
    aud: Audience,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
    #[default]
    None,
}

impl From<Audience> for Vec<String> {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::One(only) => vec![only],
            Audience::Several(several) => several,
            Audience::None => Self::new(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is near enough for a display")]
fn whole(seconds: f64) -> Timestamp {
    Timestamp::from_unix(seconds.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    // {"alg":"HS256"} . {"exp":7.5} . 0
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjcuNX0.AA";

    #[test]
    fn white_space_and_a_byte_order_mark_around_a_token_are_not_part_of_it() {
        for (before, after) in [
            ("", ""),
            ("", "\n"),
            ("", "\r\n"),
            ("", "\n\n"),
            ("", "\r\n\r\n"),
            ("", " "),
            ("", " \t\n"),
            (" ", ""),
            ("\n", ""),
            ("\u{feff}", ""),
            ("\u{feff}", "\r\n"),
        ] {
            let text = format!("{before}{TOKEN}{after}");
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for bytes in [text.as_bytes(), &utf16] {
                let token = sendable(bytes).unwrap();
                assert_eq!(token.authorization.as_bytes(), format!("Bearer {TOKEN}").as_bytes(), "{text:?}");
                assert!(token.authorization.is_sensitive());
                assert_eq!(token.expires_at, Some(Timestamp::from_unix(7)));
            }
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused_with_what_it_is_and_nothing_of_its_content() {
        for (text, what) in [
            ("", "empty"),
            (" \n", "empty"),
            ("\u{feff}", "empty"),
            ("s3cr3t", "three parts"),
            ("s3cr.3t", "three parts"),
            ("s.3.cr3t", "base64url"),
            ("Bearer s3cr3t", "like a header"),
            ("Authorization: Bearer s3cr3t", "like a header"),
            ("-----BEGIN PRIVATE KEY-----", "PEM"),
            ("{\"token\":\"s3cr3t\"}", "JSON"),
            (&format!("\"{TOKEN}\""), "quotation mark"),
            (&format!("{TOKEN}\n{TOKEN}"), "white space"),
            (&format!("{TOKEN} # s3cr3t"), "white space"),
            (&format!("{TOKEN}="), "base64url"),
            (&format!("{TOKEN}\0"), "base64url"),
        ] {
            let why = sendable(text.as_bytes()).err().unwrap_or_default();
            assert!(why.contains(what) && !why.contains("cr"), "{text:?}: {why}");
        }
        assert_eq!(sendable(&[0xff; 20]).err(), Some("it is not text in UTF-8 or UTF-16"));
    }

    #[test]
    fn times_of_a_token_are_read_in_whole_seconds() {
        // {"iat":-1.5,"exp":7}
        let token = sendable(b"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOi0xLjUsImV4cCI6N30.AA").unwrap();
        assert_eq!(
            [token.issued_at, token.expires_at],
            [-2, 7].map(|second| Some(Timestamp::from_unix(second)))
        );
    }

    #[test]
    fn a_token_without_an_expiry_is_sent() {
        let token = sendable(b"eyJhbGciOiJIUzI1NiJ9.e30.AA").unwrap();
        assert_eq!((token.issued_at, token.expires_at), (None, None));
    }
}
