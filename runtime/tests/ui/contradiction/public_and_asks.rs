use service_only::public as opened;
use service_only::{Caller, Denial, public, service_only};

#[public(reason = "a")]
async fn list(_: Caller) {}

struct Orders;

#[service_only]
impl Orders {
    #[public(reason = "a")]
    fn read(&self, _: &Caller) -> Result<(), Denial> {
        Ok(())
    }
}

// Under another name the block does not know it; it sees what the block has written.
struct Aliased;

#[service_only]
impl Aliased {
    #[opened(reason = "a")]
    fn count(_: &Caller) -> Result<(), Denial> {
        Ok(())
    }

    #[opened(reason = "a")]
    async fn health() {}
}

fn main() {}
