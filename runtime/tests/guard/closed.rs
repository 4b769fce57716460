//! The closed router: what its table says is what axum does, and nothing in it is open by accident.

use std::{marker::PhantomData, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, Path, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn},
    routing::MethodFilter,
    serve::IncomingStream,
};
use service_only::{
    ClosedRouter, Policy, Verifier,
    closed::{RouterError, any, delete, get, head, on, post},
    public,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{TestApp, TestAuthority, call};
use tokio::net::TcpListener;

/// Handlers that answer with their own name.
macro_rules! named {
    ($($name:ident)*) => { $(
        #[service_only(services("orders"))]
        async fn $name() -> &'static str {
            stringify!($name)
        }
    )* };
}

named! { list add show remove shown_by_head some_methods every_method not_found not_allowed inner_not_found }

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "healthz"
}

#[service_only(scopes("tenants:read"), max_age = "1h")]
async fn with_arguments(Path(id): Path<u32>, State(_): State<Verifier>, body: String) -> String {
    format!("{id} {body}")
}

fn closed() -> ClosedRouter<Verifier> {
    let tenants = ClosedRouter::new()
        .route("/", get(list).post(add))
        .route("/{id}", delete(remove))
        .route("/{id}", get(show).head(shown_by_head))
        .fallback(inner_not_found);
    let misc = ClosedRouter::new()
        .route("/every", any(every_method).post(add))
        .route("/some", on(MethodFilter::PUT.or(MethodFilter::TRACE), some_methods).fallback(not_allowed))
        .route("/trailing/", head(list))
        .nest(
            "/deep/",
            ClosedRouter::new()
                .route("/er", post(add))
                .nest("/est", ClosedRouter::new().route("/", get(show))),
        );
    ClosedRouter::new()
        .nest("/tenants", tenants)
        .merge(misc)
        .method_not_allowed_fallback(not_allowed)
        .route("/healthz", get(healthz))
        .fallback(not_found)
}

fn text(table: &RouteTable) -> String {
    let row = |route: &Route| {
        let who = match route.access() {
            Access::Public { reason } => format!("  public: {reason}"),
            _ => String::new(),
        };
        let name = route.endpoint().unwrap().rsplit("::").next().unwrap();
        let methods = match route.methods() {
            _ if route.is_fallback() => "(fallback)".to_owned(),
            [] => "(other)".to_owned(),
            methods => methods.join(","),
        };
        format!("{methods:<10} {:<16} {name}{who}\n", route.path())
    };
    table.routes().iter().map(row).collect()
}

#[test]
fn the_table_lists_each_route_with_its_methods_its_handler_and_who_may_call() {
    let table = closed().routes("bakery");
    assert_eq!(table.service(), "bakery");
    insta::assert_snapshot!(text(&table), @r"
    GET,HEAD   /tenants         list
    POST       /tenants         add
    (other)    /tenants         not_allowed
    DELETE     /tenants/{id}    remove
    GET        /tenants/{id}    show
    HEAD       /tenants/{id}    shown_by_head
    (other)    /tenants/{id}    not_allowed
    POST       /every           add
    (other)    /every           every_method
    PUT,TRACE  /some            some_methods
    (other)    /some            not_allowed
    HEAD       /trailing/       list
    (other)    /trailing/       not_allowed
    POST       /deep/er         add
    (other)    /deep/er         not_allowed
    GET,HEAD   /deep/est        show
    (other)    /deep/est        not_allowed
    GET,HEAD   /healthz         healthz  public: load balancers have no token
    (fallback) /tenants/{*rest} inner_not_found
    (fallback) /                not_found
    (fallback) /{*rest}         not_found
    ");
    let orders = Access::from(&Policy::any_service().services(&["orders"]));
    assert_eq!(table.routes()[0].access(), &orders);
    assert!(table.routes()[0].line().is_some());
}

/// The row that is about a request: by method, else the one for other methods, else the fallback.
fn row_for<'a>(table: &'a RouteTable, method: &Method, template: &str) -> Option<&'a Route> {
    let rows = || table.routes().iter().filter(|row| row.path() == template);
    rows()
        .find(|row| row.methods().iter().any(|name| name == method.as_str()))
        .or_else(|| rows().find(|row| row.methods().is_empty()))
}

