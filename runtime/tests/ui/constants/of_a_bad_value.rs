use service_only::{Caller, Denial, service_only};

const EMPTY: &str = "";
const TWO_WORDS: &str = "two words";
const ORDERS: &str = "orders";

#[service_only(services(EMPTY))]
async fn no_service() {}

#[service_only(services("billing", TWO_WORDS))]
async fn no_service_name() {}

#[service_only(scopes(TWO_WORDS))]
async fn no_scope() {}

#[service_only(roles(EMPTY))]
fn no_role(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only(services("orders", ORDERS))]
async fn twice() {}

fn main() {}
