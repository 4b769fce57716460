use std::net::IpAddr;

use proptest::{option, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    audit::{AuditEvent, Decision, Members, Prepared, Unrecorded},
    denial::Code,
    policy::Endpoint,
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
    (seconds, 0..1_000_000_000_u64).prop_map(|(seconds, nanos)| {
        Timestamp::from_unix(seconds).plus(std::time::Duration::from_nanos(nanos))
    })
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
        joined in any::<bool>(),
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
            prepared: Prepared::default(),
            unrecorded: Unrecorded::default(),
        };
        let said = match (&texts[4], &texts[8], profile) {
            (Some(service), Some(issuer), Some(profile)) if joined => {
                Members { service, jti: texts[6].as_deref(), kid: texts[7].as_deref(), issuer, profile }.join()
            }
            _ => None,
        };
        if said.is_some() {
            event.user = None;
        }
        let bare = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_deref().is_none_or(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte)))
        };
        let is_bare = [&event.method, &event.route, &event.path, &event.trace_id].into_iter().all(bare);
        event.prepared = Prepared::new(said.as_deref(), is_bare);
        // One after another, as the texts of a second and of an endpoint are kept.
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

#[test]
fn a_copy_of_an_event_is_written_as_it_was_changed() {
    let members = Members { service: "orders", jti: None, kid: None, issuer: "bakery", profile: "strict" };
    let joined = members.join().unwrap();
    let mut event = super::super::tests::event("/");
    event.prepared = Prepared::new(Some(&joined), true);
    let mut changed = event.clone();
    changed.service = Some("other".into());
    changed.path = Some("\"".into());
    for copy in [changed.clone(), changed.into_owned()] {
        let mut line = Vec::new();
        Lines::default().add(&mut line, &copy).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&copy).unwrap() + "\n");
    }
}
