//! Policies that compare a claim with a literal or with a path parameter.

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service},
    web,
};
use axum::{Router, extract::Path, routing::get};
use service_only::{
    Caller, ClosedRouter, Denial, Policy, ServiceOnlyLayer, closed,
    error::Code,
    routes::{guarded, policy_of},
    service_only,
};
use service_only_testkit::{TestAuthority, TokenDraft, call};
use tower::Layer;

use crate::frameworks::{Log, guarded_in};

#[service_only(claims(tenant_id = "{tenant}", region = "eu"))]
async fn tenant(Path(tenant): Path<String>) -> String {
    tenant
}

#[service_only(claims(tenant_id = "{tenant}", region = "eu"))]
async fn actix_tenant(tenant: web::Path<String>) -> String {
    tenant.into_inner()
}

#[service_only(claims("https://id.example/region" = "eu"))]
fn job(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

fn draft(authority: &TestAuthority) -> TokenDraft {
    authority.service("orders").claim("tenant_id", "a b/ü").claim("region", "eu")
}

/// The path of the tenant, percent-encoded.
const PATH: &str = "/tenants/a%20b%2F%C3%BC";

fn cases(authority: &TestAuthority) -> Vec<(TokenDraft, &'static str, Option<Code>)> {
    let refused = Some(Code::ClaimNotAllowed);
    vec![
        (draft(authority), PATH, None),
        (draft(authority), "/tenants/t-2", refused),
        (draft(authority).claim("tenant_id", "a%20b%2F%C3%BC"), PATH, refused),
        (draft(authority).claim("tenant_id", "{tenant}"), PATH, refused),
        (draft(authority).claim("tenant_id", "*"), PATH, refused),
        (draft(authority).claim("tenant_id", vec!["a b/ü"]), PATH, refused),
        (draft(authority).claim("tenant_id", 7), "/tenants/7", refused),
        (draft(authority).without_claim("tenant_id"), PATH, refused),
        (draft(authority).without_claim("tenant_id").claim("Tenant_Id", "a b/ü"), PATH, refused),
        (draft(authority).claim("region", "EU"), PATH, refused),
        (draft(authority).without_claim("region"), PATH, refused),
    ]
}

#[tokio::test]
async fn a_claim_equals_the_decoded_path_parameter() {
    let authority = TestAuthority::new();
    let app = Router::new().route("/tenants/{tenant}", get(tenant)).with_state(authority.verifier());
    let app = call(app).audit(authority.audit());
    for (draft, path, code) in cases(&authority) {
        authority.audit().clear();
        let response = app.get(path).bearer(draft.token().as_str()).await;
        assert_eq!(response.status().as_u16(), if code.is_none() { 200 } else { 403 }, "{path}");
        assert!(code.is_none() || !response.text().contains("tenant_id"), "{path}");
        assert_eq!(authority.audit().only().code, code, "{path}");
    }
}

#[actix_web::test]
async fn a_claim_equals_the_decoded_path_parameter_of_actix() {
    let authority = TestAuthority::new();
    let app = App::new()
        .app_data(web::Data::new(authority.verifier()))
        .route("/tenants/{tenant}", web::get().to(actix_tenant));
    let app = init_service(app).await;
    for (draft, path, code) in cases(&authority) {
        authority.audit().clear();
        let request = TestRequest::get().uri(path);
        let request = request.insert_header(("authorization", format!("Bearer {}", draft.token().as_str())));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), if code.is_none() { 200 } else { 403 }, "{path} {code:?}");
        drop(response);
        assert_eq!(authority.audit().only().code, code, "{path}");
    }
}

#[tokio::test]
async fn a_route_without_the_parameter_refuses_every_caller() {
    let authority = TestAuthority::new();
    let app = Router::new().route("/tenants/{id}", get(tenant)).with_state(authority.verifier());
    let app = call(app).audit(authority.audit());
    assert_eq!(app.get(PATH).bearer(draft(&authority).token().as_str()).await.status(), 403);
    let record = authority.audit().only();
    assert_eq!(record.code, Some(Code::ClaimNotAllowed));
    assert!(
        record.reason.unwrap().ends_with("the path parameter `tenant`, and the route has no such parameter")
    );
}