fn sample(template: &str) -> String {
    template.replace("{id}", "7").replace("{*rest}", "no/such/path")
}

#[tokio::test]
async fn every_row_runs_its_handler_and_refuses_unauthenticated_requests() {
    let authority = TestAuthority::new();
    let table = closed().routes("bakery");
    let app = call(closed().with_state(authority.verifier()));
    let token = authority.service("orders").token();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"];
    let mut answered = 0;
    for row in table.routes() {
        for method in methods.map(|name| Method::from_bytes(name.as_bytes()).unwrap()) {
            let path = sample(row.path());
            let stranger = app.request(method.clone(), &path).await;
            let orders = app.request(method.clone(), &path).bearer(&token).await;
            let Some(row) = row_for(&table, &method, row.path()) else {
                assert_eq!(
                    (stranger.status(), orders.status()),
                    (StatusCode::METHOD_NOT_ALLOWED, StatusCode::METHOD_NOT_ALLOWED),
                    "{method} {path}"
                );
                continue;
            };
            let public = matches!(row.access(), Access::Public { .. });
            let refused = if public { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!((stranger.status(), orders.status()), (refused, StatusCode::OK), "{method} {path}");
            let name = row.endpoint().unwrap().rsplit("::").next().unwrap();
            assert!(method == Method::HEAD || orders.text() == name, "{method} {path}: {orders}");
            answered += 1;
        }
    }
    assert!(answered > 80, "{answered}");
}

#[tokio::test]
async fn paths_that_no_row_names_are_answered_by_the_fallback_of_their_router() {
    let authority = TestAuthority::new();
    let app = call(closed().with_state(authority.verifier()));
    let token = authority.service("orders").token();
    for (path, name) in [
        ("/", "not_found"),
        ("/trailing", "not_found"),
        ("/deep", "not_found"),
        ("/deep/nothing", "not_found"),
        // A wildcard of axum takes one character at least.
        ("/tenants/", "not_found"),
        ("/tenants/7/loaves", "inner_not_found"),
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 401, "{response}");
        assert_eq!(app.get(path).bearer(&token).await.text(), name, "{path}");
    }
}

#[tokio::test]
async fn arguments_state_and_body_arrive_as_in_an_open_router() {
    let authority = TestAuthority::new();
    let router = ClosedRouter::new().route("/{id}", post(with_arguments)).with_state(authority.verifier());
    let table = router.routes("bakery");
    let policy =
        Policy::any_service().scopes(&["tenants:read"]).max_age(std::time::Duration::from_secs(3600));
    assert_eq!(table.routes()[0].access(), &Access::from(&policy));
    let app = call(router);
    let token = authority.service("orders").scope("tenants:read").token();
    assert_eq!(app.post("/7").bearer(&token).body("bread").await.text(), "7 bread");
    // The guard comes before the arguments.
    assert_eq!(app.post("/not-a-number").await.status(), 401);
}

async fn teapot(_: axum::extract::Request, _: Next) -> StatusCode {
    StatusCode::IM_A_TEAPOT
}

#[tokio::test]
async fn layers_change_no_row_and_stand_in_front_of_the_guards() {
    let authority = TestAuthority::new();
    let plain = || ClosedRouter::new().route("/", get(list)).fallback(not_found);
    let apps: [(ClosedRouter<Verifier>, u16, u16); 4] = [
        (plain().layer(from_fn(teapot)), 418, 418),
        (plain().route_layer(from_fn(teapot)), 418, 401),
        (ClosedRouter::new().route("/", get(list).layer(from_fn(teapot))).fallback(not_found), 418, 401),
        (
            ClosedRouter::new().route("/", get(list).route_layer(from_fn(teapot))).fallback(not_found),
            418,
            401,
        ),
    ];
    for (router, at_route, at_fallback) in apps {
        assert_eq!(text(&router.routes("bakery")), text(&plain().routes("bakery")));
        let app = TestApp::new(router.with_state(authority.verifier()));
        assert_eq!(app.get("/").await.status(), at_route);
        assert_eq!(app.get("/nothing").await.status(), at_fallback);
    }
}

