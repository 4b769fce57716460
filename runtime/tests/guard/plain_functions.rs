//! Guarded functions that no framework calls: they are given a caller or claims, and check those first.

use std::{sync::Mutex, time::Duration};

use crate::frameworks::{Log, guarded_in};
use service_only::{
    Algorithm, Caller, Denial, Policy, Verifier,
    audit::{AuditError, AuditEvent, AuditSink, Decision},
    claims::ServiceClaims,
    clock::Timestamp,
    error::Code,
    issue::SigningKey,
    keys::KeyRing,
    revocation::MemoryRevocations,
    service_only,
};
use service_only_testkit::TestAuthority;

#[derive(Debug)]
enum JobError {
    Refused(Denial),
    Empty,
}

impl From<Denial> for JobError {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

#[service_only(services("scheduler"), max_age = "1h")]
fn delete_tenant(tenant: u32, caller: &Caller) -> Result<String, Denial> {
    Ok(format!("{tenant} deleted for {}", caller.service()))
}

#[service_only(scopes("tenants:delete"))]
async fn consume(message: &str, claims: &ServiceClaims) -> Result<usize, JobError> {
    if message.is_empty() {
        return Err(JobError::Empty);
    }
    Ok(message.len() + claims.service.as_str().len())
}

#[service_only]
fn any_service(_: &ServiceClaims) -> Result<(), Denial> {
    Ok(())
}

#[service_only]
fn taken_apart(ServiceClaims { service, exp, .. }: &ServiceClaims) -> Result<String, Denial> {
    Ok(format!("{service} until {exp}"))
}

macro_rules! answer {
    ($ty:ty) => { Result<$ty, Denial> };
}

macro_rules! job {
    ($item:item, $caller:ident: $ty:ty, $body:block) => {
        #[service_only(services("scheduler"))]
        $item

        #[service_only(services("scheduler"))]
        fn body_passed_on($caller: $ty) -> answer! { usize } $body
    };
}

job!(
    fn item_passed_on(_: &Caller) -> answer! { usize } { Ok(1) },
    caller: &Caller,
    { Ok(caller.service().len()) }
);

struct Queue {
    done: Mutex<Vec<String>>,
}

impl Queue {
    #[service_only(roles("worker"))]
    async fn work<'q>(&'q self, caller: &Caller) -> Result<&'q Self, Box<dyn std::error::Error>> {
        self.done.lock().unwrap().push(caller.service().to_owned());
        Ok(self)
    }
}

fn caller(authority: &TestAuthority, verifier: &Verifier, service: &str) -> Caller {
    let caller = verifier.verify(&authority.service(service).role("worker").token()).unwrap();
    authority.audit().clear();
    caller
}

#[test]
fn a_caller_is_let_in_and_its_verifier_records_it() {
    let authority = TestAuthority::new();
    let caller = caller(&authority, &authority.verifier(), "scheduler");
    assert_eq!(delete_tenant(7, &caller).unwrap(), "7 deleted for scheduler");
    let event = authority.audit().only();
    assert_eq!((event.decision, event.status), (Decision::Allow, 200));
    assert_eq!(event.endpoint.unwrap().to_string(), "guard::plain_functions::delete_tenant");
    assert_eq!(event.service.as_deref(), Some("scheduler"));
    assert_eq!((event.jti.as_deref(), event.issuer.as_deref()), (caller.jti(), Some(TestAuthority::ISSUER)));
    assert_eq!((event.kid.as_deref(), event.profile), (Some(authority.kid()), Some("compatible")));
    assert_eq!((event.time, event.unverified_service), (authority.clock().now(), None));
}

#[test]
fn a_caller_of_another_name_is_refused_and_its_verifier_records_it() {
    let authority = TestAuthority::new();
    let caller = caller(&authority, &authority.verifier(), "orders");
    assert_eq!(delete_tenant(7, &caller).unwrap_err().code(), Code::ServiceNotAllowed);
    let event = authority.audit().only();
    assert_eq!((event.decision, event.code), (Decision::Deny, Some(Code::ServiceNotAllowed)));
    assert_eq!((event.service.as_deref(), event.jti.as_deref()), (Some("orders"), caller.jti()));
}

#[test]
fn age_of_a_stored_caller_is_measured_by_the_clock_of_its_verifier() {
    let authority = TestAuthority::new();
    let token = authority.service("scheduler").expires_in(Duration::from_secs(2 * 60 * 60)).token();
    let caller = authority.verifier().verify(&token).unwrap();
    authority.clock().advance(Duration::from_secs(60 * 60 + 1));
    assert_eq!(delete_tenant(7, &caller).unwrap_err().code(), Code::TooOld);
    authority.clock().advance(Duration::from_secs(60 * 60));
    assert_eq!(delete_tenant(7, &caller).unwrap_err().code(), Code::Expired);
}

