//! The registry: what was minted, for whom, until when; never a token itself.

use service_only::clock::{Clock as _, SystemClock};

use super::{RevocationTarget, Store, StoreError};

/// An `iat` that is further ahead of the clock proves no age, as for a verifier (`MAX_ISSUED_AHEAD`): the token counts
/// among the older ones of its service.
pub(crate) const AHEAD_SECONDS: i64 = 60;

/// A minted token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its `iss`.
    pub issuer: String,
    /// Its `jti`.
    pub jti: String,
    /// The service that it is for.
    pub service: String,
    /// The key that signed it.
    pub kid: String,
    /// Its `iat`.
    pub issued_at: i64,
    /// Its `exp`.
    pub expires_at: i64,
    /// What the operator wanted to remember.
    pub note: Option<String>,
    /// Who minted it.
    pub minted_by: Option<String>,
    /// When it was written down.
    pub minted_at: i64,
}

/// A token of the registry, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedToken {
    /// What was written down.
    pub token: TokenRecord,
    /// How it is revoked: `token`, `service` or `key`.
    pub revoked: Option<String>,
    /// The numbers of all revocations that it is revoked by.
    pub revocations: Vec<i64>,
}

/// What has become of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It is accepted where its service is.
    Active,
    /// Its time is over.
    Expired,
    /// It is revoked, by itself, with its service or with its key.
    Revoked,
}

impl TokenState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ListedToken {
    /// What has become of it by `now`. A revocation is forgotten some time after the token's end.
    pub fn state(&self, now: i64) -> TokenState {
        match self.revoked {
            Some(_) => TokenState::Revoked,
            None if self.token.expires_at <= now => TokenState::Expired,
            None => TokenState::Active,
        }
    }
}

/// Which tokens of the registry are wanted; all, unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// Of this issuer.
    pub issuer: Option<String>,
    /// For this service.
    pub service: Option<String>,
    /// Of this name.
    pub jti: Option<String>,
    /// Signed by this key.
    pub kid: Option<String>,
    /// That end by this second.
    pub expires_by: Option<i64>,
    /// That are still good after this second.
    pub expires_after: Option<i64>,
}

