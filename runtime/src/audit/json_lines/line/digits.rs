//! Formats numbers of a fixed length as text.

/// Writes a UUID in the form of RFC 9562 section 4; the hyphens are already there.
#[inline(always)]
pub(crate) fn put_hyphenated(to: &mut [u8], at: usize, id: u128) {
    let [a, b, c, d] = [id >> 96, id >> 64, id >> 32, id].map(|part| eight(part as u32));
    let ([b, c], [d, e], f) = (halves(b), halves(c), d);
    put(to, at, a);
    put(to, at + 9, b);
    put(to, at + 14, c);
    put(to, at + 19, d);
    put(to, at + 24, e);
    put(to, at + 28, f);
}

/// Copies bytes into place. If the compiler can prove that there is room, it removes the check.
#[inline(always)]
pub(crate) fn put<const N: usize>(to: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = to.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}

const fn halves([a, b, c, d, e, f, g, h]: [u8; 8]) -> [[u8; 4]; 2] {
    [[a, b, c, d], [e, f, g, h]]
}

/// Formats eight hexadecimal digits in parallel.
const fn eight(number: u32) -> [u8; 8] {
    // One half-byte in each byte.
    let mut digits = number as u64;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // A one in each byte that is above nine.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

/// Formats six decimal digits of a number below a million in parallel.
#[inline]
pub(crate) const fn six(number: u32) -> [u8; 6] {
    let (high, low) = (number / 10_000, number % 10_000);
    // A number below a hundred in each of the three 16-bit fields.
    let pairs = high as u64 | ((low / 100) as u64) << 16 | ((low % 100) as u64) << 32;
    // Divide by ten, which is exact for numbers below a hundred.
    let tens = (pairs * 103) >> 10 & 0x000f_000f_000f;
    let ones = pairs - tens * 10;
    let [a, b, c, d, e, f, ..] = (tens | ones << 8 | 0x3030_3030_3030).to_le_bytes();
    [a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_written_as_their_crate_writes_them(id in any::<u128>()) {
            let mut text = *b"00000000-0000-0000-0000-000000000000";
            put_hyphenated(&mut text, 0, id);
            prop_assert_eq!(text.to_vec(), Uuid::from_u128(id).to_string().into_bytes());
        }

        #[test]
        fn six_digits_are_written_with_their_zeros(number in 0..1_000_000_u32) {
            prop_assert_eq!(six(number).to_vec(), format!("{number:06}").into_bytes());
        }
    }
}
