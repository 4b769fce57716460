//! The slots of time in which something happened.

/// The length of a slot of a token, in microseconds: ten minutes.
pub(crate) const SLOT: i64 = 600_000_000;

/// Numbers of slots, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Vec<u32>);

impl Slots {
    #[inline]
    pub(crate) fn add(&mut self, slot: u32) {
        match self.0.last() {
            Some(last) if *last == slot => {}
            Some(last) if *last > slot => {
                if let Err(place) = self.0.binary_search(&slot) {
                    self.0.insert(place, slot);
                }
            }
            _ => self.0.push(slot),
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().copied()
    }

    /// The first slot in which both were active.
    pub(crate) fn first_common(&self, other: &Self, from: u32) -> Option<u32> {
        let (few, many) = if self.0.len() < other.0.len() { (self, other) } else { (other, self) };
        few.iter().filter(|slot| *slot >= from).find(|slot| many.0.binary_search(slot).is_ok())
    }
}
