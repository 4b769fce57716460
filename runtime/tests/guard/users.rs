//! Handlers for users, and for users and services: the same guard, the same record, the same table.

use std::time::Duration;

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service},
    web,
};
use async_trait::async_trait;
use axum::{Router, extract::Path, routing::get};
use http::StatusCode;
use service_only::{
    Caller, ClosedRouter, Denial, Identity, Policy, Rejection, User, VerifierLayer, audit::Decision, callers,
    closed, error::Code, public, routes::Access, routes::policy_of, service_only, users_only,
};
use service_only_testkit::{FixtureToken, TestAuthority, call};
use tonic::{Request, Response, Status};

use crate::frameworks::guarded_in;

#[users_only(roles("manager"), any_scope("tenants:write", "tenants:admin"))]
async fn rename(user: User) -> String {
    format!("renamed by {}", user.id().unwrap_or_default())
}

#[callers(users(roles("manager"), max_age = "1h"), services("billing", scopes("tenants:read")))]
async fn show(caller: Identity) -> String {
    match caller {
        Identity::Service(service) => format!("shown to {}", service.service()),
        Identity::User(user) => format!("shown to {}", user.id().unwrap_or_default()),
        _ => unreachable!(),
    }
}

#[callers(users, services)]
async fn anyone() -> &'static str {
    "anyone"
}

#[users_only]
async fn own_rule(Path(id): Path<String>, user: User) -> Result<(), Rejection> {
    if user.id() == Some(&id) { Ok(()) } else { Err(user.refuse("another user")) }
}

#[service_only]
async fn machines() -> &'static str {
    "machines"
}

#[public(reason = "load balancers have no token")]
async fn healthz() {}

async fn unguarded(user: User) -> String {
    user.id().unwrap_or_default().to_owned()
}

#[callers(users, services)]
async fn takes_a_caller(caller: Caller) -> String {
    caller.service().to_owned()
}

#[users_only(roles("manager"))]
fn job(user: &User) -> Result<String, Denial> {
    Ok(user.id().unwrap_or_default().to_owned())
}

#[callers(users(roles("manager")), services("billing"))]
async fn mixed_job(caller: &Identity) -> Result<&'static str, Denial> {
    Ok(match caller {
        Identity::Service(_) => "service",
        _ => "user",
    })
}

fn closed_app() -> ClosedRouter<service_only::Verifier> {
    ClosedRouter::new()
        .route("/rename", closed::get(rename))
        .route("/show", closed::get(show))
        .route("/anyone", closed::get(anyone))
        .route("/own/{id}", closed::get(own_rule))
        .route("/machines", closed::get(machines))
        .route("/healthz", closed::get(healthz))
}

fn manager(authority: &TestAuthority) -> FixtureToken {
    authority.user("mia").role("manager").scope("tenants:admin").token()
}

fn billing(authority: &TestAuthority) -> FixtureToken {
    authority.service("billing").scope("tenants:read").token()
}

/// Path, token, status, code of the record.
type Case<'a> = (&'a str, &'a FixtureToken, u16, Option<Code>);

fn cases(authority: &TestAuthority) -> Vec<(String, FixtureToken, u16, Option<Code>)> {
    let (manager, billing) = (manager(authority), billing(authority));
    let customer = authority.user("max").scope("tenants:admin").token();
    let scopeless = authority.user("mia").role("manager").token();
    let pattern = authority.user("mia").role("manager").scope("tenants:*").token();
    let old = authority.user("mia").role("manager").issued_ago(Duration::from_secs(3601)).token();
    let orders = authority.service("orders").scope("tenants:read").token();
    let cases: [Case<'_>; 15] = [
        ("/rename", &manager, 200, None),
        ("/rename", &customer, 403, Some(Code::RoleNotAllowed)),
        ("/rename", &scopeless, 403, Some(Code::MissingScope)),
        ("/rename", &pattern, 403, Some(Code::MissingScope)),
        ("/rename", &billing, 403, Some(Code::NotUser)),
        ("/show", &manager, 200, None),
        ("/show", &billing, 200, None),
        ("/show", &customer, 403, Some(Code::RoleNotAllowed)),
        ("/show", &old, 403, Some(Code::TooOld)),
        ("/show", &orders, 403, Some(Code::ServiceNotAllowed)),
        ("/anyone", &customer, 200, None),
        ("/anyone", &orders, 200, None),
        ("/machines", &manager, 403, Some(Code::NotService)),
        ("/own/mia", &manager, 200, None),
        ("/own/max", &manager, 403, Some(Code::Refused)),
    ];
    cases
        .into_iter()
        .map(|(path, token, status, code)| (path.to_owned(), token.clone(), status, code))
        .collect()
}

