//! The records of one service: one SQLite file, counted and deleted per tenant.
//!
//! A deletion is one transaction, so a service has all records of a tenant or none. The same transaction
//! records the deletion in `tenant_deletions`. If an orchestrator lost the answer and asks again, it gets the
//! recorded numbers, and nothing is deleted or counted twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::catalogue::Service;
use crate::tenant::{DemoTenant, LEAVING, STAYING, TenantId};

/// How long a writer waits for another one. Deletions of one tenant take milliseconds and the gateway's
/// timeout is ten seconds, so a longer wait would not help.
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

/// The database of one service. Cheap to clone: each call opens its own connection.
#[derive(Clone, Debug)]
pub struct Store {
    service: &'static Service,
    path: PathBuf,
}

/// The content of a new database.
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
    /// The tenant of the records.
    pub tenant_id: TenantId,
    /// Records per table: those that exist (preview) or those that were deleted now (delete).
    pub tables: BTreeMap<String, u64>,
    /// The sum over the tables.
    pub total: u64,
    /// Records of this tenant that earlier calls deleted.
    pub previously_deleted: u64,
}

/// The caller that asked for a deletion, for the ledger.
#[derive(Copy, Clone, Debug)]
pub struct AskedBy<'a> {
    /// The verified service name.
    pub service: &'a str,
    /// The id of its token.
    pub token_id: Option<&'a str>,
}

/// The reason why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite returned an error.
    #[error("database of `{service}`: {source}")]
    Sqlite {
        /// The service of the database.
        service: &'static str,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The catalogue and the database disagree, so a deletion could leave records behind.
    #[error(
        "database of `{service}`: tables with a `tenant_id` are {found:?}, the catalogue lists {listed:?}"
    )]
    UnlistedTable {
        /// The service of the database.
        service: &'static str,
        /// Tables of the database that contain a tenant's records.
        found: Vec<String>,
        /// Tables that a deletion covers.
        listed: Vec<String>,
    },
}

impl Store {
    /// Opens the database at `path`, and creates it with its schema (and `contents`) if it is new.
    ///
    /// It refuses a database with a tenant's table that the catalogue does not list: a deletion there would
    /// leave records behind. It never fills an existing database again, because a restart would restore a
    /// deleted tenant.
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

    /// The service of these records.
    pub fn service(&self) -> &'static Service {
        self.service
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts the records of one tenant.
    pub fn count(&self, tenant: TenantId) -> Result<Records, StoreError> {
        // One read transaction: all counts are from the same instant.
        self.transaction(TransactionBehavior::Deferred, |tx| {
            self.records(tx, tenant, |tx, table| {
                let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = ?1");
                tx.query_row(&sql, [tenant.to_string()], |row| row.get(0))
            })
        })
    }

    /// Deletes all records of one tenant, or none of them.
    ///
    /// A repeated call deletes nothing, and returns what was deleted before.
    pub fn delete(&self, tenant: TenantId, by: AskedBy<'_>) -> Result<Records, StoreError> {
        // Immediate: two deletions wait for each other here, instead of a deadlock halfway.
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

    /// Checks that the database is readable and has exactly the tables of the catalogue.
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
        // Readers continue while a deletion is written.
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
            // No CREATE: if the database was removed while the service runs, that is an error, not an empty
            // database.
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
    // Deleted data is overwritten in the file: a free page that still has the data does not meet a right to
    // erasure.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
