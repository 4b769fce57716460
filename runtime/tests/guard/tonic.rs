//! Guarded methods of tonic, from the metadata to the status and the audit record.

use std::{net::SocketAddr, pin::Pin};

use crate::frameworks::{LateKeys, Log, POLICY, challenge_of, fixtures, headers_of, valid};
use futures_util::{Stream, stream};
use http::HeaderMap;
use service_only::{
    Caller, KeySet, ServiceOnlyLayer, Verifier, VerifierLayer,
    audit::NoAudit,
    keys::{KeySource, KeysUnavailable},
    service_only,
};
use service_only_testkit::{Fixture, TestAuthority};
use tonic::{
    Code, Extensions, Request, Response, Status,
    metadata::{BinaryMetadataValue, MetadataMap, MetadataValue},
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::{Layer, ServiceExt, layer::util::Identity};

/// The health service, for the orchestrator only. It says who asked.
struct Guarded;

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
#[tonic::async_trait]
impl Health for Guarded {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let caller = request.extensions().get::<Caller>().unwrap();
        let mut response = Response::new(HealthCheckResponse { status: 1 });
        response.metadata_mut().insert("caller", MetadataValue::try_from(caller.service()).unwrap());
        Ok(response)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(stream::iter([Ok(HealthCheckResponse { status: 1 })]))))
    }
}

/// Starts a server with a layer, and connects to it.
macro_rules! serve {
    ($layer:expr) => {{
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        // One of the fixtures is a token of 100 kB, which tonic by itself does not even read.
        let server = Server::builder()
            .http2_max_header_list_size(256 * 1024)
            .layer($layer)
            .add_service(HealthServer::new(Guarded));
        tokio::spawn(server.serve_with_incoming(incoming));
        connect(address).await
    }};
}

async fn connect(address: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

fn request(headers: HeaderMap) -> Request<HealthCheckRequest> {
    Request::from_parts(MetadataMap::from_headers(headers), Extensions::default(), Default::default())
}

fn stranger() -> Request<HealthCheckRequest> {
    request(HeaderMap::new())
}

fn bearer(token: impl AsRef<str>) -> Request<HealthCheckRequest> {
    let mut request = stranger();
    let value = format!("Bearer {}", token.as_ref()).parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// The fixtures that headers alone express: a client of gRPC chooses method, path and body itself.
fn requests(authority: &TestAuthority) -> Vec<(Fixture, Request<HealthCheckRequest>)> {
    let requests = fixtures(authority).filter_map(|fixture| {
        let headers = headers_of(&fixture)?;
        Some((fixture, request(headers)))
    });
    requests.collect()
}

fn metadata<'s>(status: &'s Status, name: &str) -> Option<&'s str> {
    status.metadata().get(name).map(|value| value.to_str().unwrap())
}

/// The status that a refused fixture must get.
fn code_of(fixture: &Fixture) -> Option<Code> {
    fixture.defect().map(|_| match fixture.status() {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        _ => Code::PermissionDenied,
    })
}

#[tokio::test]
async fn every_fixture_gets_its_status_from_a_server_and_one_record() {
    let authority = TestAuthority::new();
    let mut client = serve!(VerifierLayer::new(authority.verifier()));
    for (fixture, request) in requests(&authority) {
        let name = fixture.name();
        let answer = client.check(request).await;
        let event = authority.audit().only();
        authority.audit().clear();
        assert_eq!((event.status, event.code), (fixture.status(), fixture.code()), "{name}");
        assert_eq!(event.endpoint.unwrap().to_string(), "guard::tonic::Guarded::check");
        assert_eq!(event.method.as_deref(), Some("POST"));
        assert_eq!(event.path.as_deref(), Some("/grpc.health.v1.Health/Check"));
        assert_eq!(event.client_address, Some("127.0.0.1".parse().unwrap()));
        if fixture.defect().is_none() {
            assert_eq!(answer.unwrap().metadata().get("caller").unwrap(), "orchestrator");
            continue;
        }
        let status = answer.unwrap_err();
        assert_eq!(Some(status.code()), code_of(&fixture), "{name}");
        assert_eq!(metadata(&status, "www-authenticate"), challenge_of(&fixture), "{name}");
        assert_eq!(metadata(&status, "instance"), Some(event.id.urn().to_string().as_str()));
        assert!(
            !format!("{status:?}").contains(&*event.reason.unwrap()),
            "{name}: the wire tells the reason"
        );
    }
}

