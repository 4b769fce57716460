//! Assertions about a decision. If one fails, it explains the refusal and prints the audit trail.

mod answer;

use std::fmt;

use serde_json::Value;
use service_only::{
    audit::{AuditRecord, Decision},
    error::Explanation,
};

pub use self::answer::{Answer, Answered};

use crate::{
    audit::{Audited, RecordingAudit},
    fail::{OrFail, fail},
};

/// Asserts that a caller was refused with this status, and got a challenge if it is 401 (RFC 9110 section
/// 15.5.2).
///
/// Takes any [`Answer`](crate::Answer): a response, a `Denial`, a `Result`, or only a status. The expected
/// status is a `u16` or an `http::StatusCode`. A failure prints the audit trail: the app's own
/// ([`TestApp::audit`](crate::TestApp::audit)), or the one that you pass after the status.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, routing::get};
/// # use service_only::{Verifier, service_only};
/// use service_only_testkit::{TestAuthority, assert_denied, call};
/// # #[service_only(services("orders"))] async fn stock() {}
///
/// let authority = TestAuthority::new();
/// let app = call(Router::new().route("/stock", get(stock)).with_state(authority.verifier()));
///
/// assert_denied!(app.get("/stock").await, 401);
/// let response = app.get("/stock").bearer(authority.user("anna").token()).await;
/// assert_denied!(response, 403, authority.audit());
/// # }
/// ```
#[macro_export]
macro_rules! assert_denied {
    ($response:expr, $status:expr $(,)?) => {
        $crate::__private::denied(&$response, $status, ::core::option::Option::None)
    };
    ($response:expr, $status:expr, $audit:expr $(,)?) => {
        $crate::__private::denied(&$response, $status, ::core::option::Option::Some(&$audit))
    };
}

/// Asserts that the request was accepted: the status is 200 to 299, or the guard admitted the caller.
///
/// Takes the arguments of [`assert_denied!`](crate::assert_denied) without a status, and prints the audit
/// trail in the same way.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, routing::get};
/// # use service_only::{Verifier, service_only};
/// use service_only_testkit::{TestAuthority, assert_allowed, call};
/// # #[service_only(services("orders"))] async fn stock() {}
///
/// let authority = TestAuthority::new();
/// let app = call(Router::new().route("/stock", get(stock)).with_state(authority.verifier()));
/// let response = app.get("/stock").bearer(authority.service("orders").token()).await;
/// assert_allowed!(response, authority.audit());
/// # }
/// ```
#[macro_export]
macro_rules! assert_allowed {
    ($response:expr $(,)?) => {
        $crate::__private::allowed(&$response, ::core::option::Option::None)
    };
    ($response:expr, $audit:expr $(,)?) => {
        $crate::__private::allowed(&$response, ::core::option::Option::Some(&$audit))
    };
}

