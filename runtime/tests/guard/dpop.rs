//! Tokens that are bound to a key, with a proof for each request (RFC 9449): on each framework, once per proof.

use std::time::Duration;

use actix_web::{
    App,
    test::{TestRequest, init_service},
    web,
};
use axum::{
    Router,
    routing::{get, post},
};
use http::{HeaderMap, Method, Request};
use service_only::{
    Algorithm, Caller, Dpop, Identity, Policy, Proof, ServiceOnlyLayer, User, Verifier, VerifierLayer,
    audit::Decision,
    dpop::{ReplayError, ReplayStore, SpentProof},
    error::{BuildError, Code},
    service_only,
    verifier::VerifierBuilder,
};
use service_only_testkit::{
    Audited, Defect, FixtureToken, TestAuthority, TestDpopKey, assert_allowed, assert_audited, assert_denied,
    call,
};
use tower::Layer;

const URL: &str = "https://orders.internal";

#[service_only(services("billing"))]
async fn stock(caller: Caller) -> String {
    format!("{:?} for {}", caller.proof(), caller.service())
}

#[service_only(services("billing"))]
async fn order(first: Caller, second: Identity) -> String {
    format!("{} {}", first.service(), matches!(second, Identity::Service(_)))
}

async fn without_guard(caller: Caller, again: Caller) -> String {
    format!("{}{}", caller.service(), again.service())
}

/// A refusal of the first argument is not that of the second.
async fn either(user: Result<User, service_only::Rejection>, caller: Caller) -> String {
    format!("{} {}", user.is_ok(), caller.service())
}

fn app(verifier: Verifier) -> Router {
    Router::new()
        .route("/stock", get(stock))
        .route("/orders", post(order))
        .route("/caller", get(without_guard))
        .route("/either", get(either))
        .nest("/nested", Router::new().route("/stock", get(stock)))
        .with_state(verifier)
}

struct Scene {
    authority: TestAuthority,
    key: TestDpopKey,
    token: FixtureToken,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let key = authority.dpop_key();
        let token = authority.service("billing").bound_to_key(&key).token();
        Self { authority, key, token }
    }

    fn builder(&self, dpop: Dpop) -> VerifierBuilder {
        self.authority.verifier_builder().dpop(dpop)
    }

    fn verifier(&self) -> Verifier {
        self.builder(Dpop::new(URL)).build().unwrap()
    }

    fn proof(&self, method: &str, path: &str) -> service_only_testkit::ProofDraft {
        self.key.proof(method, &format!("{URL}{path}"), &self.token)
    }

    /// The headers of a request with a new proof.
    fn headers(&self, method: &str, path: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("DPoP {}", &*self.token).parse().unwrap());
        headers.insert("dpop", self.proof(method, path).text().parse().unwrap());
        headers
    }

    fn last_code(&self) -> Option<Code> {
        let records = self.authority.audit().records();
        self.authority.audit().clear();
        assert_eq!(records.len(), 1, "one record for one attempt");
        records[0].code
    }
}

#[tokio::test]
async fn a_proof_is_accepted_once_and_the_record_shows_it() {
    let scene = Scene::new();
    let app = call(app(scene.verifier())).audit(scene.authority.audit());
    let proof = scene.proof("GET", "/stock");
    let response = app.get("/stock?query").dpop(&scene.token, &proof).await;
    assert_allowed!(response);
    assert_eq!(response.text(), "Some(Dpop) for billing");
    let record = scene.authority.audit().only();
    assert_eq!((record.decision, record.proof), (Decision::Allow, Some("dpop")));
    for _ in 0..2 {
        let response = app.get("/stock").dpop(&scene.token, &proof).await;
        assert_denied!(response, 401);
        assert_audited!(response, deny, code = "proof_mismatch", service = "billing");
    }
    for _ in 0..5 {
        assert_allowed!(app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await);
    }
}

