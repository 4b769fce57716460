use axum::debug_handler;
use service_only::service_only;

#[derive(Clone)]
struct AppState;

#[service_only]
#[debug_handler(state = AppState)]
async fn list() {}

fn main() {}