#[tokio::test]
async fn each_kind_of_caller_meets_its_own_policy_in_one_record() {
    let authority = TestAuthority::new();
    let app = call(closed_app().with_state(authority.verifier())).audit(authority.audit());
    for (path, token, status, code) in cases(&authority) {
        authority.audit().clear();
        let response = app.get(&path).bearer(token.as_str()).await;
        assert_eq!(response.status().as_u16(), status, "{path} {code:?}");
        let record = authority.audit().only();
        assert_eq!((record.code, record.status), (code, status), "{path}");
        assert_eq!(record.user.is_some(), record.service.is_none(), "{path}: the record names the caller");
        assert_eq!((record.profile, record.kid.is_some()), (Some("compatible"), true), "{path}");
        assert!(record.endpoint.unwrap().module_path() == "guard::users", "{path}");
    }
    assert_eq!(app.get("/rename").await.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn actix_decides_like_axum() {
    let authority = TestAuthority::new();
    let app = App::new()
        .app_data(web::Data::new(authority.verifier()))
        .route("/rename", web::get().to(rename))
        .route("/show", web::get().to(show))
        .route("/anyone", web::get().to(anyone))
        .route("/machines", web::get().to(machines));
    let app = init_service(app).await;
    for (path, token, status, code) in
        cases(&authority).into_iter().filter(|(path, ..)| !path.starts_with("/own"))
    {
        authority.audit().clear();
        let request = TestRequest::get().uri(&path);
        let request = request.insert_header(("authorization", format!("Bearer {}", token.as_str())));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), status, "{path} {code:?}");
        drop(response);
        assert_eq!(authority.audit().only().code, code, "{path}");
    }
}

#[test]
fn a_user_and_the_job_that_is_given_it_have_one_record() {
    let authority = TestAuthority::new();
    let token = authority.user("mia").role("manager").token();
    let Ok(Identity::User(user)) = authority.verifier().authenticate(&token) else { panic!("not a user") };
    assert_eq!(job(&user).unwrap(), "mia");
    drop(user);
    let record = authority.audit().only();
    assert_eq!((record.status, record.endpoint.unwrap().function()), (200, "job"));
}

