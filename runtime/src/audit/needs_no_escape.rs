//! Checks whether a text can be written unchanged. A log escapes everything except printable ASCII, and JSON also
//! escapes a quote and a backslash. The check runs on every text of every request, and nearly all texts pass. So it
//! reads the whole text without a branch, eight bytes at a time.

const WORD: usize = 8;

#[inline]
pub(crate) fn needs_no_escape(text: &[u8]) -> bool {
    let marks = match (text.first_chunk::<WORD>(), text.last_chunk::<WORD>()) {
        (Some(_), Some(last)) => {
            // The last word may overlap the one before.
            let (words, _) = text.as_chunks::<WORD>();
            words.iter().fold(marks(*last), |all, word| all | marks(*word))
        }
        _ => marks(padded(text)),
    };
    marks == 0
}

/// Packs a short text into a word and fills the rest of the word with bytes that pass.
#[inline]
fn padded(text: &[u8]) -> [u8; WORD] {
    const S: u8 = b' ';
    match (text, text.first_chunk(), text.last_chunk()) {
        (_, Some(&[a, b, c, d]), Some(&[e, f, g, h])) => [a, b, c, d, e, f, g, h],
        (&[a, b, c], ..) => [a, b, c, S, S, S, S, S],
        (&[a, b], ..) => [a, b, S, S, S, S, S, S],
        (&[a], ..) => [a, S, S, S, S, S, S, S],
        _ => [S; WORD],
    }
}

/// Sets the high bit of each byte that needs an escape. If there is one, bits of its neighbours may be set too.
fn marks(word: [u8; WORD]) -> u64 {
    let word = u64::from_le_bytes(word);
    // Below a space, or above a tilde. A borrow or a carry comes only from bytes that are marked themselves.
    let unprintable = word.wrapping_sub(each(b' ')) | word.wrapping_add(each(1)) | word;
    (unprintable | equal(word, b'"') | equal(word, b'\\')) & each(0x80)
}

/// Marks bytes that equal `byte`: "Determine if a word has a byte equal to n", of the Bit Twiddling Hacks.
fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ each(byte);
    difference.wrapping_sub(each(1)) & !difference
}

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &[u8]) -> bool {
        text.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
    }

    #[test]
    fn each_byte_is_classified_independently_of_its_position() {
        for byte in 0..=u8::MAX {
            for length in 1..40 {
                for at in 0..length {
                    let mut text = vec![b'~'; length];
                    text[at] = byte;
                    assert_eq!(needs_no_escape(&text), naive(&[byte]), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(needs_no_escape(b""));
    }

    proptest! {
        #[test]
        fn adjacent_bytes_do_not_hide_a_byte_to_escape(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(needs_no_escape(&text), naive(&text));
        }

        #[test]
        fn printable_text_does_not_hide_an_adjacent_byte_to_escape(text in "[ !#-\\[\\]-~]{0,40}", byte in any::<u8>(), at in 0..40_usize) {
            let mut text = text.into_bytes();
            prop_assert!(needs_no_escape(&text));
            text.insert(at.min(text.len()), byte);
            prop_assert_eq!(needs_no_escape(&text), naive(&text));
        }
    }
}
