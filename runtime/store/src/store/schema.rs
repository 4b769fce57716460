//! The tables, as migrations inside the program: the same SQL for both databases.
//!
//! One transaction under a lock creates all missing tables. So two programs that start together create them
//! once, and a killed program leaves nothing behind.
//!
//! `ADDED` has tables outside the version. A program that does not know them reads and writes all other
//! tables as before, so they do not change the version. Older and newer programs can share one store, and be
//! upgraded in any order.
//!
//! `INDEXES` are outside the version too: without them, every program works, and reads more. Only
//! [`Store::create`] adds them, because that takes minutes in a large store, and is a right of the tables' owner.

use std::{sync::atomic::Ordering, time::Duration};

use super::{Pool, Store, StoreError, error::Fault};

/// Each entry is one version. A released entry is never changed; new entries are appended.
const MIGRATIONS: &[&[&str]] = &[&[
    "CREATE TABLE service_only_tokens (
        issuer TEXT NOT NULL, jti TEXT NOT NULL, service TEXT NOT NULL, kid TEXT NOT NULL,
        issued_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, note TEXT, minted_by TEXT,
        minted_at BIGINT NOT NULL, PRIMARY KEY (issuer, jti))",
    "CREATE INDEX service_only_tokens_expiry ON service_only_tokens (expires_at)",
    "CREATE INDEX service_only_tokens_key ON service_only_tokens (issuer, kid, expires_at)",
    // `until` is the expiry of a token, or the instant by which tokens of a service were issued.
    "CREATE TABLE service_only_revocations (
        sequence BIGINT NOT NULL UNIQUE, kind TEXT NOT NULL CHECK (kind IN ('token', 'service', 'key')),
        issuer TEXT NOT NULL, name TEXT NOT NULL, until BIGINT, revoked_at BIGINT NOT NULL,
        revoked_by TEXT, reason TEXT, PRIMARY KEY (kind, issuer, name))",
    "CREATE INDEX service_only_revocations_until ON service_only_revocations (kind, until)",
    // One row: the name of this store, and the sequence number of its last revocation.
    "CREATE TABLE service_only_sequence (store TEXT NOT NULL, value BIGINT NOT NULL)",
    "CREATE TABLE service_only_keys (
        issuer TEXT NOT NULL, kid TEXT NOT NULL, algorithm TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'retiring', 'retired')),
        file TEXT, public_jwk TEXT, prepared_at BIGINT NOT NULL, active_at BIGINT, retiring_at BIGINT,
        retired_at BIGINT, expires_at BIGINT, PRIMARY KEY (issuer, kid))",
    // Two concurrent rotations cannot both activate their key, nor both prepare one.
    "CREATE UNIQUE INDEX service_only_keys_one_active ON service_only_keys (issuer) WHERE state = 'active'",
    "CREATE UNIQUE INDEX service_only_keys_one_prepared ON service_only_keys (issuer) WHERE state = 'prepared'",
    "CREATE TABLE service_only_verifiers (
        id TEXT NOT NULL, issuer TEXT NOT NULL, kids TEXT NOT NULL, refresh_seconds BIGINT NOT NULL,
        last_seen BIGINT NOT NULL, PRIMARY KEY (issuer, id))",
    "CREATE TABLE service_only_key_use (
        issuer TEXT NOT NULL, kid TEXT NOT NULL, service TEXT NOT NULL, last_seen BIGINT NOT NULL,
        PRIMARY KEY (issuer, kid, service))",
    "CREATE TABLE service_only_schema (version BIGINT NOT NULL)",
    "INSERT INTO service_only_schema (version) VALUES (0)",
]];

const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Revocations that were replaced or undone. If a further-reaching revocation replaces one, `undone` is
/// empty. If it was undone, `undone` is a number of the same sequence as `sequence`.
const ADDED: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS service_only_past_revocations (
        sequence BIGINT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL,
        until BIGINT, revoked_at BIGINT NOT NULL, revoked_by TEXT, reason TEXT,
        undone BIGINT UNIQUE, undone_at BIGINT, undone_by TEXT, undone_reason TEXT)",
    "CREATE INDEX IF NOT EXISTS service_only_past_revocations_name
        ON service_only_past_revocations (kind, issuer, name)",
    // How many tokens of an issuer were pruned from the registry.
    "CREATE TABLE IF NOT EXISTS service_only_pruned (
        issuer TEXT NOT NULL PRIMARY KEY, tokens BIGINT NOT NULL, pruned_at BIGINT NOT NULL)",
    // Signed checkpoints of audit logs. Rows are only added, until an operator prunes them.
    "CREATE TABLE IF NOT EXISTS service_only_checkpoints (
        origin TEXT NOT NULL, size BIGINT NOT NULL, note TEXT NOT NULL, stored_at BIGINT NOT NULL,
        PRIMARY KEY (origin, size))",
    // Accepted proofs of DPoP, until they end; see `proofs`.
    "CREATE TABLE IF NOT EXISTS service_only_proofs (id TEXT NOT NULL PRIMARY KEY, until BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS service_only_proofs_until ON service_only_proofs (until)",
];