#[test]
fn the_table_has_users_and_services() {
    insta::assert_snapshot!(closed_app().routes("tenants"), @r#"
    methods   path       services  roles    scopes                            max_age
    --------  ---------  --------  -------  --------------------------------  -------
    GET HEAD  /rename    (users)   manager  (tenants:write or tenants:admin)  any
    GET HEAD  /show      billing   any      tenants:read                      any
    GET HEAD  /show      (users)   manager  none                              3600s
    GET HEAD  /anyone    any       any      none                              any
    GET HEAD  /anyone    (users)   any      none                              any
    GET HEAD  /own/{id}  (users)   any      none                              any
    GET HEAD  /machines  any       any      none                              any
    GET HEAD  /healthz   public: load balancers have no token
    "#);
    let access = Access::from(&policy_of(show));
    assert_eq!(access.for_users().unwrap().roles, Some(vec!["manager".to_owned()]));
    assert_eq!(access.for_services().unwrap().services, Some(vec!["billing".to_owned()]));
}

#[test]
fn endpoints_list_the_policy_that_is_enforced() {
    let listed = guarded_in(module_path!());
    let policy = |name: &str| *listed.iter().find(|one| one.endpoint().function() == name).unwrap().policy();
    const MANAGERS: Policy<'static> =
        Policy::any_user().roles(&["manager"]).max_age(Duration::from_secs(3600));
    assert_eq!(policy("show"), policy_of(show));
    assert_eq!(
        policy("show"),
        Policy::any_service().services(&["billing"]).scopes(&["tenants:read"]).or_users(&MANAGERS)
    );
    assert_eq!(policy("rename"), policy_of(rename));
    assert_eq!(policy("anyone").for_users(), Some(&Policy::any_user()));
    assert_eq!(policy("machines").for_users(), None);
    assert_eq!(policy("job"), Policy::any_user().roles(&["manager"]));
}

#[tokio::test]
async fn users_of_an_identity_provider_are_admitted_on_request_only() {
    use service_only::{TrustedIssuer, Verifier};
    let authority = TestAuthority::new().issuer("https://sso.example/realms/a").audience("tenants");
    let issuer =
        || TrustedIssuer::keycloak("https://sso.example/realms/a").keys(authority.keys()).audience("tenants");
    let build = |issuer: TrustedIssuer| {
        let builder = Verifier::builder().trust(issuer).clock(authority.clock().clone());
        builder.audit(authority.audit().clone()).build()
    };
    let user = |roles: &[&str]| {
        let roles = serde_json::json!({ "roles": roles });
        let draft = authority.user("f:1:mia").claim("typ", "Bearer").claim("azp", "web");
        draft.claim("realm_access", roles).claim("scope", "openid tenants:admin").without_claim("user_id")
    };
    let (manager, clerk) = (user(&["clerk", "manager"]).token(), user(&["clerk"]).token());
    // The role of the kit's own tokens is not a role of this provider.
    let claimed = user(&["clerk"]).role("manager").token();
    let id_token = user(&["manager"]).claim("typ", "ID").token();
    let nobody = user(&["manager"]).without_claim("sub").token();
    let machine = authority.service("billing").claim("typ", "Bearer").claim("azp", "billing");
    let machine = machine.claim("client_id", "billing").claim("scope", "tenants:read").token();

    let app = |verifier| call(closed_app().with_state(verifier)).audit(authority.audit());
    let (with_users, without) = (app(build(issuer().and_users()).unwrap()), app(build(issuer()).unwrap()));
    let cases = [
        ("/rename", &manager, 200, 403),
        ("/rename", &clerk, 403, 403),
        ("/rename", &claimed, 403, 403),
        ("/rename", &id_token, 401, 401),
        ("/rename", &nobody, 401, 403),
        ("/rename", &machine, 403, 403),
        ("/show", &manager, 200, 403),
        ("/show", &machine, 200, 200),
        ("/machines", &manager, 403, 403),
    ];
    for (path, token, expected, without_users) in cases {
        authority.audit().clear();
        assert_eq!(with_users.get(path).bearer(token.as_str()).await.status(), expected, "{path}");
        assert_eq!(without.get(path).bearer(token.as_str()).await.status(), without_users, "{path}");
        assert_eq!(authority.audit().len(), 2, "{path}");
    }
    let spiffe = TrustedIssuer::spiffe("bakery.example").keys(authority.keys()).audience("tenants");
    assert!(build(spiffe.and_users()).is_err());
}

#[tokio::test]
async fn a_user_alone_authenticates_a_request() {
    let authority = TestAuthority::new();
    let app = Router::new().route("/", get(unguarded)).with_state(authority.verifier());
    let app = call(app).audit(authority.audit());
    let cases = [(manager(&authority), 200, None), (billing(&authority), 403, Some(Code::NotUser))];
    for (token, status, code) in cases {
        authority.audit().clear();
        assert_eq!(app.get("/").bearer(token.as_str()).await.status().as_u16(), status);
        assert_eq!(authority.audit().only().code, code);
    }
}

#[tokio::test]
async fn a_handler_that_takes_a_caller_refuses_the_user_that_its_guard_admits() {
    let authority = TestAuthority::new();
    let app = Router::new().route("/", get(takes_a_caller)).with_state(authority.verifier());
    let app = call(app).audit(authority.audit());
    assert_eq!(app.get("/").bearer(billing(&authority).as_str()).await.status(), 200);
    authority.audit().clear();
    assert_eq!(app.get("/").bearer(manager(&authority).as_str()).await.status(), 403);
    let record = authority.audit().only();
    assert_eq!((record.decision, record.code), (Decision::Deny, Some(Code::NotService)));
}

#[tokio::test]
async fn a_job_checks_its_user_again() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let identity = |token: &FixtureToken| verifier.authenticate(token.as_str()).unwrap();
    let Identity::User(mia) = identity(&manager(&authority)) else { panic!() };
    let Identity::User(max) = identity(&authority.user("max").token()) else { panic!() };
    authority.audit().clear();
    assert_eq!(job(&mia).unwrap(), "mia");
    assert_eq!(authority.audit().len(), 1);
    assert_eq!(job(&max).unwrap_err().code(), Code::RoleNotAllowed);
    assert_eq!(mixed_job(&Identity::User(mia.clone())).await.unwrap(), "user");
    assert_eq!(mixed_job(&identity(&billing(&authority))).await.unwrap(), "service");
    let orders = identity(&authority.service("orders").token());
    assert_eq!(mixed_job(&orders).await.unwrap_err().code(), Code::ServiceNotAllowed);
    authority.clock().advance(Duration::from_secs(7200));
    assert_eq!(job(&mia).unwrap_err().code(), Code::Expired);
}

