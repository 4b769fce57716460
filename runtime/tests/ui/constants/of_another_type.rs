use service_only::service_only;

const NUMBER: u32 = 7;
const LIST: &[&str] = &["orders"];

#[service_only(services(NUMBER))]
async fn number() {}

#[service_only(roles(LIST))]
async fn list() {}

fn main() {}
