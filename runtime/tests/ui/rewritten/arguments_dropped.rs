// An attribute that drops the arguments drops the guard.

use rewriting::{without_arguments, without_first_argument};
use service_only::service_only;

#[service_only]
#[without_arguments]
async fn all() {}

#[service_only]
#[without_first_argument]
async fn first(_: String) {}

struct Orders;

impl Orders {
    #[service_only]
    #[without_arguments]
    async fn method() {}
}

#[service_only]
impl Orders {
    #[without_first_argument]
    async fn of_a_block(_: String) {}
}

fn main() {}
