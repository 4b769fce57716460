//! What is kept in memory for a token that was seen, and for one that was revoked, counted by the
//! allocator: `cargo bench -p service-only --bench memory`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use common::{
    report::Report,
    tokens::{self, ISSUER},
};
use service_only::{Algorithm, audit::NoAudit, clock::Timestamp, revocation::MemoryRevocations};

/// Few enough that any cache holds them all.
const SEEN: u64 = 500;
const REVOKED: u64 = 100_000;

fn main() {
    const TABLE: &str = "Memory";
    let report = &mut Report::new("memory");
    let key = tokens::signing_key(Algorithm::HS256);
    let verifier = tokens::verifier(key.verifying_key(), NoAudit);
    let issuer = tokens::issuer(key);

    // Services of their own, so that no bound on one service's tokens is met.
    let tokens: Vec<_> = (0..SEEN).map(|n| tokens::token(&issuer, &format!("service-{n}"))).collect();
    let length = tokens.iter().map(String::len).sum::<usize>() as f64 / SEEN as f64;
    let seen = allocation_counter::measure(|| {
        for _ in 0..3 {
            tokens.iter().for_each(|token| drop(verifier.verify(token).unwrap()));
        }
    });
    report.row(TABLE, "a token, as it was sent", "bytes", length, 1.0, None);
    let kept = seen.bytes_current as f64 / SEEN as f64;
    report.row(TABLE, "kept for a token that was seen", "bytes", kept, kept / length, None);

    // The others may have taken its place.
    let token = tokens.first().unwrap();
    (0..3).for_each(|_| drop(verifier.verify(token).unwrap()));
    let warm = allocation_counter::measure(|| drop(verifier.verify(token).unwrap()));
    println!("  allocations for a token that was seen before: {}", warm.count_total);

    let store = MemoryRevocations::new();
    let revoked = allocation_counter::measure(|| {
        for number in 0..REVOKED {
            let jti = uuid::Uuid::from_u64_pair(number, number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            store.revoke_token(ISSUER, &jti.to_string(), Timestamp::from_unix(i64::from(u32::MAX))).unwrap();
        }
    });
    let kept = revoked.bytes_current as f64 / REVOKED as f64;
    report.row(TABLE, "kept for a token that is revoked", "bytes", kept, kept / length, None);
}
