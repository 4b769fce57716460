#[path = "../support.rs"]
mod support;

use service_only::service_only;
use support::Request;

struct Orders;

macro_rules! more {
    () => {
        fn more(&self) {}
    };
}

#[service_only]
impl Orders {
    fn new() -> Self {
        Self
    }

    async fn nothing(&self) {}

    fn sync(&self, _: Request<()>) {}

    more!();
}

impl Default for Orders {
    fn default() -> Self {
        Self::new()
    }
}

#[service_only]
impl Clone for Orders {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
