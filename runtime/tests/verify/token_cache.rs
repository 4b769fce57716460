//! A token that is known from before is decided about as if it were not: with the cache and without it, the
//! same verdict at every moment.

mod bounds;
mod changes;
mod same;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::{Clock, Timestamp},
    error::Code,
    issue::{Issuer, MintedToken, SigningKey},
    verifier::VerifierBuilder,
};

const NOW: i64 = 1_767_225_600;

/// A clock that is set by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    fn set(&self, unix: i64) {
        self.0.store(unix, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    clock: Hand,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        Self { clock: Hand::new(), key: SigningKey::generate(Algorithm::ES256).unwrap() }
    }

    fn verifier(&self) -> VerifierBuilder {
        let builder = Verifier::builder().issuer("bakery-auth").keys(self.key.verifying_key());
        builder.clock(self.clock.clone()).audit(NoAudit)
    }

    fn issuer(self) -> (Issuer, Hand) {
        let issuer = Issuer::builder().issuer("bakery-auth").key(self.key).clock(self.clock.clone());
        (issuer.build().unwrap(), self.clock)
    }
}

fn mint(issuer: &Issuer, service: &str) -> MintedToken {
    issuer.token_for(service).lifetime(Duration::from_secs(600)).mint().unwrap()
}

fn verdict(verifier: &Verifier, token: &str) -> Option<Code> {
    verifier.verify(token).err().map(|denial| denial.code())
}

/// Presents a token until it is known: noted the first time, remembered the second, found the third.
fn warm(verifier: &Verifier, token: &str) {
    let before = verifier.token_cache_hits();
    for _ in 0..3 {
        assert_eq!(verdict(verifier, token), None);
    }
    assert!(verifier.token_cache_hits() > before, "the token is not known from before");
}

/// Whether the token is found by the next look.
fn is_known(verifier: &Verifier, token: &str) -> bool {
    let before = verifier.token_cache_hits();
    assert_eq!(verdict(verifier, token), None);
    verifier.token_cache_hits() > before
}