#[tokio::test]
async fn a_stream_starts_only_for_a_service() {
    let authority = TestAuthority::new();
    let mut client = serve!(VerifierLayer::new(authority.verifier()));
    let mut updates = client.watch(bearer(valid(&authority).token())).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap().unwrap().status, 1);
    let status = client.watch(stranger()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(authority.audit().len(), 2);
}

#[tokio::test]
async fn a_missing_scope_is_named_in_the_challenge() {
    let authority = TestAuthority::new();
    let mut client = serve!(VerifierLayer::new(authority.verifier()));
    let status = client.check(bearer(authority.service("orchestrator").token())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let challenge = r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#;
    assert_eq!(metadata(&status, "www-authenticate"), Some(challenge));
}

#[tokio::test]
async fn an_unavailable_status_says_when_to_retry() {
    struct Down;
    impl KeySource for Down {
        fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
            Err(KeysUnavailable::pending("not fetched yet"))
        }
    }
    let authority = TestAuthority::new();
    let verifier =
        Verifier::builder().issuer(TestAuthority::ISSUER).keys(Down).audit(NoAudit).build().unwrap();
    let mut client = serve!(VerifierLayer::new(verifier));
    let status = client.check(bearer(valid(&authority).token())).await.unwrap_err();
    assert_eq!((status.code(), metadata(&status, "retry-after")), (Code::Unavailable, Some("5")));
    // Other refusals do not depend on the time.
    let mut client = serve!(VerifierLayer::new(authority.verifier()));
    let status = client.check(stranger()).await.unwrap_err();
    assert_eq!((status.code(), metadata(&status, "retry-after")), (Code::Unauthenticated, None));
}

