//! A program with one guarded handler, which tells what a request costs there.

#[path = "../../../common/mod.rs"]
mod common;

mod asked;

#[allow(dead_code, reason = "only one of them is called")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/few.rs"));
}

fn main() {
    asked::answer(handlers::COUNT, axum::routing::get(handlers::area_0::handler_0));
}
