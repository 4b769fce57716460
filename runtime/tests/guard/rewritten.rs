//! Attributes that rewrite a guarded function: whatever they make of it, no caller gets in without a token, and no
//! extractor runs before the guard. What does not compile is in `ui/rewritten`.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::request::Parts,
    routing::get,
};
use rewriting::{
    begins_with, duplicated, in_async_block, in_closure, with_names_bound, wrapped, wrapped_in_reverse,
};
use service_only::{Caller, Denial, Verifier, error::Code, public, service_only};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};

#[service_only]
#[in_async_block]
async fn async_block(Path(id): Path<u8>) -> String {
    id.to_string()
}

#[service_only]
#[in_closure]
async fn closure(Path(id): Path<u8>) -> String {
    id.to_string()
}

#[service_only]
#[wrapped]
async fn wrapped_below(Path(id): Path<u8>, caller: Caller) -> String {
    format!("{id} {}", caller.service())
}

#[wrapped]
#[service_only]
async fn wrapped_above(Path(id): Path<u8>, caller: Caller) -> String {
    format!("{id} {}", caller.service())
}

#[service_only]
#[duplicated]
async fn twice(Path(id): Path<u8>) -> String {
    id.to_string()
}

#[duplicated]
#[service_only]
async fn twice_above(Path(id): Path<u8>) -> String {
    id.to_string()
}

#[service_only]
#[with_names_bound]
async fn names_bound(Path(id): Path<u8>) -> String {
    id.to_string()
}

#[service_only]
#[in_async_block]
#[wrapped]
#[in_closure]
#[tracing::instrument]
async fn many(Path(id): Path<u8>) -> String {
    id.to_string()
}

struct Orders;

impl Orders {
    #[service_only]
    #[in_closure]
    #[tracing::instrument(skip_all)]
    async fn show(Path(id): Path<u8>) -> String {
        id.to_string()
    }
}

#[service_only]
impl Orders {
    #[in_async_block]
    async fn of_a_block(Path(id): Path<u8>) -> String {
        id.to_string()
    }
}

/// Counts how often it was extracted.
struct Early;

static EXTRACTED: AtomicUsize = AtomicUsize::new(0);

impl<S: Sync> FromRequestParts<S> for Early {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        EXTRACTED.fetch_add(1, Ordering::Relaxed);
        Ok(Self)
    }
}

/// The one order that is not caught: an attribute that moves the arguments of a function of its own, around the
/// guarded one, which gets all other attributes.
#[service_only]
#[wrapped_in_reverse]
async fn around_in_reverse(Path(id): Path<u8>, _: Early) -> String {
    id.to_string()
}

#[public(reason = "a test")]
#[in_closure]
async fn open(Path(id): Path<u8>) -> String {
    id.to_string()
}

fn router() -> Router<Verifier> {
    Router::new()
        .route("/async_block/{id}", get(async_block))
        .route("/closure/{id}", get(closure))
        .route("/wrapped_below/{id}", get(wrapped_below))
        .route("/wrapped_above/{id}", get(wrapped_above))
        .route("/twice/{id}", get(twice))
        .route("/twice_again/{id}", get(twice_again))
        .route("/twice_above/{id}", get(twice_above))
        .route("/twice_above_again/{id}", get(twice_above_again))
        .route("/names_bound/{id}", get(names_bound))
        .route("/many/{id}", get(many))
        .route("/show/{id}", get(Orders::show))
        .route("/of_a_block/{id}", get(Orders::of_a_block))
        .route("/around_in_reverse/{id}", get(around_in_reverse))
}

const ROUTES: [&str; 13] = [
    "async_block",
    "closure",
    "wrapped_below",
    "wrapped_above",
    "twice",
    "twice_again",
    "twice_above",
    "twice_above_again",
    "names_bound",
    "many",
    "show",
    "of_a_block",
    "around_in_reverse",
];

#[tokio::test]
async fn a_rewritten_handler_that_compiles_is_guarded() {
    for route in ROUTES {
        let authority = TestAuthority::new();
        let app = call(router().with_state(authority.verifier())).audit(authority.audit());
        assert_denied!(app.get(&format!("/{route}/7")).await, 401);
        assert_eq!(authority.audit().len(), 1, "{route}");
        let token = authority.service("orders").token();
        assert_allowed!(app.get(&format!("/{route}/7")).bearer(token).await);
        assert_eq!(authority.audit().len(), 2, "{route}");
    }
}

/// A path that does not parse would be told to a caller whose path is read first.
#[tokio::test]
async fn no_extractor_of_a_rewritten_handler_runs_before_its_guard() {
    let authority = TestAuthority::new();
    let app = call(router().with_state(authority.verifier())).audit(authority.audit());
    for route in ROUTES.iter().filter(|route| **route != "around_in_reverse") {
        assert_denied!(app.get(&format!("/{route}/garbage")).await, 401);
    }
}

#[tokio::test]
async fn a_guard_that_an_attribute_moved_behind_another_extractor_still_decides() {
    let authority = TestAuthority::new();
    let app = call(router().with_state(authority.verifier())).audit(authority.audit());
    let before = EXTRACTED.load(Ordering::Relaxed);
    assert_denied!(app.get("/around_in_reverse/7").await, 401);
    assert!(EXTRACTED.load(Ordering::Relaxed) > before, "the documented limit");
}

#[tokio::test]
async fn a_rewritten_public_handler_stays_public() {
    let authority = TestAuthority::new();
    let app = call(Router::new().route("/{id}", get(open)).with_state(authority.verifier()));
    assert_eq!(app.get("/7").await.text(), "7");
}

#[service_only(services("orders"))]
#[duplicated]
#[in_closure]
async fn job(id: u8, caller: &Caller) -> Result<u8, Denial> {
    let _ = caller;
    Ok(id)
}

#[service_only(services("orders"))]
#[wrapped]
async fn wrapped_job(id: u8, _: &Caller) -> Result<u8, Denial> {
    Ok(id)
}

/// The attribute gives the body another caller under the same name; that one is checked.
#[service_only(services("orders"))]
#[begins_with(let caller = other;)]
#[allow(unused_variables)]
async fn swapped(caller: &Caller, other: &'static Forwarded) -> Result<u8, Denial> {
    let _ = caller;
    Ok(7)
}

type Forwarded = Caller;

#[tokio::test]
async fn a_rewritten_function_checks_the_caller_that_its_body_sees() {
    let authority = TestAuthority::new();
    let (orders, stranger) = (authority.service("orders").caller(), authority.service("stranger").caller());
    assert_eq!(job(7, &orders).await.unwrap(), 7);
    assert_eq!(job(7, &stranger).await.unwrap_err().code(), Code::ServiceNotAllowed);
    assert_eq!(job_again(7, &stranger).await.unwrap_err().code(), Code::ServiceNotAllowed);
    assert_eq!(wrapped_job(7, &orders).await.unwrap(), 7);
    assert_eq!(wrapped_job(7, &stranger).await.unwrap_err().code(), Code::ServiceNotAllowed);
    let stranger: &'static Caller = Box::leak(Box::new(stranger));
    assert_eq!(swapped(&orders, stranger).await.unwrap_err().code(), Code::ServiceNotAllowed);
}
