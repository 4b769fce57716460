//! Numbers of a fixed length as text.

/// As RFC 9562 section 4 writes a UUID.
pub(super) fn hyphenated(id: u128) -> [u8; 36] {
    let digits = hexadecimal(id);
    let mut text = [b'-'; 36];
    let groups = [(0, 0, 8), (8, 9, 4), (12, 14, 4), (16, 19, 4), (20, 24, 12)];
    for (from, to, length) in groups {
        if let (Some(to), Some(from)) = (text.get_mut(to..to + length), digits.get(from..from + length)) {
            to.copy_from_slice(from);
        }
    }
    text
}

/// The high half of each byte, then the low one; without a branch or a table, so that a compiler takes many at once.
fn hexadecimal(id: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (digits, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(id.to_be_bytes()) {
        *digits = [digit(byte >> 4), digit(byte & 0xf)];
    }
    digits
}

const fn digit(value: u8) -> u8 {
    value + if value < 10 { b'0' } else { b'a' - 10 }
}

/// The last six decimal digits.
pub(super) fn six(number: u32) -> [u8; 6] {
    let [a, b, c] = [number / 10_000 % 100, number / 100 % 100, number % 100].map(two);
    let ([a, b], [c, d], [e, f]) = (a, b, c);
    [a, b, c, d, e, f]
}

/// For what is below a hundred.
const fn two(number: u32) -> [u8; 2] {
    // No digit is above nine.
    let [tens, ones] = [(number / 10) as u8, (number % 10) as u8];
    [b'0' + tens, b'0' + ones]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_written_as_their_crate_writes_them(id in any::<u128>()) {
            let expected = Uuid::from_u128(id).hyphenated().to_string();
            prop_assert_eq!(hyphenated(id).to_vec(), expected.into_bytes());
        }

        #[test]
        fn six_digits_are_written_with_their_zeros(number in 0..1_000_000_u32) {
            prop_assert_eq!(six(number).to_vec(), format!("{number:06}").into_bytes());
        }
    }
}
