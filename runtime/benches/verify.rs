//! What verifying one token costs, against the least that it could cost and against
//! `jsonwebtoken::decode`: `cargo bench -p service-only --bench verify`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark"
)]

mod common;

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use axum::extract::FromRequestParts;
use common::{
    floor::{Floor, decoding_key},
    race::{Race, median},
    report::{Bound, Report},
    tokens::{self, ALGORITHMS, AUDIENCE, ISSUER},
};
use futures_util::FutureExt;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use service_only::{
    Algorithm, Caller, Dpop, Verifier, VerifyingKey,
    audit::NoAudit,
    dpop::MemoryReplays,
    issue::{DpopKey, SigningKey},
};

/// The claims as a user of jsonwebtoken has them.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
struct Claims {
    sub: String,
    service: String,
    r#type: String,
    is_service: bool,
    role: String,
    iss: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
    scope: String,
}

fn main() {
    let report = &mut Report::new("verify");
    for algorithm in ALGORITHMS {
        cold(algorithm, report);
    }
    proven(report);
    warm(report);
    two_threads(report);
    garbage(report);
}

/// Tokens that were never seen before: none comes twice to one contender.
fn cold(algorithm: Algorithm, report: &mut Report) {
    let case = Case::new(algorithm);
    // Signing is the slow part for RSA.
    let (rounds, batch) = if algorithm == Algorithm::RS256 { (160, 16) } else { (410, 64) };
    let tokens = tokens::mint(&case.issuer, rounds * batch);
    let outcome = Race::new(format!("{algorithm}, a token never seen before"))
        .with("floor", |token| case.floor.verify(token))
        .with("the signature alone", |token| case.floor.signature(token))
        .with("service-only", |token| case.verifier.verify(token).unwrap())
        .with("jsonwebtoken::decode", |token| case.decode(token))
        .cold(&tokens, batch)
        .report(report);
    let (ours, signature) = (outcome.ratio("service-only"), outcome.ratio("the signature alone"));
    if algorithm == Algorithm::HS256 {
        report.budget("HS256, cold, against the floor", "times", ours, Bound::AtMost(1.2));
    } else {
        let what = format!("{algorithm}, cold, against the signature alone");
        report.budget(&what, "times", ours / signature, Bound::AtMost(1.03));
    }
}

/// Requests with a token and a proof of DPoP that were never seen before: two signatures, and a key to parse.
fn proven(report: &mut Report) {
    const URL: &str = "https://orders.internal";
    let case = Case::new(Algorithm::ES256);
    let dpop = Dpop::new(URL).max_age(Dpop::LONGEST_MAX_AGE).replay_capacity(MemoryReplays::MAX_CAPACITY);
    let keys = case.verifier_keys.clone();
    let verifier = Verifier::builder().issuer(ISSUER).audience(AUDIENCE).keys(keys).audit(NoAudit);
    let verifier = verifier.dpop(dpop).build().unwrap();
    let key = DpopKey::generate(Algorithm::ES256).unwrap();
    let (rounds, batch) = (410, 32);
    let request = |_| {
        let token = case.issuer.token_for(tokens::SERVICE).bind_key(key.thumbprint()).mint().unwrap();
        let proof = key.sign("GET", &format!("{URL}/stock"), Some(token.as_str()), None).unwrap();
        format!("{} {proof}", token.as_str())
    };
    let requests: Vec<_> = (0..rounds * batch).map(request).collect();
    let empty = http::Request::get("/stock").body(()).unwrap().into_parts().0;
    let split = |request: &str| {
        let (token, proof) = request.split_once(' ').unwrap();
        (token.to_owned(), proof.to_owned())
    };
    let outcome = Race::new("ES256, a token with a proof of DPoP, never seen before")
        .with("the signature of the token alone", |request| case.floor.signature(&split(request).0))
        .with("service-only", |request| {
            let (token, proof) = split(request);
            let mut parts = empty.clone();
            parts.headers.insert("authorization", format!("DPoP {token}").parse().unwrap());
            parts.headers.insert("dpop", proof.parse().unwrap());
            Caller::from_request_parts(&mut parts, &verifier).now_or_never().unwrap().unwrap();
        })
        .cold(&requests, batch)
        .report(report);
    let ratio = outcome.ratio("service-only") / outcome.ratio("the signature of the token alone");
    let what = "ES256, cold, a token with its proof, against one signature alone";
    report.budget(what, "times", ratio, Bound::AtMost(2.1));
}

