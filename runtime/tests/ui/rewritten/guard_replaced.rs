// Only the handler's own guard will do.

use rewriting::retyped;
use service_only::{public, service_only};

type Guard<P = Other> = service_only::private::Guard<P>;
type Other = service_only::private::Site<7, 7, service_only::private::Text<7>>;

#[service_only]
#[retyped(Guard<>)]
async fn other_guard() {}

#[service_only]
#[retyped(Guard<String>)]
async fn no_site() {}

#[public(reason = "a test")]
#[retyped(Guard<>)]
async fn public_by_a_guard() {}

fn main() {}
