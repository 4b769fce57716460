//! `#[instrument]` above and below.

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only};
use support::Request;
use tracing::instrument;

#[instrument(skip_all)]
#[service_only]
async fn above() {}

#[service_only]
#[instrument(fields(by = "nobody"))]
async fn below(id: u8) -> u8 {
    id
}

#[instrument(skip(caller), err)]
#[service_only]
async fn plain_above(caller: &Caller) -> Result<(), Denial> {
    let _ = caller;
    Ok(())
}

#[service_only]
#[instrument(skip(caller), err)]
fn plain_below(caller: &Caller) -> Result<(), Denial> {
    let _ = caller;
    Ok(())
}

struct Orders;

#[service_only]
impl Orders {
    #[instrument(skip(self, request), err)]
    async fn list(&self, mut request: Request<u8>) -> Result<u8, Denial> {
        request.0 += 1;
        Ok(request.0)
    }
}

fn main() {
    let _ = (above, below, plain_below as fn(&_) -> _, Orders::list);
    let _ = |caller: &Caller| drop(plain_above(caller));
}
