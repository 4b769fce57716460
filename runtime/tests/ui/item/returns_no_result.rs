#[path = "../support.rs"]
mod support;

use service_only::{Caller, service_only};
use support::Request;

#[service_only]
fn nothing(_: &Caller) {}

#[service_only]
async fn count(_: &Caller) -> u8 {
    7
}

struct Orders;

#[service_only]
impl Orders {
    async fn list(&self, _: Request<()>) -> u8 {
        7
    }
}

fn main() {}
