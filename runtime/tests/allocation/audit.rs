//! What the record of an allowed request costs its thread in allocations.

use service_only::{
    Algorithm, JsonLinesAudit, Verifier,
    audit::{AuditSink, NoAudit, TracingAudit},
    clock::{FixedClock, Timestamp},
    issue::{Issuer, MintedToken, SigningKey},
    verifier::VerifierBuilder,
};

const CLOCK: FixedClock = FixedClock(Timestamp::from_unix(1_767_225_600));

/// Allocations of one decision on the calling thread, once everything is warm.
fn allocations(builder: VerifierBuilder, token: &MintedToken, audit: impl AuditSink) -> u64 {
    let verifier = builder.clock(CLOCK).audit(audit).build().unwrap();
    let verify = || drop(verifier.verify(token.as_str()).unwrap());
    (0..3).for_each(|_| verify());
    allocation_counter::measure(verify).count_total
}

#[test]
fn a_record_adds_one_allocation_for_its_attempt() {
    for name in ["bakery-auth".to_owned(), "x".repeat(400)] {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        let verifying = key.verifying_key();
        let builder = || Verifier::builder().issuer(&name).keys(verifying.clone());
        let issuer = Issuer::builder().issuer(&name).key(key).clock(CLOCK).build().unwrap();
        let token = issuer.token_for("orders").mint().unwrap();

        let without = allocations(builder(), &token, NoAudit);
        let json = JsonLinesAudit::to_writer(std::io::sink()).unwrap();
        assert_eq!(allocations(builder(), &token, json), without + 1, "{name}");
        // Nobody listens to `tracing` here.
        assert_eq!(allocations(builder(), &token, TracingAudit), without + 1, "{name}");
    }
}
