//! Which caller may call which route, as a table: each kind of caller really calls each route.

use std::{collections::BTreeMap, fmt};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use serde_json::json;
use service_only::{
    __satellite::{PeerFacts, peer_certificate},
    ClosedRouter, PeerCertificate, RequiredProof,
    audit::Decision,
    clock::Timestamp,
    routes::{Access, Requirements, RouteTable},
};
use tower::{Service, ServiceExt};

use crate::{
    authority::TestAuthority, draft::TokenDraft, fail::OrFail, fixture::Fixture, strangers::path,
    trust::AlwaysTrusted,
};

/// The result of each kind of caller at each route: a row per route, a column per kind of caller. The macro
/// [`authz_matrix!`](crate::authz_matrix) creates it, for a snapshot.
///
/// If a route requires a proof by a certificate, or any proof, the callers of its columns have a certificate, and their
/// tokens are bound to it. If it requires DPoP, they have a key and send a proof; name the URL of the service with
/// [`TestAuthority::dpop`](crate::TestAuthority::dpop). The column `no proof` then shows the right caller with a bearer
/// token.
///
/// If a route admits users, the last column is `right user`: a user that meets what the route requires of users. The columns
/// `invalid`, `expired` and `no proof` show the right service, and at a route for users only the right user.
///
/// `in` means that the guard accepted the caller, whatever the handler answered then. `open` means an answer
/// without a decision, which is what a public handler returns. A number is the status of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthzMatrix {
    columns: Vec<&'static str>,
    rows: Vec<(String, Vec<String>)>,
}

const CALLERS: [&str; 6] = ["none", "invalid", "expired", "user", "wrong service", "right service"];

/// The column for the token of the right caller without its proof. A table has it if a route requires a proof.
const WITHOUT_PROOF: &str = "no proof";

/// The column for a user that a route admits. A table has it if a route admits users.
const RIGHT_USER: &str = "right user";

/// The columns that a table has only for some routes.
#[derive(Copy, Clone)]
struct Columns {
    without_proof: bool,
    right_user: bool,
}

/// Calls each route as each kind of caller, and returns the [`AuthzMatrix`].
///
/// Pass the app and the authority whose verifier guards it. If the app is not a
/// [`ClosedRouter`](service_only::ClosedRouter), which knows its own routes, pass the route table too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use service_only::{ClosedRouter, Verifier, closed::{delete, get}, public, service_only};
/// use service_only_testkit::{TestAuthority, authz_matrix};
///
/// #[service_only(services("orchestrator"))]
/// async fn delete_tenant() {}
///
/// #[service_only(scopes("tenants:read"))]
/// async fn show_tenant() {}
///
/// #[public(reason = "load balancers have no token")]
/// async fn healthz() {}
///
/// fn app(verifier: Verifier) -> ClosedRouter {
///     ClosedRouter::new()
///         .route("/tenants/{id}", delete(delete_tenant).get(show_tenant))
///         .route("/healthz", get(healthz))
///         .with_state(verifier)
/// }
///
/// let authority = TestAuthority::new();
/// insta::assert_snapshot!(authz_matrix!(app(authority.verifier()), authority), @r"
/// route                 none  invalid  expired  user  wrong service  right service
/// --------------------  ----  -------  -------  ----  -------------  -------------
/// GET /healthz          open  open     open     open  open           open
/// DELETE /tenants/{id}  401   401      401      403   403            in
/// GET /tenants/{id}     401   401      401      403   403            in
/// ");
///
/// // A verifier refuses all tokens of another authority.
/// let stranger = TestAuthority::new();
/// let matrix = authz_matrix!(app(authority.verifier()), stranger).to_string();
/// assert!(!matrix.contains("in\n"));
/// # }
/// ```
#[macro_export]
macro_rules! authz_matrix {
    ($app:expr, $authority:expr $(,)?) => {
        $crate::AuthzMatrix::of_closed($app, &$authority).await
    };
    ($app:expr, $authority:expr, $table:expr $(,)?) => {
        $crate::AuthzMatrix::of($app, &$authority, &$table).await
    };
}

impl AuthzMatrix {
    /// Creates the matrix of a router that knows its routes.
    pub async fn of_closed(router: ClosedRouter, authority: &TestAuthority) -> Self {
        let table = router.routes("app");
        Self::of(router, authority, &table).await
    }