type Row = (
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

const SELECT: &str = "
    SELECT t.issuer, t.jti, t.service, t.kid, t.issued_at, t.expires_at, t.note, t.minted_by, t.minted_at,
    (SELECT r.sequence FROM service_only_revocations r
        WHERE r.kind = 'key' AND r.issuer = t.issuer AND r.name = t.kid),
    (SELECT r.sequence FROM service_only_revocations r
        WHERE r.kind = 'token' AND r.issuer = t.issuer AND r.name = t.jti),
    (SELECT r.sequence FROM service_only_revocations r
        WHERE r.kind = 'service' AND r.issuer = t.issuer AND r.name = t.service
        AND (r.until >= t.issued_at OR t.issued_at > $7))
    FROM service_only_tokens t
    WHERE (CAST($1 AS TEXT) IS NULL OR t.issuer = $1)
    AND (CAST($2 AS TEXT) IS NULL OR t.service = $2)
    AND (CAST($3 AS TEXT) IS NULL OR t.jti = $3)
    AND (CAST($4 AS BIGINT) IS NULL OR t.expires_at <= $4)
    AND (CAST($5 AS BIGINT) IS NULL OR t.expires_at > $5)
    AND (CAST($6 AS TEXT) IS NULL OR t.kid = $6)
    ORDER BY t.expires_at, t.issuer, t.jti";

const INSERT: &str = "
    INSERT INTO service_only_tokens
    (issuer, jti, service, kid, issued_at, expires_at, note, minted_by, minted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// What a token of that issuer, `jti`, service, age and key is revoked by.
const COVERED: &str = "
    SELECT kind, name, until FROM service_only_revocations
    WHERE issuer = $1 AND ((kind = 'token' AND name = $2)
        OR (kind = 'service' AND name = $3 AND until >= $4)
        OR (kind = 'key' AND name = $5))
    ORDER BY kind LIMIT 1";

impl Store {
    /// Writes tokens down that were minted just now and that nobody has yet: all, or none where one of them
    /// is revoked already, with its service or its key. Hand them out only then.
    ///
    /// # Errors
    /// As [`record_tokens`](Self::record_tokens), and [`StoreError::Revoked`].
    pub async fn record_minted(&self, tokens: &[TokenRecord]) -> Result<(), StoreError> {
        self.write_down(tokens, true).await
    }

    /// Writes tokens down, all or none of them, whatever has become of them since they were minted.
    ///
    /// # Errors
    /// When the store cannot, or has a token of that issuer and `jti` already.
    pub async fn record_tokens(&self, tokens: &[TokenRecord]) -> Result<(), StoreError> {
        self.write_down(tokens, false).await
    }

    async fn write_down(&self, tokens: &[TokenRecord], are_new: bool) -> Result<(), StoreError> {
        in_transaction!(self, tx => {
            for token in tokens {
                sqlx::query(INSERT)
                    .bind(&token.issuer).bind(&token.jti).bind(&token.service).bind(&token.kid)
                    .bind(token.issued_at).bind(token.expires_at)
                    .bind(&token.note).bind(&token.minted_by).bind(token.minted_at)
                    .execute(&mut *tx).await?;
                if !are_new {
                    continue;
                }
                let covered: Option<(String, String, Option<i64>)> = sqlx::query_as(COVERED)
                    .bind(&token.issuer).bind(&token.jti).bind(&token.service)
                    .bind(token.issued_at).bind(&token.kid)
                    .fetch_optional(&mut *tx).await?;
                if let Some((kind, name, until)) = covered {
                    let target = RevocationTarget::from_columns(&kind, name, until);
                    Err(target.map_or_else(|| self.unknown_kind(&kind), StoreError::Revoked))?;
                }
            }
        })
    }

    /// The tokens of the registry, those that end first first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens(&self, filter: &TokenFilter) -> Result<Vec<ListedToken>, StoreError> {
        let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(SELECT)
            .bind(&filter.issuer).bind(&filter.service).bind(&filter.jti)
            .bind(filter.expires_by).bind(filter.expires_after).bind(&filter.kid)
            .bind(SystemClock.now().unix().saturating_add(AHEAD_SECONDS))
            .fetch_all(pool).await?)?;
        Ok(rows.into_iter().map(ListedToken::from).collect())
    }

    /// The issuers of which the store knows a token or a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn issuers(&self) -> Result<Vec<String>, StoreError> {
        const ALL: &str = "SELECT issuer FROM service_only_tokens
            UNION SELECT issuer FROM service_only_keys ORDER BY 1";
        on_pool!(self, pool => sqlx::query_scalar(ALL).fetch_all(pool).await?)
    }

    /// The services that have or had a token of an issuer, or of any.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn services(&self, issuer: Option<&str>) -> Result<Vec<String>, StoreError> {
        const ALL: &str = "SELECT DISTINCT service FROM service_only_tokens
            WHERE CAST($1 AS TEXT) IS NULL OR issuer = $1 ORDER BY 1";
        on_pool!(self, pool => sqlx::query_scalar(ALL).bind(issuer).fetch_all(pool).await?)
    }

    /// The names of an issuer's keys: those of the journal, and those that signed a token.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn key_names(&self, issuer: &str) -> Result<Vec<String>, StoreError> {
        const ALL: &str = "SELECT kid FROM service_only_tokens WHERE issuer = $1
            UNION SELECT kid FROM service_only_keys WHERE issuer = $1 ORDER BY 1";
        on_pool!(self, pool => sqlx::query_scalar(ALL).bind(issuer).fetch_all(pool).await?)
    }

    /// When the last token that a key signed ends; `None` when it signed none that is known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_expiry(&self, issuer: &str, kid: &str) -> Result<Option<i64>, StoreError> {
        const LAST: &str = "SELECT MAX(expires_at) FROM service_only_tokens WHERE issuer = $1 AND kid = $2";
        on_pool!(self, pool => sqlx::query_scalar(LAST).bind(issuer).bind(kid).fetch_one(pool).await?)
    }
}

impl From<Row> for ListedToken {
    fn from(row: Row) -> Self {
        let (
            issuer,
            jti,
            service,
            kid,
            issued_at,
            expires_at,
            note,
            minted_by,
            minted_at,
            by_key,
            by_token,
            by_service,
        ) = row;
        let token =
            TokenRecord { issuer, jti, service, kid, issued_at, expires_at, note, minted_by, minted_at };
        let found = [("key", by_key), ("token", by_token), ("service", by_service)];
        let found = found.into_iter().filter_map(|(word, number)| number.map(|number| (word, number)));
        Self {
            token,
            revoked: found.clone().next().map(|(word, _)| word.to_owned()),
            revocations: found.map(|(_, number)| number).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_and_verifiers_agree_on_which_time_of_issue_proves_no_age() {
        assert_eq!(AHEAD_SECONDS.unsigned_abs(), service_only::verifier::MAX_ISSUED_AHEAD.as_secs());
    }
}
