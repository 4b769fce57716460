//! Checkpoints of audit logs: copies in a place that an attacker of the log's machine cannot set back.
//!
//! Rows are only added. The database role of a service has no right to read, change or delete them, so a stored
//! checkpoint stays true: the log must still contain everything that it has.

use service_only::clock::Timestamp;

use super::{Store, StoreError};

/// The number of rows of one query.
const PAGE: usize = 1_000;

/// The longest checkpoint, in bytes. One with a signature has about 250.
const MAX_NOTE: usize = 4_096;

/// Old checkpoints, except for the largest one of each log.
macro_rules! prunable {
    () => {
        " FROM service_only_checkpoints WHERE stored_at < $1 AND EXISTS (
            SELECT 1 FROM service_only_checkpoints n
            WHERE n.origin = service_only_checkpoints.origin AND n.size > service_only_checkpoints.size)"
    };
}

/// A checkpoint of an audit log, as `service-only-evidence` signs it. The signature is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    origin: String,
    size: i64,
    note: String,
}

impl LogCheckpoint {
    /// Reads the name of the log and the number of its records: the first two lines of a C2SP tlog-checkpoint. `None` if the
    /// text is not a checkpoint, or longer than 4,096 bytes.
    pub fn parse(note: &str) -> Option<Self> {
        let mut lines = note.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = lines.next()?.parse().ok().filter(|size| *size >= 0)?;
        (note.len() <= MAX_NOTE).then(|| Self { origin: origin.to_owned(), size, note: note.to_owned() })
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of records.
    pub fn size(&self) -> u64 {
        self.size.unsigned_abs()
    }
}

impl Store {
    /// Adds a checkpoint of an audit log. Of several with the same number of records, the first one stays.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn add_checkpoint(&self, checkpoint: &LogCheckpoint, now: Timestamp) -> Result<(), StoreError> {
        // `ON CONFLICT` without columns: with them, PostgreSQL requires the right to read them.
        const ADD: &str = "INSERT INTO service_only_checkpoints (origin, size, note, stored_at)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        self.add_checkpoints_table().await?;
        on_pool!(self, pool => {
            sqlx::query(ADD)
                .bind(&checkpoint.origin).bind(checkpoint.size).bind(&checkpoint.note).bind(now.unix())
                .execute(pool).await?;
        })
    }

    /// The stored checkpoints of a log, the smallest first, as `service-only-evidence` compares them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn checkpoints(&self, origin: &str) -> Result<Vec<String>, StoreError> {
        const NEXT: &str = "SELECT size, note FROM service_only_checkpoints
            WHERE origin = $1 AND size > $2 ORDER BY size LIMIT $3";
        if !self.has_checkpoints().await? {
            return Ok(Vec::new());
        }
        let (mut notes, mut last) = (Vec::new(), -1_i64);
        loop {
            let page: Vec<(i64, String)> = on_pool!(self, pool => sqlx::query_as(NEXT)
                .bind(origin).bind(last).bind(PAGE as i64).fetch_all(pool).await?)?;
            let is_last = page.len() < PAGE;
            last = page.last().map_or(last, |(size, _)| *size);
            notes.extend(page.into_iter().map(|(_, note)| note));
            if is_last {
                return Ok(notes);
            }
        }
    }

    /// Deletes checkpoints that were stored before an instant, and returns how many. The largest one of each log stays.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn prune_checkpoints(&self, stored_before: Timestamp) -> Result<u64, StoreError> {
        const PRUNE: &str = concat!("DELETE", prunable!());
        if !self.has_checkpoints().await? {
            return Ok(0);
        }
        on_pool!(self, pool =>
            sqlx::query(PRUNE).bind(stored_before.unix()).execute(pool).await?.rows_affected())
    }

    /// How many checkpoints [`prune_checkpoints`](Self::prune_checkpoints) would delete.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn prunable_checkpoints(&self, stored_before: Timestamp) -> Result<u64, StoreError> {
        const COUNT: &str = concat!("SELECT COUNT(*)", prunable!());
        if !self.has_checkpoints().await? {
            return Ok(0);
        }
        let count: i64 = on_pool!(self, pool => sqlx::query_scalar(COUNT).bind(stored_before.unix()).fetch_one(pool).await?)?;
        Ok(count.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_two_lines_of_a_checkpoint_are_read() {
        let note = "bakery.example/orders\n42\nAAAA\n\n— bakery.example/orders BBBB\n";
        let checkpoint = LogCheckpoint::parse(note).unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size()), ("bakery.example/orders", 42));
        for text in ["", "a", "a\n", "a\nb\n", "\n7\n", "a\n-1\n", "a\n9223372036854775808\n"] {
            assert_eq!(LogCheckpoint::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn checkpoint_at_the_limit_is_accepted_and_a_longer_one_is_not() {
        let padded = |length: usize| format!("a\n1\n{}", "x".repeat(length - 4));
        assert!(LogCheckpoint::parse(&padded(MAX_NOTE)).is_some());
        assert!(LogCheckpoint::parse(&padded(MAX_NOTE + 1)).is_none());
    }
}
