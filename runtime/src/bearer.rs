//! Extracts the one token of a request (RFC 6750 section 2.1), which is the first stage of the pipeline.
//!
//! A token is taken only from the `Authorization` header: not from the query (which
//! ends up in logs), not from the body, not from a cookie.

use crate::denial::{Code, Denial};

/// See [`Verifier::MAX_TOKEN_LENGTH`].
pub(crate) const MAX_TOKEN_LENGTH: usize = 16 * 1024;

/// The maximum length of a header value with a token, in bytes: the longest token, and more room than its scheme and
/// any spaces need. A longer value is refused without reading it.
const MAX_HEADER_LENGTH: usize = MAX_TOKEN_LENGTH + MAX_SCHEME_LENGTH;

/// The position at which a scheme must have ended. The longest registered one has 15 letters.
const MAX_SCHEME_LENGTH: usize = 64;

/// A token of a permitted length, about which nothing else is known yet. Its characters are checked only
/// when it is read: a cached token is compared byte for byte and does not have to be read.
#[derive(Copy, Clone)]
pub(crate) enum BearerToken<'r> {
    /// The bytes of a header.
    Bytes(&'r [u8]),
    /// The bytes of a header with the scheme DPoP (RFC 9449 section 7.1).
    WithProof(&'r [u8]),
    /// The credentials of the scheme WPT: a proof. The token is in another header (draft-ietf-wimse-wpt-02 section 2).
    #[cfg(feature = "experimental-wimse")]
    Wpt(&'r [u8]),
    /// A text that was passed directly.
    Text(&'r str),
}

impl<'r> BearerToken<'r> {
    /// Finds the token in the values of all `Authorization` headers of a request; `None` without such a header. Any header
    /// makes it a request with a token: a wrong one never counts as none.
    pub(crate) fn from_header_values<'v: 'r>(
        mut values: impl Iterator<Item = &'v [u8]>,
    ) -> Result<Option<Self>, Denial> {
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            // With two headers, two readers could use different ones.
            return Err(invalid("the request has more than one `Authorization` header"));
        }
        // The usual spelling.
        let (scheme, rest) = match value.strip_prefix(b"Bearer ") {
            Some(rest) => (Scheme::Bearer, rest),
            None => of_other_case(value)?,
        };
        Ok(Some(match scheme {
            Scheme::Bearer => Self::Bytes(bounded(value, rest)?),
            Scheme::Dpop => Self::WithProof(bounded(value, rest)?),
            // A verifier without a setting for it refuses the scheme, whatever follows.
            #[cfg(feature = "experimental-wimse")]
            Scheme::Wpt => Self::Wpt(rest.trim_ascii_start_spaces()),
        }))
    }

    /// The token of a request with the scheme WPT: the value of its only `Workload-Identity-Token` header
    /// (draft-ietf-wimse-workload-creds-02 section 5.1.1).
    #[cfg(feature = "experimental-wimse")]
    pub(crate) fn from_identity_token(header: OnlyHeader<'r>) -> Result<Self, Denial> {
        match header {
            OnlyHeader::One(token) if token.len() > MAX_TOKEN_LENGTH => Err(too_large(token.len())),
            OnlyHeader::One(token) => Ok(Self::Bytes(token)),
            OnlyHeader::None => Err(Denial::new(
                Code::MissingToken,
                "the request has a proof with the scheme WPT, and no `Workload-Identity-Token` header",
            )),
            OnlyHeader::Several => {
                Err(invalid("the request has more than one `Workload-Identity-Token` header"))
            }
        }
    }

    /// The unchecked bytes. Use them only to compare the token with cached ones.
    pub(crate) fn unread(self) -> &'r [u8] {
        match self {
            Self::Bytes(token) | Self::WithProof(token) => token,
            // It is not a token, and equals none.
            #[cfg(feature = "experimental-wimse")]
            Self::Wpt(_) => &[],
            Self::Text(token) => token.as_bytes(),
        }
    }

    /// Whether the scheme announces a proof.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_with_proof(self) -> bool {
        matches!(self, Self::WithProof(_))
    }

    /// The text of the token, if a header may contain it.
    pub(crate) fn read(self) -> Result<&'r str, Denial> {
        let token = match self {
            Self::Bytes(token) | Self::WithProof(token) => token,
            #[cfg(feature = "experimental-wimse")]
            Self::Wpt(_) => return Err(other_scheme()),
            Self::Text(token) => return Ok(token),
        };
        let text = is_b64token(token).then(|| std::str::from_utf8(token).ok()).flatten();
        text.ok_or_else(|| invalid("the bearer token has characters that RFC 6750 does not allow"))
    }
}

pub(crate) fn missing_token() -> Denial {
    Denial::new(Code::MissingToken, "the request has no `Authorization` header")
}

pub(crate) fn too_large(length: usize) -> Denial {
    Denial::new(Code::TooLarge, format!("the token has {length} bytes, more than {MAX_TOKEN_LENGTH}"))
}

fn invalid(reason: &'static str) -> Denial {
    Denial::new(Code::InvalidRequest, reason)
}

