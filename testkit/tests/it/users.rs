//! Attacks on handlers for users: clean on guarded ones, and each class finds the verifier that it is about.

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use http::{HeaderMap, Method};
use serde_json::Value;
use service_only::{
    ClosedRouter, Identity, Policy, Verifier, callers, closed,
    routes::{Access, Route, RouteTable},
    service_only, users_only,
};
use service_only_testkit::{Defect, Outcome, TestAuthority, TestCa, TokenDraft, attack, authz_matrix};

#[users_only(roles("manager"), scopes("tenants:write"), claims(tenant_id = "{tenant}"))]
async fn rename() -> &'static str {
    "renamed"
}

#[callers(users(roles("manager")), services("billing"))]
async fn show() -> &'static str {
    "shown"
}

#[service_only]
async fn machines() -> &'static str {
    "machines"
}

fn app(authority: &TestAuthority) -> ClosedRouter {
    ClosedRouter::new()
        .route("/tenants/{tenant}", closed::get(rename))
        .route("/plan", closed::get(show))
        .route("/machines", closed::get(machines))
        .with_state(authority.verifier())
}

fn manager(authority: &TestAuthority) -> TokenDraft {
    authority.user("mia").role("manager").claim("tenant_id", "t-1")
}

#[tokio::test]
async fn an_attack_with_a_user_is_clean_on_a_handler_for_users() {
    let authority = TestAuthority::new().audience("tenants");
    const POLICY: Policy<'static> = Policy::any_user()
        .roles(&["manager"])
        .scopes(&["tenants:write"])
        .claims(&[("tenant_id", "{tenant}")]);
    let table =
        RouteTable::new("tenants").route(Route::new(["GET"], "/tenants/{tenant}", Access::from(&POLICY)));
    let attack = attack(app(&authority)).as_caller(manager(&authority)).routes(&table);
    let report = attack.parameter("tenant", "t-1").audit(authority.audit()).run().await;
    let sent = |defect| {
        report.findings().any(|one| one.defect() == defect && !matches!(one.outcome(), Outcome::NotSent(_)))
    };
    for defect in [
        Defect::ServiceToken,
        Defect::OtherClaim,
        Defect::ClaimAsList,
        Defect::WithoutClaim,
        Defect::ClaimInOtherCase,
        Defect::OtherRole,
        Defect::WithoutScope,
        Defect::Expired,
    ] {
        assert!(sent(defect), "{defect}");
    }
    assert!(!sent(Defect::UserToken));
}

#[tokio::test]
async fn an_attack_with_either_caller_is_clean_on_a_handler_for_both() {
    let authority = TestAuthority::new().audience("tenants");
    const MANAGERS: Policy<'static> = Policy::any_user().roles(&["manager"]);
    const POLICY: Policy<'static> = Policy::any_service().services(&["billing"]).or_users(&MANAGERS);
    let table = RouteTable::new("tenants").route(Route::new(["GET"], "/plan", Access::from(&POLICY)));
    for caller in [manager(&authority), authority.service("billing")] {
        attack(app(&authority)).as_caller(caller).routes(&table).audit(authority.audit()).run().await;
    }
}

/// A handler for users that was written by hand: it authenticates, and has one flaw.
#[derive(Clone)]
struct ByHand {
    verifier: Verifier,
    flaw: Option<Defect>,
}

async fn by_hand(
    State(ByHand { verifier, flaw }): State<ByHand>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<&'static str, http::StatusCode> {
    let mut headers = headers.get_all("authorization").iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(http::StatusCode::UNAUTHORIZED);
    };
    let header = header.to_str().map_err(|_| http::StatusCode::UNAUTHORIZED)?;
    let (scheme, token) = header.split_once(' ').ok_or(http::StatusCode::UNAUTHORIZED)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(http::StatusCode::UNAUTHORIZED);
    }
    let identity = verifier.authenticate(token).map_err(|_| http::StatusCode::UNAUTHORIZED)?;
    let (is_user, claim) = match &identity {
        Identity::User(user) => (true, user.claim("tenant_id")),
        Identity::Service(caller) => (false, caller.claim("tenant_id")),
        _ => (false, None),
    };
    let has = |defect| flaw == Some(defect);
    let is_tenant = match claim {
        Some(Value::String(own)) => {
            *own == tenant
                || (has(Defect::OtherClaim) && own.starts_with(&tenant))
                || (has(Defect::ClaimInOtherCase) && own.eq_ignore_ascii_case(&tenant))
        }
        Some(Value::Array(all)) => has(Defect::ClaimAsList) && all.contains(&tenant.as_str().into()),
        Some(_) => false,
        None => has(Defect::WithoutClaim),
    };
    match (is_user || has(Defect::ServiceToken)) && is_tenant {
        true => Ok("renamed"),
        false => Err(http::StatusCode::FORBIDDEN),
    }
}

