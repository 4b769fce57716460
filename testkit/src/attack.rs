//! Sends the whole catalogue of hostile requests to a running app, in one line of a test.

#[cfg(feature = "actix")]
mod actix;
mod html;
#[cfg(feature = "axum")]
mod in_process;
mod json;
mod judge;
mod likeness;
mod matrix;
mod report;
mod run;
mod summary;
mod target;
mod text;
#[cfg(any(feature = "actix", feature = "axum"))]
mod untrusted;
#[cfg(feature = "http")]
mod url;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Method;
use service_only::routes::{Access, RouteTable};

#[cfg(feature = "actix")]
pub use self::actix::attack_actix;
#[cfg(feature = "axum")]
pub use self::in_process::attack;
use self::target::Target;
#[cfg(feature = "http")]
pub use self::url::{InvalidUrl, attack_url};
pub use self::{
    judge::{Control, Outcome},
    matrix::Matrix,
    report::{AttackReport, EndpointReport, Finding},
};
#[cfg(feature = "tls")]
use crate::tls::Certificates;
use crate::{
    audit::RecordingAudit,
    draft::{TokenDraft, Tolerance},
    fail::fail,
    fixture::Defect,
    grpc,
};

/// An attack on a service in this process or at a URL, not yet run.
#[must_use = "nothing is sent until the attack is run"]
#[derive(Debug, Clone)]
pub struct Attack {
    target: Arc<dyn Target>,
    caller: Option<TokenDraft>,
    endpoints: Vec<EndpointUnderAttack>,
    not_attacked: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    /// The content type and the content of the body that the handler needs.
    body: Option<(String, Vec<u8>)>,
    without: Vec<Defect>,
    any_service: bool,
    audit: Option<RecordingAudit>,
    tolerance: Tolerance,
    max_requests: usize,
    /// Whether the keys have names, if the test specified it.
    named_keys: Option<bool>,
    /// A nonce of DPoP that has ended.
    stale_nonce: Option<String>,
    #[cfg(feature = "tls")]
    certificates: Option<Arc<Certificates>>,
}

#[derive(Debug, Clone)]
struct EndpointUnderAttack {
    method: Method,
    target: String,
    /// What the route requires of its caller, if it is known.
    access: Option<Access>,
}

impl Attack {
    /// The default limit of requests that one attack sends. One endpoint takes about 2,000 requests, so this is enough
    /// for twenty-five endpoints. A larger number is probably a mistake in the test.
    pub const MAX_REQUESTS: usize = 50_000;

    /// The default value of a path parameter, such as `{id}`. Most parameters are UUIDs, and this UUID belongs to
    /// no resource.
    pub const PARAMETER: &str = "00000000-0000-4000-8000-000000000000";

    fn on(target: impl Target + 'static, tolerance: Tolerance) -> Self {
        Self {
            target: Arc::new(target),
            caller: None,
            endpoints: Vec::new(),
            not_attacked: Vec::new(),
            parameters: Vec::new(),
            body: None,
            without: Vec::new(),
            any_service: false,
            audit: None,
            tolerance,
            max_requests: Attack::MAX_REQUESTS,
            named_keys: None,
            stale_nonce: None,
            #[cfg(feature = "tls")]
            certificates: None,
        }
    }

    /// Sets the valid token in which each attack breaks one property. It must be valid for the endpoint. It must have
    /// no scope that the endpoint does not require, and no [role](TokenDraft::role) except the default or the required
    /// one.
    ///
    /// For the routes of a table, the attack uses the name, role and scopes that each route requires.
    ///
    /// The token may be that of an identity provider, such as `authority.keycloak("billing-client")`. It must have the
    /// scopes and roles of each route. The attack then also sends the tokens of a user, of another client and of another
    /// tenant, an ID token, and look-alikes: the family `provider`.
    pub fn as_caller(self, draft: TokenDraft) -> Self {
        Self { caller: Some(draft), ..self }
    }

    /// Adds an endpoint by its method and path. The handler must answer each repeated request with a status
    /// other than 400, 404 or 405.
    pub fn endpoint(mut self, method: Method, target: impl Into<String>) -> Self {
        self.endpoints.push(EndpointUnderAttack { method, target: target.into(), access: None });
        self
    }

