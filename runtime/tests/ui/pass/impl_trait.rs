//! `impl Trait` as an argument and as the return type.

use axum::{Router, response::IntoResponse, routing::get};
use service_only::{Caller, Denial, Verifier, service_only};

#[service_only]
async fn list() -> impl IntoResponse {
    ([("x-a", "b")], "orders")
}

#[service_only]
fn sync() -> impl Future<Output = impl IntoResponse> + Send {
    async { "orders" }
}

#[service_only]
fn filtered<'a>(
    names: &'a [String],
    caller: &Caller,
    is: impl Fn(&str) -> bool + 'a,
) -> Result<impl Iterator<Item = &'a String>, Denial> {
    let _ = caller;
    let is: Box<dyn Fn(&str) -> bool> = Box::new(is);
    Ok(names.iter().filter(move |name| is(name)).collect::<Vec<_>>().into_iter())
}

fn main() {
    let _: fn(Verifier) -> Router = |verifier| Router::new().route("/", get(list).post(sync)).with_state(verifier);
    let _ = |names: &[String], caller: &Caller| filtered(names, caller, |_| true).map(Iterator::count);
}
