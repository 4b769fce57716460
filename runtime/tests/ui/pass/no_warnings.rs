//! What is written causes no warning, however strict the crate is.

#![deny(
    warnings,
    missing_docs,
    unused,
    unreachable_pub,
    unused_qualifications,
    single_use_lifetimes,
    unused_lifetimes,
    missing_debug_implementations,
    nonstandard_style,
    rust_2018_idioms,
    future_incompatible,
    let_underscore,
    trivial_casts,
    variant_size_differences
)]

#[path = "../support.rs"]
#[allow(missing_docs, missing_debug_implementations, unreachable_pub)]
mod support;

use service_only::{Caller, Denial, public, service_only};
use support::Request;

#[service_only(services("a"))]
async fn list() {}

#[public(reason = "a")]
async fn healthz() {}

#[service_only]
fn plain(caller: &Caller) -> Result<String, Denial> {
    Ok(caller.service().to_owned())
}

#[derive(Debug)]
struct Orders;

#[service_only]
impl Orders {
    async fn list(&self, mut request: Request<u8>) -> Result<u8, Denial> {
        request.0 += 1;
        Ok(request.0)
    }

    #[public(reason = "a")]
    fn count(&self) -> usize {
        7
    }
}

fn main() {
    let plain: fn(&Caller) -> Result<String, Denial> = plain;
    let _ = (list, healthz, plain, Orders::list, Orders.count());
}
