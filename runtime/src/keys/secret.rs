//! The encodings of an HMAC secret in a file. The services that verify and the command that
//! mints share one rule, so that a line ending never turns one file into two secrets.

use std::{error::Error, fmt, str::FromStr};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::KeyError;
use crate::denial::quoted;

const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The encoding of an HMAC secret in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretEncoding {
    /// The secret is the whole file, byte for byte. A line ending at the end is a part of the secret.
    #[default]
    Raw,
    /// The secret is the text, without one line ending (LF or CRLF) at the end of the file.
    Utf8,
    /// The secret is the decoded base64url text. White space around the text is dropped.
    Base64url,
}

impl SecretEncoding {
    /// Decodes the secret from the content of a file.
    ///
    /// # Errors
    /// When the content does not have this encoding, or is a key in PEM: a public key as a secret is the confusion of
    /// RFC 8725 section 2.1.
    pub fn decode(self, content: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if content.trim_ascii().starts_with(b"-----BEGIN") {
            return Err(KeyError::unusable("the secret is a key in PEM, and that is not a secret"));
        }
        let copied = |bytes: &[u8]| Ok(Zeroizing::new(bytes.to_vec()));
        match self {
            Self::Raw => copied(content),
            Self::Utf8 if std::str::from_utf8(content).is_err() => {
                Err(KeyError::unusable("the secret is not UTF-8 text"))
            }
            Self::Utf8 => copied(without_line_ending(content)),
            // Trim and decode in one step, so that no copy of the text stays in memory.
            Self::Base64url => BASE64URL
                .decode(content.trim_ascii())
                .map(Zeroizing::new)
                .map_err(|_| KeyError::unusable("the secret is not base64url text")),
        }
    }
}

impl FromStr for SecretEncoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        match name {
            "raw" => Ok(Self::Raw),
            "utf8" => Ok(Self::Utf8),
            "base64url" => Ok(Self::Base64url),
            _ => Err(UnknownEncoding(quoted(name))),
        }
    }
}

/// The error for a name that is not an encoding of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEncoding(String);

impl fmt::Display for UnknownEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an encoding; write `raw`, `utf8` or `base64url`", self.0)
    }
}

impl Error for UnknownEncoding {}

/// A name of a secret that reveals nothing about it: a PRF with the secret as key, cut to 96 bits. A thumbprint would
/// publish a hash of the secret (RFC 7638 section 7).
#[cfg(any(feature = "config", feature = "issue"))]
pub(crate) fn secret_name(secret: &[u8]) -> super::KeyId {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let prf = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&prf, b"service-only kid");
    super::KeyId::new(URL_SAFE_NO_PAD.encode(tag.as_ref().first_chunk::<12>().unwrap_or(&[0; 12])))
}

/// Returns `bytes` without one LF or CRLF at the end.
fn without_line_ending(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: SecretEncoding, content: &[u8]) -> Option<Vec<u8>> {
        encoding.decode(content).ok().map(|secret| secret.to_vec())
    }

    #[test]
    fn base64url_text_may_be_padded_and_end_in_a_line_ending() {
        for text in [&b"_-8"[..], b"_-8=", b"_-8=\n", b"_-8\r\n"] {
            assert_eq!(decode(SecretEncoding::Base64url, text), Some(vec![0xff, 0xef]));
        }
        assert_eq!(decode(SecretEncoding::Base64url, b"/+8="), None);
    }

    #[test]
    fn text_loses_one_line_ending_and_raw_bytes_lose_none() {
        for (content, text) in
            [(&b"ab"[..], "ab"), (b"ab\n", "ab"), (b"ab\r\n", "ab"), (b"ab\n\n", "ab\n"), (b"ab\r", "ab\r")]
        {
            assert_eq!(decode(SecretEncoding::Utf8, content), Some(text.into()));
            assert_eq!(decode(SecretEncoding::Raw, content), Some(content.to_vec()));
        }
        assert_eq!(decode(SecretEncoding::Utf8, b"\xff"), None);
        assert_eq!(decode(SecretEncoding::Raw, b"\xff\n"), Some(b"\xff\n".to_vec()));
    }

    #[test]
    fn key_in_pem_is_not_a_secret() {
        let pem = b"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
        for encoding in [SecretEncoding::Raw, SecretEncoding::Utf8, SecretEncoding::Base64url] {
            assert_eq!(decode(encoding, pem), None);
        }
    }
}
