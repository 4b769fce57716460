//! Waits for records without sleeping or polling.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use service_only::audit::AuditRecord;

use super::RecordingAudit;

/// A future that is ready when the audit log has enough records; [`RecordingAudit::until`] creates it.
#[must_use = "a future does nothing until it is awaited"]
#[derive(Debug)]
pub struct Until {
    audit: RecordingAudit,
    count: usize,
}

impl Until {
    pub(crate) fn new(audit: RecordingAudit, count: usize) -> Self {
        Self { audit, count }
    }
}

impl Future for Until {
    type Output = Vec<AuditRecord>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<AuditRecord>> {
        let mut recorded = self.audit.lock();
        if recorded.events.len() >= self.count {
            return Poll::Ready(recorded.events.clone());
        }
        // Add the waker under the lock of `record`, so that no record is missed in between.
        recorded.waiting.push(context.waker().clone());
        Poll::Pending
    }
}
