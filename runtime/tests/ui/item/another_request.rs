use service_only::{Denial, service_only};

struct Orders;

#[service_only]
impl Orders {
    async fn list(&self, _: String) -> Result<(), Denial> {
        Ok(())
    }
}

fn main() {}
