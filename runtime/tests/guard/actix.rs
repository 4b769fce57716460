//! Guarded actix-web handlers, from the header to the answer and the audit record.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use crate::frameworks::{LateKeys, Log, challenge_of, fixtures, public_in};
use actix_web::{
    App, FromRequest, HttpMessage, HttpResponse, HttpServer, Responder,
    dev::{Payload, Service, ServiceResponse},
    error::PayloadError,
    get,
    http::{
        StatusCode,
        header::{AUTHORIZATION, HeaderMap},
    },
    test::{TestRequest, init_service, read_body},
    web,
};
use service_only::{Caller, Identity, Verifier, audit::Decision, public, service_only};
use service_only_testkit::{Fixture, TestAuthority, assert_audited};

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant(path: web::Path<u32>, caller: Caller) -> String {
    format!("{path} deleted for {}", caller.service())
}

#[service_only]
#[get("/below")]
async fn attribute_below() -> &'static str {
    "below"
}

#[get("/above")]
#[service_only]
async fn attribute_above(caller: Caller) -> impl Responder {
    caller.service().to_owned()
}

#[service_only]
async fn with_body(body: web::Json<serde_json::Value>, caller: Caller) -> HttpResponse {
    HttpResponse::Ok().body(format!("{} from {}", body.0, caller.service()))
}

async fn only_caller(caller: Caller, body: web::Bytes) -> String {
    format!("{} bytes from {}", body.len(), caller.service())
}

async fn gateway(identity: Identity) -> &'static str {
    match identity {
        Identity::Service(_) => "service",
        Identity::User(_) => "user",
        _ => "nobody",
    }
}

#[public(reason = "load balancers have no token")]
#[get("/healthz")]
async fn healthz() -> &'static str {
    "healthy"
}

struct Handlers;

impl Handlers {
    #[service_only]
    async fn in_an_impl() -> &'static str {
        "impl"
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(attribute_below)
        .service(attribute_above)
        .service(healthz)
        .route("/tenant/{id}", web::delete().to(delete_tenant))
        .route("/impl", web::get().to(Handlers::in_an_impl))
        .route("/body", web::post().to(with_body))
        .route("/caller", web::post().to(only_caller))
        .route("/gateway", web::get().to(gateway));
}

/// Sends a request to an app that is made for it, in this thread.
async fn send(
    verifier: Option<&Verifier>,
    request: TestRequest,
    body: Payload,
) -> (StatusCode, HeaderMap, String) {
    let app = App::new().configure(|config| {
        if let Some(verifier) = verifier {
            config.app_data(web::Data::new(verifier.clone()));
        }
        routes(config);
    });
    let mut request = request.to_request();
    *request.payload() = body;
    let response: ServiceResponse = init_service(app).await.call(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, String::from_utf8(read_body(response).await.to_vec()).unwrap())
}

fn bearer(request: TestRequest, token: &str) -> TestRequest {
    request.append_header((AUTHORIZATION, format!("Bearer {token}")))
}

/// A body that tells whether anybody asked for it.
#[derive(Clone, Default)]
struct Body(Arc<AtomicBool>);

impl Body {
    fn payload(&self) -> Payload {
        let stream = futures_util::stream::once({
            let asked = Arc::clone(&self.0);
            async move {
                asked.store(true, Ordering::SeqCst);
                Ok::<_, PayloadError>(web::Bytes::from_static(b"{}"))
            }
        });
        Payload::Stream { payload: Box::pin(stream) }
    }