    /// Creates the matrix of an app and its routes. The verifier of the app must be `authority`'s.
    ///
    /// # Panics
    /// When the app fails to answer, or a path is not valid in a request line.
    pub async fn of<S, B>(app: S, authority: &TestAuthority, table: &RouteTable) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: fmt::Display> + Clone,
    {
        let mut rows = Vec::new();
        let has = |is: fn(&Access) -> bool| table.routes().iter().any(|route| is(route.access()));
        let further = Columns {
            without_proof: has(|access| required_proof(access).is_some()),
            right_user: has(|access| access.for_users().is_some()),
        };
        let mut columns = CALLERS.to_vec();
        if further.without_proof {
            columns.insert(CALLERS.len() - 1, WITHOUT_PROOF);
        }
        columns.extend(further.right_user.then_some(RIGHT_USER));
        for route in table.routes() {
            let callers = callers(authority, route.access(), further);
            let path = path::filled(route.path(), &["1".to_owned()], &BTreeMap::new()).swap_remove(0);
            let any = ["*".to_owned()];
            let methods = if route.methods().is_empty() { &any[..] } else { route.methods() };
            for method in methods {
                // The handler of GET also answers HEAD, so a row for HEAD would be a duplicate.
                if method == "HEAD" && methods.iter().any(|method| method == "GET") {
                    continue;
                }
                let mut cells = Vec::with_capacity(columns.len());
                for caller in &callers {
                    cells.push(cell(&app, authority, method, &path, caller).await);
                }
                rows.push((format!("{method} {}", route.path()), cells));
            }
        }
        rows.sort_by(|(left, _), (right, _)| place(left).cmp(&place(right)));
        Self { columns, rows }
    }
}

/// Sorts rows by path, then by method, in whichever order the routes were added.
fn place(route: &str) -> (&str, &str) {
    route.split_once(' ').map_or((route, ""), |(method, path)| (path, method))
}

/// What a caller sends: a token, possibly with a proof of DPoP, over a connection with a certificate or without one.
#[derive(Default)]
struct Presented {
    token: Option<TokenDraft>,
    certificate: Option<PeerCertificate>,
}

/// Creates a caller for each column.
#[track_caller]
fn callers(authority: &TestAuthority, access: &Access, further: Columns) -> Vec<Presented> {
    let (service, user) = (right_service(authority, access), right_user(authority, access));
    let is_for_users_only = access.for_services().is_none() && access.for_users().is_some();
    let right = if is_for_users_only { &user } else { &service };
    let bearer = |draft: TokenDraft| Presented { token: Some(draft), certificate: None };
    let key = authority.dpop_key();
    let proving = |draft: TokenDraft, proof| match proof {
        Some(RequiredProof::Dpop) => bearer(draft.proven_by(&key)),
        Some(RequiredProof::Mtls | RequiredProof::Any) => {
            Presented { certificate: Some(certificate()), ..bearer(bound(draft)) }
        }
        _ => bearer(draft),
    };
    let caller = |draft: TokenDraft| proving(draft, required_proof(access));
    let without_proof = further.without_proof.then(|| bearer(right.clone()));
    let mut callers = vec![
        Presented::default(),
        caller(right.clone().wrong_key()),
        caller(right.clone().expired()),
        caller(authority.user("anna")),
        caller(authority.service("another-service").role("another-role")),
    ];
    callers.extend(without_proof);
    callers.push(caller(service));
    if further.right_user {
        callers.push(proving(user, access.for_users().and_then(|users| users.proof)));
    }
    callers
}

/// The proof that the right caller must give.
fn required_proof(access: &Access) -> Option<RequiredProof> {
    access.for_services().or(access.for_users())?.proof
}

const THUMBPRINT: [u8; 32] = [0x5a; 32];

/// Binds a token to the certificate of the matrix (RFC 8705 section 3.1).
fn bound(draft: TokenDraft) -> TokenDraft {
    draft.claim("cnf", json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(THUMBPRINT) }))
}

/// A certificate without a name, so that it is not a credential.
fn certificate() -> PeerCertificate {
    let facts = PeerFacts {
        thumbprint: THUMBPRINT,
        spiffe_id: None,
        name: None,
        not_before: Timestamp::from_unix(0),
        not_after: Timestamp::from_unix(i64::MAX),
        forwarded_by: None,
    };
    peer_certificate(facts, AlwaysTrusted)
}

