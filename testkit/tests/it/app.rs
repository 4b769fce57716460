//! Requests arrive at the router as they were said, and answers come back whole.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::Bytes,
    extract::Query,
    http::{HeaderMap, Method},
    routing::{any, get, post},
};
use serde_json::{Value, json};
use service_only::service_only;
use service_only_testkit::{TestApp, TestAuthority, assert_allowed, assert_audited, assert_denied, call};

#[service_only]
async fn echo(method: Method, headers: HeaderMap, body: Bytes) -> String {
    let tags: Vec<_> = headers.get_all("x-tag").iter().filter_map(|tag| tag.to_str().ok()).collect();
    format!("{method} {} {}", tags.join("+"), String::from_utf8_lossy(&body))
}

fn app(authority: &TestAuthority) -> TestApp {
    call(Router::new().route("/echo", any(echo)).with_state(authority.verifier())).audit(authority.audit())
}

#[tokio::test]
async fn method_headers_and_body_arrive() {
    let authority = TestAuthority::new();
    let (app, token) = (app(&authority), authority.service("orders").token());
    let requests = [
        (app.get("/echo"), "GET"),
        (app.post("/echo"), "POST"),
        (app.put("/echo"), "PUT"),
        (app.patch("/echo"), "PATCH"),
        (app.delete("/echo"), "DELETE"),
        (app.request(Method::from_bytes(b"PURGE").unwrap(), "/echo"), "PURGE"),
    ];
    for (request, method) in requests {
        let response = request.bearer(&token).header("x-tag", "a").header("x-tag", "b").body("bread").await;
        assert_eq!(response.text(), format!("{method} a+b bread"));
        assert_audited!(authority.audit(), allow, method = method, path = "/echo", route = "/echo");
    }
    let response = app.head("/echo").bearer(&token).await;
    assert_allowed!(response);
    assert_eq!(response.text(), "");
}

#[tokio::test]
async fn two_authorization_headers_are_two() {
    let authority = TestAuthority::new();
    let token = authority.service("orders").token();
    let response = app(&authority).get("/echo").bearer(&token).authorization("Basic YTpi").await;
    assert_denied!(response, 400);
    assert_eq!(response.challenge(), Some(r#"Bearer realm="service", error="invalid_request""#));
    assert_eq!(response.problem()["status"], 400);
    assert_audited!(authority.audit(), deny, code = "invalid_request");
}

#[tokio::test]
async fn header_bytes_need_not_be_text() {
    let authority = TestAuthority::new();
    assert_denied!(app(&authority).get("/echo").authorization(b"Bearer \xff\xfe").await, 400);
}

#[tokio::test]
async fn the_address_of_the_connection_is_recorded() {
    let authority = TestAuthority::new();
    let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    assert_denied!(app(&authority).get("/echo").from_address(address).await, 401);
    assert_audited!(authority.audit(), deny, client_address = "192.0.2.7");
}

#[tokio::test]
async fn json_bodies_are_sent_and_read_and_the_query_is_kept() {
    async fn double(Query(query): Query<Value>, Json(body): Json<i64>) -> Json<Value> {
        Json(json!({"doubled": 2 * body, "query": query}))
    }
    let app = call(Router::new().route("/double", post(double)));
    let response = app.post("/double?unit=loaf").json(&21).send().await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.json::<Value>(), json!({"doubled": 42, "query": {"unit": "loaf"}}));
    assert_eq!(response.headers().len(), 2);
    assert!(!response.bytes().is_empty());
}

#[tokio::test]
async fn a_failing_assertion_shows_request_response_and_audit() {
    let authority = TestAuthority::new();
    let response = app(&authority).get("/echo").bearer(authority.service("orders").expired().token()).await;
    let panic = std::panic::catch_unwind(|| assert_allowed!(response)).unwrap_err();
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    service_only_testkit::snapshot::settings().bind(|| {
        insta::assert_snapshot!(message, @r#"
        expected the caller to be let through

        GET /echo answered 401 Unauthorized
            content-type: application/problem+json
            cache-control: no-store
            www-authenticate: Bearer realm="service", error="invalid_token"
            content-length: 159
            {"type":"urn:service-only:unauthenticated","title":"A valid service token is required","status":401,"instance":"urn:uuid:[uuid]"}

        refused by the stage `claims` with 401 `expired`
          reason    the token expired at [time], and it is [time]
          found     [time]
          expected  later than [time]
          passed    configuration, bearer, token, header, key, signature
          check     `exp` of the token, and the clock of the service
          change    renew the token: `service-token renew`
          risk      a leeway extends every token; it helps against clocks that differ, not against old tokens

        decision  status  code     service   request    endpoint  reason
        deny      401     expired  (orders)  GET /echo  echo      the token expired at [time], and it is [time]
        "#);
    });
}

#[tokio::test]
#[should_panic(expected = "expected a problem document")]
async fn an_ordinary_body_is_not_a_problem_document() {
    let app = call(Router::new().route("/", get(|| async { "bread" })));
    let _ = app.get("/").await.problem();
}

#[test]
#[should_panic(expected = "the path of a request")]
fn a_path_that_no_request_line_could_carry_fails_the_test() {
    let _ = call(Router::new()).get("/with a space");
}

#[test]
#[should_panic(expected = "the value of a header")]
fn a_header_that_http_does_not_allow_fails_the_test() {
    let _ = call(Router::new()).get("/").bearer("two\nlines");
}
