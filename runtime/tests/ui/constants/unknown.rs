use service_only::service_only;

mod names {
    pub const ORDERS: &str = "orders";
}

#[service_only(services(ORDERS))]
async fn not_in_scope() {}

#[service_only(scopes("a", names::READ))]
async fn not_there() {}

fn main() {
    let _ = names::ORDERS;
}
