//! Services behind the layer, from the header to the answer and the audit record.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use crate::frameworks::{LateKeys, Log, POLICY, challenge_of, fixtures, valid};
use axum::{Router, body::Body, routing::get};
use http::{Method, Request, Response, header::AUTHORIZATION};
use service_only::{
    Caller, ClosedRouter, Policy, ServiceOnlyLayer, Verifier,
    audit::Decision,
    closed,
    error::{BuildError, Code},
    integration::ServiceOnly,
    public,
    routes::Access,
    service_only,
};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, assert_guarded, call};
use tower::{Layer, Service, ServiceExt};

/// A service that says who called, counts, and must be asked whether it is ready. Its clones are not.
#[derive(Default)]
struct Files {
    calls: Arc<AtomicUsize>,
    ready: bool,
}

impl Clone for Files {
    fn clone(&self) -> Self {
        Self { calls: Arc::clone(&self.calls), ready: false }
    }
}

impl Service<Request<Body>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(self.ready, "called without having been asked whether it is ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let caller = request.extensions().get::<Caller>().unwrap();
        ready(Ok(Response::new(Body::from(format!("a file for {}", caller.service())))))
    }
}

fn guarded(verifier: Verifier, files: &Files) -> ServiceOnly<Files> {
    ServiceOnlyLayer::new(verifier, POLICY).endpoint(module_path!(), "files").layer(files.clone())
}

#[tokio::test]
async fn every_fixture_gets_its_answer_from_a_guarded_service_and_one_record() {
    let (authority, files) = (TestAuthority::new(), Files::default());
    let router = Router::new().route_service("/files/{*path}", guarded(authority.verifier(), &files));
    let app = call(router).audit(authority.audit());
    for fixture in fixtures(&authority) {
        let name = fixture.name();
        let called = files.calls.load(Ordering::SeqCst);
        let request = app.get("/files/a.txt").from_address(([192, 0, 2, 1], 4711).into());
        let response = request.fixture(&fixture).await;
        fixture.assert_met(&response, authority.audit());
        let event = authority.audit().only();
        authority.audit().clear();
        assert_eq!(event.endpoint.unwrap().to_string(), "guard::tower::files");
        assert_eq!(event.route.as_deref(), Some("/files/{*path}"));
        assert_eq!(event.path.as_deref(), Some("/files/a.txt"));
        assert_eq!(event.client_address, Some("192.0.2.1".parse().unwrap()));
        let calls = files.calls.load(Ordering::SeqCst) - called;
        if fixture.defect().is_none() {
            assert_eq!((response.text(), calls), ("a file for orchestrator", 1));
            continue;
        }
        assert_eq!(calls, 0, "{name}: the service does not see a stranger's request");
        assert_eq!(response.challenge(), challenge_of(&fixture), "{name}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.problem()["instance"], event.id.urn().to_string());
    }
}

#[tokio::test]
async fn a_missing_scope_is_named_in_the_challenge() {
    let authority = TestAuthority::new();
    let app = call(Router::new().route_service("/", guarded(authority.verifier(), &Files::default())));
    let response = app.get("/").bearer(authority.service("orchestrator").token()).await;
    assert_denied!(response, 403);
    let challenge = r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#;
    assert_eq!(response.challenge(), Some(challenge));
}

#[tokio::test]
async fn the_layer_does_not_read_the_body_of_an_unauthenticated_request() {
    let authority = TestAuthority::new();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let body = Body::from_stream(futures_util::stream::once(async move {
        seen.store(true, Ordering::SeqCst);
        Ok::<_, Infallible>("bread")
    }));
    let service = guarded(authority.verifier(), &Files::default());
    let response = service.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(!asked.load(Ordering::SeqCst));
}

async fn who(caller: Caller) -> String {
    caller.service().to_owned()
}

#[service_only(services("warehouse"))]
async fn for_the_warehouse() -> &'static str {
    "stock"
}

