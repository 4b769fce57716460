//! Group commit, for records whose requests wait until they are written.
//!
//! A request adds its line ([`Waiting`]) and waits for its [`Commit`]. While the writer writes, further lines
//! arrive. It then takes all of them and writes them together, so that many requests share one write and one sync.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use crate::{audit::AuditError, threads::locked};

/// The state of one record, for which its request waits.
#[derive(Default)]
pub(crate) struct Commit {
    stage: Mutex<Stage>,
    settled: Condvar,
}

#[derive(Default)]
enum Stage {
    #[default]
    Waiting,
    /// The writer is writing the record, so it cannot be withdrawn.
    InHand,
    Settled(Result<(), AuditError>),
}

/// The result of waiting for a record.
pub(crate) enum Waited {
    Settled(Result<(), AuditError>),
    /// The line will not be written.
    Withdrawn,
    /// The line is being written, and may still arrive.
    InHand,
}

impl Commit {
    /// Blocks until the record is written or lost, but not longer than `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> Waited {
        let waits = |stage: &mut Stage| !matches!(stage, Stage::Settled(_));
        let waited = self.settled.wait_timeout_while(locked(&self.stage), limit, waits);
        let (mut stage, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*stage {
            Stage::Settled(outcome) => Waited::Settled(outcome.clone()),
            Stage::InHand => Waited::InHand,
            Stage::Waiting => {
                *stage = Stage::Settled(Err(AuditError::new("withdrawn")));
                Waited::Withdrawn
            }
        }
    }

    /// Marks the record as being written, unless it was withdrawn.
    fn take(&self) -> bool {
        let mut stage = locked(&self.stage);
        let is_waiting = matches!(*stage, Stage::Waiting);
        if is_waiting {
            *stage = Stage::InHand;
        }
        is_waiting
    }

    pub(crate) fn settle(&self, outcome: Result<(), AuditError>) {
        let mut stage = locked(&self.stage);
        if !matches!(*stage, Stage::Settled(_)) {
            *stage = Stage::Settled(outcome);
            self.settled.notify_all();
        }
    }
}

/// A line whose request waits. If the commit is absent, no request waits.
pub(crate) struct Waiting {
    pub(crate) line: Vec<u8>,
    pub(crate) commit: Option<Arc<Commit>>,
}

/// The lines that the writer has not taken yet, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Commits(Mutex<Vec<Waiting>>);

impl Commits {
    pub(crate) fn push(&self, waiting: Waiting) {
        locked(&self.0).push(waiting);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        locked(&self.0).len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }

    /// Takes all lines that were not withdrawn, and returns how many were.
    pub(crate) fn take(&self) -> (Vec<Waiting>, usize) {
        let mut taken = mem::take(&mut *locked(&self.0));
        let all = taken.len();
        taken.retain(|waiting| waiting.commit.as_ref().is_none_or(|commit| commit.take()));
        let withdrawn = all - taken.len();
        (taken, withdrawn)
    }

    /// Reports to all waiting requests that their records are lost, and returns how many. Lines without a request
    /// stay.
    pub(crate) fn fail(&self, error: &AuditError) -> Failed {
        let mut failed = Failed::default();
        locked(&self.0).retain(|waiting| match &waiting.commit {
            None => true,
            Some(commit) => {
                if commit.take() {
                    failed.lost += 1;
                    commit.settle(Err(error.clone()));
                } else {
                    failed.withdrawn += 1;
                }
                false
            }
        });
        failed
    }
}

/// The number of lines that will not be written.
#[derive(Default)]
pub(crate) struct Failed {
    pub(crate) lost: usize,
    /// Withdrawn lines, which their requests have already counted as lost.
    pub(crate) withdrawn: usize,
}