#[test]
fn a_stored_caller_is_refused_after_its_key_is_removed() {
    let authority = TestAuthority::new();
    let new = SigningKey::generate(Algorithm::ES256).unwrap();
    let old = authority.keys().keys()[0].clone();
    let ring = KeyRing::with_clock(old, Duration::from_secs(60), authority.clock().clone()).unwrap();
    let caller =
        caller(&authority, &authority.verifier_builder().keys(ring.clone()).build().unwrap(), "scheduler");
    ring.prepare(new.verifying_key()).unwrap();
    ring.activate(new.kid().as_str()).unwrap();
    authority.clock().advance(Duration::from_secs(59));
    assert!(delete_tenant(7, &caller).is_ok());
    authority.audit().clear();
    authority.clock().advance(Duration::from_secs(1));
    assert_eq!(delete_tenant(7, &caller).unwrap_err().code(), Code::UnknownKey);
    let event = authority.audit().only();
    assert_eq!((event.decision, event.code, event.status), (Decision::Deny, Some(Code::UnknownKey), 401));
}

#[service_only(issuers("https://mill.example/auth", "farm-auth"), services("scheduler"))]
fn grind(caller: &Caller) -> Result<String, Denial> {
    Ok(caller.issuer().to_owned())
}

#[test]
fn a_function_may_ask_for_the_issuer_of_its_caller() {
    for (issuer, expected) in [
        ("https://mill.example/auth", None),
        ("farm-auth", None),
        ("https://mill.example", Some(Code::IssuerNotAllowed)),
        (TestAuthority::ISSUER, Some(Code::IssuerNotAllowed)),
    ] {
        let authority = TestAuthority::new().issuer(issuer);
        let decided = grind(&authority.service("scheduler").caller());
        assert_eq!(decided.as_ref().err().map(Denial::code), expected, "{issuer}");
        assert_eq!(decided.is_ok().then_some(issuer), decided.as_deref().ok());
    }
    let guarded = guarded_in(module_path!());
    let grind = guarded.iter().find(|guarded| guarded.endpoint().function() == "grind").unwrap();
    assert_eq!(grind.policy().allowed_issuers(), Some(&["https://mill.example/auth", "farm-auth"][..]));
    assert_eq!(grind.policy().allowed_services(), Some(&["scheduler"][..]));
}

#[test]
fn a_verifier_that_requires_its_audit_requires_it_of_its_callers_too() {
    let authority = TestAuthority::new();
    let strict = authority.verifier_builder().require_audit().build().unwrap();
    let (strict, lenient) =
        (caller(&authority, &strict, "scheduler"), caller(&authority, &authority.verifier(), "scheduler"));
    authority.audit().fail_with("the disk is full");
    assert_eq!(delete_tenant(7, &strict).unwrap_err().code(), Code::AuditUnavailable);
    assert!(delete_tenant(7, &lenient).is_ok());
}

#[test]
fn functions_that_macros_write_piece_by_piece_are_guarded() {
    let authority = TestAuthority::new();
    for function in [item_passed_on as fn(&Caller) -> Result<usize, Denial>, body_passed_on] {
        let refused = function(&authority.service("orders").caller()).unwrap_err();
        assert_eq!(refused.code(), Code::ServiceNotAllowed);
        assert!(function(&authority.service("scheduler").caller()).is_ok());
    }
}

#[test]
fn a_caller_outlives_its_verifier() {
    let authority = TestAuthority::new();
    let caller = caller(&authority, &authority.verifier(), "scheduler");
    assert!(delete_tenant(7, &caller).is_ok());
    assert_eq!(authority.audit().len(), 1);
}

#[tokio::test]
async fn a_method_is_guarded_by_the_caller_that_it_is_given() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let queue = Queue { done: Mutex::default() };
    let worker = caller(&authority, &verifier, "orders");
    queue.work(&worker).await.unwrap();
    let idler = verifier.verify(&authority.service("sales").role("idler").token()).unwrap();
    let refused = queue.work(&idler).await.err().unwrap();
    assert_eq!(refused.downcast_ref::<Denial>().unwrap().code(), Code::RoleNotAllowed);
    assert_eq!(*queue.done.lock().unwrap(), ["orders"]);
}

/// Claims of a real token, changed as anyone may.
fn claims(change: impl FnOnce(&mut ServiceClaims)) -> ServiceClaims {
    let authority = TestAuthority::new();
    let token = authority.service("orders").scope("tenants:delete").token();
    let mut claims = authority.verifier().verify(&token).unwrap().claims().clone();
    claims.exp = i64::MAX;
    change(&mut claims);
    claims
}

/// The audit records that `tracing` got.
fn logged(act: impl FnOnce()) -> Vec<serde_json::Value> {
    logged_for("service_only::audit", act)
}

/// What `tracing` got for a target.
fn logged_for(target: &str, act: impl FnOnce()) -> Vec<serde_json::Value> {
    Log::during(target, act).into_iter().map(|event| event["fields"].clone()).collect()
}

#[test]
fn a_verifier_warns_when_it_is_built_of_handlers_whose_issuers_it_does_not_trust() {
    let warnings = |issuer: &str| {
        logged_for("service_only", || {
            TestAuthority::new().issuer(issuer).verifier();
        })
        .into_iter()
        .filter(|warning| warning["endpoint"].as_str().unwrap().starts_with(module_path!()))
        .collect::<Vec<_>>()
    };
    let told = warnings("bakery-auth");
    let [warning] = &told[..] else { panic!("{told:#?}") };
    assert_eq!(warning["endpoint"], "guard::plain_functions::grind");
    assert_eq!(warning["issuers"], "https://mill.example/auth farm-auth");
    assert!(warnings("farm-auth").is_empty(), "one of them is enough");
}

