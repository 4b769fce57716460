//! What a token costs where much is known: keys in a set and in a ring, revoked tokens.
//! `cargo bench -p service-only --bench growth`. Guarded endpoints grow in `peers`, a program each.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use std::time::Duration;

use common::{
    race::{Outcome, Race},
    report::{Bound, Report},
    tokens::{self, AUDIENCE, ISSUER},
};
use service_only::{
    Algorithm, KeySet, Verifier,
    audit::NoAudit,
    clock::Timestamp,
    keys::{KeyRing, KeySource},
    revocation::MemoryRevocations,
};

/// The largest of the growing things must cost no more than this many times the smallest.
const FLAT: Bound = Bound::AtMost(1.1);

const ROUNDS: usize = 310;
const BATCH: usize = 32;

fn main() {
    let report = &mut Report::new("growth");
    keys(
        "keys in a set",
        |count| KeySet::new((0..count).map(tokens::numbered_verifying_key)).unwrap(),
        report,
    );
    keys(
        "keys in a ring",
        |count| {
            let ring = KeyRing::new(tokens::numbered_verifying_key(0), Duration::from_secs(3600)).unwrap();
            for number in 1..count {
                ring.prepare(tokens::numbered_verifying_key(number)).unwrap();
            }
            ring
        },
        report,
    );
    revoked(report);
}

fn sizes(largest: usize) -> Vec<usize> {
    let largest = if common::measuring() { largest } else { 10 };
    std::iter::successors(Some(1), |size| Some(size * 10)).take_while(|&size| size <= largest).collect()
}

/// The first key signs all tokens, as the active one does; the others are there.
fn keys<K: KeySource>(what: &str, source: impl Fn(usize) -> K, report: &mut Report) {
    let issuer = tokens::issuer(tokens::numbered_key(0));
    let verifiers = sizes(KeySet::MAX_KEYS)
        .into_iter()
        .map(|count| (format!("{count} {what}"), tokens::verifier(source(count), NoAudit)))
        .collect();
    compare(what, &issuer, verifiers, report);
}

fn revoked(report: &mut Report) {
    let key = tokens::signing_key(Algorithm::HS256);
    let verifying = key.verifying_key();
    let issuer = tokens::issuer(key);
    let verifiers = sizes(MemoryRevocations::MAX_REVOCATIONS)
        .into_iter()
        .map(|count| {
            let store = revocations(count);
            let verifier = Verifier::builder().issuer(ISSUER).audience(AUDIENCE).keys(verifying.clone());
            (format!("{count} revoked tokens"), verifier.revocation(store).audit(NoAudit).build().unwrap())
        })
        .collect();
    compare("revoked tokens", &issuer, verifiers, report);
}

/// Names as issuers give them, spread over the store.
fn revocations(count: usize) -> MemoryRevocations {
    let store = MemoryRevocations::new();
    for number in 0..count as u128 {
        let jti = uuid::Uuid::from_u128(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        store.revoke_token(ISSUER, &jti.to_string(), Timestamp::from_unix(i64::from(u32::MAX))).unwrap();
    }
    store
}

fn compare(
    what: &str,
    issuer: &service_only::issue::Issuer,
    verifiers: Vec<(String, Verifier)>,
    report: &mut Report,
) {
    let last = verifiers.last().map(|(name, _)| name.clone()).unwrap_or_default();
    let race = |title: &str| {
        verifiers
            .iter()
            .fold(Race::new(format!("HS256, {title}, by the number of {what}")), |race, (name, verifier)| {
                race.with(name, |token| verifier.verify(token).unwrap())
            })
    };
    let mut told = |outcome: Outcome, state: &str| {
        let ratio = outcome.report(report).ratio(&last);
        report.budget(&format!("{last}, {state}, against 1"), "times", ratio, FLAT);
    };
    told(race("a token never seen before").cold(&tokens::mint(issuer, ROUNDS * BATCH), BATCH), "cold");
    told(race("one token again and again").warm(&tokens::token(issuer, tokens::SERVICE), 200), "warm");
}