/// How a token is sent (RFC 6750 section 2.1, RFC 9449 section 7.1).
enum Scheme {
    Bearer,
    Dpop,
    #[cfg(feature = "experimental-wimse")]
    Wpt,
}

/// The values of one header.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum OnlyHeader<'r> {
    None,
    One(&'r [u8]),
    Several,
}

impl<'r> OnlyHeader<'r> {
    pub(crate) fn of(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

/// The refusal of a request with another scheme.
pub(crate) fn other_scheme() -> Denial {
    Denial::new(Code::MissingToken, "the `Authorization` header does not use the scheme Bearer")
}

/// The token in `rest`, which follows the scheme in the header `value`.
fn bounded<'r>(value: &[u8], rest: &'r [u8]) -> Result<&'r [u8], Denial> {
    if value.len() > MAX_HEADER_LENGTH {
        return Err(too_large(rest.len()));
    }
    let token = rest.trim_ascii_start_spaces();
    if token.is_empty() {
        return Err(invalid("the `Authorization` header has no token after its scheme"));
    }
    if token.len() > MAX_TOKEN_LENGTH {
        return Err(too_large(token.len()));
    }
    Ok(token)
}

/// The part after the space that follows the scheme, written in any case.
fn of_other_case(value: &[u8]) -> Result<(Scheme, &[u8]), Denial> {
    let Some((scheme, rest)) = split_scheme(value) else {
        return Err(invalid("the `Authorization` header has no token after its scheme"));
    };
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok((Scheme::Bearer, rest));
    }
    if scheme.eq_ignore_ascii_case(b"dpop") {
        return Ok((Scheme::Dpop, rest));
    }
    #[cfg(feature = "experimental-wimse")]
    if scheme.eq_ignore_ascii_case(b"wpt") {
        return Ok((Scheme::Wpt, rest));
    }
    Err(other_scheme())
}