/// An index of the registry: its name, and its columns. Of a PostgreSQL, `jti` is sorted by its bytes, as pages are.
const INDEXES: &[(&str, &str)] = &[
    ("service_only_tokens_list", "(issuer, expires_at, jti{BYTEWISE})"),
    ("service_only_tokens_service", "(issuer, service, expires_at, jti{BYTEWISE})"),
    ("service_only_tokens_signed", "(issuer, kid, expires_at, jti{BYTEWISE})"),
    ("service_only_tokens_holder", "(issuer, kid, service, expires_at)"),
];

/// Indexes that `INDEXES` replace.
const REPLACED: [&str; 2] =
    ["DROP INDEX IF EXISTS service_only_tokens_expiry", "DROP INDEX IF EXISTS service_only_tokens_key"];

/// The timeout for the creation of the tables. The indexes of ten million tokens take a minute or two.
const CREATE_TIMEOUT: Duration = Duration::from_secs(1_800);

macro_rules! found_version {
    ($store:expr, $connection:expr) => {{
        let (all, ours): (i64, i64) = sqlx::query_as($store.tables()).fetch_one($connection).await?;
        if ours == 0 {
            $store.empty(all)?
        } else {
            sqlx::query_scalar("SELECT version FROM service_only_schema").fetch_one($connection).await?
        }
    }};
}

/// Whether a change of the tables also creates the indexes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WithIndexes {
    Yes,
    No,
}

/// An arbitrary number, the same in every release of this program.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7203941865512)";

impl Store {
    /// Creates the tables, or brings those of an older program to this program's version, with all indexes.
    pub(crate) async fn create_tables(&self) -> Result<(), StoreError> {
        let complete = self.version().await? == KNOWN
            && self.has_past_revocations().await?
            && self.has_pruned().await?
            && self.has_checkpoints().await?
            && self.has_proofs().await?
            && self.missing_indexes().await?.is_empty();
        if complete { Ok(()) } else { self.make_what_is_missing(WithIndexes::Yes).await }
    }

