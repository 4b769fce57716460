//! Undoes a revocation by its number. The record stays, with who undid it, when and why.
//!
//! Only the named revocation is undone. If it replaced one that reached less far, the replaced one applies
//! again. The number of an undoing comes from the same sequence as revocations, so that a reader can query
//! the new ones.

use service_only::clock::Timestamp;

use super::{
    CHANNEL, RevocationRecord, Store, StoreError,
    revoked::{LOCK_SEQUENCE, NEXT, NOTIFY, PUT, Row as RevocationRow},
};

/// A request to undo a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undoing {
    /// The number of the revocation.
    pub revocation: i64,
    /// Why.
    pub reason: String,
    /// When it is undone.
    pub undone_at: Timestamp,
    /// The operator who undoes it.
    pub undone_by: Option<String>,
}

impl Undoing {
    /// Creates an undoing of the revocation with this number.
    pub fn new(revocation: i64, reason: impl Into<String>) -> Self {
        Self { revocation, reason: reason.into(), undone_at: Timestamp::from_unix(0), undone_by: None }
    }

    /// Sets when it is undone.
    #[must_use]
    pub fn at(mut self, instant: Timestamp) -> Self {
        self.undone_at = instant;
        self
    }

    /// Sets the operator who undoes it.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.undone_by = Some(who.into());
        self
    }
}

/// The result of an undoing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undone {
    /// The number of the undoing itself.
    pub number: i64,
    /// The revocation that was undone.
    pub revoked: RevocationRecord,
    /// The revocation that still applies to the same token, service or key.
    pub still: Option<RevocationRecord>,
}

/// A revocation that was undone or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastRevocation {
    /// The revocation, with its target, time, operator and reason.
    pub revoked: RevocationRecord,
    /// The number of its undoing, with the operator, time and reason; `None` if a revocation that reaches
    /// further replaced it.
    pub undone: Option<(i64, Undoing)>,
}

impl PastRevocation {
    /// The number of its undoing.
    pub fn undoing_number(&self) -> Option<i64> {
        self.undone.as_ref().map(|(number, _)| *number)
    }
}

#[derive(sqlx::FromRow)]
struct PastRow {
    #[sqlx(flatten)]
    revoked: RevocationRow,
    undone: Option<i64>,
    undone_at: Option<i64>,
    undone_by: Option<String>,
    undone_reason: Option<String>,
}

const HELD: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
    FROM service_only_revocations WHERE sequence = $1";

const PAST: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason,
    undone, undone_at, undone_by, undone_reason FROM service_only_past_revocations WHERE sequence = $1";

/// The replaced revocation that applies again.
const REPLACED: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
    FROM service_only_past_revocations
    WHERE kind = $1 AND issuer = $2 AND name = $3 AND undone IS NULL
    ORDER BY until DESC, sequence DESC LIMIT 1";

const REMOVE: &str = "DELETE FROM service_only_revocations WHERE sequence = $1";

const RESTORED: &str = "DELETE FROM service_only_past_revocations WHERE sequence = $1";

