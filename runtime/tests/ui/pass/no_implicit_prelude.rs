//! Without the prelude: what is written names everything from the root.

#![no_implicit_prelude]

struct Orders;

#[::service_only::service_only(services("a"), max_age = "1h")]
async fn list() {}

#[::service_only::public(reason = "a")]
async fn healthz() {}

#[::service_only::service_only(roles("admin"))]
fn delete(_: &::service_only::Caller) -> ::core::result::Result<(), ::service_only::Denial> {
    ::core::result::Result::Ok(())
}

#[::service_only::service_only]
impl Orders {
    async fn list() {}

    fn delete(&self, _: &::service_only::claims::ServiceClaims) -> ::core::result::Result<(), ::service_only::Denial> {
        ::core::result::Result::Ok(())
    }

    #[public(reason = "a")]
    fn count(&self) {}
}

fn main() {
    let _ = (list, healthz, Orders::list, Orders::delete);
    Orders.count();
    let _ = delete;
}
