use service_only::service_only;

struct Orders;

impl Orders {
    #[service_only]
    async fn list(&self) {}
}

fn main() {
    let _ = Orders.list();
}
