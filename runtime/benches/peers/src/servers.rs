//! The servers that are put under load: an empty route, unguarded and guarded by each crate in turn, one
//! worker each. `load` starts each as a process of its own, on one core.

use std::{collections::HashSet, io::Write, net::TcpListener, sync::Arc};

use actix_web::{App, HttpServer, dev::ServiceRequest, error::ErrorUnauthorized, web};
use actix_web_grants::GrantsMiddleware;
use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::{StatusCode, request::Parts},
    routing::{MethodRouter, get},
};
use jwt_authorizer::IntoLayer;
use oauth_resource_server::axum::AuthLayer;
use service_only::{
    JsonLinesAudit, Verifier,
    audit::{AuditSink, NoAudit},
    public, service_only,
};

use crate::{
    common::tokens,
    keys::Keys,
    verifiers::{self, Claims},
};

pub const UNGUARDED: &str = "axum, unguarded";
/// `#[public]`: an extractor that asks nothing, which is the least that a guard can be.
pub const OPEN: &str = "service-only, open to anybody";
pub const NO_AUDIT: &str = "service-only, no audit";
pub const JSON_LINES: &str = "service-only, JSON lines";
/// A handler with an argument of its own, to which a guard leaves who called.
pub const UNGUARDED_ARGUMENT: &str = "axum, unguarded, with an argument";
pub const NO_AUDIT_ARGUMENT: &str = "service-only, no audit, with an argument";
pub const JSON_LINES_ARGUMENT: &str = "service-only, JSON lines, with an argument";
pub const BY_HAND: &str = "jsonwebtoken by hand";
pub const AXUM_JWT_AUTH: &str = "axum-jwt-auth";
pub const UNGUARDED_07: &str = "axum 0.7, unguarded";
/// It is for axum 0.7.
pub const JWT_AUTHORIZER: &str = "jwt-authorizer";
pub const OAUTH: &str = "oauth-resource-server";
pub const ACTIX_UNGUARDED: &str = "actix-web, unguarded";
pub const ACTIX_JSON_LINES: &str = "service-only on actix-web, JSON lines";
pub const GRANTS: &str = "actix-web-grants";

/// Each server, and the unguarded one that it is compared with.
pub const SERVERS: [(&str, &str); 15] = [
    (UNGUARDED, UNGUARDED),
    (OPEN, UNGUARDED),
    (NO_AUDIT, UNGUARDED),
    (JSON_LINES, UNGUARDED),
    (BY_HAND, UNGUARDED),
    (AXUM_JWT_AUTH, UNGUARDED),
    (OAUTH, UNGUARDED),
    (UNGUARDED_07, UNGUARDED_07),
    (JWT_AUTHORIZER, UNGUARDED_07),
    (ACTIX_UNGUARDED, ACTIX_UNGUARDED),
    (ACTIX_JSON_LINES, ACTIX_UNGUARDED),
    (GRANTS, ACTIX_UNGUARDED),
    (UNGUARDED_ARGUMENT, UNGUARDED_ARGUMENT),
    (NO_AUDIT_ARGUMENT, UNGUARDED_ARGUMENT),
    (JSON_LINES_ARGUMENT, UNGUARDED_ARGUMENT),
];

/// Those that are no other crate's.
pub const OURS: [&str; 6] =
    [OPEN, NO_AUDIT, JSON_LINES, ACTIX_JSON_LINES, NO_AUDIT_ARGUMENT, JSON_LINES_ARGUMENT];

/// Those that say where the time of the others goes. It is the same in every algorithm.
pub const EXPLAINING: [&str; 4] = [OPEN, UNGUARDED_ARGUMENT, NO_AUDIT_ARGUMENT, JSON_LINES_ARGUMENT];

/// The route that all have.
pub const ROUTE: &str = "/tenants/{id}";
/// The same in the syntax of axum 0.7.
const ROUTE_07: &str = "/tenants/:id";
pub const PATH: &str = "/tenants/7";

/// Serves on a port of its own, which it prints, until it is killed.
pub fn serve(name: &str, keys: &Keys, audit: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    let lines = || JsonLinesAudit::to_file(audit).unwrap();
    match name {
        ACTIX_UNGUARDED => actix(listener, |service| {
            service.route(ROUTE, web::get().to(actix_empty));
        }),
        ACTIX_JSON_LINES => {
            let verifier = web::Data::new(tokens::verifier(keys.ours(), lines()));
            actix(listener, move |service| {
                service.app_data(verifier.clone()).route(ROUTE, web::get().to(actix_guarded));
            });
        }
        GRANTS => grants(listener, keys),
        UNGUARDED_07 => axum_07_on(listener, |router| router.route(ROUTE_07, axum_07::routing::get(empty))),
        JWT_AUTHORIZER => {
            let layer = verifiers::jwt_authorizer(keys).into_layer();
            axum_07_on(listener, |router| {
                router.route(ROUTE_07, axum_07::routing::get(jwt_authorizer)).layer(layer)
            });
        }
        _ => axum_on(listener, router(name, keys, lines)),
    }
}

