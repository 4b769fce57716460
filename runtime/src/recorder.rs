//! What a decision is made with: a clock, a word on revocation, an audit sink. A verifier and the callers
//! that it verified share one, so that what is decided about a caller later is decided and recorded alike.

use std::time::Duration;

use crate::{
    audit::{AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    revocation::Revocation,
    verifier::Moment,
};

pub(crate) struct Recorder {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) leeway: Duration,
    pub(crate) audit: Box<dyn AuditSink>,
    pub(crate) require_audit: bool,
    pub(crate) revocation: Option<Revocation>,
}

impl Recorder {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), leeway: self.leeway }
    }
}

/// Where no verifier was asked: as a verifier that was told nothing else.
impl Default for Recorder {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            leeway: Duration::ZERO,
            audit: Box::new(TracingAudit),
            require_audit: false,
            revocation: None,
        }
    }
}