    /// Brings the tables of an older program to this program's version. Does not create a store.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match self.version().await? {
            0 => Err(StoreError::Empty { place: self.place().to_owned() }),
            KNOWN => Ok(()),
            _ => self.make_what_is_missing(WithIndexes::No).await,
        }
    }

    /// Adds the table of past revocations to the store of an older program. Only a change of revocations
    /// needs it, so a service without the right to create tables can still use such a store.
    pub(crate) async fn add_past_revocations(&self) -> Result<(), StoreError> {
        if self.has_past_revocations().await? {
            Ok(())
        } else {
            self.make_what_is_missing(WithIndexes::No).await
        }
    }

    /// Adds the table of pruned tokens to the store of an older program.
    pub(crate) async fn add_pruned(&self) -> Result<(), StoreError> {
        if self.has_pruned().await? { Ok(()) } else { self.make_what_is_missing(WithIndexes::No).await }
    }

    /// Adds the table of checkpoints to the store of an older program.
    pub(crate) async fn add_checkpoints_table(&self) -> Result<(), StoreError> {
        if self.has_checkpoints().await? { Ok(()) } else { self.make_what_is_missing(WithIndexes::No).await }
    }

    /// Adds the table of accepted proofs to the store of an older program.
    pub(crate) async fn add_proofs_table(&self) -> Result<(), StoreError> {
        if self.has_proofs().await? { Ok(()) } else { self.make_what_is_missing(WithIndexes::No).await }
    }

    async fn make_what_is_missing(&self, indexes: WithIndexes) -> Result<(), StoreError> {
        let store = uuid::Uuid::new_v4().to_string();
        let limit = match indexes {
            WithIndexes::Yes => CREATE_TIMEOUT,
            WithIndexes::No => super::WORK_TIMEOUT,
        };
        in_transaction!(self, within limit, tx => {
            if self.is_postgres() {
                sqlx::query(LOCK).execute(&mut *tx).await?;
            }
            // Another program may have been faster.
            let found = found_version!(self, &mut *tx);
            self.check_version(found)?;
            let missing = MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX));
            for statement in missing.flat_map(|migration| migration.iter()).chain(ADDED) {
                sqlx::query(*statement).execute(&mut *tx).await?;
            }
            if indexes == WithIndexes::Yes {
                for (name, columns) in INDEXES {
                    let columns = columns.replace("{BYTEWISE}", self.bytewise());
                    let create =
                        format!("CREATE INDEX IF NOT EXISTS {name} ON service_only_tokens {columns}");
                    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut *tx).await?;
                }
                for drop in REPLACED {
                    sqlx::query(drop).execute(&mut *tx).await?;
                }
            }
            if found == 0 {
                sqlx::query("INSERT INTO service_only_sequence (store, value) VALUES ($1, 0)")
                    .bind(&store).execute(&mut *tx).await?;
            }
            sqlx::query("UPDATE service_only_schema SET version = $1")
                .bind(KNOWN).execute(&mut *tx).await?;
        })
    }

    /// Checks that this program knows the tables, without a change.
    pub(crate) async fn check_schema(&self) -> Result<(), StoreError> {
        match self.version().await? {
            0 => Err(StoreError::Empty { place: self.place().to_owned() }),
            // An older schema lacks tables or columns that this program needs.
            found if found < KNOWN => {
                Err(StoreError::Older { place: self.place().to_owned(), found, known: KNOWN })
            }
            _ => Ok(()),
        }
    }

    /// The version of the tables, 0 if there are none; an error if it is newer than this program's version.
    async fn version(&self) -> Result<i64, StoreError> {
        let found = on_pool!(self, pool => found_version!(self, pool))?;
        self.check_version(found)?;
        Ok(found)
    }

    /// Whether the table of past revocations exists. A store of an older program does not have it.
    pub(crate) async fn has_past_revocations(&self) -> Result<bool, StoreError> {
        if self.has_past.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let found = self.has_relation("service_only_past_revocations").await?;
        self.has_past.store(found, Ordering::Relaxed);
        Ok(found)
    }

    /// Whether the table of pruned tokens exists. A store of an older program does not have it.
    pub(crate) async fn has_pruned(&self) -> Result<bool, StoreError> {
        self.has_relation("service_only_pruned").await
    }

    /// Whether the table of checkpoints exists. A store of an older program does not have it.
    pub(crate) async fn has_checkpoints(&self) -> Result<bool, StoreError> {
        self.has_relation("service_only_checkpoints").await
    }

    /// Whether the table of accepted proofs exists. A store of an older program does not have it.
    pub(crate) async fn has_proofs(&self) -> Result<bool, StoreError> {
        self.has_relation("service_only_proofs").await
    }

    /// The indexes that an older program did not create. Without them, lists of a large registry are slow.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn missing_indexes(&self) -> Result<Vec<String>, StoreError> {
        let mut missing = Vec::new();
        for (name, _) in INDEXES {
            if !self.has_relation(name).await? {
                missing.push((*name).to_owned());
            }
        }
        Ok(missing)
    }

    /// Whether there is a table or an index of this name.
    async fn has_relation(&self, name: &str) -> Result<bool, StoreError> {
        let query = match self.pool {
            Pool::Sqlite(_) => "SELECT COUNT(*) FROM sqlite_master WHERE name = $1",
            Pool::Postgres(_) => {
                "SELECT CASE WHEN to_regclass($1) IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END"
            }
        };
        let found: i64 = on_pool!(self, pool => sqlx::query_scalar(query).bind(name).fetch_one(pool).await?)?;
        Ok(found > 0)
    }

    fn check_version(&self, found: i64) -> Result<(), StoreError> {
        if found > KNOWN {
            return Err(StoreError::Newer { place: self.place().to_owned(), found, known: KNOWN });
        }
        Ok(())
    }

    fn tables(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite(_) => {
                "SELECT COUNT(*), COUNT(CASE WHEN name = 'service_only_schema' THEN 1 END)
                 FROM sqlite_master WHERE type = 'table'"
            }
            // A PostgreSQL database is often shared with other programs.
            Pool::Postgres(_) => {
                "SELECT CAST(0 AS BIGINT),
                 CASE WHEN to_regclass('service_only_schema') IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END"
            }
        }
    }

    fn empty(&self, others: i64) -> Result<i64, Fault> {
        if others > 0 {
            let reason = "it holds the tables of another program".to_owned();
            return Err(StoreError::NotAStore { place: self.place().to_owned(), reason, source: None }.into());
        }
        Ok(0)
    }
}
