//! Around and inside of a known token: what a header holds is decided about as if no token were known.
//!
//! Each header is put to two verifiers, one that knows the token and one that knows none: the answer and the
//! record must be the same.

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, Request, header::AUTHORIZATION},
};
use service_only::{Algorithm, Caller, FixedClock, Issuer, SigningKey, Timestamp, Verifier};
use service_only_testkit::RecordingAudit;

use super::NOW;

struct Side {
    verifier: Verifier,
    audit: RecordingAudit,
}

impl Side {
    fn answer(&self, values: &[Vec<u8>]) -> Option<String> {
        let mut request = Request::new(());
        for value in values {
            // What no HTTP server lets through.
            let value = HeaderValue::from_bytes(value).ok()?;
            request.headers_mut().append(AUTHORIZATION, value);
        }
        let (mut parts, ()) = request.into_parts();
        let mut extraction = Box::pin(Caller::from_request_parts(&mut parts, &self.verifier));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(extracted) = extraction.as_mut().poll(&mut context) else {
            panic!("nothing is waited for");
        };
        let answer = match extracted {
            Ok(caller) => format!("{caller:?}"),
            Err(rejection) => format!("{} {:?}", rejection.status(), rejection.challenge()),
        };
        let event = self.audit.only();
        self.audit.clear();
        Some(format!("{answer} {}", super::same::told(&event)))
    }
}

struct Pair {
    warm: Side,
    cold: Side,
    token: Vec<u8>,
}

impl Pair {
    fn new(algorithm: Algorithm) -> Self {
        let clock = FixedClock(Timestamp::from_unix(NOW));
        let key = SigningKey::generate(algorithm).unwrap();
        let verifier = |is_warm: bool| {
            let audit = RecordingAudit::new();
            let builder = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key());
            let builder = builder.clock(clock).audit(audit.clone());
            let builder = if is_warm { builder } else { builder.without_token_cache() };
            Side { verifier: builder.build().unwrap(), audit }
        };
        let (warm, cold) = (verifier(true), verifier(false));
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(clock).build().unwrap();
        let token = issuer.token_for("orders").mint().unwrap().as_str().as_bytes().to_vec();
        let pair = Self { warm, cold, token };
        for _ in 0..3 {
            assert!(pair.compare(&[pair.header(b"Bearer ", b"")]));
        }
        assert_eq!(pair.warm.verifier.token_cache_hits(), 1, "the token is known");
        pair
    }

    fn header(&self, before: &[u8], after: &[u8]) -> Vec<u8> {
        [before, &self.token, after].concat()
    }

    /// The same answer of both; whether the caller is let in.
    fn compare(&self, values: &[Vec<u8>]) -> bool {
        let (warm, cold) = (self.warm.answer(values), self.cold.answer(values));
        let show = || values.iter().map(|value| value.escape_ascii().to_string()).collect::<Vec<_>>();
        assert_eq!(warm, cold, "{:?}", show());
        warm.is_some_and(|answer| answer.starts_with("Caller"))
    }
}

const BYTES: [u8; 14] = *b" \t=.-_~+/\"A\x80\xc3\xff";

#[test]
fn a_byte_that_is_changed_left_out_or_put_in_anywhere() {
    for algorithm in [Algorithm::ES256, Algorithm::HS256] {
        let pair = Pair::new(algorithm);
        let header = pair.header(b"Bearer ", b"");
        let mut others = Vec::new();
        for at in 0..=header.len() {
            let (head, tail) = header.split_at(at);
            others.extend(BYTES.map(|byte| [head, &[byte], tail].concat()));
            let Some((first, rest)) = tail.split_first() else { continue };
            others.push([head, rest].concat());
            others.extend(BYTES.map(|byte| [head, &[byte], rest].concat()));
            others.extend((0..8).map(|bit| [head, &[first ^ 1 << bit], rest].concat()));
        }
        let mut accepted: Vec<_> =
            others.into_iter().filter(|other| pair.compare(std::slice::from_ref(other))).collect();
        accepted.retain(|other| *other != header);
        // A scheme has no case, and any number of spaces behind it.
        for other in accepted {
            let (scheme, token) = other.split_at(other.len() - pair.token.len());
            assert_eq!((&scheme.to_ascii_lowercase()[..6], token), (&b"bearer"[..], &pair.token[..]));
            assert!(scheme[6..].iter().all(|byte| *byte == b' ') && scheme.len() > 6);
        }
    }
}

#[test]
fn other_headers_other_schemes_and_long_ones() {
    let pair = Pair::new(Algorithm::ES256);
    let good = pair.header(b"Bearer ", b"");
    let basic = b"Basic YTpi".to_vec();
    for values in [
        vec![],
        vec![good.clone(), good.clone()],
        vec![good.clone(), basic.clone()],
        vec![basic.clone(), good.clone()],
        vec![good.clone(), Vec::new()],
        vec![Vec::new(), good.clone()],
        vec![basic],
        vec![pair.header(b"", b"")],
        vec![pair.header(b"Bearer", b"")],
        vec![pair.header(b"Bearer=", b"")],
        vec![pair.header(b" Bearer ", b"")],
        vec![pair.header(b"Bearer Bearer ", b"")],
        vec![pair.header(b"Bearer ", b", x")],
        vec![pair.header(b"Bearer ", b".")],
        vec![pair.header(b"Bearer .", b"")],
        vec![pair.header(b"Bearer ", &[b'='; 3])],
        vec![pair.header(b"Bearer ", &[b'a'; 16 * 1024])],
        vec![pair.header(b"Bearer ", &[0xff; 16 * 1024])],
        vec![pair.header(&[b"Bearer ".as_slice(), &[b' '; 16 * 1024]].concat(), b"")],
    ] {
        assert!(!pair.compare(&values), "{values:?}");
    }
}
