//! Strangers find the door that is open among those that are closed, and nothing else.

use axum::{
    Json, Router,
    http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION},
    middleware::from_fn,
    response::IntoResponse,
    routing::{any, delete, get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{
    ClosedRouter, Policy, closed, public,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{Strangers, TestAuthority, assert_guarded};

#[service_only(services("orders"), roles("clerk"), scopes("stock:read"), max_age = "1h")]
async fn stock() {}

#[service_only]
async fn delete_tenant() {}

#[public(reason = "load balancers have no token")]
async fn healthz() {}

async fn forgotten() {}

fn guarded() -> Router {
    Router::new()
        .route("/stock", get(stock))
        .route("/tenants/{id}", delete(delete_tenant))
        .route("/any", any(stock))
        .with_state(TestAuthority::new().verifier())
}

const ROUTES: [(&str, &str); 3] = [("GET", "/stock"), ("DELETE", "/tenants/{id}"), ("*", "/any")];

/// The message that a failing assertion gives.
async fn failure(assertion: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(assertion).await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    let (message, place) = message.split_once("\nasked for at ").unwrap();
    assert!(place.contains("strangers.rs:"), "{place}");
    message.to_owned()
}

#[tokio::test]
async fn a_guarded_app_passes() {
    Strangers::at(guarded()).routes(ROUTES).not_found_fails().assert_refused().await;
}

#[tokio::test]
async fn an_unguarded_handler_among_guarded_ones_is_found() {
    let app = guarded().route("/prices", get(forgotten)).route("/orders/{id}", post(async |_: Json<u8>| {}));
    let strangers = Strangers::at(app).routes(ROUTES).routes([("GET", "/prices"), ("POST", "/orders/{id}")]);
    insta::assert_snapshot!(failure(strangers.assert_refused()).await, @r"
    3 of 12 routes let strangers in

    put `#[service_only(..)]` above the handler, or list the route as public:
        GET /prices
            200 OK for no token, garbage, a token signed with another key
        HEAD /prices
            200 OK for no token, garbage, a token signed with another key
        POST /orders/{id}
            415 Unsupported Media Type at /orders/1 for no token, garbage, a token signed with another key (the request is read before the caller is known)
    ");
}

#[tokio::test]
async fn a_handler_that_checks_only_the_presence_of_a_token_is_found() {
    async fn present(headers: HeaderMap) -> StatusCode {
        let bearer = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"Bearer "));
        if bearer { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    }
    let app = guarded().route("/present", any(present));
    insta::assert_snapshot!(Strangers::at(app).routes([("GET", "/present")]).findings().await, @r"
    2 of 2 routes let strangers in

    put `#[service_only(..)]` above the handler, or list the route as public:
        GET /present
            200 OK for garbage, a token signed with another key
        HEAD /present
            200 OK for garbage, a token signed with another key
    ");
}

/// Reads the claims, and forgets to check the signature.
async fn trusting(headers: HeaderMap) -> StatusCode {
    let claims = || {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<serde_json::Value>(&claims).ok()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let admitted = |claims: &serde_json::Value| {
        claims["service"] == "orders"
            && claims["role"] == "clerk"
            && claims["scope"] == "stock:read"
            && claims["exp"].as_u64().is_some_and(|exp| exp > now)
    };
    if claims().is_some_and(|claims| admitted(&claims)) { StatusCode::OK } else { StatusCode::FORBIDDEN }
}

#[tokio::test]
async fn a_handler_that_checks_claims_and_no_signature_is_found_by_a_table() {
    const POLICY: Policy<'static> =
        Policy::any_service().services(&["orders"]).roles(&["clerk"]).scopes(&["stock:read"]);
    let table = RouteTable::new("stock").route(Route::new(["GET"], "/trusting", Access::from(&POLICY)));
    let app: Router = Router::new().route("/trusting", get(trusting));
    insta::assert_snapshot!(Strangers::at(app).table(&table).findings().await, @r"
    2 of 2 routes let strangers in

    put `#[service_only(..)]` above the handler, or list the route as public:
        GET /trusting
            200 OK for a token signed with another key
        HEAD /trusting
            200 OK for a token signed with another key
    ");
}

#[tokio::test]
async fn public_routes_are_excluded_by_path_or_by_method_and_path() {
    let app = || guarded().route("/menu", get(forgotten).put(forgotten));
    let strangers = || Strangers::at(app()).routes([("GET", "/menu"), ("PUT", "/menu")]);
    assert!(strangers().public("/menu").findings().await.is_empty());
    let text = strangers().public("GET /menu").findings().await.to_string();
    assert!(text.contains("PUT /menu") && !text.contains("GET /menu"), "{text}");
}

#[tokio::test]
async fn an_exception_without_a_route_fails() {
    let strangers = Strangers::at(guarded()).routes(ROUTES).public("/health").public("POST /stock");
    insta::assert_snapshot!(failure(strangers.assert_refused()).await, @r"
    0 of 9 routes let strangers in

    listed as public, and not among the routes: take it off the list
        /health
        POST /stock
    ");
}

#[tokio::test]
async fn an_exception_from_a_route_that_a_table_guards_fails() {
    let router = ClosedRouter::new().route("/stock", closed::get(stock));
    let router = router.with_state(TestAuthority::new().verifier());
    let table = router.routes("stock");
    insta::assert_snapshot!(Strangers::at(router).table(&table).public("/stock").findings().await, @r"
    0 of 0 routes let strangers in

    listed as public, and guarded: take it off the list
        /stock
    ");
}

#[tokio::test]
async fn a_list_without_routes_fails() {
    insta::assert_snapshot!(failure(Strangers::at(guarded()).assert_refused()).await, @r"
    no route was listed, so none was called
    ");
}

#[tokio::test]
async fn a_path_that_is_not_routed_passes_unless_it_may_not() {
    let strangers = || Strangers::at(guarded()).routes(ROUTES).routes([("GET", "/nothing")]);
    strangers().assert_refused().await;
    insta::assert_snapshot!(strangers().not_found_fails().findings().await, @r"
    0 of 11 routes let strangers in

    answers 404: is it routed?
        GET /nothing
    ");
}

#[tokio::test]
async fn an_unrouted_method_and_a_failure_are_not_refusals() {
    let broken = guarded().route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let strangers = Strangers::at(broken).routes([("PUT", "/stock"), ("GET", "/broken")]);
    insta::assert_snapshot!(strangers.findings().await, @r"
    3 of 3 routes let strangers in

    put `#[service_only(..)]` above the handler, or list the route as public:
        PUT /stock
            405 Method Not Allowed for no token, garbage, a token signed with another key (is the method routed?)
        GET /broken
            500 Internal Server Error for no token, garbage, a token signed with another key (a refusal is 401, not a failure)
        HEAD /broken
            500 Internal Server Error for no token, garbage, a token signed with another key (a refusal is 401, not a failure)
    ");
}

#[tokio::test]
async fn head_that_comes_with_get_need_not_be_routed_and_is_tried_where_it_is() {
    let answers = |head| {
        move |request: Request<()>| {
            let is_head = request.method() == "HEAD";
            std::future::ready(if is_head { head } else { StatusCode::UNAUTHORIZED })
        }
    };
    for (head, passes) in [(401, true), (404, true), (405, true), (200, false)] {
        let head = StatusCode::from_u16(head).unwrap();
        let strangers = || Strangers::calling(answers(head)).not_found_fails();
        assert_eq!(strangers().routes([("GET", "/stock")]).findings().await.is_empty(), passes, "{head}");
        let listed = strangers().routes([("GET", "/stock"), ("HEAD", "/stock")]);
        assert_eq!(listed.findings().await.is_empty(), head == 401, "{head}");
    }
}

#[tokio::test]
async fn a_route_is_open_if_one_filling_opens_it() {
    use axum::extract::Path;

    async fn by_number(id: Result<Path<(u32, u32)>, axum::extract::rejection::PathRejection>) -> StatusCode {
        if id.is_ok() { StatusCode::OK } else { StatusCode::NOT_FOUND }
    }
    let app = || Router::<()>::new().route("/{region}/{id}", get(by_number));
    let strangers = || Strangers::at(app()).routes([("GET", "/{region}/{id}")]).parameter("region", "7");
    assert!(!strangers().findings().await.is_empty());
    assert!(!strangers().fill_with(["x", "2"]).findings().await.is_empty());
    assert!(strangers().fill_with(["x"]).findings().await.is_empty());
}

#[tokio::test]
async fn each_route_is_called_by_three_strangers_with_each_method_and_filling() {
    let called = std::cell::RefCell::new(Vec::new());
    let app = async |request: Request<()>| {
        called.borrow_mut().push(format!("{} {}", request.method(), request.uri()));
        StatusCode::UNAUTHORIZED
    };
    let routes = [("*", "/a"), ("PURGE", "/a"), ("POST", "/a"), ("DELETE", "/b/{id}")];
    assert!(Strangers::calling(app).routes(routes).findings().await.is_empty());
    let called = called.into_inner();
    let mut doors: Vec<_> = called.chunks(3).map(|three| three[0].as_str()).collect();
    assert!(called.chunks(3).all(|three| three.iter().all(|call| call == &three[0])));
    doors.sort_unstable();
    let uuid = "DELETE /b/00000000-0000-0000-0000-000000000000";
    let expected =
        ["DELETE /a", uuid, "DELETE /b/1", "GET /a", "HEAD /a", "PATCH /a", "POST /a", "PURGE /a", "PUT /a"];
    assert_eq!(doors, expected);
}

#[tokio::test]
async fn all_routes_of_a_closed_router_are_called() {
    let router = || {
        ClosedRouter::new()
            .route("/", closed::get(healthz).post(stock))
            .nest("/tenants", ClosedRouter::new().route("/{id}", closed::any(delete_tenant)))
            .route("/{anything}", closed::get(healthz))
            .fallback(stock)
            .with_state(TestAuthority::new().verifier())
    };
    assert_guarded(router()).await;

    async fn cached() -> &'static str {
        "from the cache"
    }
    let leaky =
        router().layer(from_fn(async |_: axum::extract::Request, _: axum::middleware::Next| cached().await));
    let report = failure(assert_guarded(leaky)).await;
    assert!(report.starts_with("13 of 13 routes let strangers in"), "{report}");
}

/// Header and claims of the bearer token, unverified.
fn unverified(headers: &HeaderMap) -> Option<(serde_json::Value, serde_json::Value)> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let mut segments = token.split('.');
    let mut json = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segments.next()?).ok()?).ok();
    Some((json()?, json()?))
}

/// Compares one member with that of a good token, and checks no signature.
type Compares = fn(&TestAuthority, &serde_json::Value, &serde_json::Value) -> bool;

const COMPARING: [(&str, Compares); 8] = [
    ("iss", |_, _, claims| claims["iss"] == "bakery-auth"),
    ("aud", |_, _, claims| claims["aud"] == "stock"),
    ("kid", |authority, header, _| header["kid"] == authority.kid()),
    ("alg", |authority, header, _| header["alg"] == authority.key().algorithm().as_str()),
    ("typ", |_, header, _| header["typ"] == "service+jwt"),
    ("service", |_, _, claims| claims["service"] == "orders" && claims["sub"] == "orders"),
    ("role", |_, _, claims| claims["role"] == "clerk"),
    ("exp", |authority, _, claims| {
        let now = service_only::clock::Clock::now(authority.clock()).unix();
        claims["exp"].as_i64().is_some_and(|exp| now < exp && exp < now + 86_400)
    }),
];

#[tokio::test]
async fn a_handler_that_compares_one_member_and_checks_no_signature_is_found() {
    const POLICY: Policy<'static> = Policy::any_service().services(&["orders"]).roles(&["clerk"]);
    for (member, compares) in COMPARING {
        let authority =
            TestAuthority::with(service_only::Algorithm::EdDSA).issuer("bakery-auth").audience("stock");
        let own = authority.clone();
        let careless = move |headers: HeaderMap| async move {
            let admitted =
                unverified(&headers).is_some_and(|(header, claims)| compares(&own, &header, &claims));
            if admitted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
        };
        let app = Router::new().route("/stock", get(stock)).route("/careless", get(careless));
        let app = app.with_state(authority.verifier());

        let table = RouteTable::new("stock").route(Route::new(["GET"], "/careless", Access::from(&POLICY)));
        let by_table = Strangers::at(app.clone()).table(&table).findings().await.to_string();
        assert!(by_table.contains("200 OK for a token signed with another key"), "{member}: {by_table}");

        let caller = authority.strict_service("orders").role("clerk");
        let by_caller = Strangers::at(app).as_caller(caller).routes([("GET", "/careless")]);
        assert!(!by_caller.findings().await.is_empty(), "{member}");
    }
}

#[tokio::test]
async fn a_layer_before_a_closed_router_that_compares_the_kid_alone_is_found() {
    let authority = TestAuthority::new().audience("stock");
    let kid = authority.kid().to_owned();
    let router = ClosedRouter::new().route("/stock", closed::get(stock)).with_state(authority.verifier());
    let layered =
        router.layer(from_fn(move |request: axum::extract::Request, next: axum::middleware::Next| {
            let known =
                unverified(request.headers()).is_some_and(|(header, _)| header["kid"] == kid.as_str());
            async move { if known { StatusCode::OK.into_response() } else { next.run(request).await } }
        }));
    let report = failure(assert_guarded(layered)).await;
    assert!(report.contains("200 OK for a token signed with another key"), "{report}");
}

#[tokio::test]
async fn forged_tokens_are_refused_by_apps_that_verify_them() {
    let authority = TestAuthority::new().audience("stock");
    let app = || Router::new().route("/stock", get(stock)).with_state(authority.verifier());
    let caller = || authority.service("orders").role("clerk").scope("stock:read");
    Strangers::at(app()).as_caller(caller()).routes([("GET", "/stock")]).assert_refused().await;
    assert!(
        authority
            .audit()
            .denials()
            .iter()
            .any(|event| event.code == Some(service_only::error::Code::BadSignature))
    );
}
