use service_only::service_only;

#[service_only(services("a"), scope("b:c"))]
async fn list() {}

fn main() {
    // One mistake, one message: the item is there.
    let _ = list;
}