#[tokio::test]
async fn a_cached_token_still_needs_a_new_proof_for_each_request() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let app = call(app(verifier.clone()));
    for _ in 0..4 {
        let proof = scene.proof("GET", "/stock");
        assert_allowed!(app.get("/stock").dpop(&scene.token, &proof).await);
        assert_denied!(app.get("/stock").dpop(&scene.token, &proof).await, 401);
        let other = scene.proof("GET", "/orders");
        assert_denied!(app.get("/stock").dpop(&scene.token, &other).await, 401);
        assert_denied!(app.get("/stock").bearer(&scene.token).await, 401);
    }
    assert!(verifier.token_cache_hits() >= 2, "{}", verifier.token_cache_hits());
}

#[tokio::test]
async fn each_hostile_request_is_refused_by_its_code_and_one_record() {
    // EdDSA signs a token in one way, so its text is in the cache from the second time on.
    let authority = TestAuthority::with(Algorithm::EdDSA).dpop(URL);
    let caller = authority.service("billing").proven_by(&authority.dpop_key());
    let uncached = authority.verifier_builder().without_token_cache().build().unwrap();
    for verifier in [authority.verifier(), uncached] {
        let app = call(app(verifier));
        for _ in 0..3 {
            assert_allowed!(app.get("/stock").fixture(&caller.fixtures()[0]).await);
            for defect in Defect::ALL.iter().filter(|defect| defect.family() == "dpop") {
                for hostile in caller.variants(*defect) {
                    if let Some(before) = hostile.before() {
                        assert_allowed!(app.get("/stock").fixture(&before).await);
                    }
                    authority.audit().clear();
                    let response = app.get("/stock").fixture(&hostile).await;
                    assert_denied!(response, 401);
                    assert_eq!(authority.audit().only().code, Some(defect.code()), "{defect}");
                }
            }
        }
    }
}

#[tokio::test]
async fn layers_guards_and_arguments_of_one_request_share_its_proof_and_its_record() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let layer = || ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let routes = app(verifier.clone());
    let behind = call(Router::new().fallback_service(layer().layer(layer().layer(routes.clone()))));
    let plain = call(routes);
    for (app, method, path) in [
        (&plain, Method::GET, "/stock"),
        (&plain, Method::POST, "/orders"),
        (&plain, Method::GET, "/caller"),
        (&plain, Method::GET, "/either"),
        (&plain, Method::GET, "/nested/stock"),
        (&behind, Method::GET, "/stock"),
        (&behind, Method::POST, "/orders"),
        (&behind, Method::GET, "/caller"),
    ] {
        scene.authority.audit().clear();
        let proof = scene.proof(method.as_str(), path);
        let response = app.request(method.clone(), path).dpop(&scene.token, &proof).await;
        assert_allowed!(response);
        let records = scene.authority.audit().records();
        assert_eq!(records.iter().filter(|record| record.decision == Decision::Allow).count(), 1, "{path}");
        let again = app.request(method, path).dpop(&scene.token, &proof).await;
        assert_denied!(again, 401);
    }
}

#[tokio::test]
async fn the_scheme_must_fit_the_token() {
    let scene = Scene::new();
    let bearer = scene.authority.service("billing").token();
    let app = call(app(scene.verifier()));
    assert_allowed!(app.get("/stock").bearer(&bearer).await);
    scene.authority.audit().clear();
    let proof = scene.key.proof("GET", &format!("{URL}/stock"), &bearer);
    assert_denied!(app.get("/stock").dpop(&bearer, &proof).await, 401);
    assert_eq!(scene.last_code(), Some(Code::ProofMismatch));
    let ignored = app.get("/stock").bearer(&bearer).header("dpop", "anything").await;
    assert_allowed!(ignored);
    scene.authority.audit().clear();
    for scheme in ["dpop", "DPOP", "DPoP "] {
        let request = app.get("/stock").authorization(format!("{scheme} {}", &*scene.token));
        assert_allowed!(request.header("dpop", scene.proof("GET", "/stock").text()).await);
    }
}

