use service_only::service_only;

#[service_only(scopes("a"), scopes("b"))]
async fn list() {}

fn main() {}