/// Splits `credentials = auth-scheme 1*SP token68` of RFC 9110 section 11.4, without the first space; a scheme alone
/// has no rest.
fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().take(MAX_SCHEME_LENGTH).position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(end)?;
    Some((scheme, rest.strip_prefix(b" ")?))
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    /// Trims spaces only: a tab is not `SP`.
    fn trim_ascii_start_spaces(&self) -> &Self {
        let start = self.iter().position(|&byte| byte != b' ').unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let end = token.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let (body, _padding) = token.split_at_checked(end).unwrap_or_default();
    // Run to the end without a branch, so that the compiler vectorizes the loop: it checks every
    // byte of every request's token.
    let is_body = body.iter().fold(true, |all, &byte| {
        all & matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    });
    !body.is_empty() && is_body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<String, Code> {
        BearerToken::from_header_values(values.iter().map(|value| value.as_bytes()))
            .and_then(|token| token.ok_or_else(missing_token))
            .and_then(|token| token.read().map(str::to_owned))
            .map_err(|denial| denial.code())
    }

    #[test]
    fn a_token_has_the_characters_of_the_rfc_and_no_others() {
        for byte in 0..=u8::MAX {
            let is_allowed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            for at in [0, 15, 16, 40] {
                let mut token = [b'a'; 41];
                token[at] = byte;
                let pads = byte == b'=' && at == 40;
                assert_eq!(is_b64token(&token), is_allowed || pads, "{byte} at {at}");
            }
        }
        assert!(!is_b64token(b"") && !is_b64token(b"=="));
    }

    #[test]
    fn one_bearer_header_contains_the_token() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "Bearer   a.b.c"] {
            assert_eq!(parse(&[value]), Ok("a.b.c".to_owned()), "{value:?}");
        }
        assert_eq!(parse(&["Bearer abc=="]), Ok("abc==".to_owned()));
    }

    #[test]
    fn no_header_and_another_scheme_are_a_missing_token() {
        assert_eq!(parse(&[]), Err(Code::MissingToken));
        for value in ["Basic YTpi", "DPoPX a.b.c", "Token a.b.c", "BearerX a.b.c"] {
            assert_eq!(parse(&[value]), Err(Code::MissingToken), "{value:?}");
        }
    }

    #[test]
    fn the_scheme_announces_a_proof() {
        for (value, with_proof) in
            [("DPoP a.b.c", true), ("dpop  a.b.c", true), ("DPOP a", true), ("Bearer a", false)]
        {
            let token = BearerToken::from_header_values(std::iter::once(value.as_bytes()));
            assert_eq!(token.unwrap().map(BearerToken::is_with_proof), Some(with_proof), "{value}");
        }
        for value in ["DPoP", "DPoP ", "DPoP a b", "DPoP a, DPoP b"] {
            assert_eq!(parse(&[value]), Err(Code::InvalidRequest), "{value}");
        }
        assert_eq!(parse(&["Bearer a.b.c", "DPoP a.b.c"]), Err(Code::InvalidRequest));
    }

    #[cfg(feature = "experimental-wimse")]
    #[test]
    fn credentials_of_the_scheme_wpt_are_never_read_as_a_token() {
        for value in ["WPT a.b.c", "wpt  a.b.c", "Wpt a"] {
            let token = BearerToken::from_header_values(std::iter::once(value.as_bytes())).unwrap().unwrap();
            assert!(matches!(token, BearerToken::Wpt(_)), "{value}");
            assert!(token.unread().is_empty() && !token.is_with_proof(), "{value}");
            assert_eq!(parse(&[value]), Err(Code::MissingToken), "{value}");
        }
        // As without the feature.
        for (value, code) in [
            ("WPT", Code::InvalidRequest),
            ("WPT\ta.b.c", Code::InvalidRequest),
            ("WPT ", Code::MissingToken),
            ("WPTX a.b.c", Code::MissingToken),
        ] {
            assert_eq!(parse(&[value]), Err(code), "{value}");
        }
        assert_eq!(parse(&["WPT a.b.c", "Bearer a.b.c"]), Err(Code::InvalidRequest));
    }

    #[cfg(feature = "experimental-wimse")]
    #[test]
    fn a_workload_identity_token_is_the_value_of_its_only_header() {
        let read = |values: &[&str]| {
            let header = OnlyHeader::of(values.iter().map(|value| value.as_bytes()));
            BearerToken::from_identity_token(header)
                .and_then(|token| token.read().map(str::to_owned))
                .map_err(|denial| denial.code())
        };
        assert_eq!(read(&["a.b.c"]), Ok("a.b.c".to_owned()));
        assert_eq!(read(&[]), Err(Code::MissingToken));
        assert_eq!(read(&["a.b.c", "a.b.c"]), Err(Code::InvalidRequest));
        for malformed in ["", " a.b.c", "a.b.c ", "a.b.c, d.e.f", "Bearer a.b.c"] {
            assert_eq!(read(&[malformed]), Err(Code::InvalidRequest), "{malformed:?}");
        }
        let longest = "a".repeat(MAX_TOKEN_LENGTH);
        assert_eq!(read(&[&longest]), Ok(longest.clone()));
        assert_eq!(read(&[&format!("{longest}a")]), Err(Code::TooLarge));
    }

    #[test]
    fn two_headers_and_malformed_ones_are_an_invalid_request() {
        assert_eq!(parse(&["Bearer a.b.c", "Bearer a.b.c"]), Err(Code::InvalidRequest));
        assert_eq!(parse(&["Basic YTpi", "Bearer a.b.c"]), Err(Code::InvalidRequest));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer    ",
            "Bearer\ta.b.c",
            "a.b.c",
            "Bearer a b",
            "Bearer a.b.c ",
            "Bearer a.b.c, Bearer d.e.f",
            "Bearer \ta",
            "Bearer a.b.c\u{0}",
            "Bearer é",
            "Bearer =",
            "Bearer a=b",
            " Bearer\u{a0}a",
        ] {
            let code = parse(&[value]);
            let expected = if value.starts_with(' ') { Code::MissingToken } else { Code::InvalidRequest };
            assert_eq!(code, Err(expected), "{value:?}");
        }
    }

    #[test]
    fn a_token_of_the_longest_length_passes_and_one_byte_more_does_not() {
        let longest = "a".repeat(MAX_TOKEN_LENGTH);
        assert_eq!(parse(&[&format!("Bearer {longest}")]), Ok(longest.clone()));
        assert_eq!(parse(&[&format!("Bearer {longest}a")]), Err(Code::TooLarge));
    }

    #[test]
    fn a_header_with_more_than_a_token_and_some_spaces_is_too_large_whatever_is_in_it() {
        assert_eq!((MAX_TOKEN_LENGTH, MAX_HEADER_LENGTH), (16_384, 16_448));
        let around = |spaces| format!("Bearer {}a", " ".repeat(spaces));
        let most = MAX_HEADER_LENGTH - "Bearer a".len();
        assert_eq!(parse(&[&around(most)]), Ok("a".to_owned()));
        assert_eq!(parse(&[&around(most + 1)]), Err(Code::TooLarge));
    }

    #[test]
    fn a_scheme_ends_within_sixty_four_bytes_or_is_none() {
        let scheme = |letters| format!("{} a.b.c", "x".repeat(letters));
        assert_eq!(parse(&[&scheme(MAX_SCHEME_LENGTH - 1)]), Err(Code::MissingToken));
        assert_eq!(parse(&[&scheme(MAX_SCHEME_LENGTH)]), Err(Code::InvalidRequest));
    }

    #[test]
    fn eight_kibibytes_work_and_a_hundred_kilobytes_do_not() {
        const { assert!(MAX_TOKEN_LENGTH > 8 * 1024 && MAX_TOKEN_LENGTH < 100_000) };
    }

    #[test]
    fn bytes_that_are_not_ascii_never_panic() {
        for byte in 0..=255_u8 {
            let value = [b"Bearer a".as_slice(), &[byte], b"c"].concat();
            let parsed = BearerToken::from_header_values(std::iter::once(value.as_slice()));
            let parsed = parsed.and_then(|token| token.ok_or_else(missing_token)?.read());
            assert_eq!(parsed.is_ok(), byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte), "{byte}");
        }
    }
}
