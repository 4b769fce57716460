//! Every handler of every service, asked by everyone, through the gateway and past it.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::Value;
use service_only_testkit::TokenDraft;
use tenant_deletion::catalogue::{DELETE_SCOPE, ORCHESTRATOR, SERVICES};
use tenant_deletion::gateway::GATEWAY;
use tenant_deletion::store::Records;
use tenant_deletion::tenant::{LEAVING, STAYING};

use crate::town::{Town, delete_path, preview_path};

/// Who asks, what the answer must be, and the code under which the audit keeps it.
struct Case {
    authorization: Option<String>,
    status: u16,
    code: &'static str,
}

fn case(token: Option<TokenDraft>, status: u16, code: &'static str) -> Case {
    let authorization = token.map(|draft| format!("Bearer {}", draft.token()));
    Case { authorization, status, code }
}

/// What the gateway, or a service behind it, refuses for both handlers. The gateway refuses the 401 itself; 403 is the
/// service's word.
fn strangers(town: &Town) -> Vec<Case> {
    let orchestrator = || town.orchestrator();
    let orders = town.authority.service("orders").scope(DELETE_SCOPE);
    vec![
        case(None, 401, "missing_token"),
        Case { authorization: Some("Bearer not.a.token".to_owned()), status: 401, code: "malformed" },
        case(Some(orchestrator().expired()), 401, "expired"),
        case(Some(orchestrator().tampered()), 401, "bad_signature"),
        case(Some(orchestrator().wrong_issuer()), 401, "wrong_issuer"),
        case(Some(orchestrator().wrong_audience()), 401, "wrong_audience"),
        case(Some(town.authority.user("ana").role("admin")), 403, "not_service"),
        // The client of these tests has the certificate of the orchestrator.
        case(Some(orders.bound_to(town.parts.certificate(ORCHESTRATOR))), 403, "service_not_allowed"),
    ]
}

/// What a service itself refuses, of tokens with the gateway's signature.
fn strangers_past_the_gateway(town: &Town, service: &str) -> Vec<Case> {
    let via_gateway = || town.via_gateway(service);
    let own = town.own.clone().audience(service);
    let bound = |draft: TokenDraft| draft.bound_to(town.parts.certificate(GATEWAY));
    vec![
        case(None, 401, "missing_token"),
        // What the gateway accepts is worth nothing behind it.
        case(Some(town.orchestrator()), 401, "unknown_key"),
        case(Some(via_gateway().expired()), 401, "expired"),
        case(Some(via_gateway().tampered()), 401, "bad_signature"),
        case(Some(via_gateway().wrong_audience()), 401, "wrong_audience"),
        case(Some(own.service(ORCHESTRATOR).scope(DELETE_SCOPE).via(GATEWAY)), 401, "proof_missing"),
        case(Some(bound(own.user("ana").role("admin").via(GATEWAY))), 403, "not_service"),
        case(Some(bound(own.service("orders").scope(DELETE_SCOPE).via(GATEWAY))), 403, "service_not_allowed"),
        case(Some(bound(own.service(ORCHESTRATOR).scope(DELETE_SCOPE))), 403, "actor_not_allowed"),
        case(Some(via_gateway().via("orders")), 403, "actor_not_allowed"),
    ]
}

/// What only the deletion refuses.
fn insufficient(draft: impl Fn() -> TokenDraft) -> Vec<Case> {
    let old = draft().issued_ago(Duration::from_secs(25 * 60 * 60));
    vec![case(Some(draft().without_scopes()), 403, "missing_scope"), case(Some(old), 403, "too_old")]
}

