//! The attack over a real connection: what a client library would tidy up arrives as it was meant.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use http::Method;
use service_only::{
    Policy, Verifier,
    clock::{Clock, SystemClock},
    service_only,
};
use service_only_testkit::{Control, Defect, Outcome, TestAuthority, attack_url};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

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
async fn an_open_service_on_a_port_is_found() {
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
async fn an_unreachable_service_proves_nothing() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let report = attack_url(&format!("http://{address}"))
        .as_caller(authority().service("orders"))
        .endpoint(Method::GET, "/stock")
        .report()
        .await;
    assert!(matches!(report.endpoints()[0].control(), Control::Unreachable(_)), "{report}");
    assert!(report.unreachable().is_some());
}

#[test]
#[should_panic(expected = "it must begin with")]
fn a_url_of_another_scheme_fails_the_test() {
    let _ = attack_url("ftp://127.0.0.1");
}

/// Answers each connection with these bytes, whatever it asks.
async fn answering(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.unwrap_or(0) > 0
                {}
                let is_valid = String::from_utf8_lossy(&request).contains("authorization: Bearer eyJ");
                let _ = stream.write_all(if is_valid { OK } else { bytes }.as_bytes()).await;
            });
        }
    });
    address
}

const OK: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn an_interim_response_is_not_the_response() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 401 Unauthorized\r\n\r\n";
    let interim_and_open = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    for (bytes, is_refusal) in [(early, true), (interim_and_open, false)] {
        let attack = attack_url(&format!("http://{}", answering(bytes).await)).named_keys();
        let attack = attack.as_caller(authority().service("orders")).endpoint(Method::GET, "/stock");
        let report = attack.report().await;
        let no_token =
            report.findings().find(|finding| finding.defect() == Defect::NoToken).unwrap().outcome();
        assert_eq!(matches!(no_token, Outcome::Met(status) if *status == 401), is_refusal, "{no_token:?}");
        assert_eq!(matches!(no_token, Outcome::GotIn(_)), !is_refusal, "{no_token:?}");
    }
}

const ORDERS: Policy<'static> = Policy::any_service().services(&["orders"]);

/// A correct service that was written by hand: it answers a good token at its one path with `accepts`, and
/// everything else with `refuses`.
async fn by_hand(verifier: Verifier, accepts: &'static str, refuses: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let verifier = verifier.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.unwrap_or(0) > 0
                {}
                let request = String::from_utf8_lossy(&request).into_owned();
                let mut tokens = request.lines().filter_map(|line| line.strip_prefix("authorization: "));
                let token = match (tokens.next(), tokens.next()) {
                    (Some(value), None) => value.strip_prefix("Bearer ").unwrap_or_default(),
                    _ => "",
                };
                let routed = request.starts_with("GET /stock ") || request.starts_with("GET /stock?");
                let good = routed && verifier.verify_with(token, &ORDERS).is_ok();
                let _ = stream.write_all(if good { accepts } else { refuses }.as_bytes()).await;
                if good && accepts.ends_with("event\n") {
                    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_correct_service_has_no_findings_for_any_form_of_response() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12 loaves";
    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first event\n";
    let cases = [
        (OK, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        ("HTTP/1.0 200 OK\r\n\r\n12 loaves", "HTTP/1.0 403 Forbidden\r\n\r\n"),
        // The connection is closed without a response.
        (OK, ""),
        // Lines end with LF alone, and the reason is missing.
        ("HTTP/1.1 200\nContent-Length: 9\n\n12 loaves", "HTTP/1.1 401\n\n"),
        (STREAM, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n"),
        (OK, "HTTP/1.1 308 Permanent Redirect\r\nLocation: /stock/\r\n\r\n"),
        (OK, "HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n"),
    ];
    for (accepts, refuses) in cases {
        let authority = authority();
        let verifier = authority.verifier_builder().clock(SystemClock).build().unwrap();
        let address = by_hand(verifier, accepts, refuses).await;
        let attack = attack_url(&format!("http://{address}")).as_caller(authority.service("orders"));
        let report = attack.endpoint(Method::GET, "/stock").report().await;
        assert!(report.is_clean(), "{refuses:?}: {report}");
    }
}
