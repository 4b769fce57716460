//! Everything in which the frameworks differ, and why. What is not in these two tables is equal.

use serde_json::{Map, Value};
use service_only::{
    audit::Decision,
    error::{Code, Stage},
};

use crate::conformance::{cases::Case, wire::Answer};

/// One difference of a driver.
enum Differs {
    /// Cases that cannot be sent.
    Skips(Cases),
    /// The record has another text here, or none.
    Reads(&'static str, Option<&'static str>),
    /// The record has none here where the verifier refused, and the function was not called.
    LacksBeforePolicy(&'static str),
    /// The record has nothing that only a request has.
    WithoutRequest,
    /// The record has a field under another name.
    Renames(&'static str, &'static str),
    /// The decision has a clock of its own.
    OwnClock,
}
use Differs::{LacksBeforePolicy, OwnClock, Reads, Renames, Skips, WithoutRequest};

const OF_A_REQUEST: [&str; 5] =
    ["http.request.method", "http.route", "url.path", "client.address", "trace_id"];

enum Cases {
    Named(&'static str),
    OtherTarget,
    WithBody,
    WithHeader(&'static str),
    WithoutToken,
    RefusedByVerifier,
}
use Cases::{Named, OtherTarget, RefusedByVerifier, WithBody, WithHeader, WithoutToken};

const DIFFERENCES: &[(&str, Differs, &str)] = &[
    ("tower", Reads("http.route", None), "a service without a router has no routes"),
    ("tower", Reads("client.address", None), "a bare server of hyper does not pass the peer on"),
    ("tonic", Reads("http.request.method", Some("POST")), "gRPC has no other method"),
    ("tonic", Reads("http.route", None), "the path is the whole route"),
    ("tonic", Reads("url.path", Some("/grpc.health.v1.Health/Check")), "the path names the method"),
    ("tonic", Skips(OtherTarget), "a client of gRPC chooses method and path itself, and sends no query"),
    ("tonic", Skips(WithBody), "the body of gRPC is a message, never a form or JSON"),
    ("tonic", Skips(WithHeader("content-type")), "a client of gRPC writes the content type itself"),
    ("tonic", Skips(WithHeader("user-agent")), "the client of tonic writes the user agent itself"),
    ("tonic", Skips(WithHeader("connection")), "HTTP/2 has no headers of a connection"),
    ("plain", Skips(WithoutToken), "there is no request around the token"),
    ("plain", WithoutRequest, "nothing but the token, or whom it names, is passed on"),
    ("plain", LacksBeforePolicy("endpoint"), "the function is not called for a token that names nobody"),
    ("plain", LacksBeforePolicy("policy_digest"), "the digest is that of the policy of the endpoint"),
    ("claims", Skips(WithoutToken), "there is no request around the token"),
    ("claims", Skips(RefusedByVerifier), "a token that names nobody has no claims to give"),
    ("claims", Skips(Named("handler_refuses")), "claims belong to no attempt that could be refused"),
    (
        "claims",
        Skips(Named("age_from_future")),
        "claims are compared by the clock of the system, which has reached that second by then",
    ),
    ("claims", Reads("actor", None), "claims that this process did not verify prove no actor"),
    ("claims", WithoutRequest, "nothing but the token, or whom it names, is passed on"),
    (
        "claims",
        Renames("service", "unverified.service"),
        "anyone may build claims, so they are what somebody said",
    ),
    ("claims", Reads("jti", None), "nobody vouches for it"),
    ("claims", Reads("kid", None), "no signature was checked"),
    ("claims", Reads("issuer", None), "nobody vouches for it"),
    ("claims", Reads("profile", None), "no verifier was asked"),
    ("claims", OwnClock, "no verifier was asked, whose clock it would be"),
];

/// The status of a request with another method or path, on axum, actix and tower (without a router, so the
/// guard answers all). 401 is the guard's. A row is for all requests of a class, or for the one that it names.
const ROUTED: &[(&str, [u16; 3])] = &[
    ("head_method", [405, 404, 401]),
    ("unknown_method", [405, 404, 401]),
    ("method_in_other_case", [405, 404, 401]),
    ("method_in_header", [405, 404, 401]),
    ("method_in_query", [405, 404, 401]),
    ("double_slash", [404, 404, 401]),
    ("slash_at_end", [404, 404, 401]),
    ("dot_segment", [404, 404, 401]),
    ("parent_segment", [404, 404, 401]),
    ("escaped_dot_segment", [404, 404, 401]),
    ("escaped_twice", [404, 404, 401]),
    // actix decodes a path before it looks for the route, axum afterwards.
    ("escaped_letter", [404, 401, 401]),
    ("escaped_slash", [404, 404, 401]),
    ("path_in_other_case", [404, 404, 401]),
    // These are still one segment, and so a tenant.
    ("path_parameter", [401, 401, 401]),
    ("path_suffix", [401, 401, 401]),
    ("nul_in_path", [401, 401, 401]),
    ("line_break_in_path", [401, 401, 401]),
    ("options_method", [405, 404, 401]),
    ("other_method", [405, 404, 401]),
    ("extension_method", [405, 404, 401]),
    ("method_with_suffix", [405, 404, 401]),
    ("method_of_carrier", [405, 404, 401]),
    ("method_in_form", [405, 404, 401]),
    ("slashes_inside", [404, 404, 401]),
    ("slashes_at_end", [404, 404, 401]),
    ("backslash", [404, 404, 401]),
    ("parameter_inside", [404, 404, 401]),
    ("parent_of_parameter", [404, 404, 401]),
    ("slash_escaped_twice", [404, 404, 401]),
    ("path_in_mixed_case", [404, 404, 401]),
    ("parent_of_public", [404, 404, 401]),
    ("public_path_at_end", [404, 404, 401]),
    // These change the last segment only, which is any tenant.
    ("token_in_path_parameter", [401, 401, 401]),
    ("other_suffix", [401, 401, 401]),
    ("space_at_end", [401, 401, 401]),
    ("mark_at_end", [401, 401, 401]),
    ("letters_escaped", [401, 401, 401]),
    // As for `escaped_letter`.
    ("letters_escaped (all)", [404, 401, 401]),
];
const ROUTERS: [&str; 3] = ["axum", "actix", "tower"];

/// Whether the driver cannot send this.
pub(crate) fn excepted(driver: &str, case: &Case) -> bool {
    of(driver).any(|differs| match differs {
        Skips(Named(name)) => case.name == *name,
        Skips(OtherTarget) => !case.has_same_target(),
        Skips(WithBody) => case.has_body(),
        Skips(WithHeader(name)) => case.headers().contains_key(*name),
        Skips(WithoutToken) => !case.is_of_token(),
        Skips(RefusedByVerifier) => case.code.is_some_and(|code| code.stage() < Stage::Policy),
        _ => false,
    })
}

/// Changes the expected record, and the actual one where a value is the driver's own.
pub(crate) fn apply(
    driver: &str,
    case: &Case,
    expected: &mut Map<String, Value>,
    actual: &mut Map<String, Value>,
) {
    for differs in of(driver) {
        match differs {
            Reads(name, text) => {
                expected.remove(*name);
                expected.extend(text.map(|text| ((*name).to_owned(), text.into())));
            }
            LacksBeforePolicy(name) => {
                if case.code.is_some_and(|code| code.stage() < Stage::Policy) {
                    expected.remove(*name);
                }
            }
            WithoutRequest => expected.retain(|name, _| !OF_A_REQUEST.contains(&name.as_str())),
            Renames(name, other) => {
                let value = expected.remove(*name);
                expected.extend(value.map(|value| ((*other).to_owned(), value)));
            }
            OwnClock => {
                for record in [&mut *expected, &mut *actual] {
                    record.remove("time");
                    if case.code == Some(Code::TooOld) {
                        record.remove("reason");
                    }
                }
                // The text of the event, which the record of an audit sink does not have.
                actual.remove("message");
            }
            Skips(_) => {}
        }
    }
}

/// The answer of a router is the one in the table, and where it is the guard's there is its record.
pub(crate) fn compare_routed(driver: &str, case: &Case, answer: &Answer, records: &[Value], context: &str) {
    let column = ROUTERS.iter().position(|router| *router == driver).unwrap();
    let row = |wanted: &str| ROUTED.iter().find(|(name, _)| *name == wanted);
    let Some((_, statuses)) = row(&case.title()).or_else(|| row(case.name)) else {
        panic!("not in the table: {context}");
    };
    assert_eq!(answer.status(), statuses[column], "{context}");
    assert_eq!(answer.caller(), None, "{context}");
    match records {
        [] => assert_ne!(answer.status(), 401, "{context}"),
        [record] => {
            let decision = (&record["decision"], &record["code"], &record["status"]);
            let refused = (&Decision::Deny.as_str().into(), &Code::MissingToken.as_str().into(), &401.into());
            assert_eq!((decision, answer.status()), (refused, 401), "{context}");
        }
        _ => panic!("more than one record: {context}"),
    }
}

/// A case that was renamed is not to fall out of sight.
pub(crate) fn assert_names_exist(cases: &[Case]) {
    let routed = ROUTED.iter().map(|(name, _)| *name);
    let skipped = DIFFERENCES.iter().filter_map(|(_, differs, _)| match differs {
        Skips(Named(name)) => Some(*name),
        _ => None,
    });
    for name in routed.chain(skipped) {
        let is_called = |case: &Case| case.name == name || case.title() == name;
        assert!(cases.iter().any(is_called), "no case is called `{name}`");
    }
}

fn of(driver: &str) -> impl Iterator<Item = &'static Differs> {
    DIFFERENCES.iter().filter(move |(of, ..)| *of == driver).map(|(_, differs, _)| differs)
}