#[tokio::test]
async fn each_class_about_users_finds_the_handler_that_it_is_about() {
    const POLICY: Policy<'static> = Policy::any_user().claims(&[("tenant_id", "{tenant}")]);
    let flaws = [
        None,
        Some(Defect::ServiceToken),
        Some(Defect::OtherClaim),
        Some(Defect::ClaimInOtherCase),
        Some(Defect::ClaimAsList),
        Some(Defect::WithoutClaim),
    ];
    for flaw in flaws {
        let authority = TestAuthority::new().audience("tenants");
        let guard = ByHand { verifier: authority.verifier(), flaw };
        let app = Router::new().route("/tenants/{tenant}", get(by_hand)).with_state(guard);
        let caller = manager(&authority).meeting(&POLICY);
        let report = attack(app).as_caller(caller).endpoint(Method::GET, "/tenants/t-1").report().await;
        let got_in: Vec<_> = report.got_in().map(|finding| finding.defect()).collect();
        assert_eq!(got_in, flaw.into_iter().collect::<Vec<_>>(), "{flaw:?}\n{report}");
    }
}

#[tokio::test]
async fn the_matrix_has_a_column_for_the_right_user_if_a_route_admits_users() {
    let authority = TestAuthority::new();
    insta::assert_snapshot!(authz_matrix!(app(&authority), authority), @r"
    route                  none  invalid  expired  user  wrong service  right service  right user
    ---------------------  ----  -------  -------  ----  -------------  -------------  ----------
    GET /machines          401   401      401      403   in             in             403
    GET /plan              401   401      401      403   403            in             in
    GET /tenants/{tenant}  401   401      401      403   403            403            in
    ");
}

#[service_only(services("orders"), proof = "mtls")]
async fn by_certificate(caller: service_only::Caller) -> String {
    caller.service().to_owned()
}

#[callers(users(proof = "any"), services("orders"))]
async fn for_both() {}

#[users_only(proof = "mtls")]
async fn users_by_certificate() {}

#[tokio::test]
async fn the_matrix_has_a_column_without_a_proof_if_a_route_requires_one() {
    let authority = TestAuthority::new();
    let app = ClosedRouter::new()
        .route("/mtls", closed::get(by_certificate))
        .route("/both", closed::get(for_both))
        .route("/users", closed::get(users_by_certificate))
        .with_state(authority.verifier());
    insta::assert_snapshot!(authz_matrix!(app, authority), @r"
    route       none  invalid  expired  user  wrong service  no proof  right service  right user
    ----------  ----  -------  -------  ----  -------------  --------  -------------  ----------
    GET /both   401   401      401      401   403            in        in             in
    GET /mtls   401   401      401      403   403            401       in             403
    GET /users  401   401      401      in    403            401       403            in
    ");
}

#[tokio::test]
async fn a_unit_test_calls_a_handler_that_requires_a_proof_as_the_owner_of_a_bound_token() {
    let authority = TestAuthority::new();
    let certificate = TestCa::new("bakery.example").leaf().valid_around(authority.clock().now()).issue();
    let orders = authority.service("orders").bound_to(&certificate);
    assert_eq!(by_certificate(orders.guard(), orders.caller()).await, "orders");
    let refused = authority.service("orders").try_guard().map(|guard| by_certificate(guard, orders.caller()));
    assert_eq!(refused.err().unwrap().code().as_str(), "proof_missing");
}

#[tokio::test]
async fn a_unit_test_calls_a_handler_for_users() {
    #[users_only(roles("manager"))]
    async fn greet(user: service_only::User) -> String {
        format!("hello, {}", user.id().unwrap_or_default())
    }
    let mia = TestAuthority::new().user("mia").role("manager");
    assert_eq!(greet(mia.guard(), mia.user()).await, "hello, mia");
    assert!(matches!(mia.identity(), Identity::User(_)));
}