fn without_its_parameter() -> ClosedRouter<service_only::Verifier> {
    let inner = ClosedRouter::new().route("/tenants/{id}", closed::get(tenant));
    ClosedRouter::new().nest("/api", inner)
}

#[test]
fn a_closed_router_without_the_parameter_is_an_error_at_the_start() {
    let error = without_its_parameter().try_with_state::<()>(TestAuthority::new().verifier()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the path `/api/tenants/{id}` has no parameter `{tenant}`, which `claims(..)` of `guard::claim_policies::tenant` reads; write"),
        "{text}"
    );
}

#[tokio::test]
async fn a_closed_router_that_starts_without_the_parameter_logs_it_and_refuses_every_caller() {
    let authority = TestAuthority::new();
    let (verifier, mut app) = (authority.verifier(), None);
    let log = Log::during("service_only", || {
        app = Some(without_its_parameter().with_state::<()>(verifier));
    });
    assert_eq!(log.len(), 1, "{log:?}");
    let app = call(app.unwrap()).audit(authority.audit());
    let response =
        app.get("/api/tenants/t-1").bearer(draft(&authority).claim("tenant_id", "t-1").token().as_str());
    assert_eq!(response.await.status(), 403);
}

#[test]
fn a_closed_router_accepts_the_parameter_of_a_prefix() {
    let authority = TestAuthority::new();
    for path in ["/{tenant}", "/v1/{*tenant}"] {
        let _ = ClosedRouter::new()
            .route(path, closed::get(tenant))
            .try_with_state::<()>(authority.verifier())
            .unwrap();
    }
    let inner = ClosedRouter::new().route("/orders", closed::get(tenant));
    let _ = ClosedRouter::new().nest("/{tenant}", inner).try_with_state::<()>(authority.verifier()).unwrap();
}

#[tokio::test]
async fn a_layer_compares_the_parameter_of_its_route() {
    const POLICY: Policy<'static> = Policy::any_service().claims(&[("tenant_id", "{tenant}")]);
    let authority = TestAuthority::new();
    let files = tower::service_fn(async |_: http::Request<axum::body::Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::from("file")))
    });
    let guarded = ServiceOnlyLayer::new(authority.verifier(), POLICY).layer(files);
    let app = call(Router::new().route_service("/tenants/{tenant}", guarded)).audit(authority.audit());
    let token = draft(&authority).token();
    assert_eq!(app.get(PATH).bearer(token.as_str()).await.status(), 200);
    assert_eq!(app.get("/tenants/t-2").bearer(token.as_str()).await.status(), 403);
}

#[test]
fn a_job_compares_a_claim_with_a_literal() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let caller = |region: &str| {
        let token = authority.service("orders").claim("https://id.example/region", region).token();
        verifier.verify(token.as_str()).unwrap()
    };
    assert!(job(&caller("eu")).is_ok());
    assert_eq!(job(&caller("us")).unwrap_err().code(), Code::ClaimNotAllowed);
}

#[test]
fn the_list_of_endpoints_has_the_required_claims() {
    assert!(guarded_in(module_path!()).contains(&guarded(tenant)), "{:?}", guarded_in(module_path!()));
}

#[test]
fn a_token_without_a_path_meets_no_path_parameter() {
    let authority = TestAuthority::new();
    let policy = policy_of(tenant);
    assert_eq!(policy.required_claims(), [("tenant_id", "{tenant}"), ("region", "eu")]);
    let token = draft(&authority).token();
    let denial = authority.verifier().verify_with(token.as_str(), &policy).unwrap_err();
    assert_eq!(denial.code(), Code::ClaimNotAllowed);
}