#[async_trait]
trait Tenants {
    async fn rename(&self, request: Request<()>) -> Result<Response<String>, Status>;
    async fn show(&self, request: Request<()>) -> Result<Response<()>, Status>;
    async fn count(&self, user: &User) -> Result<usize, Denial>;
    async fn ping(&self, request: Request<()>) -> Result<Response<()>, Status>;
}

struct Server;

#[users_only(roles("manager"))]
#[async_trait]
impl Tenants for Server {
    async fn rename(&self, request: Request<()>) -> Result<Response<String>, Status> {
        let user = User::of(&request).unwrap();
        assert!(Caller::of(&request).is_none());
        Ok(Response::new(user.id().unwrap_or_default().to_owned()))
    }

    #[callers(users, services("billing"))]
    async fn show(&self, _: Request<()>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn count(&self, user: &User) -> Result<usize, Denial> {
        Ok(user.id().unwrap_or_default().len())
    }

    #[public(reason = "a test")]
    async fn ping(&self, _: Request<()>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
}

/// A request as a server with the layer receives it.
async fn installed(authority: &TestAuthority, token: &FixtureToken) -> Request<()> {
    use tower::{Layer, Service, service_fn};
    let inner = service_fn(async |request: http::Request<()>| Ok::<_, Status>(request));
    let request = http::Request::builder().header("authorization", format!("Bearer {}", token.as_str()));
    let mut service = VerifierLayer::new(authority.verifier()).layer(inner);
    let (parts, ()) = service.call(request.body(()).unwrap()).await.unwrap().into_parts();
    Request::from_parts(tonic::metadata::MetadataMap::from_headers(parts.headers), parts.extensions, ())
}

#[tokio::test]
async fn methods_of_tonic_are_guarded_for_users() {
    let authority = TestAuthority::new();
    let (manager, billing) = (manager(&authority), billing(&authority));
    let customer = authority.user("max").token();
    let renamed = Server.rename(installed(&authority, &manager).await).await.unwrap();
    assert_eq!(renamed.into_inner(), "mia");
    for token in [&customer, &billing] {
        let status = Server.rename(installed(&authority, token).await).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
    }
    for token in [&manager, &customer, &billing] {
        assert!(Server.show(installed(&authority, token).await).await.is_ok());
    }
    let Ok(Identity::User(max)) = authority.verifier().authenticate(customer.as_str()) else { panic!() };
    assert_eq!(Server.count(&max).await.unwrap_err().code(), Code::RoleNotAllowed);
    assert!(Server.ping(Request::new(())).await.is_ok());
}

#[tokio::test]
async fn a_layer_admits_the_users_of_its_policy() {
    use tower::{Layer, ServiceExt, service_fn};
    const MANAGERS: Policy<'static> = Policy::any_user().roles(&["manager"]);
    const EITHER: Policy<'static> = Policy::any_service().services(&["billing"]).or_users(&MANAGERS);
    let authority = TestAuthority::new();
    let inner = service_fn(async |request: http::Request<()>| {
        let (user, caller) = (request.extensions().get::<User>(), request.extensions().get::<Caller>());
        Ok::<_, std::convert::Infallible>(http::Response::new(format!(
            "{} {}",
            user.is_some(),
            caller.is_some()
        )))
    });
    let layer = service_only::ServiceOnlyLayer::new(authority.verifier(), EITHER);
    let customer = authority.user("max").token();
    for (token, status) in [(manager(&authority), 200), (billing(&authority), 200), (customer, 403)] {
        let request = http::Request::builder().header("authorization", format!("Bearer {}", token.as_str()));
        let response = layer.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    }
    assert_eq!(authority.audit().len(), 3);
}
