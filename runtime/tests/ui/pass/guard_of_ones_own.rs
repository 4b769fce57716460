//! An argument of the user's own type `Guard`, by its path.

use service_only::service_only;

mod locks {
    pub struct Guard<T>(pub T);
}

struct Guard<T>(T);

#[service_only]
async fn first(_: self::Guard<u8>) {}

#[service_only]
async fn second(_: locks::Guard<u8>, guard: Guard<u8>) -> u8 {
    guard.0
}

fn main() {
    let _ = (first, second, locks::Guard(0).0);
}
