use axum::debug_handler;
use service_only::{Caller, Verifier};

#[debug_handler(state = Verifier)]
async fn list(_: Option<Caller>) {}

fn main() {}