/// Asserts the one audit record of a call: the decision, and any of its fields by name.
///
/// | you pass | the record |
/// | --- | --- |
/// | an audit | the latest since the latest call of a [`TestApp`](crate::TestApp) |
/// | a [`Mark`](crate::Mark) in an audit | the latest since the mark |
/// | a [`TestResponse`](crate::TestResponse) of an app that [has an audit](crate::TestApp::audit) | that of the response |
/// | an [`AuditRecord`] | itself |
/// | any [`Answer`](crate::Answer), and then an audit | that of the answer |
///
/// It never accepts a record of an earlier call. A [`Rejection`](service_only::Rejection), and a refusal of
/// actix-web or tonic, names its record. For an answer that names none, the assertion uses the latest record
/// of the audit. With `deny`, this record must also have the status of the answer.
///
/// The fields are those of [`AuditRecord`]: `code`, `stage`, `status`, `service`, `endpoint`, `policy_digest`, `method`,
/// `route`, `path`, `kid`, `jti`, `issuer`, `client_address`, `trace_id`, `reason`, `unverified_service`.
///
/// ```
/// use service_only_testkit::{TestAuthority, assert_audited};
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
///
/// let _ = verifier.verify(&authority.service("orders").token());
/// assert_audited!(authority.audit(), allow, service = "orders");
///
/// let _ = verifier.verify(&authority.user("anna").token());
/// assert_audited!(authority.audit(), deny, code = "not_service", status = 403);
/// ```
///
/// An answer without an audit, such as the result of a verifier:
///
/// ```
/// # use service_only_testkit::{TestAuthority, assert_audited};
/// # let authority = TestAuthority::new();
/// # let verifier = authority.verifier();
/// let result = verifier.verify(&authority.service("orders").expired().token());
/// assert_audited!(result, authority.audit(), deny, code = "expired");
///
/// // An accepted attempt is recorded when its `Caller` is dropped.
/// let result = verifier.verify(&authority.service("orders").token()).map(drop);
/// assert_audited!(result, authority.audit(), allow, service = "orders");
/// ```
///
/// A handler that records nothing has no record, even if an earlier call left one:
///
/// ```should_panic
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, routing::get};
/// # use service_only::service_only;
/// # use service_only_testkit::{TestAuthority, assert_audited, call};
/// # #[service_only] async fn stock() {}
/// let authority = TestAuthority::new();
/// let app = Router::new().route("/stock", get(stock)).route("/open", get(async || "anyone"));
/// let app = call(app.with_state(authority.verifier()));
///
/// app.get("/stock").await;
/// assert_audited!(authority.audit(), deny, code = "missing_token");
/// app.get("/open").await;
/// assert_audited!(authority.audit(), deny, code = "missing_token"); // fails
/// # }
/// ```
#[macro_export]
macro_rules! assert_audited {
    ($audit:expr, allow $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::__private::audited(
            &$audit,
            $crate::__private::Decision::Allow,
            &[$((::core::stringify!($field), $crate::__private::Value::from($value))),*],
        )
    };
    ($audit:expr, deny $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::__private::audited(
            &$audit,
            $crate::__private::Decision::Deny,
            &[$((::core::stringify!($field), $crate::__private::Value::from($value))),*],
        )
    };
    ($answer:expr, $audit:expr, allow $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::__private::answer_audited(
            &$answer,
            &$audit,
            $crate::__private::Decision::Allow,
            &[$((::core::stringify!($field), $crate::__private::Value::from($value))),*],
        )
    };
    ($answer:expr, $audit:expr, deny $(, $field:ident = $value:expr)* $(,)?) => {
        $crate::__private::answer_audited(
            &$answer,
            &$audit,
            $crate::__private::Decision::Deny,
            &[$((::core::stringify!($field), $crate::__private::Value::from($value))),*],
        )
    };
}

#[track_caller]
#[doc(hidden)]
pub fn denied(answer: &dyn Answer, status: impl Answer, audit: Option<&dyn AsRef<RecordingAudit>>) {
    let (answered, status) = (answer.answered(), status.answered().status.as_u16());
    if answered.status.as_u16() != status {
        fail_about(&answered, audit, format_args!("expected a refusal with {status}"));
    }
    if status == 401 && answered.has_challenge == Some(false) {
        fail_about(&answered, audit, format_args!("expected a 401 with `WWW-Authenticate`"));
    }
}

#[track_caller]
#[doc(hidden)]
pub fn allowed(answer: &dyn Answer, audit: Option<&dyn AsRef<RecordingAudit>>) {
    let answered = answer.answered();
    if !answered.status.is_success() {
        fail_about(&answered, audit, format_args!("expected the caller to be let through"));
    }
}

#[track_caller]
fn fail_about(
    answered: &Answered,
    audit: Option<&dyn AsRef<RecordingAudit>>,
    expected: fmt::Arguments<'_>,
) -> ! {
    let audit = audit.map(AsRef::as_ref).or(answered.audit.as_ref());
    let explanation = answered.explanation.clone().or_else(|| explained(answered, audit?));
    let parts = [explanation.as_ref().map(ToString::to_string), audit.map(ToString::to_string)];
    let parts: String = parts.into_iter().flatten().map(|part| format!("\n\n{part}")).collect();
    fail(format_args!("{expected}\n\n{}{parts}", answered.description))
}

/// The refusal in sentences, from the record of the answer: that of its id, else the latest one if it has its status.
fn explained(answered: &Answered, audit: &RecordingAudit) -> Option<Explanation> {
    let events = audit.events();
    let record = match answered.instance {
        Some(instance) => events.iter().find(|event| event.id == instance),
        None => events.last().filter(|event| event.status == answered.status.as_u16()),
    };
    record?.explanation()
}

