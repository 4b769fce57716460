use service_only::service_only;

#[service_only]
struct Orders;

fn main() {
    let _ = Orders;
}