/// One token again and again, as a service sends it.
fn warm(report: &mut Report) {
    let case = Case::new(Algorithm::HS256);
    let token = tokens::token(&case.issuer, tokens::SERVICE);
    let outcome = Race::new("HS256, one token again and again")
        .with("service-only", |token| case.verifier.verify(token).unwrap())
        .with("jsonwebtoken::decode", |token| case.decode(token))
        .warm(&token, 500)
        .report(report);
    let faster = outcome.ratio("jsonwebtoken::decode");
    report.budget("HS256, warm, faster than jsonwebtoken::decode", "times", faster, Bound::AtLeast(20.0));
}

/// What two threads get done that verify one and the same token, against one thread.
fn two_threads(report: &mut Report) {
    const TABLE: &str = "One token on several threads, verifications a millisecond";
    let case = Case::new(Algorithm::HS256);
    let token = tokens::token(&case.issuer, tokens::SERVICE);
    let rounds = if common::measuring() { 60 } else { 1 };
    let mut rates: [Vec<f64>; 2] = Default::default();
    for _ in 0..rounds {
        for (rates, threads) in rates.iter_mut().zip([1, 2]) {
            rates.push(throughput(&case.verifier, &token, threads));
        }
    }
    let [one, two] = rates;
    let ratio = median(two.iter().zip(&one).map(|(two, one)| two / one));
    report.row(TABLE, "one thread", "/ms", median(one.into_iter()), 1.0, None);
    report.row(TABLE, "two threads", "/ms", median(two.into_iter()), ratio, None);
    report.budget("two threads on one hot token, against one", "times", ratio, Bound::AtLeast(1.8));
}

fn throughput(verifier: &Verifier, token: &str, threads: usize) -> f64 {
    const COUNT: u32 = 10_000;
    let count = if common::measuring() { COUNT } else { 1 };
    let barrier = Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let work = || {
            barrier.wait();
            let start = Instant::now();
            for _ in 0..count {
                verifier.verify(std::hint::black_box(token)).unwrap();
            }
            start.elapsed()
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    threads as f64 * f64::from(count) / (slowest.unwrap_or(Duration::MAX).as_secs_f64() * 1e3)
}

/// 64 KiB in the header, as axum hands them over.
fn garbage(report: &mut Report) {
    let case = Case::new(Algorithm::HS256);
    let tokens = tokens::mint(&case.issuer, 410 * 32);
    let requests = |header: String| {
        let (parts, ()) =
            http::Request::get("/").header("authorization", header).body(()).unwrap().into_parts();
        parts
    };
    let letters = requests(format!("Bearer {}", "a".repeat(64 * 1024)));
    let dots = requests(format!("Bearer {}", "a.".repeat(32 * 1024)));
    let spaces = requests(format!("Bearer{}a", " ".repeat(64 * 1024)));
    let known = requests(format!("Bearer {}", tokens::token(&case.issuer, tokens::SERVICE)));
    let asked = |parts: &http::request::Parts| {
        Caller::from_request_parts(&mut parts.clone(), &case.verifier).now_or_never().unwrap()
    };
    let outcome = Race::new("The header of a request, HS256")
        .with("a valid token never seen before", |token| {
            let mut parts = known.clone();
            parts.headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            asked(&parts).unwrap()
        })
        .with("a valid token again and again", |_| asked(&known).unwrap())
        .with("64 KiB of letters", |_| asked(&letters).unwrap_err())
        .with("64 KiB of letters and dots", |_| asked(&dots).unwrap_err())
        .with("64 KiB of spaces and a letter", |_| asked(&spaces).unwrap_err())
        .cold(&tokens, 32)
        .report(report);
    let worst = ["64 KiB of letters", "64 KiB of letters and dots", "64 KiB of spaces and a letter"]
        .map(|name| outcome.ratio(name))
        .into_iter()
        .fold(0.0, f64::max);
    report.budget("64 KiB of garbage against a valid token", "times", worst, Bound::AtMost(1.0));
}

/// One algorithm's key in the hands of all contenders.
struct Case {
    issuer: service_only::issue::Issuer,
    verifier: Verifier,
    verifier_keys: VerifyingKey,
    floor: Floor,
    decoding: DecodingKey,
    validation: Validation,
}

impl Case {
    fn new(algorithm: Algorithm) -> Self {
        let key: SigningKey = tokens::signing_key(algorithm);
        let mut validation = Validation::new(algorithm.as_str().parse().unwrap());
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Self {
            verifier: tokens::verifier(key.verifying_key(), NoAudit),
            verifier_keys: key.verifying_key(),
            floor: Floor::new(&key),
            decoding: decoding_key(&key),
            issuer: tokens::issuer(key),
            validation,
        }
    }

    fn decode(&self, token: &str) -> Claims {
        jsonwebtoken::decode(token, &self.decoding, &self.validation).unwrap().claims
    }
}
