use service_only::service_only;

struct Orders;

#[service_only(services("../orders"))]
impl Orders {
    async fn list() {}
}

fn main() {
    let _ = Orders::list();
}
