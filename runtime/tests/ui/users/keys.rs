use service_only::{callers, users_only};

#[users_only(services("orders"))]
async fn for_users() {}

#[callers(users(roles("manager")))]
async fn one_kind() {}

#[callers(users(roles("manager")), services("orders"), roles("admin"))]
async fn of_neither() {}

#[callers(users(services("orders")), services("orders", max_age = "1h", issuer("a")))]
async fn of_the_other() {}

fn main() {}
