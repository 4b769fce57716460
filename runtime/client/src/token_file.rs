//! A file that contains one token.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::HeaderValue;
use serde::Deserialize;
use service_only::{
    __satellite::{Contents, MAX_READ, decode_text, read_regular, unverified_payload},
    Verifier,
    clock::Timestamp,
};
use zeroize::Zeroizing;

/// See [`TokenSource::MAX_FILE_BYTES`](crate::TokenSource::MAX_FILE_BYTES).
pub(crate) const MAX_TOKEN_FILE_BYTES: usize = Verifier::MAX_TOKEN_LENGTH + 2;

pub(crate) struct TokenFile {
    pub(crate) path: PathBuf,
}

/// A token in the form in which it is sent.
pub(crate) struct Sendable {
    pub(crate) authorization: HeaderValue,
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl TokenFile {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn error(&self, kind: TokenFileErrorKind, reason: impl fmt::Display) -> TokenFileError {
        let message = format!("{}: {reason}", self.path.display());
        TokenFileError { kind, message, source: None }
    }
}

impl Contents for TokenFile {
    /// `None` until the file has its first token, if it is written later.
    type Content = Option<Sendable>;
    type Error = TokenFileError;

    const THREAD: &'static str = "token-file";

    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TokenFileError> {
        let bytes = read_regular(&self.path, MAX_TOKEN_FILE_BYTES)
            .map_err(|error| self.error(TokenFileErrorKind::Unreadable, &error).caused_by(error))?;
        if bytes.len() > MAX_TOKEN_FILE_BYTES {
            let reason = format_args!("the file is larger than {MAX_TOKEN_FILE_BYTES} bytes");
            return Err(self.error(TokenFileErrorKind::NotAToken, reason));
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Option<Sendable>, TokenFileError> {
        sendable(bytes).map(Some).map_err(|reason| {
            let reason = format_args!(
                "the file contains no token: {reason}; write one with `service-token generate NAME`"
            );
            self.error(TokenFileErrorKind::NotAToken, reason)
        })
    }

    fn no_thread(&self, error: io::Error) -> TokenFileError {
        let reason = format_args!("no thread can be started: {error}");
        self.error(TokenFileErrorKind::NoThread, reason).caused_by(error)
    }

    fn hangs(&self) -> TokenFileError {
        let reason = format_args!("not read within {MAX_READ:?}: does its file system hang?");
        self.error(TokenFileErrorKind::Timeout, reason)
    }

    fn tell_loaded(&self, token: &Option<Sendable>) {
        let expires_at = token.as_ref().and_then(|token| token.expires_at).map(Timestamp::unix);
        let path = self.path.display();
        tracing::info!(target: "service_only", %path, expires_at, "a token to send is loaded");
    }

    fn tell_refused(&self, error: &TokenFileError) {
        tracing::error!(target: "service_only", %error, "the token file cannot be used, the last token stays in use");
    }
}

/// Editors and shells add white space around the token and a byte order mark, so these are ignored. An error
/// message never contains any part of other content: it may be another secret.
fn sendable(bytes: &[u8]) -> Result<Sendable, &'static str> {
    let text = decode_text(bytes).map_err(|_| "it is not text in UTF-8 or UTF-16")?;
    let token = text.trim();
    let payload = unverified_payload(token).ok_or_else(|| what_it_is(token))?;
    let value = Zeroizing::new(format!("Bearer {token}"));
    let mut authorization = HeaderValue::from_str(&value).map_err(|_| what_it_is(token))?;
    authorization.set_sensitive(true);
    let Times { iat, exp } = times(&payload);
    Ok(Sendable { authorization, issued_at: iat.map(whole), expires_at: exp.map(whole) })
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
        "it contains white space, so it has line breaks or more than a token"
    } else if text.split('.').count() != 3 {
        "it does not have three parts, separated by dots"
    } else {
        "its parts are not those of a token: base64url without padding, and JSON"
    }
}

/// The times that the token claims. No decision depends on them.
fn times(payload: &[u8]) -> Times {
    serde_json::from_slice(payload).unwrap_or_default()
}

#[derive(Default, Deserialize)]
struct Times {
    iat: Option<f64>,
    exp: Option<f64>,
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is near enough for a display")]
fn whole(seconds: f64) -> Timestamp {
    Timestamp::from_unix(seconds.floor() as i64)
}

/// A token file that cannot be used. The message names the file and the problem, and contains nothing of its
/// content.
#[derive(Debug, Clone)]
pub struct TokenFileError {
    kind: TokenFileErrorKind,
    message: String,
    source: Option<Arc<io::Error>>,
}

/// The kinds of [`TokenFileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFileErrorKind {
    /// A setting of the builder cannot be used; nothing was read.
    Configuration,
    /// The file was not read yet. This kind occurs only with a source that was started lazily.
    NotReadYet,
    /// The file does not exist, is not a regular file, or cannot be read. [`Error::source`] is the
    /// [`io::Error`].
    Unreadable,
    /// The read takes too long: the file system may hang.
    Timeout,
    /// The file contains something else than one token.
    NotAToken,
    /// No thread can be started to watch the file. [`Error::source`] is the [`io::Error`].
    NoThread,
}

impl TokenFileError {
    /// The kind of the error.
    pub fn kind(&self) -> TokenFileErrorKind {
        self.kind
    }

    fn caused_by(self, source: io::Error) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }
}

/// Errors are equal if their kinds and their messages are.
impl PartialEq for TokenFileError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message) == (other.kind, &other.message)
    }
}

impl Eq for TokenFileError {}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TokenFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
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