    /// Adds each route of a table that is for services only. The report lists public routes, and routes that
    /// no caller can use, as not attacked.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use axum::{Router, routing::get};
    /// # use service_only::{Policy, service_only, routes::{Access, Route, RouteTable}};
    /// # use service_only_testkit::{TestAuthority, attack};
    /// # #[service_only(services("orders"))] async fn stock() {}
    /// const ORDERS: Policy<'static> = Policy::any_service().services(&["orders"]);
    /// let table = RouteTable::new("stock")
    ///     .route(Route::new(["GET"], "/stock/{shelf}", Access::from(&ORDERS)))
    ///     .route(Route::new(["GET"], "/healthz", Access::public("load balancers have no token")));
    ///
    /// let authority = TestAuthority::new();
    /// let app = Router::new().route("/stock/{shelf}", get(stock)).with_state(authority.verifier());
    /// let report =
    ///     attack(app).as_caller(authority.service("any")).routes(&table).parameter("shelf", "7").run().await;
    /// assert_eq!(report.endpoints()[0].target(), "/stock/7");
    /// # }
    /// ```
    pub fn routes(mut self, table: &RouteTable) -> Self {
        for route in table.routes() {
            if let Some(why) = not_attackable(route.access()) {
                self.not_attacked.push((route.path().to_owned(), why));
                continue;
            }
            // A route without methods accepts any method: one request method is enough to reach the guard.
            let any = ["GET".to_owned()];
            let methods = if route.methods().is_empty() { &any } else { route.methods() };
            for method in methods {
                let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
                let (target, access) = (route.path().to_owned(), Some(route.access().clone()));
                self.endpoints.push(EndpointUnderAttack { method, target, access });
            }
        }
        self
    }

    /// Sets the value of `{name}` in paths. The default is [`Attack::PARAMETER`].
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sends this body with each request for which the attack has no body. Use it for a handler that answers
    /// 400 without a body.
    pub fn body(self, content_type: impl Into<String>, body: impl Into<String>) -> Self {
        Self { body: Some((content_type.into(), body.into().into_bytes())), ..self }
    }

    /// Sends this message, encoded by protobuf, as a unary call of gRPC. An empty slice is a message in which
    /// each field has its default value. Attacks that need another body are not sent.
    ///
    /// The endpoints are `POST /package.Service/Method`. A response of gRPC has the HTTP status 200 if it
    /// refuses too. The attack judges it by its `grpc-status`, as [`Answer`](crate::Answer) converts it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use http::Method;
    /// use service_only::{VerifierLayer, service_only};
    /// use service_only_testkit::{TestAuthority, attack};
    /// use tonic::{Request, Response, Status};
    /// use tower_layer::Layer;
    /// # use tonic_health::pb::{HealthCheckRequest as Asked, HealthCheckResponse as Health};
    /// # use tonic_health::pb::health_server::{Health as Bakery, HealthServer as BakeryServer};
    /// # type Watched = tonic::codegen::BoxStream<Health>;
    ///
    /// struct Guarded;
    ///
    /// #[service_only(services("orders"))]
    /// #[tonic::async_trait]
    /// impl Bakery for Guarded {
    ///     async fn check(&self, _: Request<Asked>) -> Result<Response<Health>, Status> {
    ///         Ok(Response::new(Health::default()))
    ///     }
    /// #     type WatchStream = Watched;
    /// #     async fn watch(&self, _: Request<Asked>) -> Result<Response<Watched>, Status> {
    /// #         Err(Status::unimplemented(""))
    /// #     }
    /// }
    ///
    /// let authority = TestAuthority::new();
    /// let service = VerifierLayer::new(authority.verifier()).layer(BakeryServer::new(Guarded));
    /// attack(service)
    ///     .as_caller(authority.service("orders"))
    ///     .audit(authority.audit())
    ///     .grpc_message(&[])
    ///     .endpoint(Method::POST, "/grpc.health.v1.Health/Check")
    ///     .run()
    ///     .await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the message is longer than 4 GiB.
    #[track_caller]
    pub fn grpc_message(self, message: &[u8]) -> Self {
        Self { body: Some(("application/grpc".to_owned(), grpc::frame(message))), ..self }
    }

    /// Also checks the audit log of the app's verifier: it must have the exact code, and exactly one record
    /// for each request that reaches a guard.
    pub fn audit(self, audit: &RecordingAudit) -> Self {
        Self { audit: Some(audit.clone()), ..self }
    }

    /// Declares that the verifier's keys have names, as the keys of a JWK set do. A token that is signed by
    /// the right key under a `kid` that no key has is then a finding.
    ///
    /// A key without a name, such as an HMAC secret or a lone PEM, has no name to compare, so its verifier
    /// accepts any `kid`. By default the keys have names if the test took them with their names
    /// ([`TestAuthority::jwks`], [`TestAuthority::keys`]). If the attack has an audit log, the log decides.
    ///
    /// [`TestAuthority::jwks`]: crate::TestAuthority::jwks
    /// [`TestAuthority::keys`]: crate::TestAuthority::keys
    pub fn named_keys(self) -> Self {
        Self { named_keys: Some(true), ..self }
    }

