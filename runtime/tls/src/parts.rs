//! Several texts in one, each with its length: what is read of a set, before it is parsed.

use zeroize::Zeroizing;

/// The bytes that tell the length of a part.
const LENGTH: usize = size_of::<u64>();

/// Joins parts, each with its length.
pub(crate) fn joined(parts: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    // Allocate the full size first: a vector that grows leaves copies of the key in memory.
    let size = parts.iter().map(|part| part.len() + LENGTH).sum();
    let mut all = Zeroizing::new(Vec::with_capacity(size));
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    all
}

/// Splits what `joined` has joined.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        bytes = rest;
        Some(part)
    })
}
