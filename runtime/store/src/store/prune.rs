//! Removes tokens from the registry that expired long ago.
//!
//! The last token of each service stays, so that `renew` and the metrics still know the service. How many tokens were
//! pruned is counted in the store, for the metrics.

use std::time::Duration;

use service_only::clock::Timestamp;

use super::{Pool, Store, StoreError};

/// Only tokens of a service that has another one, which expires later.
const PRUNE: &str = "
    DELETE FROM service_only_tokens WHERE issuer = $1 AND jti IN (
        SELECT t.jti FROM service_only_tokens t WHERE t.issuer = $1 AND t.expires_at < $2
        AND EXISTS (SELECT 1 FROM service_only_tokens n
            WHERE n.issuer = t.issuer AND n.service = t.service AND n.expires_at > t.expires_at)
        ORDER BY t.expires_at LIMIT $3)";

const PRUNABLE: &str = "
    SELECT COUNT(*) FROM service_only_tokens t WHERE t.issuer = $1 AND t.expires_at < $2
    AND EXISTS (SELECT 1 FROM service_only_tokens n
        WHERE n.issuer = t.issuer AND n.service = t.service AND n.expires_at > t.expires_at)";

/// A count of millions of tokens takes minutes.
const COUNT_TIMEOUT: Duration = Duration::from_secs(600);

const COUNT: &str = "
    INSERT INTO service_only_pruned (issuer, tokens, pruned_at) VALUES ($1, $2, $3)
    ON CONFLICT (issuer) DO UPDATE SET
    tokens = service_only_pruned.tokens + excluded.tokens, pruned_at = excluded.pruned_at";

/// The tokens that were pruned in the life of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneRecord {
    /// How many.
    pub tokens: u64,
    /// When the last of them was pruned.
    pub pruned_at: Timestamp,
}

impl Store {
    /// Deletes up to `most` tokens of each issuer that expired before that instant, the oldest first, and returns how
    /// many. The last token of each service stays.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn prune_tokens(
        &self,
        expired_before: Timestamp,
        most: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.add_pruned().await?;
        let mut all = 0_u64;
        for issuer in self.token_issuers().await? {
            let pruned = in_transaction!(self, tx => {
                let pruned = sqlx::query(PRUNE)
                    .bind(&issuer).bind(expired_before.unix()).bind(i64::from(most))
                    .execute(&mut *tx).await?.rows_affected();
                if pruned > 0 {
                    sqlx::query(COUNT)
                        .bind(&issuer).bind(i64::try_from(pruned).unwrap_or(i64::MAX)).bind(now.unix())
                        .execute(&mut *tx).await?;
                }
                pruned
            })?;
            all = all.saturating_add(pruned);
        }
        Ok(all)
    }

    /// How many tokens [`prune_tokens`](Self::prune_tokens) would delete, without a limit.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn prunable_tokens(&self, expired_before: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0_u64;
        for issuer in self.token_issuers().await? {
            let count: i64 = on_pool!(self, within COUNT_TIMEOUT, pool => sqlx::query_scalar(PRUNABLE)
                .bind(&issuer).bind(expired_before.unix()).fetch_one(pool).await?)?;
            all = all.saturating_add(u64::try_from(count).unwrap_or(0));
        }
        Ok(all)
    }

    /// Whether this program may delete tokens. The database role of a minter may not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn may_prune(&self) -> Result<bool, StoreError> {
        let Pool::Postgres(_) = self.pool else { return Ok(true) };
        const MAY: &str = "SELECT CAST(CASE WHEN has_table_privilege('service_only_tokens', 'DELETE')
            THEN 1 ELSE 0 END AS BIGINT)";
        let may: i64 = on_pool!(self, pool => sqlx::query_scalar(MAY).fetch_one(pool).await?)?;
        Ok(may == 1)
    }

    /// How many tokens of an issuer were pruned, and when last; `None` if none were.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn pruned(&self, issuer: &str) -> Result<Option<PruneRecord>, StoreError> {
        const PRUNED: &str = "SELECT tokens, pruned_at FROM service_only_pruned WHERE issuer = $1";
        if !self.has_pruned().await? {
            return Ok(None);
        }
        let row: Option<(i64, i64)> =
            on_pool!(self, pool => sqlx::query_as(PRUNED).bind(issuer).fetch_optional(pool).await?)?;
        Ok(row.map(|(tokens, pruned_at)| PruneRecord {
            tokens: u64::try_from(tokens).unwrap_or(0),
            pruned_at: Timestamp::from_unix(pruned_at),
        }))
    }
}
