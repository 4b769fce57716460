//! `async fn` of a trait, without a macro.

#![allow(async_fn_in_trait)]

#[path = "../support.rs"]
mod support;

use std::sync::Arc;

use service_only::{Denial, service_only};
use support::Request;

trait Orders {
    async fn list(&self, request: Request<u8>) -> Result<u8, Denial>;
    async fn take(self: Arc<Self>, request: Request<u8>, again: bool) -> Result<u8, Denial>;
}

struct Memory;

#[service_only]
impl Orders for Memory {
    async fn list(&self, mut request: Request<u8>) -> Result<u8, Denial> {
        request.0 += 1;
        Ok(request.0)
    }

    async fn take(self: Arc<Self>, _: Request<u8>, again: bool) -> Result<u8, Denial> {
        Ok(u8::from(again))
    }
}

fn main() {
    let _ = (Memory::list, Memory::take);
}
