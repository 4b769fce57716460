//! Headers that a thread does not have to parse again. All tokens of one key have the same header, byte for byte.
//!
//! What is kept depends only on the text of the header, so it never becomes invalid, and verifiers can share it. Keys,
//! issuers and expectations are checked for every token. Each thread has its own table, which needs no lock. Only the
//! header of an accepted token is kept, so a caller without a valid token can neither fill the table nor empty it.

use std::{cell::RefCell, hash::BuildHasher as _, rc::Rc};

use foldhash::fast::FixedState;

use super::Header;

/// The number of headers that one thread keeps: enough for the keys of many rotations of every issuer.
const MAX_KNOWN: usize = 64;

/// The maximum length of a kept header, in characters of base64url; common headers have 60 to 150. With
/// [`MAX_KNOWN`], a thread keeps less than 64 KiB.
const MAX_KNOWN_LENGTH: usize = 512;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known::new()) };
}

/// The header with this text, if this thread keeps it.
pub(super) fn known(segment: &str) -> Option<Rc<Header<'static>>> {
    // A thread that is ending has no table.
    KNOWN.try_with(|known| known.try_borrow().ok()?.get(segment)).ok().flatten()
}

/// Keeps the header of an accepted token.
pub(super) fn keep(segment: &str, header: &Header<'_>) {
    let keep = |known: &RefCell<Known>| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.keep(segment, header);
        }
    };
    // Without a table, the next header is parsed.
    let _ = KNOWN.try_with(keep);
}

/// A table with one place for each text. A hash locates the place, and the whole text is compared.
struct Known([Place; MAX_KNOWN]);

struct Place {
    kept: Option<(Box<str>, Rc<Header<'static>>)>,
    /// The hash of the last text that found the place occupied. The text gets the place if it comes twice in
    /// succession. Otherwise thousands of keys in turn would replace each other at every token.
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
        if segment.len() > MAX_KNOWN_LENGTH {
            return;
        }
        let hash = hash(segment);
        let Some(place) = self.0.get_mut(place(hash)) else { return };
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

/// Distributes texts over the table. The hash is not keyed: a caller who finds two headers for one place needs
/// accepted tokens with both, and only causes one of the headers to be parsed each time.
fn hash(segment: &str) -> u64 {
    FixedState::default().hash_one(segment)
}

#[cfg(test)]
mod tests;
