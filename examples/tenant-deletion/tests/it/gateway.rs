//! What the gateway lets through, what it takes away and what it says itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::{Method, Request, header};
use serde_json::Value;
use service_only::Identity;
use service_only::claims::Actor;
use service_only::clock::{Clock, SystemClock};
use service_only::error::Code;
use service_only_testkit::RecordingAudit;
use tenant_deletion::catalogue::ORCHESTRATOR;
use tenant_deletion::gateway::{GATEWAY, Limits};
use tenant_deletion::tenant::STAYING;

use crate::raw::{Answer, Raw, request};
use crate::town::{ClosedPort, Place, Town, echo, mirror, preview_path, verifier_of};

/// A town whose `orders` is replaced.
async fn with_orders(limits: Limits, orders: Router) -> Town {
    Town::start_with(limits, move |service, router| {
        Place::Open(if service.name == "orders" { orders.clone() } else { router })
    })
    .await
}

/// What the echo upstream saw, field by field.
fn seen(body: &str) -> BTreeMap<String, Vec<String>> {
    let echoed: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no echo but {body:?}"));
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    for field in echoed["headers"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        fields.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    fields
}

/// The values of a field, which must be there once.
fn one<'f>(fields: &'f BTreeMap<String, Vec<String>>, name: &str) -> Option<&'f str> {
    let values = fields.get(name)?;
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    Some(&values[0])
}

const FORGED: [&str; 23] = [
    "X-User-Type: service",
    "x-user-type: service",
    "X_User_Type: service",
    "X-User_Type: service",
    "x_user-type: service",
    "X.User.Type: service",
    "X-USER-ID: root",
    "X-User-Role: owner",
    "X-User-Email: root@example.com",
    "X-User-Anything: 1",
    "X-Service-Name: tenant-deletion-orchestrator",
    "X_SERVICE_NAME: tenant-deletion-orchestrator",
    "X-Service-Token: 1",
    "X-Forwarded-For: 10.0.0.1",
    "X_Forwarded_For: 10.0.0.1",
    "X-Real-IP: 10.0.0.1",
    "True-Client-IP: 10.0.0.1",
    "X-Original-URL: /admin",
    "X_Rewrite_URL: /admin",
    "X-HTTP-Method-Override: DELETE",
    "X-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
];