/// A router of which the layer guards every route.
fn behind_the_layer(layer: ServiceOnlyLayer, state: Verifier) -> Router {
    let router = Router::new().route("/who", get(who)).route("/stock", get(for_the_warehouse));
    router.with_state(state).layer(layer)
}

#[tokio::test]
async fn a_caller_behind_the_layer_is_the_layers_and_a_guard_there_decides_in_the_same_record() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let layer = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let app = call(behind_the_layer(layer, verifier));
    let orders = authority.service("orders").token();

    let response = app.get("/who").bearer(&orders).await;
    assert_allowed!(response);
    assert_eq!(response.text(), "orders");
    assert_eq!(authority.audit().only().endpoint, None, "one request, one record");
    authority.audit().clear();

    assert_denied!(app.get("/stock").bearer(&orders).await, 403);
    let event = authority.audit().only();
    assert_eq!((event.decision, event.code), (Decision::Deny, Some(Code::ServiceNotAllowed)));
    assert_eq!(event.endpoint.unwrap().function(), "for_the_warehouse");
}

#[tokio::test]
async fn the_decision_of_a_layer_with_another_verifier_does_not_count() {
    let (outer, inner) = (TestAuthority::new(), TestAuthority::new());
    let layer = ServiceOnlyLayer::new(outer.verifier(), Policy::any_service());
    let app = call(behind_the_layer(layer, inner.verifier()));
    assert_denied!(app.get("/who").bearer(outer.service("orders").token()).await, 401);
    assert_eq!((outer.audit().allowed().len(), inner.audit().denials().len()), (1, 1));
}

#[tokio::test]
async fn a_caller_that_is_in_the_request_already_proves_nothing() {
    let (other, authority) = (TestAuthority::new(), TestAuthority::new());
    let caller = other.verifier().verify(&valid(&other).token()).unwrap();
    let service = guarded(authority.verifier(), &Files::default());
    let request = || Request::get("/").extension(caller.clone());
    let response = service.clone().oneshot(request().body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);

    let token = format!("Bearer {}", valid(&authority).token());
    let request = request().header(AUTHORIZATION, token).body(Body::empty()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(authority.audit().len(), 2);
}

#[tokio::test]
async fn a_request_waits_once_for_a_missing_key() {
    let authority = TestAuthority::new();
    let keys = LateKeys::of(&authority);
    let mut service = guarded(keys.verifier(&authority), &Files::default());
    let token = format!("Bearer {}", valid(&authority).token());
    let request = Request::get("/").header(AUTHORIZATION, token).body(Body::empty()).unwrap();
    let answer = tokio::spawn(service.ready().await.unwrap().call(request));
    tokio::task::yield_now().await;
    assert_eq!((keys.waits(), authority.audit().len()), (1, 0));
    keys.publish();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    assert_eq!((keys.waits(), authority.audit().len()), (1, 1));
}

#[tokio::test]
async fn a_closed_router_takes_a_guarded_service_and_lists_it() {
    let (authority, files) = (TestAuthority::new(), Files::default());
    let unnamed = ServiceOnlyLayer::new(authority.verifier(), Policy::any_service()).layer(files.clone());
    let inner = ClosedRouter::<()>::new()
        .route_service("/{*path}", guarded(authority.verifier(), &files))
        .route_service("/unnamed", unnamed);
    let router: ClosedRouter = ClosedRouter::new().nest("/files", inner);

    let table = router.routes("bakery");
    let rows: Vec<_> =
        table.routes().iter().map(|row| (row.path(), row.methods(), row.endpoint(), row.access())).collect();
    let (named, anyone) = (Access::from(&POLICY), Access::from(&Policy::any_service()));
    let expected = [
        ("/files/{*path}", &[][..], Some("guard::tower::files"), &named),
        ("/files/unnamed", &[][..], None, &anyone),
    ];
    assert_eq!(rows, expected);

    assert_guarded(router.clone()).await;
    assert_eq!(files.calls.load(Ordering::SeqCst), 0, "the service does not see a stranger's request");
    let app = call(router);
    let token = valid(&authority).token();
    for path in ["/files/a.txt", "/files/unnamed"] {
        for method in [Method::GET, Method::PUT] {
            assert_denied!(app.request(method.clone(), path).await, 401);
            let response = app.request(method, path).bearer(&token).await;
            assert_eq!(response.text(), "a file for orchestrator");
        }
    }
    assert_eq!(authority.audit().last().unwrap().path.as_deref(), Some("/files/unnamed"));
    assert_eq!(files.calls.load(Ordering::SeqCst), 4);
}

#[test]
fn a_layer_warns_when_its_verifier_trusts_no_issuer_that_it_requires() {
    let authority = TestAuthority::new().issuer("bakery-auth");
    let warnings = |issuers: &'static [&'static str]| {
        let (verifier, policy) = (authority.verifier(), Policy::any_service().issuers(issuers));
        Log::during("service_only", || drop(ServiceOnlyLayer::new(verifier, policy))).len()
    };
    assert_eq!(warnings(&["bakery-auth"]), 0);
    assert_eq!(warnings(&["https://other.example"]), 1);
}

