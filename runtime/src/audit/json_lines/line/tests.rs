use std::{net::IpAddr, time::Duration};

use proptest::{option, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    Algorithm, Caller, Issuer, ParentSpan, SigningKey, Timestamp, Verifier,
    audit::{NoAudit, Unrecorded},
    denial::{Code, Denial},
    policy::Endpoint,
    recorder::{Line, RequestContext},
    trace_context::TraceParent,
    verifier::Known,
};

/// Anything that may stand in a text, quotes, escapes and what is not ASCII included.
fn any_text() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![
        ".{0,40}",
        "[ -~]{0,40}",
        "[\"\\\\\\x00-\\x1f\u{7f}\u{2028}\u{10ffff}]{0,12}",
        ".{300}"
    ])
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![
        Just(1_767_225_600),
        -377_705_116_801_i64..=-377_705_116_799,
        253_402_207_199_i64..=253_402_300_801,
        any::<i64>(),
        any::<i32>().prop_map(i64::from),
    ];
    (seconds, 0..1_000_000_000_u64)
        .prop_map(|(seconds, nanos)| Timestamp::from_unix(seconds).plus(Duration::from_nanos(nanos)))
}

const ENDPOINTS: [Option<Endpoint>; 4] = [
    None,
    Some(Endpoint::new("bakery::orders", "delete", "src/orders.rs", 7)),
    Some(Endpoint::unregistered("delete", 7)),
    Some(Endpoint::new("a\"\\", "\"\n", "", 0)),
];

proptest! {
    #[test]
    fn a_line_is_what_serde_json_makes_of_the_event(
        texts in prop::collection::vec(any_text(), 11),
        times in prop::collection::vec(any_time(), 1..4),
        (id, duration_us, status) in any::<(u128, u64, u16)>(),
        code in option::of(prop::sample::select(Code::ALL)),
        endpoint in prop::sample::select(&ENDPOINTS[..]),
        address in option::of(any::<IpAddr>()),
        profile in option::of(Just("strict")),
    ) {
        let text = |at: usize| texts[at].as_deref().map(Into::into);
        let mut event = AuditEvent {
            id: Uuid::from_u128(id),
            time: Timestamp::from_unix(0),
            decision: if code.is_some() { Decision::Deny } else { Decision::Allow },
            status,
            code,
            stage: code.map(|code| code.stage()),
            reason: text(0),
            endpoint,
            method: text(1),
            route: text(2),
            path: text(3),
            service: text(4),
            user: text(5),
            jti: text(6),
            kid: text(7),
            issuer: text(8),
            profile,
            client_address: address,
            trace_id: text(9),
            duration_us,
            unverified_service: text(10),
                unrecorded: Unrecorded::default(),
        };
        // One after another, as a second's text is kept.
        let mut lines = Lines::default();
        for time in times.iter().chain(&times) {
            event.time = *time;
            let mut line = b"before".to_vec();
            lines.add(&mut line, &event).unwrap();
            let line = String::from_utf8(line).unwrap();
            prop_assert_eq!(line, format!("before{}\n", serde_json::to_string(&event).unwrap()));
        }
    }
}

/// A caller whose records have been joined.
fn caller() -> Caller {
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let verifier = Verifier::builder().issuer("bakery").keys(key.verifying_key()).audit(NoAudit);
    let issuer = Issuer::builder().issuer("bakery").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    verifier.build().unwrap().verify(token.as_str()).unwrap()
}

fn any_request() -> impl Strategy<Value = RequestContext<'static>> {
    // Of few methods and routes, so that they come again, and of anything.
    let few = |texts: &'static [&'static str]| {
        prop_oneof![
            3 => option::of(prop::sample::select(texts).prop_map(str::to_owned)),
            1 => any_text(),
        ]
    };
    let trace = TraceParent {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        span: Some(ParentSpan { id: 7, is_sampled: true }),
    };
    let leaked = |text: Option<String>| text.map(|text| &*text.leak());
    (
        prop::sample::select(&ENDPOINTS[..]),
        few(&["GET", "PUT", "\""]),
        few(&["/tenants/{id}", "/orders/{id}", "/\u{fc}", ""]),
        few(&["/tenants/7", "/", "/a\\", "/\""]),
        option::of(any::<IpAddr>()),
        option::of(Just(trace)),
    )
        .prop_map(move |(endpoint, method, route, path, client_address, trace)| RequestContext {
            endpoint,
            method: leaked(method),
            route: leaked(route).map(Into::into),
            path: leaked(path),
            client_address,
            trace,
        })
}

proptest! {
    #[test]
    fn a_draft_is_written_as_its_event_is(
        requests in prop::collection::vec(any_request(), 1..12),
        refused in prop::collection::vec(prop::bool::weighted(0.1), 12),
        users in prop::collection::vec(any_text(), 12),
        times in prop::collection::vec((any_time(), 0..20_000_u64), 12),
    ) {
        let caller = caller();
        let mut lines = Lines::default();
        for _ in 0..3 {
            for (at, request) in requests.iter().enumerate() {
                let (time, took) = times[at / 3];
                let denial = refused[at].then(|| Denial::new(Code::AuditUnavailable, "`\u{1}`"));
                let unverified_service = users[at].clone().filter(|_| at % 5 == 4);
                let caller = denial.is_none().then(|| caller.clone());
                let known = Known { caller, unverified_service, ..Known::default() };
                let id = Uuid::from_u128(u128::from(took) << 64);
                let request = RequestContext { route: request.route.clone(), ..*request };
                let times = (id, time, Duration::from_nanos(took));
                let draft = Draft::new(times, denial.as_ref(), &known, request, Line::default());
                let mut line = b"before".to_vec();
                lines.add_draft(&mut line, &draft).unwrap();
                let event = serde_json::to_string(&draft.event()).unwrap();
                prop_assert_eq!(String::from_utf8(line).unwrap(), format!("before{event}\n"));
            }
        }
    }
}

#[test]
fn what_comes_again_is_kept_and_others_do_not_take_turns_in_its_place() {
    let mut routes = KeptRoutes::default();
    let known = Known { caller: Some(caller()), ..Known::default() };
    let draft = |route: &'static str| {
        let request = RequestContext { route: Some(route.into()), ..RequestContext::default() };
        let times = (Uuid::nil(), Timestamp::from_unix(0), Duration::ZERO);
        Draft::new(times, None, &known, request, Line::default())
    };
    // Of one text, so that both have one place.
    const TEXT: &str = "/a/b";
    let (one, other) = (draft(&TEXT[..2]), draft(TEXT));
    // The first record of a caller is not joined.
    let _ = other.usual();
    let keep = |routes: &mut KeptRoutes, draft: &Draft<'_>, written: &[u8]| {
        let write = |to: &mut Vec<u8>| {
            to.extend_from_slice(written);
            Ok::<_, ()>(())
        };
        routes.keep(&draft.usual().unwrap(), write).unwrap();
    };
    keep(&mut routes, &one, b"one");
    keep(&mut routes, &other, b"other");
    assert_eq!(routes.find(&one.usual().unwrap()), Some(b"one".as_slice()));
    assert_eq!(routes.find(&other.usual().unwrap()), None);
    // Until nobody asks for the first any more.
    (0..40).for_each(|_| keep(&mut routes, &other, b"other"));
    assert_eq!(routes.find(&other.usual().unwrap()), Some(b"other".as_slice()));
    assert_eq!(routes.find(&one.usual().unwrap()), None);
}
