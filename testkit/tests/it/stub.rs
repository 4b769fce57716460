//! A client of a guarded service, against a stub of the service.

use std::{
    io::{Read, Write},
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::FutureExt;
use http::Method;
use service_only::Policy;
use service_only_testkit::{
    StubAnswer, StubService, TestAuthority, assert_allowed, assert_audited, assert_denied, call,
};

#[tokio::test]
async fn answers_are_those_of_the_method_and_path() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    stub.on(Method::GET, "/stock/{shelf}", StubAnswer::json(&["bread"]));
    stub.on(Method::POST, "/stock/7", StubAnswer::status(201).header("location", "/stock/7/1"));
    let (client, token) = (call(stub.router()), authority.service("orders").token());

    assert_eq!(client.get("/stock/7?full").bearer(&token).await.json::<Vec<String>>(), ["bread"]);
    let created = client.post("/stock/7").bearer(&token).body("rye").await;
    assert_eq!((created.status().as_u16(), created.header("location")), (201, Some("/stock/7/1")));
    assert_eq!(client.get("/else").bearer(&token).await.status(), 404);

    // The latest answer counts.
    stub.on(Method::GET, "/stock/7", StubAnswer::text("sold out").with_status(409));
    assert_eq!(client.get("/stock/7").bearer(&token).await.text(), "sold out");

    stub.assert_called(4);
    stub.assert_called_at(Method::GET, "/stock/{shelf}", 2);
    let calls = stub.calls();
    assert_eq!((calls[0].path(), calls[0].query()), ("/stock/7", Some("full")));
    assert_eq!((calls[1].method(), calls[1].body()), (&Method::POST, &b"rye"[..]));
    assert_eq!((calls[1].service(), calls[1].status().as_u16()), (Some("orders"), 201));
}

#[tokio::test]
async fn a_caller_is_refused_as_by_the_real_service() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    stub.require(Policy::any_service().services(&["orders"]).scopes(&["stock:read"]));
    let client = call(stub.router()).audit(authority.audit());

    let response = client.get("/stock").await;
    assert_denied!(response, 401);
    assert_eq!(response.problem()["status"], 401);
    assert_audited!(response, deny, code = "missing_token", path = "/stock");
    let response = client.get("/stock").bearer(authority.service("orders").token()).await;
    assert_denied!(response, 403);
    assert!(response.challenge().unwrap().contains(r#"scope="stock:read""#));
    assert_audited!(response, deny, code = "missing_scope");
    let valid = authority.service("orders").scope("stock:read").token();
    assert_eq!(client.get("/stock").bearer(valid).await.status(), 404);
    stub.assert_called(1);
}

#[tokio::test]
async fn a_rotated_key_refuses_the_token_that_the_client_has() {
    let (old, new) = (TestAuthority::new(), TestAuthority::new());
    let stub = StubService::new(&old);
    stub.on(Method::GET, "/stock", StubAnswer::text("12 loaves"));
    let client = call(stub.router());
    assert_allowed!(client.get("/stock").bearer(old.service("orders").token()).await);

    stub.rotate(&new);
    assert_denied!(client.get("/stock").bearer(old.service("orders").token()).await, 401);
    assert_audited!(new.audit(), deny, code = "unknown_key");
    assert_allowed!(client.get("/stock").bearer(new.service("orders").token()).await);
    stub.assert_called(2);
}

#[tokio::test]
async fn failures_are_counted_and_a_refused_call_uses_none() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    stub.on(Method::GET, "/stock", StubAnswer::text("12 loaves"));
    stub.fail(2, 503);
    let (client, token) = (call(stub.router()), authority.service("orders").token());
    assert_denied!(client.get("/stock").await, 401);
    for status in [503, 503, 200] {
        assert_eq!(client.get("/stock").bearer(&token).await.status(), status);
    }
}

#[tokio::test]
async fn a_client_that_gives_up_has_still_called() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    stub.delay(Duration::from_secs(60));
    let client = call(stub.router());
    let request = client.get("/stock").bearer(authority.service("orders").token()).send();
    assert!(request.now_or_never().is_none(), "it waits");
    stub.assert_called(1);
}

#[tokio::test]
async fn a_failed_assertion_lists_the_calls_and_the_reasons_of_refusals() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    let message = |stub: &StubService| {
        let assertion = || stub.assert_called_at(Method::GET, "/stock", 1);
        let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
        *panic.downcast::<String>().unwrap()
    };
    insta::assert_snapshot!(message(&stub), @r"
    expected 1 calls of `GET /stock` with an accepted token, received 0

    it received no call

    the audit has no records
    ");
    let client = call(stub.router());
    let expired = authority.service("orders").expired().token();
    client.get("/stock?full").bearer(&expired).await;
    client.post("/stock").bearer(authority.service("orders").token()).await;
    let said = message(&stub);
    assert!(said.contains("expired") && !said.contains(expired.as_str()), "{said}");
    insta::assert_snapshot!(said.split("decision").next().unwrap(), @r"
    expected 1 calls of `GET /stock` with an accepted token, received 0

    GET /stock?full without an accepted token answered 401 Unauthorized
    POST /stock of `orders` answered 404 Not Found
    ");
    assert!(!format!("{:?}", stub.calls()).contains(expired.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stub_listens_on_a_port_until_it_is_dropped() {
    let authority = TestAuthority::new();
    let stub = StubService::new(&authority);
    stub.on(Method::GET, "/stock", StubAnswer::text("12 loaves"));
    let listener = stub.listen().await;
    let address = listener.url().strip_prefix("http://").unwrap().to_owned();
    let token = authority.service("orders").token();
    let exchange = move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!("Host: stock\r\nAuthorization: Bearer {token}\r\nConnection: close");
        write!(stream, "GET /stock HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    let response = tokio::task::spawn_blocking(exchange).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("12 loaves"), "{response}");
    stub.assert_called_at(Method::GET, "/stock", 1);
}
