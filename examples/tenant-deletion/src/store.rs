//! The records of one service: one SQLite file, counted and deleted per tenant.
//!
//! A deletion is one transaction, so a service holds all records of a tenant or none. What was
//! deleted is written to `tenant_deletions` in that same transaction: an orchestrator that lost
//! the answer and asks again is told so, and nothing is deleted or counted twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::catalogue::Service;
use crate::tenant::{DemoTenant, LEAVING, STAYING, TenantId};

/// A writer waits this long for another one. Deletions of one tenant take milliseconds and the
/// gateway gives up after ten seconds, so a longer wait would help nobody.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// `user_version` of a database whose schema is complete.
const SCHEMA_VERSION: i64 = 1;

const LEDGER: &str = "CREATE TABLE tenant_deletions (
    deletion_id INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL,
    deleted_at  TEXT NOT NULL,
    records     INTEGER NOT NULL CHECK (records > 0),
    asked_by    TEXT NOT NULL,
    token_id    TEXT
) STRICT;";

/// The database of one service. Cheap to clone: a connection lives as long as one call.
#[derive(Clone, Debug)]
pub struct Store {
    service: &'static Service,
    path: PathBuf,
}

/// What a new database holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing but the schema.
    Empty,
    /// The records of the demonstration's two tenants.
    Demonstration,
}

/// The records of one tenant in one service: the answer of both endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The service that counted.
    pub service: String,
    /// Whose records they are.
    pub tenant_id: TenantId,
    /// Records per table: those that exist (preview) or those that were deleted now (delete).
    pub tables: BTreeMap<String, u64>,
    /// The sum over the tables.
    pub total: u64,
    /// Records of this tenant that earlier calls deleted.
    pub previously_deleted: u64,
}

/// Who asked for a deletion, for the ledger.
#[derive(Copy, Clone, Debug)]
pub struct AskedBy<'a> {
    /// The verified service name.
    pub service: &'a str,
    /// The id of its token.
    pub token_id: Option<&'a str>,
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("database of `{service}`: {source}")]
    Sqlite {
        /// Whose database.
        service: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The catalogue and the database disagree, so a deletion could leave records behind.
    #[error(
        "database of `{service}`: tables with a `tenant_id` are {found:?}, the catalogue lists {listed:?}"
    )]
    UnlistedTable {
        /// Whose database.
        service: &'static str,
        /// Tables of the database that hold a tenant's records.
        found: Vec<String>,
        /// Tables that a deletion would reach.
        listed: Vec<String>,
    },
}

impl Store {
    /// Opens the database at `path`, creating it with its schema (and `contents`) when it is new.
    ///
    /// A database with a tenant's table that the catalogue does not list is refused: deleting a
    /// tenant there would leave records behind. An existing database is never filled again, or a
    /// restart would bring a deleted tenant back.
    pub fn open(
        service: &'static Service,
        path: impl Into<PathBuf>,
        contents: Contents,
    ) -> Result<Self, StoreError> {
        let store = Self { service, path: path.into() };
        store.create(contents).map_err(|source| store.failed(source))?;
        store.check()?;
        Ok(store)
    }

    /// The service whose records these are.
    pub fn service(&self) -> &'static Service {
        self.service
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts the records of one tenant.
    pub fn count(&self, tenant: TenantId) -> Result<Records, StoreError> {
        // One read transaction: the counts are of one instant.
        self.transaction(TransactionBehavior::Deferred, |tx| {
            self.records(tx, tenant, |tx, table| {
                let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = ?1");
                tx.query_row(&sql, [tenant.to_string()], |row| row.get(0))
            })
        })
    }

    /// Deletes all records of one tenant, or none of them.
    ///
    /// Doing it again deletes nothing and says what was deleted before.
    pub fn delete(&self, tenant: TenantId, by: AskedBy<'_>) -> Result<Records, StoreError> {
        // Immediate: two deletions queue up here, and not halfway with a deadlock.
        self.transaction(TransactionBehavior::Immediate, |tx| {
            let records = self.records(tx, tenant, |tx, table| {
                let sql = format!("DELETE FROM {table} WHERE tenant_id = ?1");
                tx.execute(&sql, [tenant.to_string()]).map(|rows| rows as u64)
            })?;
            if records.total > 0 {
                tx.execute(
                    "INSERT INTO tenant_deletions (tenant, deleted_at, records, asked_by, token_id)
                     VALUES (?1, strftime('%Y-%m-%dT%H:%M:%fZ'), ?2, ?3, ?4)",
                    params![tenant.to_string(), records.total, by.service, by.token_id],
                )?;
            }
            Ok(records)
        })
    }

    /// Whether the database can be read and holds exactly the tables of the catalogue.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut found = self.transaction(TransactionBehavior::Deferred, |tx| {
            tx.prepare(
                "SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND c.name = 'tenant_id'",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()
        })?;
        let mut listed: Vec<String> = self.service.tables.iter().map(ToString::to_string).collect();
        found.sort();
        listed.sort();
        if found != listed {
            return Err(StoreError::UnlistedTable { service: self.service.name, found, listed });
        }
        Ok(())
    }

    /// Runs `each` over the tables, children first, and sums up.
    fn records(
        &self,
        tx: &Transaction<'_>,
        tenant: TenantId,
        each: impl Fn(&Transaction<'_>, &str) -> rusqlite::Result<u64>,
    ) -> rusqlite::Result<Records> {
        let previously_deleted = tx.query_row(
            "SELECT coalesce(sum(records), 0) FROM tenant_deletions WHERE tenant = ?1",
            [tenant.to_string()],
            |row| row.get(0),
        )?;
        let mut tables = BTreeMap::new();
        for table in self.service.tables.iter().rev() {
            tables.insert((*table).to_owned(), each(tx, table)?);
        }
        let total = tables.values().sum();
        Ok(Records {
            service: self.service.name.to_owned(),
            tenant_id: tenant,
            tables,
            total,
            previously_deleted,
        })
    }

    fn create(&self, contents: Contents) -> rusqlite::Result<()> {
        let mut connection = configured(Connection::open(&self.path)?)?;
        // Readers go on while a deletion is written.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        if contents == Contents::Demonstration {
            connection.execute_batch(
                "CREATE TEMP TABLE seed_tenant (id TEXT, tag TEXT, scale INTEGER);
                 CREATE TEMP TABLE seq (i INTEGER PRIMARY KEY);
                 WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 999)
                 INSERT INTO seq SELECT i FROM s;",
            )?;
            for DemoTenant { id, tag, scale, .. } in [LEAVING, STAYING] {
                connection.execute(
                    "INSERT INTO seed_tenant VALUES (?1, ?2, ?3)",
                    params![id.to_string(), tag, scale],
                )?;
            }
        }
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            tx.execute_batch(LEDGER)?;
            tx.execute_batch(self.service.schema)?;
            if contents == Contents::Demonstration {
                tx.execute_batch(self.service.seed)?;
            }
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        tx.commit()
    }

    fn transaction<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let run = || {
            // No CREATE: a database that was removed under us is an error, not an empty one.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = configured(Connection::open_with_flags(&self.path, flags)?)?;
            let tx = connection.transaction_with_behavior(behavior)?;
            let answer = work(&tx)?;
            tx.commit()?;
            Ok(answer)
        };
        run().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { service: self.service.name, source }
    }
}

fn configured(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten in the file: a right to erasure is not met by a free page.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
