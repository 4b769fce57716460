//! The attack over a real connection: what a client library would tidy up arrives as it was meant.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use axum::{Router, routing::get};
use http::Method;
use service_only::{Clock, SystemClock, service_only};
use service_only_testkit::{Control, Outcome, TestAuthority, attack_url};
use tokio::net::TcpListener;

#[service_only(services("orders"))]
async fn stock() -> &'static str {
    "12 loaves"
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A service of today, by the system's clock.
fn authority() -> TestAuthority {
    let authority = TestAuthority::new();
    authority.clock().set(SystemClock.now());
    authority
}

#[tokio::test]
async fn a_guarded_service_on_a_port_is_clean() {
    let authority = authority();
    let verifier = authority.verifier_builder().clock(SystemClock).build().unwrap();
    let address = serve(Router::new().route("/stock", get(stock)).with_state(verifier)).await;
    let report = attack_url(&format!("http://{address}"))
        .as_caller(authority.service("orders"))
        .endpoint(Method::GET, "/stock")
        .run()
        .await;
    assert!(report.requests() > 250, "{report}");
}

#[tokio::test]
async fn an_open_service_on_a_port_is_caught() {
    let address = serve(Router::new().route("/stock", get(|| async { "12 loaves" }))).await;
    let report = attack_url(&format!("http://{address}"))
        .as_caller(authority().service("orders"))
        .endpoint(Method::GET, "/stock")
        .report()
        .await;
    assert!(report.got_in().count() > 200, "{report}");
    assert!(report.findings().all(|finding| !matches!(finding.outcome(), Outcome::Broke(_))), "{report}");
}

#[tokio::test]
async fn nobody_at_home_proves_nothing() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let report = attack_url(&format!("http://{address}"))
        .as_caller(authority().service("orders"))
        .endpoint(Method::GET, "/stock")
        .report()
        .await;
    assert!(matches!(report.endpoints()[0].control(), Control::ProvesNothing(_)), "{report}");
}

#[test]
#[should_panic(expected = "for TLS, attack through a tunnel")]
fn a_url_of_another_scheme_fails_the_test() {
    let _ = attack_url("https://127.0.0.1");
}
