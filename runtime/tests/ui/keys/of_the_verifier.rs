use service_only::service_only;

#[service_only(issuer = "https://id.example")]
async fn list() {}

fn main() {}