const KEEP: &str = "
    INSERT INTO service_only_past_revocations
    (sequence, kind, issuer, name, until, revoked_at, revoked_by, reason,
    undone, undone_at, undone_by, undone_reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const MARK: &str = "
    UPDATE service_only_past_revocations
    SET undone = $2, undone_at = $3, undone_by = $4, undone_reason = $5 WHERE sequence = $1";

const SINCE: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason,
    undone, undone_at, undone_by, undone_reason FROM service_only_past_revocations
    WHERE undone > $1 ORDER BY undone LIMIT $2";

const LAST: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason,
    undone, undone_at, undone_by, undone_reason FROM service_only_past_revocations
    WHERE undone IS NOT NULL ORDER BY undone DESC LIMIT 1";

const ALL_PAST: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason,
    undone, undone_at, undone_by, undone_reason FROM service_only_past_revocations
    WHERE sequence > $1 ORDER BY sequence LIMIT $2";

impl Store {
    /// Undoes one revocation, for every verifier of the fleet. Other revocations of the same tokens still
    /// apply.
    ///
    /// # Errors
    /// [`StoreError::NoRevocation`] and [`StoreError::UndoneAlready`], and when the store cannot write it.
    pub async fn undo_revocation(&self, undoing: &Undoing) -> Result<Undone, StoreError> {
        let number = undoing.revocation;
        self.add_past_revocations().await?;
        in_transaction!(self, tx => {
            sqlx::query(LOCK_SEQUENCE).execute(&mut *tx).await?;
            let held: Option<RevocationRow> =
                sqlx::query_as(HELD).bind(number).fetch_optional(&mut *tx).await?;
            let past: Option<PastRow> =
                sqlx::query_as(PAST).bind(number).fetch_optional(&mut *tx).await?;
            let sequence: i64 = sqlx::query_scalar(NEXT).fetch_one(&mut *tx).await?;
            let (revoked, still) = match (held, past.map(|row| self.past(row)).transpose()?) {
                (_, Some(PastRevocation { undone: Some((_, undone)), .. })) => {
                    Err(StoreError::UndoneAlready { number, at: undone.undone_at, by: undone.undone_by })?
                }
                (None, None) => Err(StoreError::NoRevocation { place: self.place.clone(), number })?,
                // A revocation that reaches further applies.
                (None, Some(past)) => {
                    sqlx::query(MARK)
                        .bind(number).bind(sequence).bind(undoing.undone_at.unix()).bind(&undoing.undone_by)
                        .bind(&undoing.reason)
                        .execute(&mut *tx).await?;
                    let revoked = past.revoked;
                    let (kind, name, _) = revoked.revocation.target.columns();
                    let still: Option<RevocationRow> = sqlx::query_as(super::revoked::HOLDS)
                        .bind(kind).bind(&revoked.revocation.issuer).bind(name)
                        .fetch_optional(&mut *tx).await?;
                    (revoked, still)
                }
                (Some(row), _) => {
                    let revoked = self.record(row)?;
                    let revocation = &revoked.revocation;
                    let (kind, name, until) = revocation.target.columns();
                    sqlx::query(REMOVE).bind(number).execute(&mut *tx).await?;
                    sqlx::query(KEEP)
                        .bind(number).bind(kind).bind(&revocation.issuer).bind(name).bind(until)
                        .bind(revocation.revoked_at.unix()).bind(&revocation.revoked_by).bind(&revocation.reason)
                        .bind(sequence).bind(undoing.undone_at.unix()).bind(&undoing.undone_by)
                        .bind(&undoing.reason)
                        .execute(&mut *tx).await?;
                    let replaced: Option<RevocationRow> = sqlx::query_as(REPLACED)
                        .bind(kind).bind(&revocation.issuer).bind(name)
                        .fetch_optional(&mut *tx).await?;
                    if let Some(row) = &replaced {
                        sqlx::query(RESTORED).bind(row.sequence).execute(&mut *tx).await?;
                        sqlx::query(PUT)
                            .bind(row.sequence).bind(&row.kind).bind(&row.issuer).bind(&row.name)
                            .bind(row.until).bind(row.revoked_at).bind(&row.revoked_by).bind(&row.reason)
                            .execute(&mut *tx).await?;
                    }
                    (revoked, replaced)
                }
            };
            if self.is_postgres() {
                sqlx::query(NOTIFY).bind(CHANNEL).execute(&mut *tx).await?;
            }
            Undone { number: sequence, revoked, still: still.map(|row| self.record(row)).transpose()? }
        })
    }

    /// Up to `most` undone revocations whose undoing has a number larger than `number`, in the order of these
    /// numbers.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn undone_since(&self, number: i64, most: u32) -> Result<Vec<PastRevocation>, StoreError> {
        self.past_revocations(SINCE, number, most).await
    }

    /// Up to `most` revocations that were undone or replaced, whose number is larger than `sequence`, in
    /// their order.
    ///
    /// # Errors
    /// As [`undone_since`](Self::undone_since).
    pub async fn past_since(&self, sequence: i64, most: u32) -> Result<Vec<PastRevocation>, StoreError> {
        self.past_revocations(ALL_PAST, sequence, most).await
    }

    /// The revocation that was undone last.
    pub(crate) async fn last_undone(&self) -> Result<Option<PastRevocation>, StoreError> {
        if !self.has_past_revocations().await? {
            return Ok(None);
        }
        let row: Option<PastRow> = on_pool!(self, pool => sqlx::query_as(LAST).fetch_optional(pool).await?)?;
        row.map(|row| self.past(row)).transpose()
    }

    async fn past_revocations(
        &self,
        query: &'static str,
        after: i64,
        most: u32,
    ) -> Result<Vec<PastRevocation>, StoreError> {
        if !self.has_past_revocations().await? {
            return Ok(Vec::new());
        }
        let rows: Vec<PastRow> = on_pool!(self, pool => sqlx::query_as(query)
            .bind(after).bind(i64::from(most)).fetch_all(pool).await?)?;
        rows.into_iter().map(|row| self.past(row)).collect()
    }

    fn past(&self, row: PastRow) -> Result<PastRevocation, StoreError> {
        let revoked = self.record(row.revoked)?;
        let undone = row.undone.map(|number| {
            let undoing = Undoing {
                revocation: revoked.sequence,
                reason: row.undone_reason.unwrap_or_default(),
                undone_at: Timestamp::from_unix(row.undone_at.unwrap_or_default()),
                undone_by: row.undone_by,
            };
            (number, undoing)
        });
        Ok(PastRevocation { revoked, undone })
    }
}
