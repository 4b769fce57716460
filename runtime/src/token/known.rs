//! Headers that need not be read again. The tokens of one key have one header, byte for byte.
//!
//! What is kept is a function of the header's text and of nothing else, so it never goes stale, and
//! verifiers may share it: keys, issuers and expectations are looked at for every token. Each thread has
//! a table of its own, which needs no lock. Only the header of an accepted token is kept, so that a
//! stranger can neither fill the table nor empty it.

use std::{cell::RefCell, rc::Rc};

use super::Header;
use crate::hashed::mix;

/// Headers that one thread keeps: the keys of a rotation of every issuer, many times over.
const MAX_KNOWN: usize = 64;

/// The longest header that is kept, in characters of base64url; common ones have 60 to 150. With
/// [`MAX_KNOWN`], a thread keeps less than 64 KiB.
const MAX_KNOWN_LENGTH: usize = 512;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known::new()) };
}

/// The header of this text, if it was kept.
pub(super) fn known(segment: &str) -> Option<Rc<Header<'static>>> {
    // A thread that ends has no table any more.
    KNOWN.try_with(|known| known.try_borrow().ok()?.get(segment)).ok().flatten()
}

/// Keeps the header of an accepted token.
pub(super) fn keep(segment: &str, header: &Header<'_>) {
    let keep = |known: &RefCell<Known>| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.keep(segment, header);
        }
    };
    // Without a table the next token is read like this one.
    let _ = KNOWN.try_with(keep);
}

/// A table in which each text has one place. The place is found by a hash, the text compared in full.
struct Known([Place; MAX_KNOWN]);

struct Place {
    kept: Option<(Box<str>, Rc<Header<'static>>)>,
    /// The hash of the last text that found the place taken. It gets the place when it comes twice
    /// running, so that thousands of keys in turn do not make the table work for nothing.
    waiting: u64,
}

impl Known {
    const fn new() -> Self {
        Self([const { Place { kept: None, waiting: 0 } }; MAX_KNOWN])
    }

    fn get(&self, segment: &str) -> Option<Rc<Header<'static>>> {
        let (text, header) = self.0.get(place(hash(segment)))?.kept.as_ref()?;
        (**text == *segment).then(|| Rc::clone(header))
    }

    fn keep(&mut self, segment: &str, header: &Header<'_>) {
        let hash = hash(segment);
        let Some(place) = self.0.get_mut(place(hash)) else { return };
        if segment.len() > MAX_KNOWN_LENGTH {
            return;
        }
        if place.kept.is_some() && place.waiting != hash {
            place.waiting = hash;
            return;
        }
        *place = Place { kept: Some((segment.into(), Rc::new(header.to_static()))), waiting: 0 };
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder that fits")]
const fn place(hash: u64) -> usize {
    (hash % MAX_KNOWN as u64) as usize
}

/// Spreads texts over the table, and need not do more: whoever finds two texts for one place has had
/// both accepted, and gains that one of them is read every time.
fn hash(segment: &str) -> u64 {
    let (words, rest) = segment.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(segment.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests;
