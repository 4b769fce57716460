//! Escapes text from outside, for a sentence or a log.

use std::borrow::Cow;

/// See [`Denial::MAX_QUOTED`].
pub(crate) const MAX_QUOTED: usize = 128;

/// Escapes text from outside for a log line. Printable ASCII stays, every other character becomes `\u{…}`,
/// and the result has at most [`Denial::MAX_QUOTED`] characters.
pub(crate) fn quoted(text: &str) -> String {
    escaped(text, MAX_QUOTED, Backslash::Doubled).into_owned()
}

/// Whether a backslash is part of the text, or the start of an earlier escape.
#[derive(Copy, Clone, PartialEq)]
pub(crate) enum Backslash {
    Doubled,
    Kept,
}

/// Escapes `text` to printable ASCII of at most `longest` characters; a `~` at the end marks a cut.
pub(crate) fn escaped(text: &str, longest: usize, backslash: Backslash) -> Cow<'_, str> {
    if text.len() < longest && is_plain(text, backslash) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().min(longest));
    for character in text.chars() {
        let width = match character {
            '\\' if backslash == Backslash::Doubled => 2,
            ' '..='~' => 1,
            _ => character.escape_unicode().len(),
        };
        // Escaped characters are ASCII, so the number of bytes is the number of characters.
        if escaped.len() + width >= longest {
            escaped.push('~');
            break;
        }
        match character {
            '\\' if backslash == Backslash::Doubled => escaped.push_str("\\\\"),
            ' '..='~' => escaped.push(character),
            _ => escaped.extend(character.escape_unicode()),
        }
    }
    Cow::Owned(escaped)
}

/// Whether no character of `text` needs an escape. The check runs on every text of every record, and nearly
/// all texts pass. So it reads the whole text without a branch, which lets the compiler process blocks of
/// bytes.
fn is_plain(text: &str, backslash: Backslash) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks();
    let mut last = [b' '; BLOCK];
    if let Some(last) = last.get_mut(..rest.len()) {
        last.copy_from_slice(rest);
    }
    blocks
        .iter()
        .fold(is_plain_block(&last, backslash), |plain, block| plain & is_plain_block(block, backslash))
}

const BLOCK: usize = 16;

fn is_plain_block(block: &[u8; BLOCK], backslash: Backslash) -> bool {
    let doubled = backslash == Backslash::Doubled;
    block.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & !(doubled & (*byte == b'\\')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_has_no_control_characters_and_a_bounded_length() {
        assert_eq!(quoted("orders"), "orders");
        assert_eq!(quoted("a\r\nb\u{202e}\\"), "a\\u{d}\\u{a}b\\u{202e}\\\\");
        let long = quoted(&"\n".repeat(1000));
        assert!(long.len() <= MAX_QUOTED && long.ends_with('~'), "{long}");
        assert!(long.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }

    #[test]
    fn a_backslash_is_doubled_unless_it_was_written_by_an_escape() {
        assert_eq!(escaped("a\\\n", 32, Backslash::Doubled), "a\\\\\\u{a}");
        assert_eq!(escaped("a\\\n", 32, Backslash::Kept), "a\\\\u{a}");
        // Whether the backslash fits depends on how it is written.
        assert_eq!(escaped("abc\\d", 5, Backslash::Kept), "abc\\~");
        assert_eq!(escaped("abc\\d", 5, Backslash::Doubled), "abc~");
    }

    #[test]
    fn plain_text_is_not_copied() {
        for backslash in [Backslash::Doubled, Backslash::Kept] {
            assert!(matches!(escaped("plain ~text", 32, backslash), Cow::Borrowed("plain ~text")));
        }
        assert!(matches!(escaped("a\\b", 32, Backslash::Kept), Cow::Borrowed("a\\b")));
    }

    #[test]
    fn text_is_cut_only_where_it_does_not_fit() {
        let fits = "x".repeat(MAX_QUOTED - 1);
        assert_eq!(quoted(&fits), fits);
        let escapes = "\\".repeat(10);
        assert_eq!(quoted(&escapes), escapes.repeat(2));
        assert_eq!(quoted("a\\b c~\n"), "a\\\\b c~\\u{a}");
        // The mark of the cut is the last character.
        let cut = quoted(&"x".repeat(MAX_QUOTED));
        assert_eq!(cut, format!("{}~", "x".repeat(MAX_QUOTED - 1)));
        let wide = quoted(&"\\".repeat(MAX_QUOTED));
        assert_eq!(wide, format!("{}~", "\\".repeat(MAX_QUOTED - 2)));
    }
}
