//! Handlers that require a proof of possession, and callers by their certificate, in each form of a handler.

use axum::{Router, routing::get};
use http::StatusCode;
use service_only::{
    Caller, Dpop, Identity, Policy, RequiredProof, ServiceOnlyLayer, TrustedIssuer, Verifier, VerifierLayer,
    callers,
    error::{BuildError, Code},
    routes::{Access, PolicyTable, policy_of},
    service_only, users_only,
};
use service_only_testkit::{TestAuthority, TestCa, TestCertificate, call};
use tonic::{Request, Response, Status};

use crate::frameworks::guarded_in;

const ORDERS: &str = "spiffe://bakery.example/orders";

#[service_only(services("orders"), proof = "mtls")]
async fn by_certificate(caller: Caller) -> String {
    format!("{} by {:?}", caller.service(), caller.proof())
}

#[callers(users(proof = "any"), services("orders"))]
async fn users_with_a_proof(caller: Identity) -> &'static str {
    match caller {
        Identity::Service(_) => "service",
        _ => "user",
    }
}

#[users_only(proof = "mtls", max_age = "1h")]
async fn users_by_certificate() {}

#[service_only]
async fn anyone(caller: Caller) -> String {
    caller.service().to_owned()
}

async fn unguarded(caller: Caller) -> String {
    caller.service().to_owned()
}

struct Scene {
    authority: TestAuthority,
    ca: TestCa,
    orders: TestCertificate,
    other: TestCertificate,
}

impl Scene {
    fn new() -> Self {
        let (authority, ca) = (TestAuthority::new(), TestCa::new("bakery.example"));
        let of = |id: &str| ca.leaf().spiffe_id(id).valid_around(authority.clock().now()).issue();
        Self { orders: of(ORDERS), other: of("spiffe://bakery.example/thief"), authority, ca }
    }

    fn verifier(&self) -> Verifier {
        let domain = TrustedIssuer::spiffe_x509("bakery.example").name(ORDERS, "orders");
        self.authority.verifier_builder().trust(domain).build().unwrap()
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/mtls", get(by_certificate))
            .route("/both", get(users_with_a_proof))
            .route("/users", get(users_by_certificate))
            .route("/anyone", get(anyone))
            .route("/unguarded", get(unguarded))
            .with_state(self.verifier())
    }

    fn last(&self) -> (Option<Code>, Option<&'static str>, Option<String>) {
        let record = self.authority.audit().last().unwrap();
        (record.code, record.proof, record.peer)
    }
}

#[tokio::test]
async fn a_handler_that_requires_a_proof_refuses_bearer_tokens_with_401() {
    let scene = Scene::new();
    let app = call(scene.router());
    let bearer = scene.authority.service("orders").token();
    let bound = scene.authority.service("orders").bound_to(&scene.orders).token();
    // Often enough for the token cache.
    for _ in 0..4 {
        let response = app.get("/mtls").bearer(&bearer).certificate(&scene.orders).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
        assert_eq!(scene.last(), (Some(Code::ProofMissing), None, Some(ORDERS.to_owned())));
        let response = app.get("/anyone").bearer(&bearer).await;
        assert_eq!(response.status(), StatusCode::OK, "a handler without the key accepts it");
        let response = app.get("/mtls").bearer(&bound).certificate(&scene.orders).await;
        assert_eq!((response.status(), response.text()), (StatusCode::OK, "orders by Some(Mtls)"));
        assert_eq!(scene.last(), (None, Some("mtls"), Some(ORDERS.to_owned())));
        let response = app.get("/mtls").bearer(&bound).certificate(&scene.other).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let thief = Some("spiffe://bakery.example/thief".to_owned());
        assert_eq!(scene.last(), (Some(Code::ProofMismatch), None, thief), "the record names the thief");
    }
}

