//! Every handler of every service, asked by everyone, through the gateway and past it.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::Value;
use service_only_testkit::TestAuthority;
use tenant_deletion::catalogue::{DELETE_SCOPE, ORCHESTRATOR, SERVICES};
use tenant_deletion::store::Records;
use tenant_deletion::tenant::{LEAVING, STAYING};

use crate::town::{Town, delete_path, preview_path};

/// Who asks, what the answer must be, and the code under which the audit keeps it.
struct Case {
    authorization: Option<String>,
    status: u16,
    code: &'static str,
}

/// What is refused by both handlers. The gateway refuses the 401 itself; 403 is the service's word.
fn strangers(authority: &TestAuthority) -> Vec<Case> {
    let orchestrator = authority.service(ORCHESTRATOR).scope(DELETE_SCOPE);
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let case = |authorization, status, code| Case { authorization, status, code };
    vec![
        case(None, 401, "missing_token"),
        case(bearer("not.a.token"), 401, "malformed"),
        case(bearer(&orchestrator.clone().expired().token()), 401, "expired"),
        case(bearer(&orchestrator.clone().tampered().token()), 401, "bad_signature"),
        case(bearer(&orchestrator.clone().wrong_issuer().token()), 401, "wrong_issuer"),
        case(bearer(&orchestrator.wrong_audience().token()), 401, "wrong_audience"),
        case(bearer(&authority.user("ana").role("admin").token()), 403, "not_service"),
        case(bearer(&authority.service("orders").scope(DELETE_SCOPE).token()), 403, "service_not_allowed"),
    ]
}

/// What only the deletion refuses.
fn insufficient(authority: &TestAuthority) -> Vec<Case> {
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let old =
        authority.service(ORCHESTRATOR).scope(DELETE_SCOPE).issued_ago(Duration::from_secs(25 * 60 * 60));
    vec![
        Case {
            authorization: bearer(&authority.service(ORCHESTRATOR).token()),
            status: 403,
            code: "missing_scope",
        },
        Case { authorization: bearer(&old.token()), status: 403, code: "too_old" },
    ]
}

async fn ask(
    town: &Town,
    address: SocketAddr,
    method: &Method,
    path: &str,
    authorization: Option<&str>,
) -> reqwest::Response {
    let mut request = town.http.request(method.clone(), format!("http://{address}{path}"));
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn every_handler_refuses_unauthenticated_requests_with_the_right_code() {
    let town = Town::start().await;
    let before = town.counts(LEAVING);
    for service in &SERVICES {
        let preview = (Method::GET, preview_path(service.name, LEAVING.id));
        let delete = (Method::DELETE, delete_path(service.name, LEAVING.id));
        for (method, path) in [preview, delete] {
            let mut cases = strangers(&town.authority);
            if method == Method::DELETE {
                cases.extend(insufficient(&town.authority));
            }
            for case in cases {
                refused(&town, town.gateway, (&method, &path), &case).await;
                refused(&town, town.services[service.name], (&method, &path), &case).await;
            }
        }
    }
    assert_eq!(town.counts(LEAVING), before);
}

async fn refused(town: &Town, address: SocketAddr, (method, path): (&Method, &str), case: &Case) {
    town.gateway_audit.clear();
    town.services_audit.clear();
    let answer = ask(town, address, method, path, case.authorization.as_deref()).await;
    let what = format!("{method} {path} at {address}, expecting {}", case.code);
    assert_eq!(answer.status().as_u16(), case.status, "{what}");

    // Who refused has the one record of it; the gateway lets the authentic pass.
    let through = address == town.gateway;
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
    let authorization = format!("Bearer {}", town.token());
    let others = town.counts(STAYING);
    for service in &SERVICES {
        let expected = town.stores[service.name].count(LEAVING.id).unwrap();
        let direct = town.services[service.name];
        let (preview, delete) =
            (preview_path(service.name, LEAVING.id), delete_path(service.name, LEAVING.id));
        let records = |address, method: Method, path| {
            let (town, authorization) = (&town, &authorization);
            async move {
                let answer = ask(town, address, &method, path, Some(authorization)).await;
                assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
                answer.json::<Records>().await.unwrap()
            }
        };
        assert_eq!(records(town.gateway, Method::GET, &preview).await, expected);
        assert_eq!(records(direct, Method::GET, &preview).await, expected);
        assert_eq!(records(town.gateway, Method::DELETE, &delete).await, expected);
        let again = records(direct, Method::DELETE, &delete).await;
        assert_eq!((again.total, again.previously_deleted), (0, expected.total));
    }
    assert!(town.counts(LEAVING).values().all(|&left| left == 0));
    assert_eq!(town.counts(STAYING), others);
    // Four calls for each service, two of them through the gateway: one record per decision.
    assert_eq!((town.gateway_audit.len(), town.services_audit.len()), (24, 48));
    assert!(town.services_audit.denials().is_empty());
}

#[tokio::test]
async fn path_that_is_not_the_service_s_own_is_not_answered() {
    let town = Town::start().await;
    let authorization = format!("Bearer {}", town.token());
    let orders = town.services["orders"];
    for (path, status) in [
        (preview_path("sales", LEAVING.id), StatusCode::NOT_FOUND),
        ("/api/v1/orders/tenant/not-a-uuid/deletion-preview".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(
            ask(&town, orders, &Method::GET, &path, Some(&authorization)).await.status(),
            status,
            "{path}"
        );
    }
    // A stranger does not learn whether the path was good: the guard runs first.
    let bad =
        ask(&town, orders, &Method::GET, "/api/v1/orders/tenant/not-a-uuid/deletion-preview", None).await;
    assert_eq!(bad.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_is_open_and_readiness_follows_the_database() {
    let town = Town::start().await;
    let orders = town.services["orders"];
    for (address, path) in
        [(orders, "/healthz"), (orders, "/readyz"), (town.gateway, "/healthz"), (town.gateway, "/readyz")]
    {
        assert_eq!(ask(&town, address, &Method::GET, path, None).await.status(), StatusCode::OK, "{path}");
    }
    std::fs::remove_file(town.stores["orders"].path()).unwrap();
    assert_eq!(ask(&town, orders, &Method::GET, "/healthz", None).await.status(), StatusCode::OK);
    assert_eq!(
        ask(&town, orders, &Method::GET, "/readyz", None).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );

    let authorization = format!("Bearer {}", town.token());
    let answer =
        ask(&town, orders, &Method::GET, &preview_path("orders", LEAVING.id), Some(&authorization)).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.text().await.unwrap().contains("orders.db"), "the wire must not name files");
}