fn router(name: &str, keys: &Keys, lines: impl Fn() -> JsonLinesAudit) -> Router {
    match name {
        UNGUARDED => Router::new().route(ROUTE, get(empty)),
        OPEN => Router::new().route(ROUTE, get(open)),
        NO_AUDIT => guarded(keys, NoAudit, get(ours)),
        JSON_LINES => guarded(keys, lines(), get(ours)),
        UNGUARDED_ARGUMENT => Router::new().route(ROUTE, get(with_argument)),
        NO_AUDIT_ARGUMENT => guarded(keys, NoAudit, get(ours_with_argument)),
        JSON_LINES_ARGUMENT => guarded(keys, lines(), get(ours_with_argument)),
        BY_HAND => {
            let decode: Decode = Arc::new(verifiers::jsonwebtoken(keys));
            Router::new().route(ROUTE, get(by_hand)).with_state(decode)
        }
        AXUM_JWT_AUTH => {
            let decoder = verifiers::axum_jwt_auth_decoder(keys);
            Router::new().route(ROUTE, get(axum_jwt_auth)).with_state(decoder)
        }
        OAUTH => {
            let validator = Arc::new(verifiers::oauth_resource_server(keys));
            let layer = AuthLayer::builder().oauth(validator).build().unwrap();
            Router::new().route(ROUTE, get(empty)).route_layer(layer)
        }
        _ => panic!("no such server: `{name}`"),
    }
}

/// As `#[tokio::main]` makes one where there is one core. One that runs on a single thread would be faster by
/// what the system library and the kernel save in a process without a second one, which no service is.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn axum_on(listener: TcpListener, router: Router) {
    use axum::serve::ListenerExt;
    runtime().block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}

fn axum_07_on(listener: TcpListener, routed: impl FnOnce(axum_07::Router) -> axum_07::Router) {
    runtime().block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum_07::serve(listener, routed(axum_07::Router::new())).tcp_nodelay(true).await.unwrap();
    });
}

async fn empty() {}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn ours() {}

#[public(reason = "measured")]
async fn open() {}

async fn with_argument(_: Path<u32>) {}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn ours_with_argument(_: Path<u32>) {}

fn guarded(keys: &Keys, audit: impl AuditSink, handler: MethodRouter<Verifier>) -> Router {
    let verifier: Verifier = tokens::verifier(keys.ours(), audit);
    Router::new().route(ROUTE, handler).with_state(verifier)
}

/// What somebody writes who knows jsonwebtoken and axum.
struct ByHand;

type Decode = Arc<dyn Fn(&str) -> Claims + Send + Sync>;

impl FromRequestParts<Decode> for ByHand {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, decode: &Decode) -> Result<Self, StatusCode> {
        let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
        if is_allowed(&decode(token)) { Ok(Self) } else { Err(StatusCode::FORBIDDEN) }
    }
}

/// The policy that the attribute says above.
fn is_allowed(claims: &Claims) -> bool {
    claims.is_service
        && claims.service == tokens::SERVICE
        && claims.scope.split(' ').any(|scope| scope == tokens::SCOPE)
}

fn status(claims: &Claims) -> StatusCode {
    if is_allowed(claims) { StatusCode::OK } else { StatusCode::FORBIDDEN }
}

async fn by_hand(_: ByHand) {}

async fn axum_jwt_auth(user: axum_jwt_auth::Claims<Claims>) -> StatusCode {
    status(&user.claims)
}

async fn jwt_authorizer(claims: jwt_authorizer::JwtClaims<Claims>) -> StatusCode {
    status(&claims.0)
}

async fn actix_empty() -> &'static str {
    ""
}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn actix_guarded() -> &'static str {
    ""
}

#[actix_web_grants::protect("tenants:delete")]
async fn protected() -> &'static str {
    ""
}

fn actix(listener: TcpListener, configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) {
    let server = move || App::new().configure(configure.clone());
    let running = async { HttpServer::new(server).workers(1).listen(listener).unwrap().run().await };
    actix_web::rt::System::new().block_on(running).unwrap();
}

/// As its README shows: an extractor of authorities, which verifies the token with jsonwebtoken.
fn grants(listener: TcpListener, keys: &Keys) {
    let decode: Decode = Arc::new(verifiers::jsonwebtoken(keys));
    let server = move || {
        App::new()
            .app_data(web::Data::new(Arc::clone(&decode)))
            .wrap(GrantsMiddleware::with_extractor(authorities))
            .route(ROUTE, web::get().to(protected))
    };
    let running = async { HttpServer::new(server).workers(1).listen(listener).unwrap().run().await };
    actix_web::rt::System::new().block_on(running).unwrap();
}

async fn authorities(request: &ServiceRequest) -> Result<HashSet<String>, actix_web::Error> {
    let decode: &web::Data<Decode> = request.app_data().unwrap();
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| ErrorUnauthorized("no token"))?;
    let claims = decode(token);
    if claims.is_service && claims.service == tokens::SERVICE {
        Ok(claims.scope.split(' ').map(str::to_owned).collect())
    } else {
        Ok(HashSet::new())
    }
}