#[test]
fn claims_are_checked_and_recorded_as_unverified() {
    let records = logged(|| {
        assert_eq!(taken_apart(&claims(|_| ())).unwrap(), format!("orders until {}", i64::MAX));
    });
    let [record] = &records[..] else { panic!("{records:#?}") };
    assert_eq!((&record["decision"], &record["unverified.service"]), (&"allow".into(), &"orders".into()));
    assert_eq!(record["endpoint"], "guard::plain_functions::taken_apart");
    for verified in ["service", "jti", "kid", "issuer"] {
        assert_eq!(record.get(verified), None, "{verified}");
    }
}

#[test]
fn expired_or_future_claims_are_refused_with_one_record() {
    for (changed, code) in [
        (claims(|claims| claims.exp = 0), Code::Expired),
        (claims(|claims| claims.exp = i64::MIN), Code::Expired),
        (claims(|claims| claims.nbf = Some(i64::MAX)), Code::NotYetValid),
    ] {
        let records = logged(|| assert_eq!(any_service(&changed).unwrap_err().code(), code));
        let [record] = &records[..] else { panic!("{records:#?}") };
        assert_eq!((&record["decision"], &record["code"]), (&"deny".into(), &code.as_str().into()));
        assert_eq!(record["unverified.service"], "orders");
    }
}

/// Loses each record, and logs the loss itself or not.
struct Losing(bool);

impl AuditSink for Losing {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        let error = AuditError::new("the disk is full");
        Err(if self.0 { error.logged() } else { error })
    }
}

#[test]
fn a_lost_record_is_logged_unless_its_sink_has_logged_it() {
    for is_logged in [true, false] {
        let authority = TestAuthority::new();
        let verifier = authority.verifier_builder().audit(Losing(is_logged)).build().unwrap();
        let token = authority.service("orders").token();
        let lost = logged(|| drop(verifier.verify(&token).unwrap()));
        assert_eq!(lost.len(), usize::from(!is_logged), "{lost:#?}");
    }
}

#[tokio::test]
async fn a_refusal_becomes_the_error_of_the_function() {
    let without_scope = claims(|claims| claims.scope = "tenants:read".parse().unwrap());
    match consume("a message", &without_scope).await {
        Err(JobError::Refused(denial)) => assert_eq!(denial.missing_scopes(), ["tenants:delete"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(consume("four", &claims(|_| ())).await.unwrap(), 10);
    // The body runs for whom it is for, and not for a stranger.
    assert!(matches!(consume("", &claims(|_| ())).await, Err(JobError::Empty)));
    assert!(matches!(consume("", &without_scope).await, Err(JobError::Refused(_))));
}

#[test]
fn functions_without_a_framework_are_listed_with_their_policy() {
    let listed = guarded_in(module_path!());
    let of = |function: &str| listed.iter().find(|listed| listed.endpoint().function() == function).unwrap();
    assert_eq!(of("delete_tenant").policy().allowed_services(), Some(&["scheduler"][..]));
    assert_eq!(of("work").policy().allowed_roles(), Some(&["worker"][..]));
    assert_eq!(*of("any_service").policy(), Policy::any_service());
}

#[test]
fn a_stored_caller_is_refused_after_its_revocation() {
    let authority = TestAuthority::new();
    let revocations = MemoryRevocations::new();
    let verifier = authority.verifier_builder().revocation(revocations.clone()).build().unwrap();
    let caller = verifier.verify(&authority.service("scheduler").token()).unwrap();
    assert!(delete_tenant(7, &caller).is_ok());

    let claims = caller.claims();
    revocations
        .revoke_token(caller.issuer(), caller.jti().unwrap(), Timestamp::from_unix(claims.exp))
        .unwrap();
    let denial = delete_tenant(7, &caller).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::Revoked, 401));
    assert_eq!(authority.audit().last().unwrap().code, Some(Code::Revoked));

    // By its service and by its key as well.
    let kept = verifier.verify(&authority.service("scheduler").token()).unwrap();
    let now = kept.claims().iat.unwrap();
    revocations.revoke_service(kept.issuer(), "scheduler", Timestamp::from_unix(now + 1)).unwrap();
    assert_eq!(delete_tenant(7, &kept).unwrap_err().code(), Code::Revoked);
}

#[rustfmt::skip]
#[service_only(services("scheduler"))]
fn without_spaces(_id:u32, caller:&Caller) -> Result<String, Denial> {
    Ok(caller.service().to_owned())
}

#[test]
fn a_caller_is_checked_however_its_argument_is_spaced() {
    let authority = TestAuthority::new();
    assert!(without_spaces(7, &authority.service("scheduler").caller()).is_ok());
    let denial = without_spaces(7, &authority.service("orders").caller()).unwrap_err();
    assert_eq!(denial.code(), Code::ServiceNotAllowed);
}
