//! What the recording audit keeps, and what the assertions say when it is something else.

use std::time::Duration;

use http::{Response, StatusCode};
use service_only_testkit::{RecordingAudit, TestAuthority, assert_allowed, assert_audited, assert_denied};

/// Two records: an allowed service and a refused user.
fn two_decisions() -> TestAuthority {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let _ = verifier.verify(&authority.service("orders").token());
    let _ = verifier.verify(&authority.user("anna").token());
    authority
}

fn panic_message(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).err();
    panic.and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn records_are_kept_in_order_and_separately() {
    let authority = two_decisions();
    let audit = authority.audit();
    assert_eq!((audit.len(), audit.allowed().len(), audit.denials().len()), (2, 1, 1));
    assert_eq!(audit.events().last(), audit.last().as_ref());
    assert_eq!(audit.allowed()[0].service.as_deref(), Some("orders"));
    audit.clear();
    assert!(audit.is_empty() && audit.last().is_none());
}

#[test]
fn one_record_is_wanted_and_two_are_shown() {
    let authority = two_decisions();
    let message = panic_message(|| drop(authority.audit().only()));
    insta::assert_snapshot!(message, @r"
    expected exactly one record, found 2

    decision  status  code         service  request  endpoint  reason
    allow     200     -            orders   -        -         -
    deny      403     not_service  -        -        -         the token is a user's (`type` is `access`), expected `service`
    ");
    authority.audit().clear();
    let message = panic_message(|| drop(authority.audit().only()));
    insta::assert_snapshot!(message, @r"
    expected exactly one record, found 0

    the audit has no records
    ");
}

#[test]
fn a_failing_assertion_about_the_audit_names_each_difference() {
    let authority = two_decisions();
    assert_audited!(authority.audit(), deny, code = "not_service", stage = "service", status = 403);
    let message =
        panic_message(|| assert_audited!(authority.audit(), allow, code = "expired", service = "orders"));
    insta::assert_snapshot!(message, @r#"
    the latest record is not the one expected
        decision: expected `allow`
        code: expected "expired", found "not_service"
        service: expected "orders", found null

    refused by the stage `service` with 403 `not_service`
      reason    the token is a user's (`type` is `access`), expected `service`
      found     a user's (type is access)
      expected  service
      passed    configuration, bearer, token, header, key, signature, claims, revocation
      check     `type` and `is_service` of the token
      change    call with a service token; a user's token belongs at the gateway
      risk      the handler has no policy for users, so it must not admit them

    decision  status  code         service  request  endpoint  reason
    allow     200     -            orders   -        -         -
    deny      403     not_service  -        -        -         the token is a user's (`type` is `access`), expected `service`
    "#);
    let message = panic_message(|| assert_audited!(RecordingAudit::new(), allow));
    assert_eq!(message, "expected the record of a decision (allow), and the audit has no records\n");
    let message = panic_message(|| assert_audited!(authority.audit(), deny, colour = "red"));
    assert_eq!(message, "an audit record has no field `colour`");
}

#[test]
fn a_failing_assertion_about_a_response_shows_the_audit() {
    let authority = two_decisions();
    assert_denied!(StatusCode::FORBIDDEN, 403);
    assert_allowed!(StatusCode::NO_CONTENT);
    let message = panic_message(|| assert_denied!(StatusCode::OK, 403, authority.audit()));
    insta::assert_snapshot!(message, @r"
    expected a refusal with 403

    200 OK

    decision  status  code         service  request  endpoint  reason
    allow     200     -            orders   -        -         -
    deny      403     not_service  -        -        -         the token is a user's (`type` is `access`), expected `service`
    ");
    let message = panic_message(|| assert_allowed!(StatusCode::FORBIDDEN));
    assert_eq!(message, "expected the caller to be let through\n\n403 Forbidden");
}

#[test]
fn a_401_without_a_challenge_fails_the_assertion() {
    let response = Response::builder().status(401).body(()).unwrap();
    let message = panic_message(|| assert_denied!(response, 401));
    assert_eq!(message, "expected a 401 with `WWW-Authenticate`\n\n401 Unauthorized");
    assert_denied!(StatusCode::UNAUTHORIZED, 401);
}

#[test]
fn claims_of_an_unverified_token_are_shown_in_brackets() {
    let authority = TestAuthority::new();
    let _ = authority.verifier().verify(&authority.service("orders\nallow").wrong_key().token());
    assert_audited!(
        authority.audit(),
        deny,
        code = "bad_signature",
        unverified_service = "orders\\u{a}allow"
    );
    let table = authority.audit().to_string();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("(orders\\u{a}allow)"), "{table}");
}

#[tokio::test]
async fn records_of_another_thread_can_be_awaited() {
    let authority = TestAuthority::new();
    let audit = authority.audit().clone();
    let waiting = tokio::spawn(async move { audit.until(2).await.len() });
    for _ in 0..2 {
        let authority = authority.clone();
        std::thread::spawn(move || authority.verifier().verify(&authority.service("orders").token()).is_ok());
    }
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn records_that_are_there_already_are_not_waited_for() {
    assert_eq!(two_decisions().audit().until(1).await.len(), 2);
}

mod calls {
    use axum::{Router, routing::get};
    use service_only::service_only;
    use service_only_testkit::{TestApp, TestAuthority, assert_audited, call};

    #[service_only(services("orders"))]
    async fn stock() {}

    fn app(authority: &TestAuthority) -> TestApp {
        let app = Router::new().route("/stock", get(stock)).route("/open", get(async || "anyone"));
        call(app.with_state(authority.verifier()))
    }

    fn fails(assertion: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(assertion)).is_err()
    }

    #[tokio::test]
    async fn a_record_of_an_earlier_call_is_not_taken_for_this_one() {
        let authority = TestAuthority::new();
        for app in [app(&authority), app(&authority).audit(authority.audit())] {
            let refused = app.get("/stock").await;
            assert_audited!(authority.audit(), deny, code = "missing_token");
            assert_audited!(authority.audit(), deny, status = 401);

            let open = app.get("/open").await;
            assert!(fails(|| assert_audited!(authority.audit(), deny, code = "missing_token")));
            assert!(fails(|| assert_audited!(open, deny, code = "missing_token")));
            drop(refused);
        }
    }

    #[tokio::test]
    async fn a_response_is_linked_to_its_own_record() {
        let authority = TestAuthority::new();
        let app = app(&authority).audit(authority.audit());
        let refused = app.get("/stock").await;
        let allowed = app.get("/stock").bearer(authority.service("orders").token()).await;
        let expired = app.get("/stock").bearer(authority.service("orders").expired().token()).await;
        assert_audited!(refused, deny, code = "missing_token");
        assert_audited!(allowed, allow, service = "orders");
        assert_audited!(expired, deny, code = "expired");
        assert!(fails(|| assert_audited!(allowed, deny, code = "expired")));
    }

    #[tokio::test]
    async fn calls_at_the_same_time_keep_their_own_records() {
        let authority = TestAuthority::new();
        let app = app(&authority).audit(authority.audit());
        let expired = authority.service("orders").expired();
        let other = authority.service("invoices");
        let (none, expired, other) = tokio::join!(
            app.get("/stock").send(),
            app.get("/stock").bearer(expired.token()).send(),
            app.get("/stock").bearer(other.token()).send(),
        );
        assert_audited!(none, deny, code = "missing_token");
        assert_audited!(expired, deny, code = "expired");
        assert_audited!(other, deny, code = "service_not_allowed");
    }

    #[test]
    fn a_mark_has_the_records_after_it() {
        let authority = TestAuthority::new();
        let verifier = authority.verifier();
        let _ = verifier.verify("garbage");
        let mark = authority.audit().mark();
        assert!(fails(|| assert_audited!(mark, deny, code = "malformed")));
        let _ = verifier.verify(&authority.service("orders").token());
        assert_audited!(mark, allow, service = "orders");
        assert_eq!(mark.events().len(), 1);
    }
}