/// A user that meets what a route requires of users.
fn right_user(authority: &TestAuthority, access: &Access) -> TokenDraft {
    let user = authority.user("mia");
    match access.for_users() {
        Some(users) => with_claims(user.meeting(access.clone()), users),
        None => user,
    }
}

/// Adds the claims that a route requires. Each parameter of the path is `1`.
fn with_claims(draft: TokenDraft, requirements: &Requirements) -> TokenDraft {
    requirements.claims.iter().fold(draft, |draft, (name, value)| match value.starts_with('{') {
        true => draft.claim(name, "1"),
        false => draft.claim(name, value.as_str()),
    })
}

fn right_service(authority: &TestAuthority, access: &Access) -> TokenDraft {
    let Some(requirements) = access.for_services() else {
        return authority.service("any-service");
    };
    let Requirements { services, actors, roles, scopes, any_scope, .. } = requirements;
    let scopes = scopes.iter().chain(any_scope.iter().flatten().take(1));
    let named = services
        .iter()
        .flatten()
        .find(|service| !service.starts_with('@'))
        .map_or("any-service", String::as_str);
    let draft = authority.service(named).scopes(scopes);
    let draft = actors.iter().flatten().take(1).fold(draft, |draft, actor| draft.via(actor));
    let draft = match roles.iter().flatten().next() {
        Some(role) => draft.role(role),
        None => draft,
    };
    with_claims(draft, requirements)
}

async fn cell<S, B>(
    app: &S,
    authority: &TestAuthority,
    method: &str,
    path: &str,
    caller: &Presented,
) -> String
where
    S: Service<Request<Body>, Response = Response<B>, Error: fmt::Display> + Clone,
{
    let method: Method =
        if method == "*" { Method::GET } else { method.parse().or_fail("the method of a route") };
    let prover = caller.token.as_ref().and_then(TokenDraft::prover);
    let (mut before, mut answer) = (0, None);
    // A service that requires a nonce of DPoP sends it with its first refusal.
    for _ in 0..2 {
        let request = request(&method, path, caller);
        before = authority.audit().events().len();
        let response = app.clone().oneshot(request).await.or_fail("the app gave no answer");
        let nonce = response.headers().get("dpop-nonce").and_then(|nonce| nonce.to_str().ok());
        let is_first = prover.is_some_and(|prover| prover.nonce().is_none());
        if let (Some(prover), Some(nonce)) = (prover, nonce) {
            prover.keep_nonce(nonce);
        }
        answer = Some(response.status().as_u16());
        if !(is_first && nonce.is_some()) {
            break;
        }
    }
    let status = answer.unwrap_or_default();
    match authority.audit().events().get(before).map(|event| event.decision) {
        Some(Decision::Allow) => "in".to_owned(),
        Some(Decision::Deny) => status.to_string(),
        None if matches!(status, 401 | 403..=405 | 500 | 503) => status.to_string(),
        None => "open".to_owned(),
    }
}

fn request(method: &Method, path: &str, caller: &Presented) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().or_fail("the path of a route");
    if let Some(certificate) = &caller.certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    if let Some(token) = &caller.token {
        for (name, value) in Fixture::valid(token).outgoing(method.clone(), path).headers {
            let name = HeaderName::try_from(name).or_fail("the name of a header");
            let value = HeaderValue::from_str(&value).or_fail("a token or a proof in a header");
            request.headers_mut().append(name, value);
        }
    }
    request
}

impl fmt::Display for AuthzMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.rows.iter().map(|(route, _)| route.chars().count()).max().unwrap_or(0).max(5);
        let line = |f: &mut fmt::Formatter<'_>, route: &str, cells: &[&str]| {
            let mut line = format!("{route:first$}");
            for (cell, head) in cells.iter().zip(&self.columns) {
                line.push_str(&format!("  {cell:width$}", width = head.len()));
            }
            writeln!(f, "{}", line.trim_end())
        };
        line(f, "route", &self.columns)?;
        let rules: Vec<_> = self.columns.iter().map(|head| "-".repeat(head.len())).collect();
        line(f, &"-".repeat(first), &rules.iter().map(String::as_str).collect::<Vec<_>>())?;
        for (route, cells) in &self.rows {
            line(f, route, &cells.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