#[tokio::test]
async fn each_kind_of_callers_has_its_own_required_proof() {
    let scene = Scene::new();
    let app = call(scene.router());
    let (user, service) = (scene.authority.user("mia"), scene.authority.service("orders"));
    let status = async |path: &str, token: &str| app.get(path).bearer(token).certificate(&scene.orders).await;
    let text = status("/both", &service.token()).await;
    assert_eq!((text.status(), text.text()), (StatusCode::OK, "service"));
    assert_eq!(status("/both", &user.token()).await.status(), StatusCode::UNAUTHORIZED);
    let bound = user.clone().bound_to(&scene.orders).token();
    assert_eq!(status("/both", &bound).await.text(), "user");
    assert_eq!(status("/users", &user.token()).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(status("/users", &bound).await.status(), StatusCode::OK);
    // The kind is decided first: a service that is not for the handler at all is not asked for a proof.
    assert_eq!(status("/users", &service.token()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_request_without_a_token_is_decided_by_its_certificate() {
    let scene = Scene::new();
    let app = call(scene.router());
    for path in ["/mtls", "/anyone", "/unguarded", "/both"] {
        let before = scene.authority.audit().len();
        let response = app.get(path).certificate(&scene.orders).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(scene.authority.audit().len(), before + 1, "one attempt, one record");
        assert_eq!(scene.last(), (None, Some("mtls"), Some(ORDERS.to_owned())));
        let response = app.get(path).certificate(&scene.other).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}: it has no name here");
        assert_eq!(
            response.header("www-authenticate"),
            Some(r#"Bearer realm="service""#),
            "no token, no error"
        );
        assert_eq!(app.get(path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(scene.last(), (Some(Code::MissingToken), None, None));
    }
    assert_eq!(app.get("/users").certificate(&scene.orders).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn any_authorization_header_makes_it_a_request_with_a_token() {
    let scene = Scene::new();
    let app = call(scene.router());
    for value in
        ["", "Bearer", "Bearer ", "Bearer x", "Basic b3JkZXJzOg==", "DPoP a.b.c", "Negotiate", "\tBearer x"]
    {
        let response = app.get("/anyone").authorization(value).certificate(&scene.orders).await;
        assert!([400, 401].contains(&response.status().as_u16()), "{value:?}: {}", response.status());
        assert_ne!(scene.last().0, None, "{value:?}");
    }
    let twice =
        app.get("/anyone").authorization("Basic x").authorization("Basic x").certificate(&scene.orders);
    assert_eq!(twice.await.status(), StatusCode::BAD_REQUEST);
    let expired = scene.authority.service("orders").expired().token();
    let response = app.get("/anyone").bearer(&expired).certificate(&scene.orders).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(scene.last().0, Some(Code::Expired), "no fallback to the certificate");
}

#[tokio::test]
async fn no_header_names_a_caller() {
    let scene = Scene::new();
    let app = call(scene.router());
    let pem = scene.orders.chain_pem().replace(['\r', '\n'], "%0A");
    let base64 = {
        use base64::{Engine, engine::general_purpose::STANDARD};
        format!(":{}:", STANDARD.encode(scene.orders.der()))
    };
    for (name, value) in [
        ("x-forwarded-client-cert", format!("Hash=00;URI={ORDERS}")),
        ("x-forwarded-client-cert", format!("Cert=\"{pem}\"")),
        ("client-cert", base64.clone()),
        ("client-cert-chain", base64.clone()),
        ("x-client-cert", pem.clone()),
        ("ssl-client-cert", pem.clone()),
        ("x-ssl-client-s-dn", "CN=orders".to_owned()),
        ("x-spiffe-id", ORDERS.to_owned()),
        ("x-service-name", "orders".to_owned()),
    ] {
        let response = app.get("/anyone").header(name, value).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(scene.last(), (Some(Code::MissingToken), None, None), "{name}");
    }
}

#[tokio::test]
async fn the_challenge_of_a_caller_without_a_token_has_no_error() {
    let scene = Scene::new();
    // A handler with `proof = "dpop"` would keep the verifiers of this program from building.
    let layer = ServiceOnlyLayer::new(scene.verifier(), Policy::any_service().proof(RequiredProof::Dpop));
    let router = Router::new().route("/dpop", get(anyone)).with_state(scene.verifier()).layer(layer);
    let response = call(router).get("/dpop").certificate(&scene.orders).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(scene.last().0, Some(Code::ProofMissing));
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=") && !challenge.contains("error"), "{challenge}");
}

#[tokio::test]
async fn a_certificate_is_checked_for_each_request_of_its_connection() {
    let scene = Scene::new();
    let now = scene.authority.clock().now().unix();
    let short = scene.ca.leaf().spiffe_id(ORDERS).valid(now - 60, now + 60).issue();
    let app = call(scene.router());
    assert_eq!(app.get("/mtls").certificate(&short).await.status(), StatusCode::OK);
    scene.authority.clock().advance(std::time::Duration::from_secs(61));
    let response = app.get("/mtls").certificate(&short).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(scene.last().0, Some(Code::Expired));
}

#[tokio::test]
async fn a_layer_and_its_handlers_share_the_decision_about_a_certificate() {
    let scene = Scene::new();
    let layer = ServiceOnlyLayer::new(scene.verifier(), Policy::any_service().proof(RequiredProof::Any));
    let app = call(scene.router().layer(layer));
    let bearer = scene.authority.service("orders").token();
    assert_eq!(app.get("/anyone").bearer(&bearer).await.status(), StatusCode::UNAUTHORIZED);
    let before = scene.authority.audit().len();
    let response = app.get("/anyone").certificate(&scene.orders).await;
    assert_eq!((response.status(), response.text()), (StatusCode::OK, "orders"));
    assert_eq!(scene.authority.audit().len() - before, 2, "two verifiers decide, each with its record");
}

#[tokio::test]
async fn one_verifier_in_a_layer_and_a_handler_makes_one_record() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let layer = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let router = Router::new().route("/", get(by_certificate)).with_state(verifier).layer(layer);
    let app = call(router);
    assert_eq!(app.get("/").certificate(&scene.orders).await.status(), StatusCode::OK);
    let record = scene.authority.audit().only();
    assert_eq!((record.proof, record.service.as_deref()), (Some("mtls"), Some("orders")));
}

#[tokio::test]
async fn a_decision_about_one_connection_is_not_taken_for_a_request_of_another() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let layer = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let thief = scene.other.peer();
    let carried_over = axum::middleware::map_request(move |mut request: axum::extract::Request| {
        request.extensions_mut().insert(thief.clone());
        std::future::ready(request)
    });
    let router =
        Router::new().route("/", get(by_certificate)).with_state(verifier).layer(carried_over).layer(layer);
    let response = call(router).get("/").certificate(&scene.orders).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let records = scene.authority.audit().events();
    let peers: Vec<_> = records.iter().map(|record| (record.status, record.peer.as_deref())).collect();
    let thief = "spiffe://bakery.example/thief";
    assert_eq!(peers, [(401, Some(thief)), (200, Some(ORDERS))], "each caller has its own record");
}

#[tonic::async_trait]
trait Stock {
    async fn count(&self, request: Request<()>) -> Result<Response<String>, Status>;
}

struct Server;

#[service_only(services("orders"), proof = "mtls")]
#[tonic::async_trait]
impl Stock for Server {
    async fn count(&self, request: Request<()>) -> Result<Response<String>, Status> {
        Ok(Response::new(Caller::of(&request).map(Caller::service).unwrap_or_default().to_owned()))
    }
}

#[tokio::test]
async fn a_method_of_tonic_requires_the_proof_too() {
    use tower::{Layer, Service, ServiceExt, service_fn};
    let scene = Scene::new();
    let send = async |token: Option<String>, certificate: Option<&TestCertificate>| {
        let method = service_fn(async |request: http::Request<()>| {
            let (parts, ()) = request.into_parts();
            let request = Request::from_parts(
                tonic::metadata::MetadataMap::from_headers(parts.headers),
                parts.extensions,
                (),
            );
            let answer = Server.count(request).await;
            Ok::<_, std::convert::Infallible>(http::Response::new(answer.map(Response::into_inner)))
        });
        let mut service = VerifierLayer::new(scene.verifier()).layer(method);
        let mut request = http::Request::new(());
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate.peer());
        }
        let answer = service.ready().await.unwrap().call(request).await.unwrap().into_body();
        answer.map_err(|status| status.code())
    };
    let token = |draft: service_only_testkit::TokenDraft| Some(draft.token().as_str().to_owned());
    let (bearer, orders) = (scene.authority.service("orders"), Some(&scene.orders));
    assert_eq!(send(token(bearer.clone()), orders).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(send(token(bearer.clone().bound_to(&scene.orders)), orders).await, Ok("orders".to_owned()));
    assert_eq!(send(token(bearer.bound_to(&scene.orders)), None).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(send(None, orders).await, Ok("orders".to_owned()));
    assert_eq!(send(None, Some(&scene.other)).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(scene.last().2.as_deref(), Some("spiffe://bakery.example/thief"));
}

#[test]
fn a_layer_whose_policy_requires_dpop_needs_a_verifier_that_checks_it() {
    let authority = TestAuthority::new();
    let with_dpop = authority.verifier_builder().dpop(Dpop::new("https://orders.internal")).build().unwrap();
    const USERS: Policy<'static> = Policy::any_user().proof(RequiredProof::Dpop);
    for policy in [Policy::any_service().proof(RequiredProof::Dpop), Policy::any_service().or_users(&USERS)] {
        let error = ServiceOnlyLayer::try_new(authority.verifier(), policy).unwrap_err();
        assert!(matches!(error, BuildError::MissingDpop(_)), "{error}");
        assert!(ServiceOnlyLayer::try_new(with_dpop.clone(), policy).is_ok());
    }
    let any = Policy::any_service().proof(RequiredProof::Any);
    assert!(ServiceOnlyLayer::try_new(authority.verifier(), any).is_ok(), "a certificate meets it");
}

#[test]
fn the_attribute_the_table_and_the_json_name_the_proof() {
    let mtls = Policy::any_service().services(&["orders"]).proof(RequiredProof::Mtls);
    assert_eq!(policy_of(by_certificate), mtls);
    const USERS: Policy<'static> = Policy::any_user().proof(RequiredProof::Any);
    assert_eq!(policy_of(users_with_a_proof), Policy::any_service().services(&["orders"]).or_users(&USERS));
    let hour = std::time::Duration::from_secs(3_600);
    assert_eq!(policy_of(users_by_certificate), Policy::any_user().proof(RequiredProof::Mtls).max_age(hour));
    // What is listed is what is enforced.
    let listed = guarded_in(module_path!());
    for enforced in
        [service_only::routes::guarded(by_certificate), service_only::routes::guarded(users_with_a_proof)]
    {
        assert!(listed.contains(&enforced), "{enforced:?}");
    }
    let table = PolicyTable::from_iter(listed).to_string();
    insta::assert_snapshot!(table, @r"
    endpoint                                     services  roles  scopes  max_age  proof
    -------------------------------------------  --------  -----  ------  -------  -----
    guard::required_proof::Server::count         orders    any    none    any      mtls
    guard::required_proof::anyone                any       any    none    any      none
    guard::required_proof::by_certificate        orders    any    none    any      mtls
    guard::required_proof::users_by_certificate  (users)   any    none    3600s    mtls
    guard::required_proof::users_with_a_proof    orders    any    none    any      none
    guard::required_proof::users_with_a_proof    (users)   any    none    any      any
    ");
    let access = Access::from(&mtls);
    let json = serde_json::to_string(&access).unwrap();
    assert_eq!(json, r#"{"service_only":{"services":["orders"],"proof":"mtls"}}"#);
    assert_eq!(serde_json::from_str::<Access>(&json).unwrap().to_policy(), Some(mtls));
    let unknown = r#"{"service_only":{"proof":"tls"}}"#;
    assert!(serde_json::from_str::<Access>(unknown).is_err(), "an unknown proof is not left out");
}
