// The body uses the guard by a name that only its own argument has.

use rewriting::renamed;
use service_only::{public, service_only};

#[service_only]
#[renamed]
async fn handler() {}

#[public(reason = "a test")]
#[renamed]
async fn open() {}

fn main() {}
