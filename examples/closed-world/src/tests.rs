use service_only_testkit::{TestAuthority, assert_allowed, assert_guarded, call};

#[tokio::test]
async fn every_route_refuses_unauthenticated_requests() {
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
async fn shop_may_cancel_an_order_and_health_is_public() {
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier())).audit(authority.audit());
    let shop = authority.service("shop").scope("orders:write");

    assert_allowed!(app.delete("/orders/7").bearer(shop.token()).await);
    assert_allowed!(app.get("/healthz").await);
}