async fn ask(
    town: &Town,
    client: &reqwest::Client,
    part: &str,
    (method, path): (&Method, &str),
    authorization: Option<&str>,
) -> reqwest::Response {
    let mut request = client.request(method.clone(), town.url(part, path));
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn every_handler_refuses_unauthenticated_requests_with_the_right_code() {
    let town = Town::start().await;
    let before = town.counts(LEAVING);
    let (orchestrator, gateway) = (town.client_of(ORCHESTRATOR), town.client_of(GATEWAY));
    for service in &SERVICES {
        let preview = (Method::GET, preview_path(service.name, LEAVING.id));
        let delete = (Method::DELETE, delete_path(service.name, LEAVING.id));
        for (method, path) in [preview, delete] {
            let (mut through, mut past) = (strangers(&town), strangers_past_the_gateway(&town, service.name));
            if method == Method::DELETE {
                through.extend(insufficient(|| town.orchestrator()));
                past.extend(insufficient(|| town.via_gateway(service.name)));
            }
            for case in through {
                refused(&town, &orchestrator, GATEWAY, (&method, &path), &case).await;
            }
            for case in past {
                refused(&town, &gateway, service.name, (&method, &path), &case).await;
            }
        }
    }
    assert_eq!(town.counts(LEAVING), before);
}

async fn refused(town: &Town, client: &reqwest::Client, part: &str, request: (&Method, &str), case: &Case) {
    town.gateway_audit.clear();
    town.services_audit.clear();
    let answer = ask(town, client, part, request, case.authorization.as_deref()).await;
    let (method, path) = request;
    let what = format!("{method} {path} at {part}, expecting {}", case.code);
    assert_eq!(answer.status().as_u16(), case.status, "{what}");

    // Who refused has the one record of it; the gateway lets the authentic pass.
    let through = part == GATEWAY;
    let by_gateway = through && case.status == 401;
    assert_eq!(town.gateway_audit.len(), usize::from(through), "{what}");
    let event = if by_gateway { town.gateway_audit.only() } else { town.services_audit.only() };
    assert_eq!(event.code.map(|code| code.as_str()), Some(case.code), "{what}");

    let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert_eq!(challenge, expected_challenge(case), "{what}");
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json", "{what}");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], case.status, "{what}");
    assert_eq!(body["instance"], event.id.urn().to_string(), "{what}");
    assert!(!body.to_string().contains(case.code), "{what}: the wire must not say why");
}

fn expected_challenge(case: &Case) -> String {
    let parameters = match (case.status, case.code) {
        (401, "missing_token") => "",
        (401, _) => r#", error="invalid_token""#,
        (_, "missing_scope") => r#", error="insufficient_scope", scope="tenants:delete""#,
        _ => "",
    };
    format!(r#"Bearer realm="bakery"{parameters}"#)
}

#[tokio::test]
async fn every_handler_answers_the_orchestrator_and_deletes_once() {
    let town = Town::start().await;
    let (orchestrator, gateway) = (town.client_of(ORCHESTRATOR), town.client_of(GATEWAY));
    let through = format!("Bearer {}", town.token());
    let others = town.counts(STAYING);
    for service in &SERVICES {
        let expected = town.stores[service.name].count(LEAVING.id).unwrap();
        let past = format!("Bearer {}", town.via_gateway(service.name).token());
        let (preview, delete) =
            (preview_path(service.name, LEAVING.id), delete_path(service.name, LEAVING.id));
        let records = async |part: &str, method: Method, path: &str| {
            let (client, token) = if part == GATEWAY { (&orchestrator, &through) } else { (&gateway, &past) };
            let answer = ask(&town, client, part, (&method, path), Some(token)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
            answer.json::<Records>().await.unwrap()
        };
        assert_eq!(records(GATEWAY, Method::GET, &preview).await, expected);
        assert_eq!(records(service.name, Method::GET, &preview).await, expected);
        assert_eq!(records(GATEWAY, Method::DELETE, &delete).await, expected);
        let again = records(service.name, Method::DELETE, &delete).await;
        assert_eq!((again.total, again.previously_deleted), (0, expected.total));
    }
    assert!(town.counts(LEAVING).values().all(|&left| left == 0));
    assert_eq!(town.counts(STAYING), others);
    // Four calls for each service, two of them through the gateway: one record per decision.
    assert_eq!((town.gateway_audit.len(), town.services_audit.len()), (24, 48));
    assert!(town.services_audit.denials().is_empty());
    for event in town.services_audit.events() {
        let names = (event.service.as_deref(), event.actor.as_deref(), event.proof);
        assert_eq!(names, (Some(ORCHESTRATOR), Some(GATEWAY), Some("mtls")));
    }
}

#[tokio::test]
async fn path_that_is_not_the_service_s_own_is_not_answered() {
    let town = Town::start().await;
    let gateway = town.client_of(GATEWAY);
    let authorization = format!("Bearer {}", town.via_gateway("orders").token());
    for (path, status) in [
        (preview_path("sales", LEAVING.id), StatusCode::NOT_FOUND),
        ("/api/v1/orders/tenant/not-a-uuid/deletion-preview".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let answer = ask(&town, &gateway, "orders", (&Method::GET, &path), Some(&authorization)).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    // A stranger does not learn whether the path was good: the guard runs first.
    let bad = (&Method::GET, "/api/v1/orders/tenant/not-a-uuid/deletion-preview");
    assert_eq!(ask(&town, &gateway, "orders", bad, None).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_is_open_and_readiness_follows_the_database() {
    let town = Town::start().await;
    let client = town.client_of("sales");
    let get = async |part: &str, path: &str, authorization: Option<&str>| {
        ask(&town, &client, part, (&Method::GET, path), authorization).await
    };
    for (part, path) in
        [("orders", "/healthz"), ("orders", "/readyz"), (GATEWAY, "/healthz"), (GATEWAY, "/readyz")]
    {
        assert_eq!(get(part, path, None).await.status(), StatusCode::OK, "{path}");
    }
    std::fs::remove_file(town.stores["orders"].path()).unwrap();
    assert_eq!(get("orders", "/healthz", None).await.status(), StatusCode::OK);
    assert_eq!(get("orders", "/readyz", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    let path = preview_path("orders", LEAVING.id);
    let authorization = format!("Bearer {}", town.token());
    let answer =
        ask(&town, &town.client_of(ORCHESTRATOR), GATEWAY, (&Method::GET, &path), Some(&authorization)).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text().await.unwrap().contains("orders.db"), "the wire must not name files");
}
