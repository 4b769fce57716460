//! Revocations, numbered in the order in which they were made, so that a reader can query the new ones.
//!
//! The number comes from one row that stays locked until the change is committed. So a reader that has seen a
//! number has seen all smaller ones. A database sequence does not guarantee this.
//!
//! `service_only_revocations` has one row for each token, service or key: the revocation that reaches
//! furthest. The module `undoing` moves rows out of it.

use service_only::{
    Verifier,
    clock::Timestamp,
    revocation::{MemoryRevocations, RevocationsFull},
};

use super::{CHANNEL, RevocationTarget, Store, StoreError, TokenRecord};

/// A revocation that is not yet in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRevocation {
    /// The issuer of the token, service or key.
    pub issuer: String,
    /// What is revoked.
    pub target: RevocationTarget,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// The operator who revoked it.
    pub revoked_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl NewRevocation {
    /// Creates a revocation of a token, a service or a key of an issuer.
    pub fn new(issuer: impl Into<String>, target: RevocationTarget) -> Self {
        let revoked_at = Timestamp::from_unix(0);
        Self { issuer: issuer.into(), target, revoked_at, revoked_by: None, reason: None }
    }

    /// Creates a revocation of one token, which expires at that instant.
    pub fn token(issuer: impl Into<String>, jti: impl Into<String>, expires_at: Timestamp) -> Self {
        Self::new(issuer, RevocationTarget::Token { jti: jti.into(), expires_at })
    }

    /// Creates a revocation of all tokens of a service that were issued up to and within the second of
    /// `issued_by`.
    pub fn service(issuer: impl Into<String>, service: impl Into<String>, issued_by: Timestamp) -> Self {
        Self::new(issuer, RevocationTarget::Service { service: service.into(), issued_by })
    }

    /// Creates a revocation of all tokens that a key signed.
    pub fn key(issuer: impl Into<String>, kid: impl Into<String>) -> Self {
        Self::new(issuer, RevocationTarget::Key { kid: kid.into() })
    }

    /// Applies the revocation to the memory of a verifier too.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn hold_in(&self, memory: &MemoryRevocations) -> Result<(), RevocationsFull> {
        match &self.target {
            RevocationTarget::Token { jti, expires_at } => {
                memory.revoke_token(&self.issuer, jti, *expires_at)
            }
            RevocationTarget::Service { service, issued_by } => {
                memory.revoke_service(&self.issuer, service, *issued_by)
            }
            RevocationTarget::Key { kid } => memory.revoke_key(&self.issuer, kid),
        }
    }

    /// Sets when it was made.
    #[must_use]
    pub fn at(mut self, instant: Timestamp) -> Self {
        self.revoked_at = instant;
        self
    }

    /// Sets the operator who made it.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.revoked_by = Some(who.into());
        self
    }

    /// Sets why it was made.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// The effect of a revocation on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked {
    /// The store did not have it before.
    New,
    /// The store had it, and it reaches further now.
    Extended,
    /// A revocation of the store reaches further. This one applies if that one is undone.
    Covered,
    /// The store had it. Nothing has changed.
    Already,
}

/// A revocation of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationRecord {
    /// Its number: larger than the numbers of all earlier revocations.
    pub sequence: i64,
    /// The revocation.
    pub revocation: NewRevocation,
}

/// The identity of the store, and the number of its last revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceHead {
    /// The unique name of the store; a different name means a different database.
    pub store: String,
    /// The last number. A smaller number than before means that the database was restored from a backup.
    pub sequence: i64,
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) issuer: String,
    pub(crate) name: String,
    pub(crate) until: Option<i64>,
    pub(crate) revoked_at: i64,
    pub(crate) revoked_by: Option<String>,
    pub(crate) reason: Option<String>,
}

const FIND: &str = "SELECT until FROM service_only_revocations WHERE kind = $1 AND issuer = $2 AND name = $3";

/// A revocation that reaches as far, and that another one has replaced.
const COVERED_BEFORE: &str = "
    SELECT 1 FROM service_only_past_revocations
    WHERE kind = $1 AND issuer = $2 AND name = $3 AND undone IS NULL AND until >= $4 LIMIT 1";

