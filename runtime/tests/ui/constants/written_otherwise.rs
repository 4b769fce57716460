use service_only::service_only;

const ORDERS: &str = "orders";

#[service_only(services(ORDERS, ORDERS))]
async fn twice() {}

#[service_only(services(ORDERS.trim()))]
async fn expression() {}

#[service_only(services(concat!("a", "b")))]
async fn macro_call() {}

#[service_only(max_age = ORDERS)]
async fn age() {}

struct Orders;

impl Orders {
    const NAME: &'static str = "orders";

    #[service_only(services(Self::NAME))]
    async fn list() {}
}

fn main() {
    let _ = Orders::NAME;
}
