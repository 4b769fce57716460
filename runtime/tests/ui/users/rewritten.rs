// The body of each form depends on its guard.

use rewriting::without_arguments;
use service_only::{callers, users_only};

#[users_only]
#[without_arguments]
async fn users() {}

#[callers(users, services)]
#[without_arguments]
async fn both() {}

struct Tenants;

#[users_only]
impl Tenants {
    #[without_arguments]
    async fn list() {}
}

fn main() {}
