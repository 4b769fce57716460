//! Decodes a file as text, in whichever encoding an editor or a shell wrote it.
//!
//! Windows tools put a byte order mark before UTF-8, and PowerShell's `>` writes UTF-16. Keys and
//! tokens are ASCII, so decoding does not change them.

#![expect(missing_debug_implementations, unnameable_types, reason = "may be a private key or a token")]

use std::{fmt, ops::Deref};

use zeroize::Zeroizing;

/// A decoded text. If it had to be converted, it is zeroed on drop, because it may be a private key or a token.
pub enum Text<'b> {
    /// UTF-8, borrowed without its byte order mark.
    AsItIs(&'b str),
    /// Converted from UTF-16.
    Decoded(Zeroizing<String>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::AsItIs(text) => text,
            Self::Decoded(text) => text,
        }
    }
}

/// Why bytes are not text.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct NotText(&'static str);

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Reads UTF-8 or UTF-16, with or without a byte order mark. The mark is not part of the text.
///
/// # Errors
/// When the bytes are neither UTF-8 nor UTF-16.
pub fn decode(bytes: &[u8]) -> Result<Text<'_>, NotText> {
    match encoding_of(bytes) {
        Encoding::Utf8(rest) => std::str::from_utf8(rest).map(Text::AsItIs).map_err(|_| NotText("not UTF-8")),
        Encoding::Utf16(rest, order) => utf16(rest, order).map(Text::Decoded),
    }
}

enum Encoding<'b> {
    Utf8(&'b [u8]),
    Utf16(&'b [u8], fn([u8; 2]) -> u16),
}

/// Detects the encoding by the byte order mark, or else by the zero byte beside a first ASCII character. Neither
/// JSON, PEM nor a token has a zero byte.
fn encoding_of(bytes: &[u8]) -> Encoding<'_> {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Encoding::Utf8(rest),
        [0xFF, 0xFE, rest @ ..] => Encoding::Utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => Encoding::Utf16(rest, u16::from_be_bytes),
        [1..=0x7F, 0, ..] => Encoding::Utf16(bytes, u16::from_le_bytes),
        [0, 1..=0x7F, ..] => Encoding::Utf16(bytes, u16::from_be_bytes),
        _ => Encoding::Utf8(bytes),
    }
}

fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(NotText("UTF-16 that ends within a character"));
    }
    // Allocate the full size first: a string that grows leaves copies of a secret in memory.
    let mut text = Zeroizing::new(String::with_capacity(pairs.len() * 3));
    for character in char::decode_utf16(pairs.iter().map(|pair| order(*pair))) {
        text.push(character.map_err(|_| NotText("not valid UTF-16"))?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16_of(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some('\u{feff}');
        let text: String = mark.into_iter().chain(text.chars()).collect();
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn the_same_text_is_read_from_every_encoding() {
        for text in ["{}", "a", "-----BEGIN", "{\"ü\":\"😀\"}"] {
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            assert_eq!(&*decode(text.as_bytes()).unwrap(), text);
            assert_eq!(&*decode(&marked).unwrap(), text);
            for mark in [true, false] {
                assert_eq!(&*decode(&utf16_of(text, mark, u16::to_le_bytes)).unwrap(), text);
                assert_eq!(&*decode(&utf16_of(text, mark, u16::to_be_bytes)).unwrap(), text);
            }
        }
        assert_eq!(&*decode(b"").unwrap(), "");
        assert_eq!(&*decode(b"\xff\xfe").unwrap(), "");
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_the_encoding_that_was_tried() {
        for (bytes, says) in [
            (&b"\xff\xfe{"[..], "ends within a character"),
            (b"{\0\0", "ends within a character"),
            (b"\xfe\xff\xd8\x00", "not valid UTF-16"),
            (b"\x30\x82\x01\xff", "not UTF-8"),
            (b"\xef\xbb\xbf\xff", "not UTF-8"),
        ] {
            let why = decode(bytes).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(why.contains(says), "{bytes:?}: {why}");
        }
    }
}
