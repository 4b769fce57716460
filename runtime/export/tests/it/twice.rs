//! One annotation, enforced twice: what an Envoy with the exported filters lets through, and what the
//! guarded handlers let in, request by request.

use std::time::Duration;

use axum::{
    Router,
    routing::{any, delete, get, post},
};
use service_only::{
    ClosedRouter, Policy, Verifier,
    clock::{Clock as _, SystemClock},
    closed,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_export::{self as export, MeshOptions};
use service_only_testkit::{TestAuthority, TokenDraft, call};

use crate::{mesh, proxy::Proxy, table};

#[service_only(services("orchestrator", "billing"), scopes("tenants:delete"))]
async fn delete_tenant() {}

#[service_only]
async fn read_tenant() {}

#[service_only(roles("admin", "operator"), scopes("tenants:delete", "tenants:purge"), max_age = "24h")]
async fn purge() {}

/// The attribute cannot let nobody in; this asks for what no token of the test has.
#[service_only(roles("no-one-has-it"))]
async fn keys() {}

#[service_only(roles("admin"))]
async fn owner() {}

async fn public() {}

/// The handlers that the table is of.
fn app(verifier: Verifier) -> Router {
    Router::new()
        .route("/tenants/{id}", delete(delete_tenant).get(read_tenant))
        .route("/tenants/purge", post(purge))
        .route("/healthz", get(public))
        .route("/files/{*rest}", any(public))
        .route("/files/by/{id}/owner", get(owner))
        .route("/files/keys", get(keys))
        .with_state(verifier)
}

const REQUESTS: [(&str, &str); 27] = [
    ("DELETE", "/tenants/7"),
    ("DELETE", "/tenants/7?force=1"),
    ("DELETE", "/tenants/7/"),
    ("DELETE", "//tenants/7"),
    ("DELETE", "/tenants/7/8"),
    ("DELETE", "/tenants/"),
    ("DELETE", "/tenants/%37"),
    ("DELETE", "/tenants/purge"),
    ("GET", "/tenants/7"),
    ("GET", "/tenants/purge"),
    ("GET", "/tenants/%70urge"),
    ("HEAD", "/tenants/7"),
    ("POST", "/tenants/7"),
    ("POST", "/tenants/purge"),
    ("GET", "/healthz"),
    ("POST", "/healthz"),
    ("GET", "/files/a/b"),
    ("PUT", "/files/a"),
    ("GET", "/files/by/7/owner"),
    ("GET", "/files/by//owner"),
    ("PUT", "/files/by/7/owner"),
    ("GET", "/files/"),
    ("GET", "/files"),
    ("GET", "/files/keys"),
    ("DELETE", "/files/keys"),
    ("GET", "/files/keys/a"),
    ("GET", "/"),
];

fn authority() -> TestAuthority {
    let authority = TestAuthority::new();
    // Envoy has no other clock than the system's.
    authority.clock().set(SystemClock.now());
    authority
}

fn options(authority: &TestAuthority) -> MeshOptions {
    MeshOptions::with_jwks(TestAuthority::ISSUER, &authority.jwks()).unwrap()
}

fn tokens(authority: &TestAuthority) -> Vec<(&'static str, TokenDraft)> {
    let orchestrator = || authority.service("orchestrator");
    vec![
        ("right", orchestrator().scope("tenants:delete")),
        ("another allowed", authority.service("billing").scopes(["a", "tenants:delete", "b"])),
        ("without its scope", orchestrator()),
        ("a longer scope", orchestrator().scopes(["tenants:deleted", "xtenants:delete"])),
        ("a scope that another character resembles", orchestrator().scope("tenants.delete")),
        ("scopes as a list", orchestrator().claim("scope", vec!["tenants:delete"])),
        ("scopes with a tab", orchestrator().claim("scope", "tenants:delete\ttenants:purge")),
        ("scopes with two spaces", orchestrator().claim("scope", " a  tenants:delete ")),
        (
            "an operator",
            authority.service("ops").role("operator").scopes(["tenants:purge", "tenants:delete"]),
        ),
        ("an operator without a scope", authority.service("ops").role("operator").scope("tenants:purge")),
        (
            "another role",
            authority.service("ops").role("Operator").scopes(["tenants:purge", "tenants:delete"]),
        ),
        ("another service", authority.service("orders").scope("tenants:delete")),
        ("another case", authority.service("Orchestrator").scope("tenants:delete")),
        ("a user", authority.user("anna")),
        ("a user who claims to be a service", orchestrator().scope("tenants:delete").claim("type", "access")),
        ("a token of no type", orchestrator().scope("tenants:delete").without_claim("type")),
        ("another audience", orchestrator().scope("tenants:delete").audience("stock")),
        ("audiences", orchestrator().scope("tenants:delete").claim("aud", vec!["stock", "orders"])),
    ]
}

async fn code_allows(router: &Router, method: &str, path: &str, authorization: &[String]) -> bool {
    let request = call(router.clone()).request(method.parse().unwrap(), path);
    let request = authorization.iter().fold(request, |it, value| it.header("authorization", value.as_str()));
    request.await.status().is_success()
}

/// Every request with every token, at both.
async fn both(authority: &TestAuthority, mesh: MeshOptions) {
    let Some(envoy) = Proxy::start(&export::envoy(&table(), &mesh).unwrap()).await else { return };
    let router = app(authority.verifier());
    let mut allowed = 0;
    let tokens =
        tokens(authority).into_iter().map(|(name, it)| (name, vec![format!("Bearer {}", it.token())]));
    for (name, authorization) in tokens.chain([("none", Vec::new())]) {
        for (method, path) in REQUESTS {
            let code = code_allows(&router, method, path, &authorization).await;
            let status = envoy.status(method, path, &authorization).await;
            assert_eq!(code, status == 200, "{name}: {method} {path}: Envoy says {status}");
            allowed += u32::from(code);
        }
    }
    assert!(allowed > 50, "{allowed}");
    let right = vec![format!("Bearer {}", authority.service("billing").scope("tenants:delete").token())];
    for (method, path, authorization, status) in [
        ("DELETE", "/tenants/7", &Vec::new(), 401),
        ("DELETE", "/tenants/7", &right, 200),
        ("POST", "/tenants/purge", &right, 403),
        ("GET", "/elsewhere", &right, 403),
        ("GET", "/elsewhere", &Vec::new(), 401),
        ("GET", "/healthz", &Vec::new(), 200),
    ] {
        assert_eq!(envoy.status(method, path, authorization).await, status, "{method} {path}");
    }
}

#[tokio::test]
async fn envoy_allows_exactly_what_the_code_allows() {
    let authority = authority();
    both(&authority, options(&authority)).await;
}

#[service_only::public(reason = "it is a website")]
async fn website() {}

/// A narrow fallback for anybody below a wide route for services, as a router has them.
#[tokio::test]
async fn envoy_checks_routes_before_fallbacks_as_the_code_does() {
    let authority = authority();
    let inner = ClosedRouter::new().route("/item", closed::get(website)).fallback(website);
    let router = ClosedRouter::new()
        .nest("/a", inner)
        .route("/{tenant}/{id}", closed::get(read_tenant))
        .fallback(owner)
        .with_state(authority.verifier());
    let yaml = export::envoy(&router.routes("orders"), &options(&authority)).unwrap();
    let Some(envoy) = Proxy::start(&yaml).await else { return };
    let router = router.into_open_router();
    let tokens = [
        Vec::new(),
        vec![format!("Bearer {}", authority.service("orders").token())],
        vec![format!("Bearer {}", authority.service("orders").role("admin").token())],
    ];
    for path in ["/", "/a", "/a/", "/a/item", "/a/5", "/a/5/6", "/b", "/b/5", "/b/5/6", "//", "//5"] {
        for authorization in &tokens {
            let code = code_allows(&router, "GET", path, authorization).await;
            let status = envoy.status("GET", path, authorization).await;
            assert_eq!(code, status == 200, "GET {path}: Envoy says {status}");
        }
    }
}

#[tokio::test]
async fn envoy_and_the_code_agree_on_audiences() {
    let authority = authority().audience("orders");
    both(&authority, options(&authority).audience("orders")).await;
}

#[tokio::test]
async fn known_gaps_of_envoy_are_the_only_differences() {
    let authority = authority();
    let Some(envoy) = Proxy::start(&export::envoy(&table(), &options(&authority)).unwrap()).await else {
        return;
    };
    // Envoy grants a second of skew at the least, so what is wrong by one is a matter of chance.
    const BY_A_SECOND: [&str; 3] = ["expires_now", "expired_a_second_ago", "valid_in_a_second"];
    let mut through = Vec::new();
    for fixture in authority.service("orchestrator").scope("tenants:delete").fixtures() {
        if BY_A_SECOND.contains(&fixture.name()) {
            continue;
        }
        if envoy.status("DELETE", "/tenants/7", &fixture.authorization()).await == 200 {
            through.push(fixture.name());
        }
    }
    // The code refuses all but the first: RFC 7515 sections 2 and 4.1.11, RFC 8725 section 3.11, RFC 7800
    // section 3.1, and the limits of this project.
    let known = [
        "valid",
        "padded_payload",
        "bits_behind_signature",
        "bits_behind_payload",
        "many_members",
        "critical_extension",
        "critical_known_name",
        "critical_expiry",
        "critical_nothing",
        "critical_as_text",
        "critical_null",
        "other_kind_of_token",
        "logout_token",
        "proof_of_possession",
        "type_of_token_as_list",
        "empty_type_of_token",
        "long_signature",
        "bound_to_certificate",
        "bound_to_thumbprint_of_key",
        "bound_to_public_key",
        "bound_to_encrypted_key",
        "bound_to_key_id",
        "bound_to_key_url",
        "bound_to_unknown_method",
        "bound_to_several_methods",
        "bound_to_nothing",
        "binding_as_null",
        "binding_as_text",
        "binding_as_list",
        "binding_as_number",
        "binding_as_false",
        "claim_too_long",
    ];
    assert_eq!(through, known);
}

#[tokio::test]
async fn age_of_a_token_is_left_to_the_code_with_a_comment() {
    const FRESH: Policy<'static> = Policy::any_service().max_age(Duration::from_secs(60));
    let table = RouteTable::new("orders").route(Route::new(["GET"], "/", Access::from(&FRESH)));
    let authority = authority();
    let yaml = export::envoy(&table, &options(&authority)).unwrap();
    assert!(yaml.contains("# GET /. Checked only by the code: max_age 1m"), "{yaml}");
    let Some(envoy) = Proxy::start(&yaml).await else { return };
    let old = authority.service("orders").claim("iat", SystemClock.now().unix() - 61).token();
    assert_eq!(envoy.status("GET", "/", &[format!("Bearer {old}")]).await, 200);
}

#[tokio::test]
async fn envoy_reads_every_kind_of_filters() {
    let hostile = crate::hostile::table();
    for (table, mesh) in [(table(), mesh()), (RouteTable::new("empty"), mesh()), (hostile, mesh())] {
        let yaml = export::envoy(&table, &mesh.audience("orders").leeway(Duration::from_secs(30))).unwrap();
        let Some(envoy) = Proxy::start(&yaml).await else { return };
        assert_eq!(envoy.status("GET", "/elsewhere", &[]).await, 401);
    }
}
