use service_only::routes::{Route, RouteTable};
use service_only_testkit::{TestApp, TestAuthority, TokenDraft, assert_guarded, attack, call};

use super::*;

const INVOICES: &str = "/tenants/t-1/invoices";
const APPROVAL: &str = "/tenants/t-1/approvals/500";

fn app(authority: &TestAuthority) -> ClosedRouter {
    let builder = verifier(authority.keys(), "orchestrator").clock(authority.clock().clone());
    build(builder.audit(authority.audit().clone())).unwrap()
}

fn service() -> (TestAuthority, TestApp) {
    let authority = TestAuthority::new().issuer("bakery-auth").audience("invoices");
    let app = call(app(&authority)).audit(authority.audit());
    (authority, app)
}

fn manager(authority: &TestAuthority) -> TokenDraft {
    authority.user("mia").role("manager").claim("tenant_id", "t-1").claim("approval_limit", 1000)
}

#[tokio::test]
async fn people_read_the_invoices_of_their_tenant_only() {
    let (authority, app) = service();
    let mia = manager(&authority).claim("plan", "gold").token();
    let response = app.get(INVOICES).bearer(mia.as_str()).await;
    assert_eq!(response.text(), "the invoices of t-1 (gold), for mia\n");
    assert_eq!(app.get("/tenants/t-2/invoices").bearer(mia.as_str()).await.status(), 403);
    let billing = authority.service("billing").token();
    let response = app.get("/tenants/t-2/invoices").bearer(billing.as_str()).await;
    assert_eq!(response.text(), "the invoices of t-2 (basic), for billing\n");
}

#[tokio::test]
async fn a_manager_approves_up_to_the_limit_of_the_token() {
    let (authority, app) = service();
    let approve = |limit: u64| manager(&authority).claim("approval_limit", limit).token();
    let response = app.post(APPROVAL).bearer(approve(500).as_str()).await;
    assert_eq!(response.text(), "500 approved for t-1\n");
    assert_eq!(app.post(APPROVAL).bearer(approve(499).as_str()).await.status(), 403);
    let machine = authority.service("billing").claim("tenant_id", "t-1").token();
    assert_eq!(app.post(APPROVAL).bearer(machine.as_str()).await.status(), 403);
}

#[tokio::test]
async fn machines_write_with_one_of_two_scopes_and_the_configured_ones_delete() {
    let (authority, app) = service();
    let billing = |scope: &str| authority.service("billing").scope(scope).token();
    assert_eq!(app.post(INVOICES).bearer(billing("invoices:admin").as_str()).await.status(), 200);
    assert_eq!(app.post(INVOICES).bearer(billing("invoices:*").as_str()).await.status(), 403);
    let deleter = |name: &str| authority.service(name).scope("invoices:delete").token();
    assert_eq!(app.delete(INVOICES).bearer(deleter("orchestrator").as_str()).await.status(), 200);
    assert_eq!(app.delete(INVOICES).bearer(deleter("billing").as_str()).await.status(), 403);
    assert_eq!(app.delete(INVOICES).bearer(manager(&authority).token().as_str()).await.status(), 403);
}

#[tokio::test]
async fn errors_have_the_format_of_the_company_and_the_language_of_the_client() {
    let (_, app) = service();
    let response = app.get(INVOICES).header("accept-language", "de-DE").await;
    assert_eq!(response.status(), 401);
    assert_eq!(response.json::<serde_json::Value>()["error"]["message"], "Bitte melden Sie sich an.");
    assert!(response.challenge().is_some());
}

#[tokio::test]
async fn the_document_shows_who_may_call_each_operation() {
    let (_, app) = service();
    let document: serde_json::Value = app.get("/openapi.json").await.json();
    let operation = &document["paths"]["/tenants/{tenant}/invoices"]["get"];
    assert_eq!(operation["security"], json!([{ "serviceToken": [] }, { "userToken": [] }]));
    assert_eq!(operation["x-users-only"]["claims"], json!({ "tenant_id": "{tenant}" }));
    assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
}

#[tokio::test]
async fn no_route_is_open_and_attacks_with_either_caller_are_refused() {
    let (authority, _) = service();
    assert_guarded(app(&authority)).await;
    let table = routes().routes("invoices");
    for caller in [manager(&authority), authority.service("billing").claim("tenant_id", "t-1")] {
        let is_read = |route: &&Route| route.path().ends_with("/invoices") && route.methods()[0] == "GET";
        let mut read = RouteTable::new("invoices");
        read.extend(table.routes().iter().filter(is_read).cloned());
        let attack = attack(app(&authority)).as_caller(caller).routes(&read).parameter("tenant", "t-1");
        attack.audit(authority.audit()).run().await;
    }
}

#[test]
fn the_program_has_fewer_than_150_lines() {
    assert!(include_str!("main.rs").lines().count() < 150);
}