    /// Attacks over TLS with these certificates, and binds the tokens to the certificate of the caller, unless they are
    /// [bound to a key](TokenDraft::proven_by). The URL of the attack must begin with `https`.
    #[cfg(feature = "tls")]
    pub fn certificates(self, certificates: Certificates) -> Self {
        Self { certificates: Some(Arc::new(certificates)), ..self }
    }

    /// Sets a nonce that the service no longer accepts, for the class [`Defect::NonceStale`]. The
    /// [caller](TokenDraft::proven_by) adds proofs of DPoP. The attack gets the current nonce from the service.
    pub fn stale_nonce(self, nonce: impl Into<String>) -> Self {
        Self { stale_nonce: Some(nonce.into()), ..self }
    }

    /// Declares that the endpoints accept any service, so that another service is not an attacker.
    pub fn any_service(self) -> Self {
        Self { any_service: true, ..self }
    }

    /// Excludes a class of attacks, for a reason that you know.
    pub fn without(mut self, defect: Defect) -> Self {
        self.without.push(defect);
        self
    }

    /// The leeway of the verifier under attack, by which a token stays valid after it expires.
    pub fn leeway(self, leeway: Duration) -> Self {
        let seconds = i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX);
        let Tolerance { past, future } = self.tolerance;
        let tolerance =
            Tolerance { past: past.saturating_add(seconds), future: future.saturating_add(seconds) };
        Self { tolerance, ..self }
    }

    /// Limits the number of requests; the default is [`Attack::MAX_REQUESTS`]. The report lists the requests that
    /// were not sent, and such a report is not clean.
    pub fn max_requests(self, requests: usize) -> Self {
        Self { max_requests: requests, ..self }
    }

    /// How many endpoints the attack has.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Runs the attack, and fails the test with a readable report of the requests that were accepted. The panic
    /// names the line of the test that awaits it.
    ///
    /// # Panics
    /// When no caller or no endpoint was named, and when certificates have no `https` URL. When awaited, unless the report is
    /// [clean](AttackReport::is_clean).
    #[track_caller]
    pub fn run(self) -> impl Future<Output = AttackReport> + Send {
        AssertClean(Box::pin(self.report()))
    }

    /// Runs the attack, and returns its report.
    ///
    /// # Panics
    /// When no caller or no endpoint was named, and when certificates have no `https` URL.
    #[track_caller]
    pub fn report(self) -> impl Future<Output = AttackReport> + Send {
        let Some(caller) = self.caller.clone() else {
            fail("an attack needs a token to spoil; name it with `as_caller`");
        };
        if self.endpoints.is_empty() {
            fail("an attack needs an endpoint; name one with `endpoint` or `routes`");
        }
        let caller = caller.with_tolerance(self.tolerance);
        let caller = match &self.stale_nonce {
            Some(nonce) => caller.with_stale_nonce(nonce),
            None => caller,
        };
        let target = Arc::clone(&self.target);
        #[cfg(feature = "tls")]
        let (caller, target) = match &self.certificates {
            None => (caller, target),
            Some(certificates) => match target.secured(Arc::clone(certificates)) {
                Some(target) if caller.prover().is_some() => {
                    let certificates = certificates.as_ref().clone().without_binding();
                    (caller.with_certificates(Arc::new(certificates)), target)
                }
                Some(target) => (caller.with_certificates(Arc::clone(certificates)), target),
                None => fail("an attack with certificates needs an `https` URL"),
            },
        };
        async move { run::run(&self, &*target, &caller).await }
    }
}

/// A report that must be clean.
///
/// An async function cannot pass on the line of its caller, but `poll` can: `.await` calls it from the test.
struct AssertClean<F>(Pin<Box<F>>);

impl<F: Future<Output = AttackReport>> Future for AssertClean<F> {
    type Output = AttackReport;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<AttackReport> {
        let report = ready!(self.0.as_mut().poll(context));
        report.assert_clean();
        Poll::Ready(report)
    }
}

/// The reason why no valid token exists that an attack on this route could spoil.
fn not_attackable(access: &Access) -> Option<String> {
    if let Access::Public { reason } = access {
        return Some(format!("it is public: {reason}"));
    }
    let all: Vec<_> = access.for_services().into_iter().chain(access.for_users()).collect();
    match all.iter().all(|asked| asked.refuse_everyone()) {
        true if all.is_empty() => Some("this version does not know its policy".to_owned()),
        true => Some("it allows no caller".to_owned()),
        false => None,
    }
}
