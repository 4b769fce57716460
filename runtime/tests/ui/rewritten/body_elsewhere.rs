// A body without the arguments of its function has no guard.

use rewriting::{body_copied, in_inner_function};
use service_only::service_only;

#[service_only]
#[body_copied]
async fn copied() {}

#[service_only]
#[in_inner_function]
async fn inner() {}

fn main() {}
