//! The authorities whose verifiers or keys a test has taken on its thread. A stranger test forges tokens like
//! theirs, so that only the signature is wrong.

use std::{cell::RefCell, sync::Arc};

use super::TestAuthority;
use crate::audit::{RecordingAudit, WeakAudit};

/// More authorities than one test has. A thread that runs many tests keeps only the latest ones.
const MAX_KNOWN: usize = 8;

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// An authority without its audit log, which lives as long as the verifiers that record into it.
struct Known {
    authority: TestAuthority,
    audit: WeakAudit,
}

impl TestAuthority {
    /// Registers this authority: a program may trust it from now on.
    pub(crate) fn hand_out(&self) {
        KNOWN.with_borrow_mut(|known| {
            known.retain(|known| known.audit.is_alive() && !known.authority.is_like(self));
            if known.len() == MAX_KNOWN {
                known.remove(0);
            }
            let authority = Self { audit: RecordingAudit::new(), ..self.clone() };
            known.push(Known { authority, audit: self.audit.downgrade() });
        });
    }

    /// The authorities that a program of this test may trust, each with its own audit log.
    pub(crate) fn known() -> Vec<Self> {
        KNOWN.with_borrow(|known| {
            let alive = known.iter().filter(|known| known.audit.is_alive());
            alive.map(|known| known.authority.clone()).collect()
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
            && (&self.issuer, &self.audience) == (&other.issuer, &other.audience)
    }
}
