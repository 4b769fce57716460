//! Written by macros by example, piece by piece.

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only, routes::endpoints};
use support::Request;

macro_rules! item {
    ($item:item) => {
        #[service_only(roles("item"))]
        $item
    };
}

item! {
    async fn whole() {}
}

item! {
    fn whole_plain(_: &Caller) -> Result<(), Denial> {
        Ok(())
    }
}

macro_rules! pieces {
    ($(#[$meta:meta])* $vis:vis $name:ident($arg:ident: $ty:ty) -> $out:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name($arg: $ty) -> $out $body
    };
}

pieces! {
    #[service_only(roles("pieces"))]
    pub(crate) pieces(caller: &Caller) -> Result<String, Denial> {
        Ok(caller.service().to_owned())
    }
}

macro_rules! block {
    ($ty:ty, $role:literal, $($name:ident),*; $pat:pat_param) => {
        #[service_only(roles($role))]
        impl $ty {
            $(
                async fn $name(&self, $pat: Request<u8>) -> Result<u8, Denial> {
                    Ok(7)
                }
            )*
        }
    };
}

struct Orders;

block!(Orders, "block", first, second; Request(_));

fn main() {
    let _ = (whole, whole_plain as fn(&_) -> _, pieces as fn(&_) -> _, Orders::first, Orders::second);
    let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().function()).collect();
    assert_eq!(names, ["Orders::first", "Orders::second", "pieces", "whole", "whole_plain"]);
}
