use service_only::service_only;

#[service_only(roles("admin"))]
async fn delete(id: u8) -> u8 {
    id
}

fn main() {
    let _ = delete(7);
}
