use service_only::service_only;

#[service_only(services(), roles("a b"), scopes(7), max_age = "0s")]
async fn list() {}

fn main() {}
