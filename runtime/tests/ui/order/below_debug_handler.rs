// `#[debug_handler]` calls the function with the arguments that it sees, so it must see all of them.

use axum::debug_handler;
use service_only::{Verifier, service_only};

#[debug_handler(state = Verifier)]
#[service_only]
async fn list(_: String) {}

fn main() {}
