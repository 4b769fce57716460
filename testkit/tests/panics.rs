//! A failed attack panics at the line of the test, not at a line of the kit. The panic hook belongs to the whole
//! process, so this file has one test.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use axum::{Router, routing::get};
use http::Method;
use service_only_testkit::{Attack, AttackReport, TestAuthority, attack};

fn open() -> Attack {
    let app = Router::new().route("/", get(|| async { "the secret" }));
    attack(app).endpoint(Method::GET, "/")
}

fn with_caller() -> Attack {
    open().as_caller(TestAuthority::new().service("orders"))
}

/// File and line of the panic of `test`.
fn place_of_panic(test: impl FnOnce()) -> (String, u32) {
    let place = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&place);
    set_hook(Box::new(move |panic| {
        let location = panic.location().unwrap();
        *seen.lock().unwrap() = Some((location.file().to_owned(), location.line()));
    }));
    let panicked = catch_unwind(AssertUnwindSafe(test));
    let _ = take_hook();
    assert!(panicked.is_err());
    place.lock().unwrap().take().unwrap()
}

/// Runs an async test without a runtime: an attack in this process never waits for anything else.
fn run(test: impl Future<Output = ()>) {
    let mut test = pin!(test);
    while test.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
}

#[test]
fn panic_names_file_and_line_of_the_test() {
    let here = |line| (file!().to_owned(), line);

    let awaited = place_of_panic(|| run(async { drop(with_caller().run().await) }));
    assert_eq!(awaited, here(line!() - 1));

    let mut report: Option<AttackReport> = None;
    run(async { report = Some(with_caller().report().await) });
    let asserted = place_of_panic(|| report.unwrap().assert_clean());
    assert_eq!(asserted, here(line!() - 1));

    let without_caller = place_of_panic(|| run(async { drop(open().run().await) }));
    assert_eq!(without_caller, here(line!() - 1));
}
