//! The crate under another path.

extern crate service_only as so;

mod platform {
    pub mod auth {
        pub use service_only;
    }
}

use platform::auth::service_only as guarded_by;
use so::{Caller, Denial};

#[so::service_only(crate = so)]
async fn list() {}

#[so::public(reason = "a", crate = crate::platform::auth::service_only)]
async fn healthz() {}

#[guarded_by::service_only(crate = platform::auth::service_only)]
fn delete(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

struct Orders;

#[so::service_only(crate = so)]
impl Orders {
    #[service_only(roles("admin"), crate = crate::platform::auth::service_only)]
    fn delete(&self, _: &Caller) -> Result<(), Denial> {
        Ok(())
    }

    #[public(reason = "a")]
    fn count(&self) {}
}

fn main() {
    let _ = (list, healthz, delete as fn(&_) -> _, Orders::delete as fn(&_, &_) -> _);
    Orders.count();
}
