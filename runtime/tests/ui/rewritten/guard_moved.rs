// No other extractor may come before the guard.

use rewriting::{reversed, with_first};
use service_only::service_only;

#[service_only]
#[reversed]
async fn moved(_: String) {}

#[service_only]
#[with_first(_: String)]
async fn pushed_back() {}

struct Orders;

#[service_only]
impl Orders {
    #[reversed]
    async fn of_a_block(_: String) {}
}

fn main() {}
