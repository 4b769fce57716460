//! The registry: which tokens were minted, for which service, until when. It never contains a token itself.

use service_only::{Verifier, clock::Timestamp};

use super::{RevocationTarget, Store, StoreError};

/// The record of a minted token, without the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a member is a column, which each writer has to fill")]
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
    pub issued_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// The operator's note.
    pub note: Option<String>,
    /// Who minted it.
    pub minted_by: Option<String>,
    /// When it was recorded.
    pub minted_at: Timestamp,
}

/// A recorded token and its current revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedToken {
    /// The record of the token.
    pub token: TokenRecord,
    /// Which kind of revocation covers it: `token`, `service` or `key`.
    pub revoked: Option<String>,
    /// The numbers of all revocations that cover it.
    pub revocations: Vec<i64>,
}

/// The current state of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a program that lists tokens has to handle every state")]
pub enum TokenState {
    /// It is accepted wherever its service is accepted.
    Active,
    /// It has expired.
    Expired,
    /// It is revoked directly, with its service or with its key.
    Revoked,
}

impl TokenState {
    /// The name of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ListedToken {
    /// The state at `now`. The store deletes a revocation some time after the token's expiry.
    pub fn state(&self, now: Timestamp) -> TokenState {
        match self.revoked {
            Some(_) => TokenState::Revoked,
            None if self.token.expires_at <= now => TokenState::Expired,
            None => TokenState::Active,
        }
    }
}

/// Selects tokens of the registry. An empty filter selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "`..TokenFilter::default()` fills a new member")]
pub struct TokenFilter {
    /// Of this issuer.
    pub issuer: Option<String>,
    /// For this service.
    pub service: Option<String>,
    /// With this `jti`.
    pub jti: Option<String>,
    /// Signed by this key.
    pub kid: Option<String>,
    /// That expire by this instant.
    pub expires_by: Option<Timestamp>,
    /// That are still valid after this instant.
    pub expires_after: Option<Timestamp>,
    /// Whether a revocation covers them.
    pub revoked: Option<bool>,
}

/// A token, and the number of its revocation of each kind.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    issuer: String,
    jti: String,
    service: String,
    kid: String,
    issued_at: i64,
    expires_at: i64,
    note: Option<String>,
    minted_by: Option<String>,
    minted_at: i64,
    by_key: Option<i64>,
    by_token: Option<i64>,
    by_service: Option<i64>,
}

const INSERT: &str = "
    INSERT INTO service_only_tokens
    (issuer, jti, service, kid, issued_at, expires_at, note, minted_by, minted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The revocations that cover a token with that issuer, `jti`, service, age and key.
const COVERED: &str = "
    SELECT kind, name, until FROM service_only_revocations
    WHERE issuer = $1 AND ((kind = 'token' AND name = $2)
        OR (kind = 'service' AND name = $3 AND until >= $4)
        OR (kind = 'key' AND name = $5))
    ORDER BY kind LIMIT 1";

impl Store {
    /// Records newly minted tokens before they are handed out. Records all, or none if a revocation of a
    /// service or key already covers one of them. Hand the tokens out only after this call succeeds.
    ///
    /// # Errors
    /// As [`record_tokens`](Self::record_tokens), and [`StoreError::Revoked`].
    pub async fn record_minted(&self, tokens: &[TokenRecord]) -> Result<(), StoreError> {
        self.write_down(tokens, true).await
    }

    /// Records tokens, all or none of them, even if they have been revoked or have expired since they were
    /// minted.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] if the store has a token with that issuer and `jti`, and when it cannot write.
    pub async fn record_tokens(&self, tokens: &[TokenRecord]) -> Result<(), StoreError> {
        self.write_down(tokens, false).await
    }

    async fn write_down(&self, tokens: &[TokenRecord], are_new: bool) -> Result<(), StoreError> {
        in_transaction!(self, tx => {
            for token in tokens {
                sqlx::query(INSERT)
                    .bind(&token.issuer).bind(&token.jti).bind(&token.service).bind(&token.kid)
                    .bind(token.issued_at.unix()).bind(token.expires_at.unix())
                    .bind(&token.note).bind(&token.minted_by).bind(token.minted_at.unix())
                    .execute(&mut *tx).await?;
                if !are_new {
                    continue;
                }
                let covered: Option<(String, String, Option<i64>)> = sqlx::query_as(COVERED)
                    .bind(&token.issuer).bind(&token.jti).bind(&token.service)
                    .bind(token.issued_at.unix()).bind(&token.kid)
                    .fetch_optional(&mut *tx).await?;
                if let Some((kind, name, until)) = covered {
                    let target = RevocationTarget::from_columns(&kind, name, until);
                    Err(target.map_or_else(|| self.unknown_kind(&kind), StoreError::Revoked))?;
                }
            }
        })
    }

    /// Up to `most` valid tokens of a service whose `iat` is ahead of `now` by more than
    /// [`Verifier::MAX_ISSUED_AHEAD`], and that are not revoked one by one. A clock was wrong when they were minted. A
    /// revocation of the service covers each of them only until the time of its `iat`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens_issued_ahead(
        &self,
        issuer: &str,
        service: &str,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<RevocationTarget>, StoreError> {
        const AHEAD: &str = "
            SELECT t.jti, t.expires_at FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.service = $2 AND t.expires_at > $3 AND t.issued_at > $4
            AND NOT EXISTS (SELECT 1 FROM service_only_revocations r
                WHERE r.kind = 'token' AND r.issuer = t.issuer AND r.name = t.jti)
            ORDER BY t.expires_at DESC LIMIT $5";
        let tokens: Vec<(String, i64)> = on_pool!(self, pool => sqlx::query_as(AHEAD)
            .bind(issuer).bind(service).bind(now.unix()).bind(now.plus(Verifier::MAX_ISSUED_AHEAD).unix())
            .bind(i64::from(most)).fetch_all(pool).await?)?;
        let target =
            |(jti, expires_at)| RevocationTarget::Token { jti, expires_at: Timestamp::from_unix(expires_at) };
        Ok(tokens.into_iter().map(target).collect())
    }

    /// When the last token that a key signed expires; `None` if the registry has no token of this key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_expiry(&self, issuer: &str, kid: &str) -> Result<Option<Timestamp>, StoreError> {
        const LAST: &str = "SELECT MAX(expires_at) FROM service_only_tokens WHERE issuer = $1 AND kid = $2";
        let last: Option<i64> =
            on_pool!(self, pool => sqlx::query_scalar(LAST).bind(issuer).bind(kid).fetch_one(pool).await?)?;
        Ok(last.map(Timestamp::from_unix))
    }
}

impl Row {
    pub(crate) fn listed(self) -> ListedToken {
        let found = [("key", self.by_key), ("token", self.by_token), ("service", self.by_service)];
        let found = found.into_iter().filter_map(|(word, number)| number.map(|number| (word, number)));
        ListedToken {
            revoked: found.clone().next().map(|(word, _)| word.to_owned()),
            revocations: found.map(|(_, number)| number).collect(),
            token: TokenRecord {
                issuer: self.issuer,
                jti: self.jti,
                service: self.service,
                kid: self.kid,
                issued_at: Timestamp::from_unix(self.issued_at),
                expires_at: Timestamp::from_unix(self.expires_at),
                note: self.note,
                minted_by: self.minted_by,
                minted_at: Timestamp::from_unix(self.minted_at),
            },
        }
    }
}