#[tokio::test]
async fn a_cached_bearer_token_with_a_valid_proof_of_any_key_is_refused_as_an_uncached_one_is() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let app = call(app(verifier.clone()));
    let bearer = scene.authority.service("billing").token();
    for _ in 0..4 {
        let proof = scene.key.proof("GET", &format!("{URL}/stock"), &bearer);
        scene.authority.audit().clear();
        assert_denied!(app.get("/stock").dpop(&bearer, &proof).await, 401);
        assert_eq!(scene.last_code(), Some(Code::ProofMismatch));
        assert_allowed!(app.get("/stock").bearer(&bearer).await);
    }
    assert!(verifier.token_cache_hits() >= 2);
}

#[tokio::test]
async fn a_refusal_names_the_schemes_that_are_accepted() {
    let scene = Scene::new();
    let algorithms = r#"algs="ES256 ES384 EdDSA Ed25519""#;
    let challenge = |response: &service_only_testkit::TestResponse| {
        response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned())
    };
    let both = call(app(scene.verifier()));
    let of_dpop = format!(r#"DPoP realm="service", error="invalid_token", {algorithms}"#);
    let response = both.get("/stock").bearer(&scene.token).await;
    let expected = format!(r#"Bearer realm="service", error="invalid_token", {of_dpop}"#);
    assert_eq!(challenge(&response), Some(expected));
    let response = both.get("/stock").await;
    let expected = format!(r#"Bearer realm="service", DPoP realm="service", {algorithms}"#);
    assert_eq!(challenge(&response), Some(expected));

    let only = call(app(scene.builder(Dpop::new(URL)).require_proof(Proof::Dpop).build().unwrap()));
    let bearer = scene.authority.service("billing").token();
    let response = only.get("/stock").bearer(&bearer).await;
    assert_denied!(response, 401);
    assert_eq!(challenge(&response), Some(of_dpop));
    assert_allowed!(only.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await);

    // Without the setting, the scheme is another one than Bearer, and the challenge is as before.
    let neither = call(app(scene.authority.verifier()));
    scene.authority.audit().clear();
    let response = neither.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await;
    assert_eq!(challenge(&response).as_deref(), Some(r#"Bearer realm="service""#));
    assert_eq!(scene.last_code(), Some(Code::MissingToken));
}

#[tokio::test]
async fn a_required_nonce_is_given_with_the_refusal_and_ends_after_its_lifetime() {
    let scene = Scene::new();
    let app = call(app(scene.builder(Dpop::new(URL).require_nonce()).build().unwrap()));
    let refused = app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await;
    assert_denied!(refused, 401);
    assert_eq!(scene.last_code(), Some(Code::UseDpopNonce));
    let header = |name: &str| refused.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert!(
        header("www-authenticate").starts_with(r#"DPoP realm="service", error="use_dpop_nonce", algs=""#)
    );
    let nonce = header("dpop-nonce");
    let with_nonce = || scene.proof("GET", "/stock").nonce(&nonce);
    for _ in 0..3 {
        assert_allowed!(app.get("/stock").dpop(&scene.token, &with_nonce()).await);
    }
    scene.authority.clock().advance(Dpop::NONCE_LIFETIME);
    assert_allowed!(app.get("/stock").dpop(&scene.token, &with_nonce()).await);
    scene.authority.clock().advance(Duration::from_secs(1));
    scene.authority.audit().clear();
    let stale = app.get("/stock").dpop(&scene.token, &with_nonce()).await;
    assert_denied!(stale, 401);
    assert_eq!(scene.last_code(), Some(Code::UseDpopNonce));
    assert!(stale.headers().contains_key("dpop-nonce"));
    // Another refusal has no nonce, because it would not help.
    let other = app.get("/stock").dpop(&scene.token, &scene.proof("POST", "/stock")).await;
    assert!(!other.headers().contains_key("dpop-nonce"));
}

#[tokio::test]
async fn replicas_with_one_secret_accept_each_others_nonces() {
    let scene = Scene::new();
    let replica = || {
        let dpop = Dpop::new(URL).require_nonce_of_fleet(vec![7; 32]);
        call(app(scene.builder(dpop).build().unwrap()))
    };
    let (one, other) = (replica(), replica());
    let refused = one.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await;
    let nonce = refused.headers().get("dpop-nonce").unwrap().to_str().unwrap().to_owned();
    let proof = scene.proof("GET", "/stock").nonce(nonce);
    assert_allowed!(other.get("/stock").dpop(&scene.token, &proof).await);
}

#[tokio::test]
async fn a_full_memory_refuses_until_a_proof_has_ended_and_only_accepted_requests_fill_it() {
    let scene = Scene::new();
    let app = call(app(scene.builder(Dpop::new(URL).replay_capacity(2)).build().unwrap()));
    // None of these is accepted, so none takes a place.
    let thief = scene.authority.dpop_key();
    let expired = scene.authority.service("billing").bound_to_key(&thief).expired().token();
    let forbidden = scene.authority.service("another").bound_to_key(&thief).token();
    for _ in 0..5 {
        for (token, status) in [(&scene.token, 401), (&expired, 401), (&forbidden, 403)] {
            let proof = thief.proof("GET", &format!("{URL}/stock"), token);
            assert_denied!(app.get("/stock").dpop(token, &proof).await, status);
        }
    }
    for _ in 0..2 {
        assert_allowed!(app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await);
    }
    scene.authority.audit().clear();
    let full = app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await;
    assert_denied!(full, 503);
    assert_eq!(full.headers().get("retry-after").unwrap(), "5");
    assert_eq!(scene.last_code(), Some(Code::ProofUnavailable));
    // A bearer token needs no place.
    assert_allowed!(app.get("/stock").bearer(scene.authority.service("billing").token()).await);
    scene.authority.clock().advance(Dpop::DEFAULT_MAX_AGE + Duration::from_secs(1));
    assert_allowed!(app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await);
}

/// A store that is down, or that panics.
struct Broken {
    panics: bool,
}

impl ReplayStore for Broken {
    fn spend(&self, _: &SpentProof, _: service_only::clock::Timestamp) -> Result<(), ReplayError> {
        assert!(!self.panics, "the store panicked");
        Err(ReplayError::Unavailable("the database is down".to_owned()))
    }
}

#[tokio::test]
async fn a_store_that_is_down_or_panics_refuses() {
    for (panics, status, code) in [(false, 503, Code::ProofUnavailable), (true, 500, Code::Panicked)] {
        let scene = Scene::new();
        let dpop = Dpop::new(URL).replay_store(Broken { panics });
        let app = call(app(scene.builder(dpop).build().unwrap()));
        let response = app.get("/stock").dpop(&scene.token, &scene.proof("GET", "/stock")).await;
        assert_denied!(response, status);
        assert_eq!(scene.last_code(), Some(code));
    }
}

#[test]
fn a_verifier_that_requires_proofs_needs_the_url_of_its_service() {
    let authority = TestAuthority::new();
    let build = |builder: VerifierBuilder| builder.build().map(drop);
    let without = build(authority.verifier_builder().require_proof(Proof::Dpop));
    assert!(matches!(&without, Err(BuildError::Dpop(why)) if why.contains("`.dpop(…)`")), "{without:?}");
    let invalid = build(authority.verifier_builder().dpop(Dpop::new("orders.internal")));
    assert!(
        matches!(&invalid, Err(BuildError::Dpop(why)) if why.contains("`orders.internal`")),
        "{invalid:?}"
    );
}

#[test]
fn without_a_request_there_is_no_proof() {
    let scene = Scene::new();
    let denial = scene.verifier().verify(&scene.token).unwrap_err();
    assert_eq!(denial.code(), Code::ProofMissing);
}

#[service_only(services("billing"))]
async fn actix_stock(first: Caller, second: Identity) -> String {
    format!("{:?} {}", first.proof(), matches!(second, Identity::Service(_)))
}

#[actix_web::test]
async fn actix_accepts_a_proof_once() {
    let scene = Scene::new();
    let routes = web::scope("/scope").route("/stock", web::get().to(actix_stock));
    let app = App::new().app_data(web::Data::new(scene.verifier())).service(routes);
    let service = init_service(app).await;
    let send = async |headers: &HeaderMap| {
        let request =
            headers.iter().fold(TestRequest::get().uri("/scope/stock?q"), |request, (name, value)| {
                request.append_header((name.as_str(), value.to_str().unwrap()))
            });
        actix_web::test::call_service(&service, request.to_request()).await.status().as_u16()
    };
    let headers = scene.headers("GET", "/scope/stock");
    assert_eq!(send(&headers).await, 200);
    assert_eq!(send(&headers).await, 401);
    assert_eq!(send(&scene.headers("GET", "/stock")).await, 401);
    let records: Vec<_> = scene.authority.audit().records().iter().map(|record| record.code).collect();
    assert_eq!(records, [None, Some(Code::ProofMismatch), Some(Code::ProofMismatch)]);
}

mod grpc {
    use std::net::SocketAddr;

    use tonic::{
        Response, Status,
        metadata::MetadataMap,
        transport::{Channel, Server, server::TcpIncoming},
    };
    use tonic_health::pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_client::HealthClient,
        health_server::{Health, HealthServer},
    };

    use super::*;

    struct Guarded;

    #[service_only(services("billing"))]
    #[tonic::async_trait]
    impl Health for Guarded {
        async fn check(
            &self,
            request: tonic::Request<HealthCheckRequest>,
        ) -> Result<Response<HealthCheckResponse>, Status> {
            assert_eq!(Caller::of(&request).unwrap().proof(), Some(Proof::Dpop));
            Ok(Response::new(HealthCheckResponse { status: 1 }))
        }

        type WatchStream = futures_util::stream::Empty<Result<HealthCheckResponse, Status>>;

        async fn watch(
            &self,
            _: tonic::Request<HealthCheckRequest>,
        ) -> Result<Response<Self::WatchStream>, Status> {
            Err(Status::unimplemented("not used"))
        }
    }

    #[tokio::test]
    async fn tonic_accepts_a_proof_once() {
        let scene = Scene::new();
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        let mut server = Server::builder().layer(VerifierLayer::new(scene.verifier()));
        tokio::spawn(server.add_service(HealthServer::new(Guarded)).serve_with_incoming(incoming));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = HealthClient::new(channel);
        let mut check = async |headers: HeaderMap| {
            let metadata = MetadataMap::from_headers(headers);
            let request =
                tonic::Request::from_parts(metadata, Default::default(), HealthCheckRequest::default());
            client.check(request).await.map(drop).map_err(|status| status.code())
        };
        let headers = scene.headers("POST", "/grpc.health.v1.Health/Check");
        assert_eq!(check(headers.clone()).await, Ok(()));
        assert_eq!(check(headers).await, Err(tonic::Code::Unauthenticated));
        let other = scene.headers("POST", "/grpc.health.v1.Health/Watch");
        assert_eq!(check(other).await, Err(tonic::Code::Unauthenticated));
    }
}

/// A layer that carries the extensions of one request over to another, as a cache of a program might.
#[tokio::test]
async fn a_decision_that_is_carried_over_to_another_request_is_not_its_proof() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    let routes = Router::new().route("/caller", get(without_guard)).with_state(verifier.clone());
    let inner = axum::middleware::from_fn(
        move |mut request: Request<axum::body::Body>, next: axum::middleware::Next| {
            let keep = keep.clone();
            async move {
                let earlier = keep.lock().unwrap().replace(request.extensions().clone());
                if let Some(earlier) = earlier {
                    request.extensions_mut().extend(earlier);
                }
                next.run(request).await
            }
        },
    );
    let layered = ServiceOnlyLayer::new(verifier, Policy::any_service());
    let app = call(Router::new().fallback_service(layered.layer(routes.layer(inner))));
    let first = scene.proof("GET", "/caller");
    assert_allowed!(app.get("/caller").dpop(&scene.token, &first).await);
    // The decision of the first request replaced that of the layer, which has recorded this proof. It does not count for
    // another proof, so the argument decides again.
    let second = scene.proof("GET", "/caller");
    assert_denied!(app.get("/caller").dpop(&scene.token, &second).await, 401);
    assert_denied!(app.get("/caller").dpop(&scene.token, &first).await, 401);
}
