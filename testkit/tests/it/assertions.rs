//! The answers and the records that the assertions accept.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
};

use http::{Response, StatusCode};
use service_only::{Caller, Denial, Policy, Rejection, service_only};
use service_only_testkit::{Answer, TestAuthority, assert_allowed, assert_audited, assert_denied};

/// The message with which an assertion fails.
#[track_caller]
fn message(assertion: impl FnOnce()) -> String {
    *catch_unwind(AssertUnwindSafe(assertion)).unwrap_err().downcast::<String>().unwrap()
}

#[service_only(services("orders"))]
fn loaves(caller: &Caller) -> Result<u32, Denial> {
    Ok(12)
}

#[test]
fn a_status_is_an_answer() {
    assert_allowed!(204);
    assert_denied!(403, 403);
    assert_denied!(StatusCode::UNAUTHORIZED, 401);
    assert_denied!(503, StatusCode::SERVICE_UNAVAILABLE);
    assert!(message(|| assert_allowed!(403)).ends_with("\n\n403 Forbidden"));
    assert!(message(|| assert_denied!(1000, 401)).contains("the status of an answer"));
}

#[test]
fn a_response_of_http_is_an_answer() {
    let of = |status: u16| Response::builder().status(status);
    assert_allowed!(of(200).body(()).unwrap());
    assert_denied!(of(401).header("www-authenticate", "Bearer").body(()).unwrap(), 401);
    assert_denied!(Ok::<_, Infallible>(of(403).body(()).unwrap()), 403);
    let bare = of(401).body(()).unwrap();
    assert!(message(|| assert_denied!(bare, 401)).contains("`WWW-Authenticate`"));
}

#[test]
fn a_denial_and_a_result_are_answers() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();

    let verified = verifier.verify(&authority.service("orders").token());
    assert_allowed!(verified);
    assert_allowed!(verified.as_ref().unwrap());
    assert_allowed!(loaves(&verified.unwrap()));

    let stranger = verifier.verify(&authority.service("stranger").token()).unwrap();
    assert_denied!(loaves(&stranger), 403);
    let policy = Policy::any_service().scopes(&["stock:read"]);
    assert_denied!(verifier.verify_with(&authority.service("orders").token(), &policy), 403);
    let denial = verifier.verify("nonsense").unwrap_err();
    assert_denied!(&denial, 401);

    let said = message(|| assert_allowed!(denial));
    assert!(said.contains("the caller was refused with 401 `malformed`: "), "{said}");
    assert!(said.contains("refused by the stage `token` with 401 `malformed`\n  reason    "), "{said}");
    assert!(said.contains("\n  change    mint the token again and deploy it"), "{said}");
    let said = message(|| assert_denied!(Ok::<_, Denial>(12), 403));
    assert!(said.ends_with("the caller was admitted"), "{said}");
}

#[test]
fn a_failure_explains_the_refusal_from_the_audit() {
    let authority = TestAuthority::new();
    let policy = Policy::any_service().services(&["billing"]);
    let answer = authority.verifier().verify_with(&authority.service("orders").token(), &policy);
    let status = answer.unwrap_err().status();
    let said = message(|| assert_allowed!(status, authority.audit()));
    for part in [
        "refused by the stage `policy` with 403 `service_not_allowed`",
        "\n  found     orders\n  expected  billing\n",
        "\n  check     `services(…)` of the handler's attribute\n",
        "\n  risk      each token of that service can then call this handler, also a stolen one\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The latest record is of another answer, so it explains nothing about this one.
    let said = message(|| assert_allowed!(500, authority.audit()));
    assert!(!said.contains("refused by the stage"), "{said}");
    let said = message(|| assert_audited!(authority.audit(), allow));
    assert!(said.contains("refused by the stage `policy`"), "{said}");
}

#[test]
fn a_rejection_is_an_answer_that_names_its_record() {
    let authority = TestAuthority::new();
    let caller = authority.verifier().verify(&authority.service("orders").token()).unwrap();
    let rejection: Rejection = caller.refuse("the shelf belongs to another");
    assert_denied!(rejection, 403);
    assert_denied!(Err::<(), _>(rejection.clone()), 403);
    assert_audited!(rejection, authority.audit(), deny, reason = "the shelf belongs to another");

    let other = TestAuthority::new();
    let said = message(|| assert_audited!(rejection, other.audit(), deny));
    assert!(said.starts_with("expected the record ") && said.contains("the shelf belongs"), "{said}");
}

#[test]
fn an_answer_without_an_id_needs_a_record_with_its_status() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let denied = verifier.verify(&authority.service("orders").expired().token());
    assert_audited!(denied, authority.audit(), deny, code = "expired", status = 401);
    assert_audited!(401, authority.audit(), deny);

    let audit = authority.audit().clone();
    let said = message(|| assert_audited!(403, audit, deny));
    assert!(said.contains("status: expected 403, found 401"), "{said}");

    // A handler answers an admitted caller with any status.
    let allowed = verifier.verify(&authority.service("orders").token()).map(drop);
    assert_audited!(allowed, authority.audit(), allow, service = "orders");
    assert_audited!(404, authority.audit(), allow);
}

