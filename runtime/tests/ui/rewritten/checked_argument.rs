// The argument that is checked must stay, under its name.

#[path = "../support.rs"]
mod support;

use rewriting::{renamed, without_last_argument};
use service_only::{Caller, Denial, service_only};
use support::Request;

#[service_only]
#[without_last_argument]
async fn dropped(caller: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only]
#[without_last_argument]
async fn dropped_without_a_name(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only]
#[renamed]
async fn renamed(caller: &Caller) -> Result<(), Denial> {
    Ok(())
}

struct Orders;

#[service_only]
impl Orders {
    #[without_last_argument]
    async fn dropped(&self, message: Request<u8>) -> Result<(), Denial> {
        Ok(())
    }

    #[renamed]
    async fn renamed(&self, message: Request<u8>) -> Result<(), Denial> {
        Ok(())
    }

    #[without_last_argument]
    fn given(&self, _: &Caller) -> Result<(), Denial> {
        Ok(())
    }
}

fn main() {}
