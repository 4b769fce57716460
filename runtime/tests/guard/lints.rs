//! What the attributes write causes no warning of rustc or clippy. The gate runs clippy on this file.

#![deny(
    warnings,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::let_underscore_untyped,
    clippy::let_underscore_must_use,
    clippy::allow_attributes_without_reason,
    clippy::used_underscore_items
)]
#![allow(clippy::unused_async, reason = "frameworks ask for async functions, and these wait for nothing")]

use axum::{Router, extract::State, routing::get};
use rewriting::{in_async_block, in_closure, wrapped};
use service_only::{Caller, Denial, Verifier, public, service_only};
use service_only_testkit::{TestAuthority, assert_denied, call};

type Extracted = State<Verifier>;

const ORDERS: &str = "orders";

#[service_only]
async fn alone() {}

#[service_only(services(ORDERS), roles("admin"), scopes("orders:read"), max_age = "1h")]
async fn as_many_as_clippy_allows(
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
) {
}

#[public(reason = "a test")]
async fn open_with_as_many_as_clippy_allows(
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
    _: Extracted,
) {
}

#[service_only]
#[wrapped]
#[in_async_block]
#[in_closure]
#[tracing::instrument(skip_all)]
async fn rewritten(_: Extracted) {}

#[service_only]
async fn job(id: u8, caller: &Caller) -> Result<u8, Denial> {
    drop(caller.service().to_owned());
    Ok(id)
}

struct Orders;

#[service_only]
impl Orders {
    async fn of_a_block(_: Extracted) {}

    fn job(&self, _: &Caller) -> Result<usize, Denial> {
        Ok(std::mem::size_of_val(self))
    }
}

#[tokio::test]
async fn handlers_with_as_many_arguments_as_clippy_allows_are_guarded() {
    let authority = TestAuthority::new();
    let router = Router::new()
        .route("/alone", get(alone))
        .route("/many", get(as_many_as_clippy_allows))
        .route("/open", get(open_with_as_many_as_clippy_allows))
        .route("/rewritten", get(rewritten))
        .route("/of_a_block", get(Orders::of_a_block));
    let app = call(router.with_state(authority.verifier())).audit(authority.audit());
    for path in ["/alone", "/many", "/rewritten", "/of_a_block"] {
        assert_denied!(app.get(path).await, 401);
    }
    assert_eq!(app.get("/open").await.status(), 200);
    let caller = authority.service("orders").caller();
    assert_eq!(job(7, &caller).await, Ok(7));
    assert_eq!(Orders.job(&caller), Ok(0));
}

/// `#[instrument]` records every argument whose pattern is a name.
#[tokio::test]
async fn the_guard_is_not_a_field_of_a_span() {
    use std::sync::{Arc, Mutex};
    use tracing::{
        Subscriber,
        field::{Field, Visit},
        span,
        subscriber::with_default,
    };
    use tracing_subscriber::{Layer, layer::Context, prelude::*};

    #[service_only]
    #[tracing::instrument]
    async fn show(id: u8) {
        let _: u8 = id;
    }

    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<Vec<String>>>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, _: &dyn std::fmt::Debug) {
            self.0.lock().expect("no panic").push(field.name().to_owned());
        }
    }

    impl<S: Subscriber> Layer<S> for Fields {
        fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
            attributes.record(&mut self.clone());
        }
    }

    let fields = Fields::default();
    let authority = TestAuthority::new();
    let guard = authority.service("orders").guard();
    let subscriber = tracing_subscriber::registry().with(fields.clone());
    with_default(subscriber, || futures_util::FutureExt::now_or_never(show(guard, 7)));
    assert_eq!(*fields.0.lock().expect("no panic"), ["id"]);
}