    fn was_asked_for(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The attribute's handlers on a real port, and a client of another make.
struct Server {
    address: std::net::SocketAddr,
    client: reqwest::Client,
}

impl Server {
    fn start(verifier: Verifier) -> Self {
        let app = move || App::new().app_data(web::Data::new(verifier.clone())).configure(routes);
        let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        // A proxy that the environment names is not for a server of this test.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, client }
    }

    async fn delete_tenant(&self, fixture: &Fixture) -> reqwest::Response {
        let outgoing = fixture.outgoing(reqwest::Method::DELETE, "/tenant/7?token=secret");
        let url = format!("http://{}{}", self.address, outgoing.target);
        let request = self.client.request(outgoing.method, url).body(outgoing.body.unwrap_or_default());
        let headers = outgoing.headers.iter();
        headers.fold(request, |request, (name, value)| request.header(name, value)).send().await.unwrap()
    }
}

#[actix_web::test]
async fn every_fixture_gets_its_answer_from_a_server_and_one_record() {
    let authority = TestAuthority::new();
    let server = Server::start(authority.verifier());
    for fixture in fixtures(&authority) {
        let name = fixture.name();
        let response = server.delete_tenant(&fixture).await;
        let event = authority.audit().only();
        authority.audit().clear();
        assert_eq!(response.status().as_u16(), fixture.status(), "{name}");
        assert_eq!((event.status, event.code), (fixture.status(), fixture.code()), "{name}");
        assert_eq!(event.endpoint.unwrap().to_string(), "guard::actix::delete_tenant");
        assert_eq!(event.method.as_deref(), Some("DELETE"));
        assert_eq!(event.route.as_deref(), Some("/tenant/{id}"));
        assert_eq!(event.path.as_deref(), Some("/tenant/7"));
        assert_eq!(event.client_address, Some("127.0.0.1".parse().unwrap()));
        if fixture.defect().is_none() {
            assert_eq!(response.text().await.unwrap(), "7 deleted for orchestrator");
            continue;
        }
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("www-authenticate"), challenge_of(&fixture), "{name}");
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(header("cache-control"), Some("no-store"));
        let body = response.text().await.unwrap();
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["instance"], event.id.urn().to_string());
        assert!(!body.contains(&*event.reason.unwrap()), "{name}: the wire tells the reason");
    }
}

#[actix_web::test]
async fn a_missing_scope_is_named_in_the_challenge() {
    let authority = TestAuthority::new();
    let request = TestRequest::delete().uri("/tenant/7");
    let token = authority.service("orchestrator").token();
    let (status, headers, _) =
        send(Some(&authority.verifier()), bearer(request, token.as_str()), Payload::None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let challenge = r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#;
    assert_eq!(headers.get("www-authenticate").unwrap(), challenge);
}

#[actix_web::test]
async fn every_kind_of_handler_runs_only_for_a_service() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let token = authority.service("orders").token();
    let get = TestRequest::get;
    let post = TestRequest::post;
    let cases: [(fn() -> TestRequest, _, _); 6] = [
        (get, "/below", "below"),
        (get, "/above", "orders"),
        (get, "/impl", "impl"),
        (get, "/gateway", "service"),
        (post, "/body", "{} from orders"),
        (post, "/caller", "2 bytes from orders"),
    ];
    for (method, path, expected) in cases {
        let request = || method().uri(path).insert_header(("content-type", "application/json"));
        // A server gives a request without a body none; only a handler that reads one needs it.
        let none = (!expected.contains("from")).then_some(Payload::None);
        for body in [Body::default().payload()].into_iter().chain(none) {
            let (status, _, text) = send(Some(&verifier), bearer(request(), token.as_str()), body).await;
            assert_eq!((status, text.as_str()), (StatusCode::OK, expected), "{path}");
            assert_eq!(authority.audit().only().decision, Decision::Allow, "{path}: one request, one record");
            authority.audit().clear();
        }

        let body = Body::default();
        let (status, ..) = send(Some(&verifier), request(), body.payload()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!body.was_asked_for(), "{path}: nothing of the body is read for a stranger");
        assert_audited!(authority.audit(), deny, code = "missing_token");
        assert_eq!(authority.audit().len(), 1);
        authority.audit().clear();
    }
}

#[actix_web::test]
async fn a_public_handler_accepts_every_client_and_is_listed() {
    let authority = TestAuthority::new();
    for verifier in [None, Some(&authority.verifier())] {
        let request = TestRequest::get().uri("/healthz");
        let (status, _, body) = send(verifier, request, Payload::None).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "healthy"));
    }
    assert!(authority.audit().is_empty(), "nothing was decided");
    let listed = public_in(module_path!());
    let [endpoint] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(endpoint.endpoint().to_string(), "guard::actix::healthz");
    assert_eq!(endpoint.reason(), "load balancers have no token");
}

