//! Counts the tokens that a revocation covers, before or after it is made.

use service_only::{Verifier, clock::Timestamp};

use super::{
    RevocationTarget, Store, StoreError,
    pages::push_unrevoked,
    statement::{Statement, with_arguments},
};

/// The number of tokens of a target, up to [`Coverage::MOST`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// The tokens of the registry that the target covers.
    pub tokens: u64,
    /// Those of them that are valid now.
    pub valid: u64,
    /// Those of them that a revocation of the store covers now.
    pub revoked: u64,
    /// The valid tokens of the same service that were issued later, and that the target does not cover.
    pub valid_later: u64,
    /// Whether all tokens were counted. If not, each number is at least as large as it says.
    pub complete: bool,
}

impl Coverage {
    /// The largest number of tokens that are counted: 10,000. A key can have signed millions, and a revocation does
    /// not wait for their count.
    pub const MOST: u64 = 10_000;
}

#[derive(sqlx::FromRow)]
struct Row {
    counted: i64,
    tokens: i64,
    valid: i64,
    revoked: i64,
    later: i64,
}

impl Store {
    /// Counts the tokens of an issuer that a revocation of this target covers, at `now`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn coverage(
        &self,
        issuer: &str,
        target: &RevocationTarget,
        now: Timestamp,
    ) -> Result<Coverage, StoreError> {
        let statement = counting(issuer, target, now);
        let row: Row = on_pool!(self, pool =>
            with_arguments!(sqlx::query_as(statement.sql()), statement).fetch_one(pool).await?)?;
        let number = |count: i64| u64::try_from(count).unwrap_or(0).min(Coverage::MOST);
        Ok(Coverage {
            tokens: number(row.tokens),
            valid: number(row.valid),
            revoked: number(row.revoked),
            valid_later: number(row.later),
            complete: row.counted <= i64::try_from(Coverage::MOST).unwrap_or(i64::MAX),
        })
    }
}

fn counting(issuer: &str, target: &RevocationTarget, now: Timestamp) -> Statement {
    let ahead = now.plus(Verifier::MAX_ISSUED_AHEAD).unix();
    let mut statement = Statement::new(
        "SELECT COUNT(*) AS counted, COALESCE(SUM(covered), 0) AS tokens,
        COALESCE(SUM(covered * lives * free), 0) AS valid, COALESCE(SUM(covered * (1 - free)), 0) AS revoked,
        COALESCE(SUM((1 - covered) * lives * free), 0) AS later
        FROM (SELECT CASE WHEN t.expires_at > ",
    );
    statement.bind(now.unix()).push(" THEN 1 ELSE 0 END AS lives, CASE WHEN ");
    push_unrevoked(&mut statement, ahead);
    statement.push(" THEN 1 ELSE 0 END AS free, ");
    match target {
        RevocationTarget::Service { issued_by, .. } => {
            statement.push("CASE WHEN t.issued_at <= ").bind(issued_by.unix());
            statement.push(" OR t.issued_at > ").bind(ahead).push(" THEN 1 ELSE 0 END AS covered");
        }
        _ => {
            statement.push("1 AS covered");
        }
    }
    statement.push(" FROM service_only_tokens t WHERE t.issuer = ").bind(issuer);
    let (column, name) = match target {
        RevocationTarget::Token { jti, .. } => (" AND t.jti = ", jti),
        RevocationTarget::Service { service, .. } => (" AND t.service = ", service),
        RevocationTarget::Key { kid } => (" AND t.kid = ", kid),
    };
    statement.push(column).bind(name);
    // The tokens that expire last are those that are valid.
    statement.push(" ORDER BY t.expires_at DESC LIMIT ");
    statement.bind(i64::try_from(Coverage::MOST).unwrap_or(i64::MAX).saturating_add(1));
    statement.push(") AS counted_tokens");
    statement
}
