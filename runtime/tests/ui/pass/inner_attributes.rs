//! Inner attributes of bodies and blocks stay first.

#![deny(unused)]

use service_only::{Caller, Denial, service_only};

#[service_only]
fn plain(caller: &Caller) -> Result<(), Denial> {
    #![allow(unused_variables)]
    #![allow(unused_mut)]
    let mut unused = caller;
    Ok(())
}

struct Orders;

#[service_only]
impl Orders {
    #![allow(unused_variables)]

    fn list(&self, caller: &Caller) -> Result<(), Denial> {
        Ok(())
    }

    #[public(reason = "a")]
    fn count(&self) -> u8 {
        #![allow(unused_mut)]
        let mut count = 7;
        count
    }
}

fn main() {
    let _ = (plain as fn(&_) -> _, Orders::list as fn(&_, &_) -> _, Orders.count());
}
