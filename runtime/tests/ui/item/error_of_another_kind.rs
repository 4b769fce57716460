use service_only::{Caller, service_only};

#[service_only]
fn delete(_: &Caller) -> Result<(), std::num::ParseIntError> {
    Ok(())
}

fn main() {}