#[track_caller]
#[doc(hidden)]
pub fn audited(audited: &dyn Audited, decision: Decision, fields: &[(&str, Value)]) {
    match audited.records().pop() {
        Some(event) => compare(&event, audited.trail().as_ref(), decision, fields),
        None => fail_without_record(audited, decision),
    }
}

#[track_caller]
#[doc(hidden)]
pub fn answer_audited(
    answer: &dyn Answer,
    audit: &dyn AsRef<RecordingAudit>,
    decision: Decision,
    fields: &[(&str, Value)],
) {
    let (answered, audit) = (answer.answered(), audit.as_ref());
    let Some(instance) = answered.instance else {
        // The record of another answer has another status. An admitted caller has 200 in its record, whatever
        // the handler answered.
        let status = (decision == Decision::Deny).then(|| ("status", Value::from(answered.status.as_u16())));
        let fields: Vec<_> = status.into_iter().chain(fields.iter().cloned()).collect();
        return audited(audit, decision, &fields);
    };
    match audit.events().iter().find(|event| event.id == instance) {
        Some(event) => compare(event, Some(audit), decision, fields),
        None => fail(format_args!("expected the record {instance}\n\n{}\n\n{audit}", answered.description)),
    }
}

#[track_caller]
fn fail_without_record(audited: &dyn Audited, decision: Decision) -> ! {
    let expected = format!("expected the record of a decision ({})", decision.as_str());
    match audited.trail() {
        None => fail(format_args!("{expected}; give the app its audit: `.audit(…)`")),
        Some(audit) if audit.is_empty() => fail(format_args!("{expected}, and {audit}")),
        Some(audit) => fail(format_args!(
            "{expected}, and the latest call left none; all records are of earlier calls\n\n{audit}"
        )),
    }
}

#[track_caller]
fn compare(
    event: &AuditRecord,
    audit: Option<&RecordingAudit>,
    decision: Decision,
    fields: &[(&str, Value)],
) {
    let mut differences = Vec::new();
    if event.decision != decision {
        differences.push(format!("decision: expected `{}`", decision.as_str()));
    }
    for (name, expected) in fields {
        let found = field(event, name);
        if found != *expected {
            differences.push(format!("{name}: expected {expected}, found {found}"));
        }
    }
    if !differences.is_empty() {
        let differences = differences.join("\n    ");
        let records = audit.map_or_else(|| as_line(event), ToString::to_string);
        let explanation =
            event.explanation().map(|explanation| format!("{explanation}\n\n")).unwrap_or_default();
        fail(format_args!(
            "the latest record is not the one expected\n    {differences}\n\n{explanation}{records}"
        ));
    }
}

/// A record as a line of the audit log.
#[track_caller]
fn as_line(event: &AuditRecord) -> String {
    serde_json::to_string(event).or_fail("an audit record as JSON")
}

/// A field of a record as the audit log writes it, by the name of the Rust field.
#[track_caller]
fn field(event: &AuditRecord, name: &str) -> Value {
    let text = |value: &Option<String>| value.as_deref().map_or(Value::Null, Value::from);
    match name {
        "status" => event.status.into(),
        "code" => event.code.map_or(Value::Null, |code| code.as_str().into()),
        "stage" => event.stage.map_or(Value::Null, |stage| stage.as_str().into()),
        "policy_digest" => event.policy_digest.map_or(Value::Null, |digest| digest.to_string().into()),
        "endpoint" => event.endpoint.map_or(Value::Null, |endpoint| endpoint.to_string().into()),
        "reason" => text(&event.reason),
        "method" => text(&event.method),
        "route" => text(&event.route),
        "path" => text(&event.path),
        "service" => text(&event.service),
        "jti" => text(&event.jti),
        "kid" => text(&event.kid),
        "issuer" => text(&event.issuer),
        "client_address" => event.client_address.map_or(Value::Null, |address| address.to_string().into()),
        "trace_id" => text(&event.trace_id),
        "unverified_service" => text(&event.unverified_service),
        _ => fail(format_args!("an audit record has no field `{name}`")),
    }
}
