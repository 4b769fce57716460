use service_only::{Denial, service_only};

struct Caller;

#[service_only]
fn delete(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

fn main() {}
