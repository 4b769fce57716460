//! The whole catalogue against a running app: one line in a test.

mod html;
#[cfg(feature = "axum")]
mod in_process;
mod json;
mod judge;
mod likeness;
mod matrix;
mod report;
mod run;
mod target;
#[cfg(feature = "http")]
mod url;

use std::{sync::Arc, time::Duration};

use http::Method;
use service_only::routes::{Access, RouteTable};

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
use crate::{
    audit::RecordingAudit,
    draft::{TokenDraft, Tolerance},
    fail::fail,
    fixture::Defect,
};

/// Requests that one attack may send unless told otherwise. An endpoint takes about 2,000, so this is
/// enough for twenty-five; more in one go is a program that attacks more than its author means.
pub const MAX_REQUESTS: usize = 50_000;

/// What stands for a parameter of a path, such as `{id}`, when nothing else is said: most are UUIDs,
/// and this one is nobody's.
pub const PARAMETER: &str = "00000000-0000-4000-8000-000000000000";

/// An attack about to be made, on a service in this process or at a URL.
#[must_use = "nothing is sent until the attack is run"]
#[derive(Debug, Clone)]
pub struct Attack {
    target: Arc<dyn Target>,
    caller: Option<TokenDraft>,
    endpoints: Vec<EndpointUnderAttack>,
    not_attacked: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    body: Option<(String, String)>,
    without: Vec<Defect>,
    any_service: bool,
    audit: Option<RecordingAudit>,
    tolerance: Tolerance,
    max_requests: usize,
    /// Whether the keys have names, where that was said.
    named_keys: Option<bool>,
}

#[derive(Debug, Clone)]
struct EndpointUnderAttack {
    method: Method,
    target: String,
    /// What the route asks of its caller, where that is known.
    access: Option<Access>,
}

impl Attack {
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
            max_requests: MAX_REQUESTS,
            named_keys: None,
        }
    }

    /// The token that is spoiled: valid for the endpoint, and with no scope, and no [role](TokenDraft::role)
    /// but the default, that it does not ask for.
    /// For the routes of a table, the name, role and scopes are those that each route asks for.
    pub fn as_caller(self, draft: TokenDraft) -> Self {
        Self { caller: Some(draft), ..self }
    }

    /// Adds an endpoint, by a method and a path that the handler answers, again and again, with
    /// something else than 400, 404 or 405.
    pub fn endpoint(mut self, method: Method, target: impl Into<String>) -> Self {
        self.endpoints.push(EndpointUnderAttack { method, target: target.into(), access: None });
        self
    }

    /// Adds each route of a table that is for services only. Routes that are for anybody, or for nobody,
    /// are listed in the report and not attacked.
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
            // No methods stands for any: one of them is enough to meet the guard.
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

    /// Says what stands for `{name}` in paths; left out, it is [`PARAMETER`].
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sends a body with each request that an attack does not give another: for a handler that
    /// answers 400 without one.
    pub fn body(self, content_type: impl Into<String>, body: impl Into<String>) -> Self {
        Self { body: Some((content_type.into(), body.into())), ..self }
    }

    /// Judges by the audit of the app's verifier too: the exact code, and exactly one record for each
    /// request that meets a guard.
    pub fn audit(self, audit: &RecordingAudit) -> Self {
        Self { audit: Some(audit.clone()), ..self }
    }

    /// Says that the verifier's keys have names, as those of a JWK set do: a token of the right key under a
    /// `kid` that no key has is then a finding.
    ///
    /// A key without a name, such as an HMAC secret or a lone PEM, has no name to compare, so its verifier
    /// accepts any `kid`. Left out, the keys have names if the test took them with their names
    /// ([`TestAuthority::jwks`], [`TestAuthority::keys`]); and the audit knows better, where it is given.
    ///
    /// [`TestAuthority::jwks`]: crate::TestAuthority::jwks
    /// [`TestAuthority::keys`]: crate::TestAuthority::keys
    pub fn named_keys(self) -> Self {
        Self { named_keys: Some(true), ..self }
    }

    /// Says that the endpoints are for any service, so that another one is no attacker.
    pub fn any_service(self) -> Self {
        Self { any_service: true, ..self }
    }

    /// Leaves out a class, for a reason that you know.
    pub fn without(mut self, defect: Defect) -> Self {
        self.without.push(defect);
        self
    }

    /// The leeway of the verifier under attack, which lets a token live on that long.
    pub fn leeway(self, leeway: Duration) -> Self {
        let seconds = i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX);
        let Tolerance { past, future } = self.tolerance;
        let tolerance =
            Tolerance { past: past.saturating_add(seconds), future: future.saturating_add(seconds) };
        Self { tolerance, ..self }
    }

    /// The most requests that are sent; left out, it is [`MAX_REQUESTS`]. What is not sent is listed,
    /// and such a report is not clean.
    pub fn max_requests(self, requests: usize) -> Self {
        Self { max_requests: requests, ..self }
    }

    /// How many endpoints are named.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Makes the attack, and fails the test with a readable report of what got in.
    ///
    /// # Panics
    /// Unless the report is [clean](AttackReport::is_clean).
    pub async fn run(self) -> AttackReport {
        let report = self.report().await;
        if !report.is_clean() {
            fail(&report);
        }
        report
    }

    /// Makes the attack, and says what came of it.
    ///
    /// # Panics
    /// When no caller or no endpoint was named.
    pub async fn report(self) -> AttackReport {
        let Some(caller) = self.caller.clone() else {
            fail("an attack needs a token to spoil; name it with `as_caller`");
        };
        if self.endpoints.is_empty() {
            fail("an attack needs an endpoint; name one with `endpoint` or `routes`");
        }
        run::run(&self, &caller.with_tolerance(self.tolerance)).await
    }
}

/// Why there is no valid token that an attack on a route could spoil.
fn not_attackable(access: &Access) -> Option<String> {
    let nobody = |names: &Option<Vec<String>>| names.as_ref().is_some_and(Vec::is_empty);
    match access {
        Access::ServiceOnly { issuers, services, roles, .. }
            if nobody(issuers) || nobody(services) || nobody(roles) =>
        {
            Some("it lets nobody in".to_owned())
        }
        Access::ServiceOnly { .. } => None,
        Access::Public { reason } => Some(format!("it is for anybody: {reason}")),
        _ => Some("this version does not know what it asks for".to_owned()),
    }
}