#[tokio::test]
async fn identity_comes_from_the_token_and_never_from_the_client() {
    let town = with_orders(Limits::default(), echo()).await;
    let user = format!("Authorization: Bearer {}", town.authority.user("ana").role("baker").token());
    let service = format!("Authorization: Bearer {}", town.token());
    let bare = town.authority.user("ana").without_claim("role").without_claim("email").token();
    let bare = format!("Authorization: Bearer {bare}");

    for connection in
        ["close", "close, X-User-Type, x-user-id, X_User_Type, authorization", "close,x-service-name"]
    {
        let ask = async |authorization: &str| {
            let connection = format!("Connection: {connection}");
            let mut head =
                vec!["GET /api/v1/orders/things HTTP/1.1", "Host: gateway", authorization, &connection];
            head.extend(FORGED);
            let answer = request(&town, &head, "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            seen(&answer.body)
        };

        let fields = ask(&user).await;
        assert_eq!(one(&fields, "x-user-id"), Some("ana"));
        assert_eq!(one(&fields, "x-user-type"), Some("access"));
        assert_eq!(one(&fields, "x-user-role"), Some("baker"));
        assert_eq!(one(&fields, "x-user-email"), Some("ana@users.example"));
        assert_eq!(one(&fields, "x-service-name"), None);
        assert_eq!(one(&fields, "x-forwarded-for"), Some("127.0.0.1"));
        assert_own_token(&town, &fields, "ana").await;
        assert_no_forgery(&fields);

        let fields = ask(&bare).await;
        assert_eq!(one(&fields, "x-user-id"), Some("ana"));
        assert_eq!((one(&fields, "x-user-role"), one(&fields, "x-user-email")), (None, None));
        assert_no_forgery(&fields);

        let fields = ask(&service).await;
        assert_eq!(one(&fields, "x-user-type"), Some("service"));
        assert_eq!(one(&fields, "x-service-name"), Some(ORCHESTRATOR));
        assert_own_token(&town, &fields, ORCHESTRATOR).await;
        assert_no_forgery(&fields);
    }
}

/// That the service got a token of the gateway for this caller, and nothing of the caller's own.
async fn assert_own_token(town: &Town, fields: &BTreeMap<String, Vec<String>>, caller: &str) {
    let authorization = one(fields, "authorization").unwrap();
    let audit = RecordingAudit::new();
    let present = async |to: &str, from: &str| {
        let mut request = Request::new(());
        request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().unwrap());
        request.extensions_mut().insert(town.parts.certificate(from).peer());
        let mut parts = request.into_parts().0;
        audit.clear();
        let identity = Identity::from_request_parts(&mut parts, &verifier_of(&town.own, to, &audit)).await;
        identity.map_err(|_| audit.only().code.unwrap())
    };
    let now = SystemClock.now().unix();
    let (name, exp, actor) = match present("orders", GATEWAY).await.unwrap() {
        Identity::Service(it) => (it.service().to_owned(), it.claims().exp, it.actor().cloned()),
        Identity::User(it) => (it.id().unwrap().to_owned(), it.claims().exp, it.actor().cloned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(name, caller);
    assert_eq!(actor.as_ref().map(Actor::name), Some(GATEWAY));
    assert!(exp <= now + 60, "{exp} is more than a minute after {now}");
    // It is not for another service, and not for another connection.
    assert_eq!(present("sales", GATEWAY).await.unwrap_err(), Code::WrongAudience);
    assert_eq!(present("orders", "orders").await.unwrap_err(), Code::ProofMismatch);
}

/// Headers of the test kit's attacks that claim nothing about who calls, from where, or for what. Every other
/// header of its attacks must end at the gateway, those of future attacks included.
const OF_ANY_CLIENT: &[&str] = &[
    "accept",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-type",
    "dpop",
    "early-data",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "max-forwards",
    "next-router-prefetch",
    "origin",
    "pragma",
    "purpose",
    "range",
    "referer",
    "te",
    "upgrade",
    "user-agent",
    "x-bypass",
    "x-csrf-token",
    "x-debug",
    "x-dev",
    "x-health-check",
    "x-moz",
    "x-nextjs-data",
    "x-requested-with",
    "x-test",
];

#[tokio::test]
async fn no_identity_header_of_the_test_kits_attacks_reaches_a_service() {
    let town = with_orders(Limits::default(), echo()).await;
    let draft = town.orchestrator();
    let authorization = format!("Authorization: Bearer {}", draft.token());
    let ask = async |lines: &[String]| {
        let mut head =
            vec!["GET /api/v1/orders/things HTTP/1.1", "Host: gateway", "Connection: close", &authorization];
        head.extend(lines.iter().map(String::as_str));
        request(&town, &head, "").await
    };
    let honest = seen(&ask(&[]).await.body);
    let mut tried = BTreeSet::new();
    for fixture in draft.fixtures() {
        let sent: Vec<_> = fixture
            .outgoing(Method::GET, "/api/v1/orders/things")
            .headers
            .into_iter()
            .filter(|(name, _)| {
                let name = name.to_lowercase();
                !OF_ANY_CLIENT.contains(&name.as_str()) && !name.starts_with("sec-")
            })
            .collect();
        if sent.is_empty() {
            continue;
        }
        let lines: Vec<_> = sent.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let answer = ask(&lines).await;
        if answer.status == 400 {
            // Such as a second `Host`: the gateway passes nothing on.
            continue;
        }
        assert_eq!(answer.status, 200, "{}: {answer:?}", fixture.name());
        let fields = seen(&answer.body);
        for (name, value) in sent {
            let name = name.to_lowercase();
            assert_eq!(fields.get(&name), honest.get(&name), "`{name}: {value}` of `{}`", fixture.name());
            tried.insert(name);
        }
    }
    for name in ["x-service-name", "x_user_role", "x-forwarded-user", "client-cert", "x-real-ip"] {
        assert!(tried.contains(name), "{name} is not among {tried:?}");
    }
}

fn assert_no_forgery(fields: &BTreeMap<String, Vec<String>>) {
    let known =
        ["x-user-id", "x-user-type", "x-user-role", "x-user-email", "x-service-name", "x-forwarded-for"];
    for name in fields.keys() {
        let folded = name.replace(['_', '.'], "-");
        let vouches =
            ["x-user-", "x-service-", "x-forwarded-"].iter().any(|prefix| folded.starts_with(prefix));
        assert!(!vouches || known.contains(&name.as_str()), "{name} reached the service");
    }
    for forged in FORGED {
        let name = forged.split_once(':').unwrap().0.to_lowercase();
        assert!(known.contains(&name.as_str()) || !fields.contains_key(&name), "{name} reached the service");
    }
}

#[tokio::test]
async fn service_without_a_bound_token_is_refused_and_a_user_needs_none() {
    let town = with_orders(Limits::default(), echo()).await;
    let ask = async |client: &reqwest::Client, token: &str| {
        town.gateway_audit.clear();
        let url = format!("https://{}/api/v1/orders/things", town.gateway);
        let status = client.get(url).bearer_auth(token).send().await.unwrap().status().as_u16();
        (status, town.gateway_audit.only().code)
    };
    let bearer = town.authority.service(ORCHESTRATOR).token();
    let (owner, thief) = (town.client_of(ORCHESTRATOR), town.client_of("sales"));
    assert_eq!(ask(&owner, &bearer).await, (403, Some(Code::Refused)));
    assert_eq!(ask(&owner, &town.token()).await, (200, None));
    assert_eq!(ask(&thief, &town.token()).await, (401, Some(Code::ProofMismatch)));
    let without = reqwest::Client::builder()
        .tls_backend_preconfigured((*town.parts.roots_only().client_config()).clone())
        .no_proxy()
        .build()
        .unwrap();
    assert_eq!(ask(&without, &town.token()).await, (401, Some(Code::ProofMissing)));
    assert_eq!(ask(&without, &town.authority.user("ana").token()).await, (200, None));
}

#[tokio::test]
async fn renewed_certificate_of_the_gateway_binds_new_tokens_and_connections() {
    let town = Town::start().await;
    let path = preview_path("orders", STAYING.id);
    let ask = async || {
        let url = format!("https://{}{path}", town.gateway);
        town.http.get(url).bearer_auth(town.token()).send().await.unwrap().status()
    };
    assert_eq!(ask().await, 200);
    let former = town.parts.tls(GATEWAY).status();
    town.parts.renew(GATEWAY).await;
    assert_ne!(town.parts.tls(GATEWAY).status().thumbprint, former.thumbprint);
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn service_at_the_address_of_another_gets_nothing() {
    // `sales` answers where the gateway expects `orders`: with its own certificate, and it is asked nothing.
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let impostor = Router::new().fallback(move || async move { sender.send(()).unwrap() });
    let town = Town::start_with(Limits::default(), |service, router| match service.name {
        "orders" => Place::As("sales", impostor.clone()),
        _ => Place::Open(router),
    })
    .await;
    let url = format!("https://{}/api/v1/orders/things", town.gateway);
    let answer = town.http.get(url).bearer_auth(town.token()).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn refusal_of_the_gateways_own_token_is_502() {
    let refusing = Router::new().fallback(|| async { axum::http::StatusCode::UNAUTHORIZED });
    let town = with_orders(Limits::default(), refusing).await;
    let url = format!("https://{}/api/v1/orders/things", town.gateway);
    let answer = town.http.get(url).bearer_auth(town.token()).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn hop_by_hop_headers_are_not_forwarded_in_either_direction() {
    let upstream =
        echo().layer(axum::middleware::map_response(|mut response: axum::response::Response| async {
            let headers = response.headers_mut();
            headers.insert("keep-alive", "timeout=5".parse().unwrap());
            headers.insert(header::CONNECTION, "keep-alive, x-between".parse().unwrap());
            headers.insert("x-between", "1".parse().unwrap());
            headers.insert("x-end-to-end", "1".parse().unwrap());
            response
        }));
    let town = with_orders(Limits::default(), upstream).await;
    let answer = request(
        &town,
        &[
            "POST /api/v1/orders/things?a=1&b=%2F HTTP/1.1",
            "Host: gateway.example",
            &format!("Authorization: Bearer {}", town.token()),
            "Connection: close, X-Hop",
            "X-Hop: 1",
            "X-End: 1",
            "Keep-Alive: timeout=5",
            "TE: trailers",
            "Upgrade: websocket",
            "Proxy-Authorization: Basic eA==",
            "Content-Length: 5",
        ],
        "hello",
    )
    .await;
    let fields = seen(&answer.body);
    for gone in ["x-hop", "connection", "keep-alive", "te", "upgrade", "proxy-authorization"] {
        assert_eq!(one(&fields, gone), None, "{gone}");
    }
    assert_eq!(one(&fields, "x-end"), Some("1"));
    assert_eq!(one(&fields, "host"), Some(town.services["orders"].to_string().as_str()));
    let echoed: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(echoed["target"], "/api/v1/orders/things?a=1&b=%2F");
    assert_eq!(echoed["body"], "hello");

    let head = answer.head.to_lowercase();
    assert!(head.contains("x-end-to-end: 1"));
    assert!(!head.contains("x-between") && !head.contains("keep-alive: "), "{head}");
}

#[tokio::test]
async fn identity_in_a_trailer_is_not_forwarded() {
    let town = with_orders(Limits::default(), echo()).await;
    let head = [
        "POST /api/v1/orders/things HTTP/1.1",
        "Host: gateway",
        &format!("Authorization: Bearer {}", town.token()),
        "Connection: close",
        "Transfer-Encoding: chunked",
        "Trailer: X-User-Type",
    ];
    let answer = request(&town, &head, "5\r\nhello\r\n0\r\nX-User-Type: root\r\n\r\n").await;
    let echoed: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(echoed["body"], "hello");
    assert_eq!(echoed["trailers"], Value::Null);
}

#[tokio::test]
async fn malformed_target_gets_400_for_every_client() {
    let town = with_orders(Limits::default(), echo()).await;
    let tenant = STAYING.id;
    let authorization = format!("Authorization: Bearer {}", town.token());
    for target in [
        format!("//api/v1/orders/tenant/{tenant}"),
        format!("/api//v1/orders/tenant/{tenant}"),
        format!("/api/v1/orders/tenant/{tenant}/"),
        format!("/api/v1/orders/tenant/{tenant}//deletion-preview"),
        format!("/api/v1/sales/../orders/tenant/{tenant}"),
        format!("/api/v1/./orders/tenant/{tenant}"),
        format!("/api/v1/sales/%2e%2e/orders/tenant/{tenant}"),
        format!("/api/v1/sales/%2E./orders/tenant/{tenant}"),
        format!("/api/v1/orders%2Ftenant/{tenant}"),
        format!("/api/v1/orders%2ftenant/{tenant}"),
        format!("/api/v1/orders%5Ctenant/{tenant}"),
        format!("/api/v1/orders\\tenant/{tenant}"),
        format!("/api/v1/%6frders/tenant/{tenant}"),
        format!("/api/v1/orders;x=1/tenant/{tenant}"),
        format!("/api/v1/orders/tenant/{tenant}%00"),
        format!("/api/v1/orders/tenant/{tenant}%"),
        "/api/v1/orders/tenant/caf\u{e9}".to_owned(),
        "*".to_owned(),
        "orders".to_owned(),
        String::new(),
    ] {
        for head in [&[][..], &[authorization.as_str()]] {
            let line = format!("DELETE {target} HTTP/1.1");
            let mut lines = vec![line.as_str(), "Host: gateway", "Connection: close"];
            lines.extend(head);
            let answer = request(&town, &lines, "").await;
            assert_eq!(answer.status, 400, "{target}");
        }
    }
}

#[tokio::test]
async fn method_outside_of_the_api_gets_405_and_reaches_no_service() {
    let town = with_orders(Limits::default(), echo()).await;
    let authorization = format!("Authorization: Bearer {}", town.token());
    for target in
        ["CONNECT orders:80", "TRACE /api/v1/orders/x", "PROPFIND /api/v1/orders/x", "get /api/v1/orders/x"]
    {
        for fields in [&[][..], &[authorization.as_str()]] {
            let line = format!("{target} HTTP/1.1");
            let mut head = vec![line.as_str(), "Host: gateway", "Connection: close"];
            head.extend(fields);
            let answer = request(&town, &head, "").await;
            assert_eq!(answer.status, 405, "{target}: {answer:?}");
            assert!(
                answer
                    .head
                    .to_lowercase()
                    .contains("\r\nallow: get, head, post, put, patch, delete, options\r\n"),
                "{answer:?}"
            );
        }
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let line = format!("{method} /api/v1/orders/x HTTP/1.1");
        let head = [line.as_str(), "Host: gateway", "Connection: close", &authorization];
        assert_eq!(request(&town, &head, "").await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn request_without_exactly_one_host_gets_400() {
    let town = with_orders(Limits::default(), echo()).await;
    let authorization = format!("Authorization: Bearer {}", town.token());
    for (version, hosts, status) in [
        ("HTTP/1.1", &["Host: gateway"][..], 200),
        ("HTTP/1.1", &["Host: gateway:8080"], 200),
        ("HTTP/1.1", &["Host: [::1]:8080"], 200),
        ("HTTP/1.1", &[], 400),
        ("HTTP/1.1", &["Host: gateway", "Host: gateway"], 400),
        ("HTTP/1.1", &["Host: gateway", "Host: elsewhere"], 400),
        ("HTTP/1.1", &["Host: gateway, elsewhere"], 400),
        ("HTTP/1.1", &["Host: user@gateway"], 400),
        ("HTTP/1.1", &["Host: gateway/path"], 400),
        ("HTTP/1.1", &["Host:"], 400),
        // It had no `Host` yet, and two are as ambiguous as ever.
        ("HTTP/1.0", &[], 200),
        ("HTTP/1.0", &["Host: gateway", "Host: elsewhere"], 400),
    ] {
        let line = format!("GET /api/v1/orders/x {version}");
        let mut head = vec![line.as_str(), "Connection: close", &authorization];
        head.extend(hosts);
        let answer = request(&town, &head, "").await;
        assert_eq!(answer.status, status, "{version} {hosts:?}: {answer:?}");
    }
}

#[tokio::test]
async fn absolute_request_target_is_read_as_its_path() {
    let town = Town::start().await;
    let target = format!("GET http://elsewhere.example{} HTTP/1.1", preview_path("orders", STAYING.id));
    let authorization = format!("Authorization: Bearer {}", town.token());
    let answer =
        request(&town, &[&target, "Host: elsewhere.example", &authorization, "Connection: close"], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""service":"orders""#));
}

#[tokio::test]
async fn body_with_two_lengths_is_forwarded_with_one() {
    let town = with_orders(Limits::default(), echo()).await;
    let authorization = format!("Authorization: Bearer {}", town.token());
    let post = async |framing: [&str; 2]| {
        let mut head = vec!["POST /api/v1/orders/things HTTP/1.1", "Host: gateway", &authorization];
        head.extend(framing);
        // What a smuggler would have the service read as a second request.
        request(&town, &head, "0\r\n\r\nGET /api/v1/orders/smuggled HTTP/1.1\r\n\r\n").await
    };
    for framing in [
        ["Content-Length: 48", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 48"],
    ] {
        // `Transfer-Encoding` wins (RFC 9112 section 6.3), and the service is told of it alone.
        let mut connection = town.connect().await;
        let head =
            ["POST /api/v1/orders/things HTTP/1.1", "Host: gateway", "Connection: close", &authorization];
        connection.send(format!("{}\r\n{}\r\n\r\n0\r\n\r\n", head.join("\r\n"), framing.join("\r\n"))).await;
        let answer = connection.answer().await;
        let fields = seen(&answer.body);
        assert_eq!(one(&fields, "content-length"), None, "{framing:?}");
        assert_eq!(one(&fields, "transfer-encoding"), Some("chunked"), "{framing:?}");
    }
    for framing in [
        ["Content-Length: 48", "Content-Length: 0"],
        ["Content-Length: 48, 0", "X: 1"],
        ["Transfer-Encoding: gzip", "X: 1"],
        ["Transfer-Encoding: chunked, gzip", "X: 1"],
        ["Transfer-Encoding: xchunked", "Content-Length: 48"],
    ] {
        assert_eq!(post(framing).await.status, 400, "{framing:?}");
    }
    assert!(
        town.gateway_audit
            .events()
            .iter()
            .all(|event| event.path.as_deref() != Some("/api/v1/orders/smuggled"))
    );
}

#[tokio::test]
async fn two_authorization_fields_are_400_and_another_scheme_is_401() {
    let town = with_orders(Limits::default(), echo()).await;
    let bearer = format!("Authorization: Bearer {}", town.token());
    for (fields, status, challenge) in [
        (vec![bearer.as_str(), bearer.as_str()], 400, r#"Bearer realm="bakery", error="invalid_request""#),
        (
            vec![bearer.as_str(), "Authorization: Basic eA=="],
            400,
            r#"Bearer realm="bakery", error="invalid_request""#,
        ),
        (vec!["Authorization: Basic eA=="], 401, r#"Bearer realm="bakery""#),
        (vec![], 401, r#"Bearer realm="bakery""#),
    ] {
        town.gateway_audit.clear();
        let mut head = vec!["GET /api/v1/orders/things HTTP/1.1", "Host: gateway", "Connection: close"];
        head.extend(&fields);
        let answer = request(&town, &head, "").await;
        assert_eq!(answer.status, status, "{fields:?}");
        assert!(
            answer.head.to_lowercase().contains(&format!("www-authenticate: {challenge}\r\n").to_lowercase())
        );
        assert_eq!(town.gateway_audit.only().status, status);
    }
}

#[tokio::test]
async fn path_of_an_unknown_service_is_404_for_authenticated_callers() {
    let town = Town::start().await;
    for path in ["/api/v1/payroll/tenant/x", "/api/v2/orders/tenant/x", "/metrics", "/api/v1/ORDERS/tenant/x"]
    {
        let url = format!("https://{}{path}", town.gateway);
        assert_eq!(town.http.get(&url).send().await.unwrap().status(), 401, "{path}");
        assert_eq!(
            town.http.get(&url).bearer_auth(town.token()).send().await.unwrap().status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn bodies_stream_in_both_directions_in_parallel() {
    let town = with_orders(Limits::default(), mirror()).await;
    let mut connection = town.connect().await;
    let token = town.token();
    connection
        .send(format!(
            "POST /api/v1/orders/import HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        ))
        .await;
    // Each chunk comes back before the next one is sent: nothing waits for the whole body.
    for chunk in ["first", "second", "third"] {
        connection.send(format!("{:x}\r\n{chunk}\r\n", chunk.len())).await;
        connection.until(chunk).await;
    }
    connection.send("0\r\n\r\n").await;
    connection.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn body_beyond_the_limit_is_413_with_and_without_content_length() {
    let town = with_orders(Limits { body: 1000, ..Limits::default() }, echo()).await;
    let url = format!("https://{}/api/v1/orders/import", town.gateway);
    let post = |body: String| town.http.post(&url).bearer_auth(town.token()).body(body).send();
    assert_eq!(post("x".repeat(1000)).await.unwrap().status(), 200);
    assert_eq!(post("x".repeat(1001)).await.unwrap().status(), 413);

    let head = [
        "POST /api/v1/orders/import HTTP/1.1",
        "Host: gateway",
        "Connection: close",
        "Transfer-Encoding: chunked",
        &format!("Authorization: Bearer {}", town.token()),
    ];
    let chunk = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(0x400));
    assert_eq!(request(&town, &head, &chunk).await.status, 413);
}

/// An upload to `orders`: `framing` is the header field that states its length, `body` is what comes of it.
async fn upload(town: &Town, framing: &str, body: &str) -> Raw {
    let mut connection = town.connect().await;
    let authorization = format!("Authorization: Bearer {}", town.token());
    let head = ["POST /api/v1/orders/import HTTP/1.1", "Host: gateway", &authorization, framing];
    connection.send(format!("{}\r\n\r\n{body}", head.join("\r\n"))).await;
    connection
}

/// That the client is told of its fault, and that nothing more is read from its connection.
fn assert_refused(answer: &Answer, status: u16, case: &str) {
    assert_eq!(answer.status, status, "{case:?}: {answer:?}");
    assert!(answer.head.to_lowercase().contains("\r\nconnection: close"), "{case:?}: {answer:?}");
    assert!(answer.head.contains("application/problem+json"), "{case:?}: {answer:?}");
}

#[tokio::test]
async fn body_that_a_client_breaks_is_400_and_the_connection_ends() {
    let (complete, mut completed) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Router::new().fallback(move |body: Body| async move {
        if let Ok(body) = axum::body::to_bytes(body, usize::MAX).await {
            complete.send(body).unwrap();
        }
    });
    let town = with_orders(Limits::default(), upstream).await;
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloGET /api/v1/orders/smuggled HTTP/1.1\r\n\r\n",
        "5\r\nhello\r\nzz\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
    ] {
        // The client keeps its side open: the gateway must not wait for it.
        assert_refused(&upload(&town, CHUNKED, body).await.answer().await, 400, body);
    }
    for (framing, body) in [
        (CHUNKED, ""),
        (CHUNKED, "5\r\nhel"),
        (CHUNKED, "5\r\nhello\r\n"),
        (CHUNKED, "5\r\nhello\r\n0\r\n"),
        ("Content-Length: 48", ""),
        ("Content-Length: 48", "hello"),
    ] {
        let mut connection = upload(&town, framing, body).await;
        connection.finish().await;
        assert_refused(&connection.answer().await, 400, body);
    }
    assert!(completed.try_recv().is_err(), "a service took a broken body for a whole one");
}

#[tokio::test]
async fn body_that_a_client_does_not_finish_is_408_and_a_silent_service_is_504() {
    // Long enough to open a connection to a service on a busy machine.
    let limits = Limits { upstream: Duration::from_secs(3), ..Limits::default() };
    let silent = Router::new().fallback(std::future::pending::<()>);
    let town = Town::start_with(limits, |service, router| match service.name {
        "orders" => Place::Open(echo()),
        "sales" => Place::Open(silent.clone()),
        _ => Place::Open(router),
    })
    .await;
    let url = format!("https://{}/api/v1/sales/import", town.gateway);
    // The second is more than a service that reads nothing takes from a socket.
    let whole = [5, 9_000_000].map(|length| {
        tokio::spawn(town.http.post(&url).bearer_auth(town.token()).body("x".repeat(length)).send())
    });
    let mut unfinished = Vec::new();
    for (framing, body) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Transfer-Encoding: chunked", ""),
        ("Content-Length: 48", "hello"),
    ] {
        unfinished.push((body, upload(&town, framing, body).await));
    }
    // All of them wait at the same time.
    for (body, connection) in unfinished {
        assert_refused(&connection.answer().await, 408, body);
    }
    for answer in whole {
        assert_eq!(answer.await.unwrap().unwrap().status(), 504);
    }
}

#[tokio::test]
async fn malformed_response_of_a_service_is_always_502() {
    for answer in
        [&b""[..], b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"\0\0\0\0\0\0\0\0\r\n\r\n"]
    {
        let town = Town::start_with(Limits::default(), |service, router| match service.name {
            "orders" => Place::Garbage(answer),
            _ => Place::Open(router),
        })
        .await;
        let url = format!("https://{}/api/v1/orders/import", town.gateway);
        for request in [town.http.get(&url), town.http.post(&url).body("hello")] {
            let status = request.bearer_auth(town.token()).send().await.unwrap().status();
            assert_eq!(status, 502, "{}", String::from_utf8_lossy(answer));
        }
    }
}

#[tokio::test]
async fn service_that_is_down_is_502_and_one_that_is_silent_is_504() {
    let (_closed, down) = ClosedPort::new();
    // Long enough to be refused by a closed port on a busy machine.
    let limits = Limits { upstream: Duration::from_secs(3), ..Limits::default() };
    let town = Town::start_with(limits, |service, router| match service.name {
        "orders" => Place::At(down),
        "sales" => Place::Open(Router::new().fallback(std::future::pending::<()>)),
        _ => Place::Open(router),
    })
    .await;
    for (service, status) in [("orders", 502), ("sales", 504)] {
        let url = format!("https://{}{}", town.gateway, preview_path(service, STAYING.id));
        let answer = town.http.get(url).bearer_auth(town.token()).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = answer.text().await.unwrap();
        assert!(!body.contains("127.0.0.1"), "the wire must not say where services are: {body}");
    }
}

#[tokio::test]
async fn upload_that_makes_progress_may_exceed_the_timeout() {
    // Longer in all than the timeout, shorter between chunks.
    let limits = Limits { upstream: Duration::from_millis(1500), ..Limits::default() };
    let town = with_orders(limits, echo()).await;
    let mut connection = town.connect().await;
    connection
        .send(format!(
            "POST /api/v1/orders/import HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            town.token()
        ))
        .await;
    for _ in 0..4 {
        // The passing of time is what this test is about.
        tokio::time::sleep(Duration::from_millis(500)).await;
        connection.send("1\r\nx\r\n").await;
    }
    connection.send("0\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 200);
}
