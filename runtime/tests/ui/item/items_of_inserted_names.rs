#![allow(non_upper_case_globals)]

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only};
use support::Request;

mod constant {
    use super::*;

    const __service_only_denial: u8 = 0;

    #[service_only]
    fn plain(_: &Caller) -> Result<(), Denial> {
        Ok(())
    }
}

mod others {
    use super::*;

    static __service_only_request: u8 = 0;
    const __service_only_refusal: u8 = 0;

    struct Orders;

    #[service_only]
    impl Orders {
        async fn list(&self, _: Request<u8>) -> Result<(), Denial> {
            Ok(())
        }
    }
}

fn main() {}