#[tokio::test]
async fn merged_methods_are_all_listed() {
    let router = ClosedRouter::<Verifier>::new().route("/", get(list).merge(post(add).fallback(not_allowed)));
    insta::assert_snapshot!(text(&router.routes("bakery")), @r"
    GET,HEAD   /                list
    POST       /                add
    (other)    /                not_allowed
    ");
}

#[test]
fn a_replaced_fallback_is_listed_and_a_removed_one_is_not() {
    let router = ClosedRouter::<Verifier>::new().fallback(not_found).fallback(inner_not_found);
    insta::assert_snapshot!(text(&router.routes("bakery")), @r"
    (fallback) /                inner_not_found
    (fallback) /{*rest}         inner_not_found
    ");
    assert_eq!(router.reset_fallback().routes("bakery").routes(), []);
}

#[tokio::test]
async fn the_root_of_a_router_is_in_the_table_where_its_fallback_answers_there() {
    let authority = TestAuthority::new();
    let inner = || ClosedRouter::new().route("/item", get(show)).fallback(healthz);
    let router = ClosedRouter::new().nest("/a", inner()).nest("/b", inner()).route("/b", get(list));
    insta::assert_snapshot!(text(&router.routes("bakery")), @r"
    GET,HEAD   /a/item          show
    GET,HEAD   /b/item          show
    GET,HEAD   /b               list
    (fallback) /a               healthz  public: load balancers have no token
    (fallback) /a/{*rest}       healthz  public: load balancers have no token
    (fallback) /b/{*rest}       healthz  public: load balancers have no token
    ");
    let app = call(router.with_state(authority.verifier()));
    let statuses = [app.get("/a").await.status(), app.get("/b").await.status()];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::UNAUTHORIZED]);
}

#[tokio::test]
async fn slashes_between_a_prefix_and_a_path_are_those_of_axum() {
    let router = ClosedRouter::<()>::new()
        .nest("/a/", ClosedRouter::new().route("//x", get(healthz)))
        .nest("/b", ClosedRouter::new().route("//x", get(healthz)));
    let table = router.routes("bakery");
    assert_eq!(table.routes().iter().map(Route::path).collect::<Vec<_>>(), ["/a/x", "/b//x"]);
    let app = call(router);
    assert_eq!([app.get("/a/x").await.text(), app.get("/b//x").await.text()], ["healthz", "healthz"]);
}

/// A router whose fallback is nested in one that has none.
fn between() -> ClosedRouter<Verifier> {
    ClosedRouter::new().nest("/b", ClosedRouter::new().route("/item", get(show)).fallback(not_found))
}

#[test]
#[should_panic(
    expected = "the fallback below `/b` would be lost: the router that is nested at `/c` has no fallback"
)]
fn a_fallback_that_axum_would_drop_is_refused() {
    let _ = ClosedRouter::new().nest("/c", between()).fallback(healthz);
}

#[test]
fn try_nest_returns_a_lost_fallback_as_an_error() {
    let refused = ClosedRouter::new().try_nest("/c", between()).map(|_| ()).unwrap_err();
    let RouterError::LostFallback { fallback, nested, .. } = &refused else { panic!("{refused}") };
    assert_eq!((fallback.as_str(), nested.as_str()), ("/b", "/c"));
    assert!(refused.to_string().starts_with("the fallback below `/b` would be lost"), "{refused}");
    let adopted = ClosedRouter::new().try_nest("/c", between().fallback(inner_not_found)).unwrap();
    assert_eq!(adopted.routes("bakery").routes()[0].path(), "/c/b/item");
}

#[tokio::test]
async fn a_fallback_that_axum_adopts_answers_two_routers_further_out() {
    let authority = TestAuthority::new();
    let router = ClosedRouter::new().nest("/c", between().fallback(inner_not_found)).fallback(healthz);
    let fallbacks = text(&router.routes("bakery"));
    assert!(fallbacks.contains("(fallback) /c/b/{*rest}     not_found\n"), "{fallbacks}");
    let app = call(router.with_state(authority.verifier()));
    assert_eq!(app.get("/c/b/none").await.status(), 401);
    assert_eq!(app.get("/none").await.text(), "healthz");
    let reset = ClosedRouter::new().nest("/c", between().reset_fallback()).fallback(healthz);
    assert_eq!(call(reset.with_state(authority.verifier())).get("/c/b/none").await.text(), "healthz");
}

