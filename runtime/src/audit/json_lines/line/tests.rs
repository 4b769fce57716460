use std::{net::IpAddr, time::Duration};

use proptest::{option, prelude::*};
use uuid::Uuid;

use super::*;
use crate::{
    audit::{Line, ParentSpan, RequestContext, Subject, json_lines::tests::event},
    caller::Fragment,
    claims::{Actor, ServiceClaims, UserClaims},
    clock::Timestamp,
    denial::{Code, Denial},
    policy::{Endpoint, PolicyDigest},
    trace_context::TraceParent,
};

/// Any text, including quotes, escapes and characters that are not ASCII.
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

const DELETE: Endpoint = Endpoint::new("bakery::orders", "delete", "src/orders.rs", 7);

const ENDPOINTS: [Option<Endpoint>; 6] = [
    None,
    Some(DELETE),
    // Two layers with one name and two policies.
    Some(DELETE.with_policy(Some(PolicyDigest::new([7; 8])))),
    Some(DELETE.with_policy(Some(PolicyDigest::new([0, 0, 0, 0, 0, 0, 0, 1])))),
    Some(Endpoint::unregistered("delete", 7)),
    Some(Endpoint::new("a\"\\", "\"\n", "", 0)),
];

fn service(texts: &[Option<String>]) -> ServiceClaims {
    ServiceClaims {
        sub: "orders".to_owned(),
        service: "orders".parse().unwrap(),
        user_id: None,
        role: None,
        roles: Vec::new(),
        email: None,
        issuer: texts[0].clone().unwrap_or_default(),
        aud: Vec::new(),
        exp: 0,
        iat: None,
        nbf: None,
        jti: texts[1].clone(),
        scope: "".parse().unwrap(),
        actor: texts[3].clone().and_then(|name| Actor::new(name).ok()),
    }
}

fn user(texts: &[Option<String>]) -> UserClaims {
    UserClaims {
        sub: None,
        user_id: texts[2].clone(),
        role: None,
        roles: Vec::new(),
        email: None,
        issuer: texts[0].clone().unwrap_or_default(),
        exp: 0,
        iat: None,
        jti: texts[1].clone(),
        nbf: None,
        scope: "".parse().unwrap(),
        actor: texts[3].clone().and_then(|name| Actor::new(name).ok()),
    }
}

fn any_request() -> impl Strategy<Value = RequestContext<'static>> {
    // Few methods and routes, so that they repeat, and some arbitrary ones.
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
        few(&["spiffe://bakery.example/orders", "orders.bakery.example", "\u{202e}"]),
        option::of(Just(trace)),
    )
        .prop_map(move |(endpoint, method, route, path, client_address, peer, trace)| RequestContext {
            endpoint,
            method: leaked(method),
            route: leaked(route).map(Into::into),
            path: leaked(path),
            client_address,
            peer: leaked(peer),
            trace,
        })
}

proptest! {
    #[test]
    fn a_line_is_what_serde_json_makes_of_the_record(
        requests in prop::collection::vec(any_request(), 1..12),
        kinds in prop::collection::vec(0..8_u8, 12),
        texts in prop::collection::vec(any_text(), 5),
        code in prop::sample::select(Code::ALL),
        times in prop::collection::vec((any_time(), 0..20_000_u64), 12),
        id in any::<u128>(),
    ) {
        let (service, user) = (service(&texts), user(&texts));
        let denial = Denial::new(code, texts[3].clone().unwrap_or_default());
        let mut lines = Lines::default();
        for _ in 0..3 {
            for (at, request) in requests.iter().enumerate() {
                let (time, took) = times[at / 3];
                let profile = Some("strict");
                let proof = (kinds[at] % 2 == 0).then_some("mtls");
                let kid = texts[4].as_deref();
                // Nearly all subjects are like those of a busy service.
                let subject = match kinds[at] {
                    0 => Subject { unverified_service: texts[2].as_deref(), ..Subject::default() },
                    1 => Subject { user: Some(&user), kid, profile, proof, ..Subject::default() },
                    2 => Subject { service: Some(&service), kid, profile, proof, ..Subject::default() },
                    _ => Subject {
                        service: Some(&service),
                        kid,
                        profile,
                        proof,
                        fragment: fragment(&service, kid, proof),
                        ..Subject::default()
                    },
                };
                let event = AuditEvent {
                    id: Uuid::from_u128(id ^ u128::from(took) << 64),
                    time,
                    took: Duration::from_nanos(took),
                    denial: (kinds[at] % 5 == 0).then_some(&denial),
                    subject,
                    request: RequestContext { route: request.route.clone(), ..*request },
                    line: Line::default(),
                };
                let mut line = b"before".to_vec();
                lines.add(&mut line, &event).unwrap();
                let record = serde_json::to_string(&event.to_record()).unwrap();
                prop_assert_eq!(String::from_utf8(line).unwrap(), format!("before{record}\n"));
            }
        }
    }
}

/// The fragment that a caller caches.
fn fragment(service: &ServiceClaims, kid: Option<&str>, proof: Option<&str>) -> Option<&'static str> {
    let cache: &Fragment = Box::leak(Box::default());
    cache.get(service, kid, ("strict", proof));
    cache.get(service, kid, ("strict", proof))
}

#[test]
fn the_first_of_two_routes_that_share_a_place_keeps_it_until_it_is_not_used() {
    let mut routes = RouteCache::default();
    let event = |route: &'static str| AuditEvent {
        request: RequestContext { route: Some(route.into()), ..RequestContext::default() },
        ..event("/")
    };
    // Parts of one text, so that both start at the same address.
    const TEXT: &str = "/a/b";
    let (one, other) = (event(&TEXT[..2]), event(TEXT));
    let insert = |routes: &mut RouteCache, event: &AuditEvent<'_>, written: &[u8]| {
        let write = |to: &mut Vec<u8>| {
            to.extend_from_slice(written);
            Ok::<_, ()>(())
        };
        routes.insert(event, write).unwrap();
    };
    insert(&mut routes, &one, b"one");
    insert(&mut routes, &other, b"other");
    assert_eq!(routes.find(&one), Some(b"one".as_slice()));
    assert_eq!(routes.find(&other), None);
    (0..40).for_each(|_| insert(&mut routes, &other, b"other"));
    assert_eq!(routes.find(&other), Some(b"other".as_slice()));
    assert_eq!(routes.find(&one), None);
}