#[test]
fn a_layer_whose_verifier_lacks_its_set_logs_it_and_allows_no_service() {
    let authority = TestAuthority::new();
    let (verifier, mut guarded) = (authority.verifier(), None);
    let log = Log::during("service_only", || {
        let policy = Policy::any_service().services(&["@others"]);
        guarded = Some(ServiceOnlyLayer::new(verifier, policy));
    });
    assert_eq!(log.len(), 1, "{log:?}");
    let token = authority.service("others").token();
    let denial = authority.verifier().verify_with(&token, guarded.unwrap().policy()).unwrap_err();
    assert_eq!(denial.code(), Code::ServiceNotAllowed);
}

#[test]
#[should_panic = "conflict"]
fn a_guarded_service_and_a_handler_cannot_share_a_path() {
    #[public(reason = "load balancers have no token")]
    async fn healthz() {}

    let authority = TestAuthority::new();
    let router = ClosedRouter::<()>::new().route("/", closed::get(healthz));
    drop(router.route_service("/", guarded(authority.verifier(), &Files::default())));
}

#[test]
fn a_guarded_service_lists_its_policy() {
    let authority = TestAuthority::new();
    let service = guarded(authority.verifier(), &Files::default());
    assert_eq!(service.policy(), &POLICY);
    assert_eq!(service.endpoint().unwrap().function(), "files");
    assert_eq!(ServiceOnlyLayer::new(authority.verifier(), POLICY).layer(()).endpoint(), None);
}

#[tokio::test]
async fn a_layer_takes_an_access_that_is_known_only_at_run_time() {
    let (authority, files) = (TestAuthority::new(), Files::default());
    let access: Access =
        serde_json::from_str(r#"{"service_only":{"services":["orders"],"scopes":["files:read"]}}"#).unwrap();
    let layer = ServiceOnlyLayer::of_access(authority.verifier(), &access).unwrap();
    assert_eq!(layer.policy().allowed_services(), Some(&["orders"][..]));
    let router = Router::new().route_service("/a.txt", layer.endpoint(module_path!(), "files").layer(files));
    let app = call(router).audit(authority.audit());
    let orders = authority.service("orders").scope("files:read");
    assert_allowed!(app.get("/a.txt").bearer(orders.token()).await);
    assert_denied!(
        app.get("/a.txt").bearer(authority.service("billing").scope("files:read").token()).await,
        403
    );
    assert_denied!(app.get("/a.txt").bearer(authority.service("orders").token()).await, 403);
    let refused = |access: &Access| ServiceOnlyLayer::of_access(authority.verifier(), access).map(|_| ());
    assert_eq!(refused(&Access::public("a test")), Err(BuildError::PublicLayer));
    let set: Access = serde_json::from_str(r#"{"service_only":{"services":["@deleters"]}}"#).unwrap();
    assert!(matches!(refused(&set), Err(BuildError::ServiceSet(_))));
}