#[tokio::test]
async fn routes_added_to_an_open_router_are_open() {
    let open = ClosedRouter::<()>::new().route("/healthz", get(healthz)).into_open_router();
    let app = call(open.route("/open", axum::routing::get(async || "anybody")));
    assert_eq!(app.get("/open").await.text(), "anybody");
    assert_eq!(app.get("/healthz").await.text(), "healthz");
}

#[public(reason = "it tells who asks")]
async fn address(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    client.to_string()
}

#[tokio::test]
async fn a_connection_gets_a_closed_router() {
    use tower::Service;

    let router = ClosedRouter::new().route("/healthz", get(healthz)).route("/address", get(address));
    let given: ClosedRouter = router.clone().into_make_service().call(()).await.unwrap();
    assert_eq!(given.routes("bakery"), router.routes("bakery"));
    assert_eq!(call(given).get("/healthz").await.text(), "healthz");

    let client = SocketAddr::from(([192, 0, 2, 1], 4711));
    let mut connected = router.into_make_service_with_connect_info::<SocketAddr>();
    let request = axum::http::Request::get("/address").body(axum::body::Body::empty()).unwrap();
    let answer = connected.call(client).await.unwrap().call(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert_eq!(body, client.to_string());
}

/// What `axum::serve` asks of what it is given, and what it gets from it for a connection.
fn for_a_connection<M, S>(_: &M) -> PhantomData<S>
where
    M: for<'a> tower::Service<IncomingStream<'a, TcpListener>, Response = S>,
{
    PhantomData
}

#[test]
fn a_server_with_a_closed_router_serves_closed_routers() {
    let router = ClosedRouter::new().route("/healthz", get(healthz));
    let _: PhantomData<ClosedRouter> = for_a_connection(&router);
    let _: PhantomData<ClosedRouter> = for_a_connection(&router.into_make_service());
}

#[tokio::test]
async fn a_closed_router_is_served_as_an_open_one_is() {
    use tower::ServiceExt;

    let router = ClosedRouter::new().route("/healthz", get(healthz));
    let request = axum::http::Request::get("/healthz").body(axum::body::Body::empty()).unwrap();
    assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 200);

    let listener = || TcpListener::bind("127.0.0.1:0");
    drop(axum::serve(listener().await.unwrap(), router.clone()));
    drop(axum::serve(listener().await.unwrap(), router.clone().into_make_service()));
    let connected = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    drop(axum::serve(listener().await.unwrap(), connected));
}

#[tokio::test]
async fn the_metadata_of_a_resource_is_one_line_and_named_in_each_challenge() {
    let authority = service_only_testkit::TestAuthority::new().issuer("https://id.example");
    let verifier = authority.verifier_builder().resource("https://orders.example/api").build().unwrap();
    let router = ClosedRouter::new()
        .route("/guarded", get(metadata_guarded))
        .resource_metadata(&verifier)
        .with_state(verifier.clone());
    let app = service_only_testkit::call(router.clone());
    let path = "/.well-known/oauth-protected-resource/api";
    let document: serde_json::Value = app.get(path).await.json();
    assert_eq!(document["resource"], "https://orders.example/api");
    assert_eq!(document["authorization_servers"], serde_json::json!(["https://id.example"]));
    assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
    assert!(document["scopes_supported"].as_array().unwrap().contains(&"metadata:read".into()));
    let url = format!("https://orders.example{path}");
    for (token, status) in [(None, 401), (Some(authority.service("orders").token()), 403)] {
        let request = app.get("/guarded");
        let response = match token {
            Some(token) => request.bearer(token.as_str()).await,
            None => request.await,
        };
        assert_eq!(response.status().as_u16(), status);
        assert!(response.challenge().unwrap().ends_with(&format!(r#", resource_metadata="{url}""#)));
    }
    let table = router.routes("orders");
    let row = table.routes().iter().find(|row| row.path() == path).unwrap();
    assert!(matches!(row.access(), Access::Public { .. }));
    assert!(authority.verifier_builder().resource("http://orders.example").build().is_err());
    assert_eq!(authority.verifier().resource_metadata(), None);
}

#[service_only::service_only(scopes("metadata:read"))]
async fn metadata_guarded() {}
