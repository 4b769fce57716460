use service_only::{service_only, service_only as again};

#[service_only(roles("a"))]
#[service_only(roles("b"))]
async fn said_twice() {}

#[service_only]
#[again(roles("b"))]
async fn under_another_name() {}

struct Orders;

#[service_only]
impl Orders {
    #[again(roles("b"))]
    async fn list() {}
}

fn main() {}
