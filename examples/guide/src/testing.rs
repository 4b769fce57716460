//! `testing.md`: tests of guarded handlers.

use std::error::Error;

use axum::{Router, extract::Path, http::Method, routing::delete};
use service_only::{Caller, RemoteJwks, Verifier, service_only};
use service_only_client::{AttachToken, TokenSource};
use service_only_testkit::{
    Incident, JwksServer, StubAnswer, StubService, TestAuthority, TestCa, TestCertificate, assert_allowed,
    assert_audited, assert_denied, attack, attack_url, call, tls::Certificates,
};

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant(Path(tenant): Path<String>, caller: Caller) -> String {
    format!("{tenant} deleted for {}", caller.service())
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/tenants/{id}", delete(delete_tenant)).with_state(verifier)
}

#[tokio::test]
async fn expired_token_is_refused() {
    let authority = TestAuthority::new();
    let app = call(app(authority.verifier())).audit(authority.audit());
    let valid = authority.service("orchestrator").scope("tenants:delete");

    assert_allowed!(app.delete("/tenants/7").bearer(valid.token()).await);
    assert_denied!(app.delete("/tenants/7").bearer(valid.expired().token()).await, 401);
    assert_audited!(authority.audit(), deny, code = "expired", route = "/tenants/{id}");
}

async fn attack_over_tls(url: &str, authority: &TestAuthority, ca: &TestCa, caller: &TestCertificate) {
    attack_url(url)
        .certificates(Certificates::of(caller, ca))
        .as_caller(authority.service("orchestrator").scope("tenants:delete"))
        .endpoint(Method::DELETE, "/tenants/7")
        .run()
        .await;
}

#[tokio::test]
async fn no_attack_gets_in_with_a_bound_token() {
    let authority = TestAuthority::new().dpop("https://orders.internal");
    let caller = authority.service("orchestrator").scope("tenants:delete");
    attack(app(authority.verifier()))
        .as_caller(caller.proven_by(&authority.dpop_key()))
        .audit(authority.audit())
        .endpoint(Method::DELETE, "/tenants/7")
        .run()
        .await;
}

#[tokio::test]
async fn handler_is_a_function_that_a_unit_test_calls() {
    let authority = TestAuthority::new();
    let valid = authority.service("orchestrator").scope("tenants:delete");
    let answer = delete_tenant(valid.guard(), Path("7".into()), valid.caller()).await;
    assert_eq!(answer, "7 deleted for orchestrator");
}

#[tokio::test]
async fn token_is_refused_after_each_incident() {
    for incident in Incident::ALL {
        let authority = TestAuthority::new();
        let scene = incident.stage(&authority.service("orchestrator").scope("tenants:delete"));
        let app = call(app(scene.verifier().clone()));
        assert_allowed!(app.delete("/tenants/7").bearer(scene.token()).await);
        scene.strike();
        assert_denied!(app.delete("/tenants/7").bearer(scene.token()).await, incident.code().status());
    }
}

#[tokio::test]
async fn service_does_not_start_while_its_issuer_is_down() {
    let server = JwksServer::start(&TestAuthority::new()).await;
    server.down();
    let keys = RemoteJwks::url(server.url()).dangerously_allow_http().start().await;
    assert!(keys.is_err());
}

#[tokio::test]
async fn client_sends_the_new_token_after_a_rotation() -> Result<(), Box<dyn Error>> {
    let (old, new) = (TestAuthority::new(), TestAuthority::new());
    let stock = StubService::new(&old);
    stock.on(Method::GET, "/stock/{shelf}", StubAnswer::json(&["bread", "rolls"]));
    let listener = stock.listen().await;

    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, old.service("orders").token().as_str())?;
    let tokens = TokenSource::file(file.path()).open()?;
    let client = AttachToken::from(tokens).to(listener.url())?.client(reqwest::Client::builder())?;
    let shelf = format!("{}/stock/7", listener.url());
    assert_allowed!(client.get(&shelf).send().await?.status());

    stock.rotate(&new);
    std::fs::write(&file, new.service("orders").token().as_str())?;
    assert_allowed!(client.get(&shelf).send().await?.status());
    stock.assert_called_at(Method::GET, "/stock/7", 2);
    Ok(())
}
