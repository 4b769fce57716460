//! A guarded block beside one that is not: constructors and helpers of a type stay as they are.

use service_only::{Caller, Denial, service_only};

#[derive(Default)]
struct Orders(Vec<u8>);

impl Orders {
    fn new() -> Self {
        Self::default()
    }

    fn helper(&self) -> usize {
        self.0.len()
    }
}

#[service_only(roles("admin"))]
impl Orders {
    pub const MOST: usize = 7;

    fn count(&self, _: &Caller) -> Result<usize, Denial> {
        Ok(self.helper().min(Self::MOST))
    }

    /// Without `self`, and given a caller: nothing hidden is added.
    fn most(_: &Caller) -> Result<usize, Denial> {
        Ok(Self::MOST)
    }
}

fn main() {
    let _ = (Orders::new(), Orders::count as fn(&_, &_) -> _, Orders::most as fn(&_) -> _);
}
