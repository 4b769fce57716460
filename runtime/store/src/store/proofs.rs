//! Proofs of DPoP that a fleet has accepted, each for as long as a verifier could accept it.
//!
//! A row is a hash of the key and the `jti` of a proof. The row without an id is a mark: proofs that ended up to then may
//! have been removed, so none of them is accepted again, whatever the clock of a replica shows.

use super::{Store, StoreError};

/// How many proofs one statement removes. It must not hold locks for long.
const BATCH: u64 = 10_000;

/// The most statements of one pass.
const MOST_BATCHES: u32 = 100;

/// One statement, so of two calls with one id, one adds the row. The database's unique index decides.
const SPEND: &str = "INSERT INTO service_only_proofs (id, until)
    SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT)
    WHERE NOT EXISTS (SELECT 1 FROM service_only_proofs WHERE id = '' AND until >= CAST($2 AS BIGINT))
    ON CONFLICT (id) DO NOTHING";

/// It locks the row, so replicas remove one after another.
const MARK: &str = "INSERT INTO service_only_proofs (id, until) VALUES ('', $1)
    ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE service_only_proofs.until < excluded.until";

const REMOVE: &str = "DELETE FROM service_only_proofs WHERE id IN (
    SELECT id FROM service_only_proofs WHERE until <= $1 AND id <> '' ORDER BY until LIMIT $2)";

const ANY_ENDED: &str = "SELECT COUNT(*) FROM (
    SELECT 1 FROM service_only_proofs WHERE until <= $1 AND id <> '' LIMIT 1) AS ended";

const COUNT: &str =
    "SELECT COUNT(*) FROM (SELECT 1 FROM service_only_proofs WHERE id <> '' LIMIT $1) AS held";

impl Store {
    /// Adds a proof, and returns whether it was absent.
    pub(crate) async fn spend_proof(&self, id: &str, until: i64) -> Result<bool, StoreError> {
        let added = on_pool!(self, pool =>
            sqlx::query(SPEND).bind(id).bind(until).execute(pool).await?.rows_affected())?;
        Ok(added == 1)
    }

    /// Removes the proofs that ended at this second or before.
    pub(crate) async fn remove_proofs(&self, ended: i64) -> Result<(), StoreError> {
        let any: i64 =
            on_pool!(self, pool => sqlx::query_scalar(ANY_ENDED).bind(ended).fetch_one(pool).await?)?;
        if any == 0 {
            return Ok(());
        }
        for _ in 0..MOST_BATCHES {
            let removed = in_transaction!(self, tx => {
                sqlx::query(MARK).bind(ended).execute(&mut *tx).await?;
                sqlx::query(REMOVE).bind(ended).bind(BATCH as i64).execute(&mut *tx).await?.rows_affected()
            })?;
            if removed < BATCH {
                break;
            }
        }
        Ok(())
    }

    /// How many proofs are stored, counted up to a limit.
    pub(crate) async fn count_proofs(&self, limit: i64) -> Result<u64, StoreError> {
        let count: i64 =
            on_pool!(self, pool => sqlx::query_scalar(COUNT).bind(limit).fetch_one(pool).await?)?;
        Ok(count.unsigned_abs())
    }
}