/// Adds a revocation that one of the store already replaces.
const PUT_COVERED: &str = "
    INSERT INTO service_only_past_revocations
    (sequence, kind, issuer, name, until, revoked_at, revoked_by, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Keeps the revocation that the next one replaces: if that one is undone, this one must apply again.
const KEEP: &str = "
    INSERT INTO service_only_past_revocations
    (sequence, kind, issuer, name, until, revoked_at, revoked_by, reason)
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
    FROM service_only_revocations WHERE kind = $1 AND issuer = $2 AND name = $3";

pub(crate) const NEXT: &str = "UPDATE service_only_sequence SET value = value + 1 RETURNING value";

pub(crate) const PUT: &str = "
    INSERT INTO service_only_revocations
    (sequence, kind, issuer, name, until, revoked_at, revoked_by, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (kind, issuer, name) DO UPDATE SET
    sequence = excluded.sequence, until = excluded.until, revoked_at = excluded.revoked_at,
    revoked_by = excluded.revoked_by, reason = excluded.reason";

const SINCE: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
    FROM service_only_revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2";

pub(crate) const HOLDS: &str = "
    SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
    FROM service_only_revocations WHERE kind = $1 AND issuer = $2 AND name = $3";

const PURGE: &str = "DELETE FROM service_only_revocations WHERE kind = 'token' AND until < $1";

const PURGE_PAST: &str = "
    DELETE FROM service_only_past_revocations WHERE kind = 'token' AND until < $1 AND undone IS NULL";

/// Serialises changes of revocations: a transaction waits here for the other ones.
pub(crate) const LOCK_SEQUENCE: &str = "UPDATE service_only_sequence SET value = value";

pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, '')";

impl Store {
    /// Revokes, for every verifier of the fleet.
    ///
    /// # Errors
    /// When the store cannot write it.
    pub async fn revoke(&self, revocation: &NewRevocation) -> Result<Revoked, StoreError> {
        let outcomes = self.revoke_all(std::slice::from_ref(revocation)).await?;
        Ok(outcomes.first().copied().unwrap_or(Revoked::Already))
    }

    /// Revokes all or none, in this order.
    ///
    /// # Errors
    /// When the store cannot write it.
    pub async fn revoke_all(&self, revocations: &[NewRevocation]) -> Result<Vec<Revoked>, StoreError> {
        self.add_past_revocations().await?;
        in_transaction!(self, tx => {
            sqlx::query(LOCK_SEQUENCE).execute(&mut *tx).await?;
            let mut outcomes = Vec::with_capacity(revocations.len());
            for revocation in revocations {
                let (kind, name, until) = revocation.target.columns();
                let known: Option<(Option<i64>,)> = sqlx::query_as(FIND)
                    .bind(kind).bind(&revocation.issuer).bind(name)
                    .fetch_optional(&mut *tx).await?;
                let outcome = match known {
                    None => Revoked::New,
                    // For a repeated revocation, the one that reaches further applies.
                    Some((known,)) if until > known => Revoked::Extended,
                    Some((known,)) if until < known => {
                        let before = sqlx::query(COVERED_BEFORE)
                            .bind(kind).bind(&revocation.issuer).bind(name).bind(until)
                            .fetch_optional(&mut *tx).await?;
                        if before.is_none() { Revoked::Covered } else { Revoked::Already }
                    }
                    Some(_) => Revoked::Already,
                };
                outcomes.push(outcome);
                let put = match outcome {
                    Revoked::Already => continue,
                    Revoked::Covered => PUT_COVERED,
                    Revoked::Extended => {
                        sqlx::query(KEEP)
                            .bind(kind).bind(&revocation.issuer).bind(name)
                            .execute(&mut *tx).await?;
                        PUT
                    }
                    Revoked::New => PUT,
                };
                let sequence: i64 = sqlx::query_scalar(NEXT).fetch_one(&mut *tx).await?;
                sqlx::query(put)
                    .bind(sequence).bind(kind).bind(&revocation.issuer).bind(name).bind(until)
                    .bind(revocation.revoked_at.unix()).bind(&revocation.revoked_by).bind(&revocation.reason)
                    .execute(&mut *tx).await?;
            }
            // PostgreSQL sends it when the change is committed, and not before.
            let applies = |outcome: &Revoked| matches!(outcome, Revoked::New | Revoked::Extended);
            if self.is_postgres() && outcomes.iter().any(applies) {
                sqlx::query(NOTIFY).bind(CHANNEL).execute(&mut *tx).await?;
            }
            outcomes
        })
    }

    /// The identity of the store, and the number of its last revocation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn head(&self) -> Result<SequenceHead, StoreError> {
        const HEAD: &str = "SELECT store, value FROM service_only_sequence";
        let (store, sequence) = on_pool!(self, pool => sqlx::query_as(HEAD).fetch_one(pool).await?)?;
        Ok(SequenceHead { store, sequence })
    }

    /// Up to `most` revocations whose number is larger than `sequence`, in their order.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn revocations_since(
        &self,
        sequence: i64,
        most: u32,
    ) -> Result<Vec<RevocationRecord>, StoreError> {
        let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(SINCE)
            .bind(sequence).bind(i64::from(most)).fetch_all(pool).await?)?;
        rows.into_iter().map(|row| self.record(row)).collect()
    }

    /// Deletes the revocations of tokens that expired before that instant, and returns how many. Keep at least
    /// the largest leeway of your verifiers between that instant and now.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn purge_revocations(&self, expired_before: Timestamp) -> Result<u64, StoreError> {
        self.add_past_revocations().await?;
        in_transaction!(self, tx => {
            sqlx::query(PURGE_PAST).bind(expired_before.unix()).execute(&mut *tx).await?;
            sqlx::query(PURGE).bind(expired_before.unix()).execute(&mut *tx).await?.rows_affected()
        })
    }

    /// How many revocations [`purge_revocations`](Self::purge_revocations) would delete.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn purgeable_revocations(&self, expired_before: Timestamp) -> Result<u64, StoreError> {
        const PURGEABLE: &str =
            "SELECT COUNT(*) FROM service_only_revocations WHERE kind = 'token' AND until < $1";
        let count: i64 = on_pool!(self, pool =>
            sqlx::query_scalar(PURGEABLE).bind(expired_before.unix()).fetch_one(pool).await?)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The current revocation of a target that reaches furthest.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn revocation_of(
        &self,
        issuer: &str,
        target: &RevocationTarget,
    ) -> Result<Option<RevocationRecord>, StoreError> {
        let (kind, name, _) = target.columns();
        let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(HOLDS)
            .bind(kind).bind(issuer).bind(name).fetch_optional(pool).await?)?;
        row.map(|row| self.record(row)).transpose()
    }

    pub(crate) fn record(&self, row: Row) -> Result<RevocationRecord, StoreError> {
        // An unknown kind is an error: to skip it would accept a token that was revoked.
        let target = RevocationTarget::from_columns(&row.kind, row.name, row.until)
            .ok_or_else(|| self.unknown_kind(&row.kind))?;
        let revocation = NewRevocation {
            issuer: row.issuer,
            target,
            revoked_at: Timestamp::from_unix(row.revoked_at),
            revoked_by: row.revoked_by,
            reason: row.reason,
        };
        Ok(RevocationRecord { sequence: row.sequence, revocation })
    }

    pub(crate) fn unknown_kind(&self, kind: &str) -> StoreError {
        StoreError::UnknownRevocation { place: self.place().to_owned(), kind: kind.to_owned() }
    }
}

impl RevocationTarget {
    /// Whether it revokes this token of its issuer at `now`. An `iat` more than a minute ahead of `now` does
    /// not prove the age of a token, so the token counts as an old token of its service.
    pub fn covers(&self, token: &TokenRecord, now: Timestamp) -> bool {
        match self {
            Self::Token { jti, .. } => *jti == token.jti,
            Self::Service { service, issued_by } => {
                let ahead = token.issued_at > now.plus(Verifier::MAX_ISSUED_AHEAD);
                *service == token.service && (ahead || token.issued_at <= *issued_by)
            }
            Self::Key { kid } => *kid == token.kid,
        }
    }
}