#[test]
fn a_record_is_its_own_audit() {
    let authority = TestAuthority::new();
    let _ = authority.verifier().verify(&authority.user("anna").token());
    let record = authority.audit().only();
    assert_audited!(record, deny, code = "not_service");
    assert_audited!(&record, deny);
    let said = message(|| assert_audited!(record, allow));
    assert!(said.contains("decision: expected `allow`") && said.contains("not_service"), "{said}");
}

/// A client of any library: the test takes the status of its response.
#[test]
fn an_answer_may_be_a_trait_object() {
    let answers: [Box<dyn Answer>; 2] = [Box::new(403), Box::new(StatusCode::FORBIDDEN)];
    for answer in &answers {
        assert_denied!(&**answer, 403);
    }
}

#[cfg(feature = "actix")]
mod actix {
    use actix_web::{
        App, HttpResponse, get,
        test::{TestRequest, call_service, init_service, try_call_service},
        web::Data,
    };
    use service_only::service_only;
    use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, assert_denied};

    use super::message;

    #[service_only(services("orders"))]
    #[get("/stock")]
    async fn stock() -> &'static str {
        "12 loaves"
    }

    #[actix_web::test]
    async fn a_response_of_actix_is_an_answer_that_names_its_record() {
        let authority = TestAuthority::new();
        let app = App::new().app_data(Data::new(authority.verifier())).service(stock);
        let app = init_service(app).await;
        let request = |token: Option<String>| {
            let header = token.map(|token| ("authorization", format!("Bearer {token}")));
            header.into_iter().fold(TestRequest::get().uri("/stock"), TestRequest::insert_header)
        };

        let token = authority.service("orders").token().to_string();
        let response = call_service(&app, request(Some(token)).to_request()).await;
        assert_allowed!(response);
        assert_audited!(response, authority.audit(), allow, service = "orders");

        let missing = call_service(&app, request(None).to_request()).await;
        let user = authority.user("anna").token().to_string();
        let user = try_call_service(&app, request(Some(user)).to_request()).await;
        assert_denied!(missing, 401);
        assert_denied!(missing.response(), 401, authority.audit());
        assert_denied!(user, 403);
        // The record of the earlier response is found by its id.
        assert_audited!(missing, authority.audit(), deny, code = "missing_token");
        assert_audited!(user, authority.audit(), deny, code = "not_service");
    }

    #[test]
    fn a_status_and_a_response_of_actix_are_answers() {
        assert_denied!(actix_web::http::StatusCode::FORBIDDEN, 403);
        assert_denied!(actix_web::error::ErrorForbidden("no"), 403);
        assert_allowed!(HttpResponse::NoContent().finish());
        let said = message(|| assert_denied!(HttpResponse::Unauthorized().finish(), 401));
        assert!(said.contains("`WWW-Authenticate`"), "{said}");
    }
}

#[cfg(feature = "tonic")]
mod tonic {
    use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, assert_denied};
    use tonic::{Code, Response, Status};

    use super::message;

    #[test]
    fn a_status_of_the_guard_is_an_answer_that_names_its_record() {
        let authority = TestAuthority::new();
        let verifier = authority.verifier();
        let caller = verifier.verify(&authority.service("orders").token()).unwrap();
        let status = Status::from(caller.refuse("the shelf belongs to another"));
        let _ = verifier.verify("nonsense");
        assert_denied!(status, 403);
        assert_audited!(status, authority.audit(), deny, reason = "the shelf belongs to another");
    }

    #[test]
    fn a_response_of_tonic_has_the_status_of_its_code() {
        assert_allowed!(Ok::<_, Status>(Response::new(12)));
        assert_allowed!(Response::new(12));
        let cases = [
            (Code::InvalidArgument, 400),
            (Code::Unauthenticated, 401),
            (Code::PermissionDenied, 403),
            (Code::NotFound, 404),
            (Code::Internal, 500),
            (Code::Unavailable, 503),
        ];
        for (code, status) in cases {
            assert_denied!(Err::<Response<()>, _>(Status::new(code, "no")), status);
            assert_denied!(Status::new(code, "no"), code);
        }
        let said = message(|| assert_allowed!(Err::<Response<()>, _>(Status::unavailable("no keys"))));
        assert!(said.contains("the status of gRPC is Unavailable: no keys"), "{said}");
    }
}