#[tokio::test]
async fn a_token_in_binary_metadata_is_ignored() {
    let authority = TestAuthority::new();
    let mut client = serve!(VerifierLayer::new(authority.verifier()));
    let mut request = stranger();
    let value = format!("Bearer {}", valid(&authority).token());
    let value = BinaryMetadataValue::from_bytes(value.as_bytes());
    request.metadata_mut().insert_bin("authorization-bin", value);
    assert_eq!(client.check(request).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(authority.audit().only().code, Some(service_only::error::Code::MissingToken));
}

#[tokio::test]
async fn without_a_verifier_every_request_is_refused_and_recorded() {
    let mut client = serve!(Identity::new());
    let log = Log::default();
    let listening = log.of_this_thread();
    let mut request = bearer(valid(&TestAuthority::new()).token());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    let status = client.check(request).await.unwrap_err();
    drop(listening);
    assert_eq!((status.code(), metadata(&status, "www-authenticate")), (Code::Internal, None));

    let [event] = &log.events("service_only::audit")[..] else { panic!("not one record") };
    let fields = &event["fields"];
    assert_eq!((&fields["status"], &fields["code"]), (&500.into(), &"no_verifier".into()));
    assert_eq!(fields["endpoint"], "guard::tonic::Guarded::check");
    assert_eq!(fields["client.address"], "127.0.0.1");
    assert_eq!(fields["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let instance = format!("urn:uuid:{}", fields["id"].as_str().unwrap());
    assert_eq!(metadata(&status, "instance"), Some(instance.as_str()));
    assert_eq!(log.events("service_only")[0]["level"], "ERROR");
}

#[tokio::test]
async fn a_caller_that_is_in_the_request_already_proves_nothing() {
    let (other, authority) = (TestAuthority::new(), TestAuthority::new());
    let caller = other.verifier().verify(&valid(&other).token()).unwrap();
    let interceptor = move |mut request: Request<()>| {
        request.extensions_mut().insert(caller.clone());
        Ok(request)
    };
    let service = HealthServer::with_interceptor(Guarded, interceptor);
    let mut client = HealthClient::new(VerifierLayer::new(authority.verifier()).layer(service));
    assert_eq!(client.check(stranger()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(authority.audit().len(), 1);
}

#[tokio::test]
async fn the_innermost_verifier_is_used() {
    let (outer, inner) = (TestAuthority::new(), TestAuthority::new());
    let service = VerifierLayer::new(inner.verifier()).layer(HealthServer::new(Guarded));
    let mut client = HealthClient::new(VerifierLayer::new(outer.verifier()).layer(service));
    assert!(client.check(bearer(valid(&outer).token())).await.is_err());
    assert!(client.check(bearer(valid(&inner).token())).await.is_ok());
    assert!(outer.audit().is_empty());
}

#[tokio::test]
async fn a_request_waits_once_for_a_missing_key() {
    let authority = TestAuthority::new();
    let keys = LateKeys::of(&authority);
    let service = VerifierLayer::new(keys.verifier(&authority)).layer(HealthServer::new(Guarded));
    let mut client = HealthClient::new(service);
    let request = bearer(valid(&authority).token());
    let answer = tokio::spawn(async move { client.check(request).await });
    tokio::task::yield_now().await;
    assert_eq!((keys.waits(), authority.audit().len()), (1, 0));
    keys.publish();
    assert!(answer.await.unwrap().is_ok());
    assert_eq!((keys.waits(), authority.audit().len()), (1, 1));
}

#[tokio::test]
async fn a_server_behind_the_tower_layer_refuses_with_grpc_status_codes() {
    let authority = TestAuthority::new();
    let mut client = serve!(ServiceOnlyLayer::new(authority.verifier(), POLICY).endpoint("tonic", "server"));
    for (fixture, request) in requests(&authority) {
        let status = client.check(request).await.unwrap_err();
        // The layer lets in the control, whose method then finds no verifier.
        assert_eq!(status.code(), code_of(&fixture).unwrap_or(Code::Internal), "{}", fixture.name());
        assert_eq!(metadata(&status, "www-authenticate"), challenge_of(&fixture));
        let event = authority.audit().only();
        assert_eq!((event.status, event.code), (fixture.status(), fixture.code()));
        assert_eq!(event.client_address, Some("127.0.0.1".parse().unwrap()));
        authority.audit().clear();
    }
}

#[tokio::test]
async fn an_unauthenticated_client_cannot_get_status_200_for_a_refusal() {
    let authority = TestAuthority::new();
    let files = tower::service_fn(async |_: http::Request<String>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let service = ServiceOnlyLayer::new(authority.verifier(), POLICY).layer(files);
    let request = http::Request::get("/").header("content-type", "application/grpc").body(String::new());
    let response = service.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="service""#);
    assert_eq!(response.headers().get_all("www-authenticate").iter().count(), 1);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn one_service_of_a_server_can_have_a_separate_layer() {
    let authority = TestAuthority::new();
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = incoming.local_addr().unwrap();
    let service = VerifierLayer::new(authority.verifier()).layer(HealthServer::new(Guarded));
    let service = ServiceOnlyLayer::new(authority.verifier(), POLICY).layer(service);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let mut client = connect(address).await;
    assert!(client.check(bearer(valid(&authority).token())).await.is_ok());
    assert_eq!(client.check(stranger()).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tonic::async_trait]
trait Stock {
    async fn count(&self, request: Request<()>) -> Result<Response<String>, Status>;
    async fn ping(&self, request: Request<()>) -> Result<Response<String>, Status>;
}

struct Shelf;

fn caller_of(request: &Request<()>) -> String {
    Caller::of(request).map_or("none", Caller::service).to_owned()
}

#[service_only(services("orchestrator"))]
#[tonic::async_trait]
impl Stock for Shelf {
    async fn count(&self, request: Request<()>) -> Result<Response<String>, Status> {
        Ok(Response::new(caller_of(&request)))
    }

    #[public(reason = "a test")]
    async fn ping(&self, request: Request<()>) -> Result<Response<String>, Status> {
        Ok(Response::new(caller_of(&request)))
    }
}

/// A request as a server with the layer receives it.
async fn received(authority: &TestAuthority, token: &str) -> Request<()> {
    let inner = tower::service_fn(async |request: http::Request<()>| Ok::<_, Status>(request));
    let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
    let service = VerifierLayer::new(authority.verifier()).layer(inner);
    let (parts, ()) = service.oneshot(request.body(()).unwrap()).await.unwrap().into_parts();
    Request::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, ())
}

#[tokio::test]
async fn caller_of_a_request_exists_only_in_a_method_that_admitted_it() {
    let authority = TestAuthority::new();
    let token = valid(&authority).token();
    let request = received(&authority, &token).await;
    assert!(Caller::of(&request).is_none(), "the layer admits no request");
    assert_eq!(Shelf.count(request).await.unwrap().into_inner(), "orchestrator");
    // A public method knows no caller, also beside a valid token.
    assert_eq!(Shelf.ping(received(&authority, &token).await).await.unwrap().into_inner(), "none");
    let other = authority.service("billing").token();
    let status = Shelf.count(received(&authority, &other).await).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(Caller::of(&Request::new(())).is_none());
}
