//! Under `#[cfg]` and `#[cfg_attr]`.

use service_only::{Caller, Denial, service_only, routes::endpoints};

#[cfg_attr(all(), service_only)]
async fn guarded() {}

#[service_only]
#[cfg_attr(all(), allow(unused))]
#[cfg(all())]
async fn there(#[cfg(any())] gone: u8, #[cfg(all())] _there: u8) {}

#[service_only]
#[cfg(any())]
async fn gone() {}

struct Orders;

#[service_only]
impl Orders {
    #[cfg(all())]
    fn delete(&self, _: &Caller) -> Result<u8, Denial> {
        Ok(1)
    }

    #[cfg(any())]
    fn delete(&self, _: &Caller) -> Result<u8, Denial> {
        Ok(2)
    }
}

fn main() {
    let _ = (guarded, there, Orders::delete as fn(&_, &_) -> _);
    assert_eq!(endpoints().len(), 3, "{:?}", endpoints());
}
