//! The names that are written into a body are not the body's.

#![allow(non_upper_case_globals)]

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only};
use support::Request;

const given: u8 = 1;
const denial: u8 = 2;
const request: u8 = 3;
const refusal: u8 = 4;
static argument: u8 = 5;

#[service_only]
fn plain(_: &Caller) -> Result<u8, Denial> {
    Ok(given + denial + argument)
}

struct Orders;

#[service_only]
impl Orders {
    async fn list(&self, Request(_): Request<u8>) -> Result<u8, Denial> {
        Ok(request + refusal)
    }
}

fn main() {
    let _ = (plain as fn(&_) -> _, Orders::list);
}
