use service_only::{public, service_only};

#[service_only]
#[public(reason = "a")]
async fn service_first() {}

#[public(reason = "a")]
#[service_only]
async fn public_first() {}

struct Orders;

#[service_only]
impl Orders {
    #[service_only]
    #[public(reason = "a")]
    async fn list() {}
}

fn main() {}
