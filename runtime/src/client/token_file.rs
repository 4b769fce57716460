//! A file with one token in it.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use http::HeaderValue;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    bearer::MAX_TOKEN_LENGTH,
    denial::Denial,
    token::{HeaderRoom, PayloadRoom, Segments, SignatureRoom},
    watched_file::{Contents, read_bounded},
};

/// The largest token file, in bytes: the longest token that a verifier looks at, and a line break.
pub const MAX_TOKEN_FILE_BYTES: usize = MAX_TOKEN_LENGTH + 2;

pub(super) struct TokenFile {
    pub(super) path: PathBuf,
}

/// A token, ready to be sent.
pub(crate) struct Sendable {
    pub(super) authorization: HeaderValue,
    pub(super) issued_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
}

impl TokenFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn error(&self, reason: impl fmt::Display) -> TokenFileError {
        TokenFileError(format!("{}: {reason}", self.path.display()))
    }
}

impl Contents for TokenFile {
    type Content = Sendable;
    type Error = TokenFileError;

    const THREAD: &'static str = "token-file";

    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TokenFileError> {
        let bytes = read_bounded(&self.path, MAX_TOKEN_FILE_BYTES).map_err(|error| self.error(error))?;
        if bytes.len() > MAX_TOKEN_FILE_BYTES {
            return Err(self.error(format!("the file is larger than {MAX_TOKEN_FILE_BYTES} bytes")));
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Sendable, TokenFileError> {
        sendable(bytes).map_err(|reason| self.error(reason))
    }

    fn no_thread(&self, error: &io::Error) -> TokenFileError {
        self.error(format!("no thread can be started: {error}"))
    }

    fn tell_loaded(&self, token: &Sendable) {
        let path = self.path.display();
        tracing::info!(target: "service_only", %path, expires_at = token.expires_at, "a token to send is loaded");
    }

    fn tell_refused(&self, error: &TokenFileError) {
        tracing::error!(target: "service_only", %error, "the token file cannot be used, its last token stays in use");
    }
}

/// What the message says of the file never holds a part of it: it may be another secret.
fn sendable(bytes: &[u8]) -> Result<Sendable, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| NO_TOKEN)?;
    let token = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    let payload = &mut PayloadRoom::new();
    let payload = parts(token, payload).map_err(|_| NO_TOKEN)?;
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut authorization = HeaderValue::from_str(&value).map_err(|_| NO_TOKEN)?;
    authorization.set_sensitive(true);
    let Times { iat, exp } = times(payload);
    Ok(Sendable { authorization, issued_at: iat.map(whole), expires_at: exp.map(whole) })
}

/// The payload of what has the form of a token.
fn parts<'r>(token: &str, room: &'r mut PayloadRoom) -> Result<&'r [u8], Denial> {
    let segments = Segments::split(token)?;
    segments.header(&mut HeaderRoom::new())?;
    segments.signature(&mut SignatureRoom::new())?;
    segments.payload(room)
}

const NO_TOKEN: &str = "the file holds no token; write one into it with `service-token generate NAME`";

/// What the token says of itself. Nothing is decided by it.
fn times(payload: &[u8]) -> Times {
    serde_json::from_slice(payload).unwrap_or_default()
}

#[derive(Default, Deserialize)]
struct Times {
    iat: Option<f64>,
    exp: Option<f64>,
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is near enough for a display")]
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

/// A token file that cannot be used; says which and what is wrong, and nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFileError(String);

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for TokenFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    // {"alg":"HS256"} . {"exp":7.5} . 0
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjcuNX0.AA";

    #[test]
    fn a_token_is_read_with_or_without_a_final_line_break() {
        for end in ["", "\n", "\r\n"] {
            let token = sendable(format!("{TOKEN}{end}").as_bytes()).unwrap();
            assert_eq!(token.authorization.as_bytes(), format!("Bearer {TOKEN}").as_bytes(), "{end:?}");
            assert!(token.authorization.is_sensitive());
            assert_eq!(token.expires_at, Some(7));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_a_word_of_it() {
        let cases = ["", "\n", "secret", "a.b", "a.b.c", "Bearer a", " x", "-----BEGIN PRIVATE KEY-----"];
        let spoiled =
            [format!("{TOKEN}\n\n"), format!(" {TOKEN}"), format!("{TOKEN}\n{TOKEN}"), format!("{TOKEN}=")];
        for text in cases.into_iter().map(str::to_owned).chain(spoiled) {
            assert_eq!(sendable(text.as_bytes()).err(), Some(NO_TOKEN), "{text:?}");
        }
        assert_eq!(sendable(&[0xff; 20]).err(), Some(NO_TOKEN));
    }

    #[test]
    fn the_times_that_a_token_says_are_read_in_whole_seconds() {
        // {"iat":-1.5,"exp":7}
        let token = sendable(b"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOi0xLjUsImV4cCI6N30.AA").unwrap();
        assert_eq!((token.issued_at, token.expires_at), (Some(-2), Some(7)));
    }

    #[test]
    fn a_token_that_does_not_say_when_it_expires_is_sent_all_the_same() {
        let token = sendable(b"eyJhbGciOiJIUzI1NiJ9.e30.AA").unwrap();
        assert_eq!((token.issued_at, token.expires_at), (None, None));
    }
}