#[actix_web::test]
async fn without_a_verifier_every_request_is_refused_and_recorded() {
    let token = TestAuthority::new().service("orders").token();
    for (path, endpoint) in [("/above", Some("guard::actix::attribute_above")), ("/gateway", None)] {
        let log = Log::default();
        let listening = log.of_this_thread();
        let request = bearer(TestRequest::get().uri(path), token.as_str());
        let (status, headers, body) = send(None, request, Payload::None).await;
        drop(listening);
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
        assert!(!headers.contains_key("www-authenticate"));

        let [event] = &log.events("service_only::audit")[..] else { panic!("not one record") };
        let fields = &event["fields"];
        assert_eq!((&fields["decision"], &fields["code"]), (&"deny".into(), &"no_verifier".into()));
        assert_eq!((&fields["status"], &fields["stage"]), (&500.into(), &"configuration".into()));
        assert_eq!(fields.get("endpoint").and_then(|endpoint| endpoint.as_str()), endpoint);
        assert!(body.contains(fields["id"].as_str().unwrap()), "{body}");
        assert_eq!(log.events("service_only")[0]["level"], "ERROR");
    }
}

#[actix_web::test]
async fn a_request_waits_once_for_a_missing_key_and_keeps_its_body() {
    let cases = [TestRequest::post, TestRequest::post, TestRequest::get].into_iter();
    let cases = cases.zip([("/body", true), ("/caller", true), ("/above", false)]);
    for ((method, (path, has_body)), let_in) in cases.flat_map(|case| [(case, true), (case, false)]) {
        let (authority, stranger) = (TestAuthority::new(), TestAuthority::new());
        let keys = LateKeys::of(&authority);
        let verifier = keys.verifier(&authority);
        let token = if let_in { authority.service("orders") } else { stranger.service("orders") }.token();
        let request = method().uri(path).insert_header(("content-type", "application/json"));
        let body = Body::default();
        let payload = if has_body { body.payload() } else { Payload::None };
        let sent = send(Some(&verifier), bearer(request, token.as_str()), payload);
        let mut sent = std::pin::pin!(sent);

        assert!(is_pending(sent.as_mut()).await, "{path}: the key is waited for");
        assert_eq!(keys.waits(), 1, "{path}: by one of the two who ask");
        assert!(!body.was_asked_for(), "{path}: the body is shut meanwhile");
        assert!(authority.audit().is_empty());

        keys.publish();
        let (status, ..) = sent.await;
        assert_eq!(status.as_u16(), if let_in { 200 } else { 401 }, "{path}");
        assert_eq!(body.was_asked_for(), let_in && has_body);
        assert_eq!(authority.audit().len(), 1, "one request, one decision, one record");
    }
}

/// Lets a future run until it waits for something that only the test can do.
async fn is_pending(mut future: Pin<&mut impl Future>) -> bool {
    for _ in 0..10 {
        let polled = std::future::poll_fn(|context: &mut Context<'_>| {
            Poll::Ready(future.as_mut().poll(context).is_pending())
        });
        if !polled.await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[actix_web::test]
async fn a_user_is_refused_by_a_guard_and_accepted_by_a_gateway() {
    let authority = TestAuthority::new();
    let token = authority.user("anna").token();
    let get = |path| bearer(TestRequest::get().uri(path), token.as_str());
    let (status, ..) = send(Some(&authority.verifier()), get("/above"), Payload::None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _, body) = send(Some(&authority.verifier()), get("/gateway"), Payload::None).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "user"));
    let decisions: Vec<_> = authority.audit().events().iter().map(|event| event.decision).collect();
    assert_eq!(decisions, [Decision::Deny, Decision::Allow]);
}

#[actix_web::test]
async fn a_decision_of_another_verifier_or_about_another_token_does_not_count() {
    let (outer, inner) = (TestAuthority::new(), TestAuthority::new());
    let request = bearer(TestRequest::get(), outer.service("orders").token().as_str());
    let request = request.app_data(web::Data::new(outer.verifier())).to_http_request();
    assert_eq!(Caller::extract(&request).await.unwrap().service(), "orders");
    assert_eq!(Caller::extract(&request).await.unwrap().service(), "orders");
    assert_eq!(outer.audit().len(), 1, "one request, one record");

    let outside = request;
    let request = bearer(TestRequest::get(), outer.service("orders").token().as_str());
    let request = request.app_data(web::Data::new(inner.verifier())).to_http_request();
    std::mem::swap(&mut *outside.extensions_mut(), &mut *request.extensions_mut());
    assert_eq!(Caller::extract(&request).await.unwrap_err().status(), 401);
    assert_eq!(inner.audit().len(), 1);
}
