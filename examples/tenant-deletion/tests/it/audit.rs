//! The audit trail of one service and the gateway in front of it, as a person would read it.

use http::{Method, header};
use serde_json::Value;
use service_only::{JsonLinesAudit, Proof};
use service_only_testkit::TestAuthority;
use tenant_deletion::catalogue::{DELETE_SCOPE, ORCHESTRATOR, find};
use tenant_deletion::gateway::{GATEWAY, Gateway, Limits, Upstreams};
use tenant_deletion::serve::Shutdown;
use tenant_deletion::service;
use tenant_deletion::store::{Contents, Store};
use tenant_deletion::tenant::LEAVING;

use crate::town::{Parts, authority_of_now, delete_path, https, own_key, preview_path, serve};

#[tokio::test]
async fn audit_trail_of_six_refusals_a_preview_and_a_deletion() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    let audit = JsonLinesAudit::to_file(&file).unwrap();
    let authority = authority_of_now(TestAuthority::new().audience("bakery-platform"));
    let (own, tokens) = own_key();
    let parts = Parts::issue(directory.path().join("tls"));
    let verifier =
        |authority: &TestAuthority| authority.verifier_builder().realm("bakery").audit(audit.clone());
    let shutdown = Shutdown::default();
    let store =
        Store::open(find("orders").unwrap(), directory.path().join("orders.db"), Contents::Demonstration)
            .unwrap();
    let of_orders = verifier(&own.clone().audience("orders")).require_proof(Proof::Mtls).build().unwrap();
    let orders = serve(service::router(store, of_orders), parts.tls("orders"), &shutdown).await;
    let upstreams = Upstreams::parse([format!("orders=https://{orders}").as_str()]).unwrap();
    let tls = parts.tls(GATEWAY);
    let gateway = Gateway::new(
        verifier(&authority).build().unwrap(),
        tokens,
        tls.clone(),
        upstreams,
        Limits::default(),
    );
    let gateway = serve(gateway.router(), tls, &shutdown).await;

    let certificate = parts.certificate(ORCHESTRATOR);
    let orchestrator = authority.service(ORCHESTRATOR).scope(DELETE_SCOPE).bound_to(certificate);
    let (preview, delete) = (preview_path("orders", LEAVING.id), delete_path("orders", LEAVING.id));
    let http = https(parts.tls(ORCHESTRATOR), &[]);
    for (method, path, token) in [
        (Method::DELETE, &delete, None),
        (Method::DELETE, &delete, Some("not.a.token".to_owned())),
        (Method::DELETE, &delete, Some(orchestrator.clone().expired().token().to_string())),
        (Method::DELETE, &delete, Some(authority.user("ana").token().to_string())),
        (
            Method::DELETE,
            &delete,
            Some(authority.service("orders").bound_to(certificate).token().to_string()),
        ),
        (Method::DELETE, &delete, Some(orchestrator.clone().tampered().token().to_string())),
        (Method::GET, &preview, Some(orchestrator.token().to_string())),
        (Method::DELETE, &delete, Some(orchestrator.token().to_string())),
    ] {
        let mut request = http.request(method, format!("https://{gateway}{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .send()
            .await
            .unwrap();
    }

    audit.flush().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("eyJ"), "a token stands in the audit log");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(authority.kid(), "[kid]");
    settings.add_filter(own.kid(), "[kid of the gateway]");
    settings.add_filter(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z", "[instant]");
    settings.bind(|| {
        insta::assert_json_snapshot!(events, {
            "[].id" => "[id]",
            "[].time" => "[time]",
            "[].jti" => "[jti]",
            "[].duration_us" => "[duration]",
        });
    });
    shutdown.begin();
}
