use service_only_testkit::{TestAuthority, assert_allowed, assert_guarded, call};

#[tokio::test]
async fn no_route_lets_strangers_in() {
    assert_guarded(crate::app(TestAuthority::new().verifier())).await;
}

#[test]
fn who_may_call_what() {
    let app = crate::app(TestAuthority::new().verifier());
    insta::assert_snapshot!(app.routes("orders"), @r"
    methods   path          services  roles  scopes        max_age
    --------  ------------  --------  -----  ------------  -------
    POST      /orders       shop      any    none          any
    GET HEAD  /orders/{id}  any       any    orders:read   any
    DELETE    /orders/{id}  shop      any    orders:write  86400s
    GET HEAD  /healthz      public: load balancers have no token
    ");
}

#[tokio::test]
async fn the_shop_cancels_an_order_and_anybody_asks_for_health() {
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier())).audit(authority.audit());
    let shop = authority.service("shop").scope("orders:write");

    assert_allowed!(app.delete("/orders/7").bearer(shop.token()).await);
    assert_allowed!(app.get("/healthz").await);
}
