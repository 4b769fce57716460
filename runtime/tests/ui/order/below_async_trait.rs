#[path = "../support.rs"]
mod support;

use async_trait::async_trait;
use service_only::{Denial, service_only};
use support::Request;

#[async_trait]
trait Api {
    async fn list(&self, request: Request<u8>) -> Result<u8, Denial>;
}

struct Orders;

#[async_trait]
#[service_only]
impl Api for Orders {
    async fn list(&self, request: Request<u8>) -> Result<u8, Denial> {
        Ok(request.0)
    }
}

fn main() {}
