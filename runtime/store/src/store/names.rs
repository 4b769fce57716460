//! The names of issuers, services and keys in the registry.
//!
//! Each query jumps from one name to the next in an index. It reads as many entries as there are names, however many
//! tokens there are.

use std::collections::BTreeSet;

use super::{Store, StoreError};

const ISSUERS: &str = "
    WITH RECURSIVE found(name) AS (
        SELECT MIN(issuer) FROM service_only_tokens
        UNION ALL
        SELECT (SELECT MIN(t.issuer) FROM service_only_tokens t WHERE t.issuer > found.name)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL";

const SERVICES: &str = "
    WITH RECURSIVE found(name) AS (
        SELECT MIN(service) FROM service_only_tokens WHERE issuer = $1
        UNION ALL
        SELECT (SELECT MIN(t.service) FROM service_only_tokens t WHERE t.issuer = $1 AND t.service > found.name)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL";

const KIDS: &str = "
    WITH RECURSIVE found(name) AS (
        SELECT MIN(kid) FROM service_only_tokens WHERE issuer = $1
        UNION ALL
        SELECT (SELECT MIN(t.kid) FROM service_only_tokens t WHERE t.issuer = $1 AND t.kid > found.name)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL LIMIT $2";

impl Store {
    /// The issuers of all tokens and keys in the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn issuers(&self) -> Result<Vec<String>, StoreError> {
        const OF_KEYS: &str = "SELECT DISTINCT issuer FROM service_only_keys";
        let of_keys: Vec<String> =
            on_pool!(self, pool => sqlx::query_scalar(OF_KEYS).fetch_all(pool).await?)?;
        Ok(sorted(self.token_issuers().await?.into_iter().chain(of_keys)))
    }

    /// The services that have or had a token of one issuer, or of any issuer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn services(&self, issuer: Option<&str>) -> Result<Vec<String>, StoreError> {
        let mut all = Vec::new();
        for issuer in self.named_or_all(issuer).await? {
            let services: Vec<String> = on_pool!(self, pool =>
                sqlx::query_scalar(SERVICES).bind(&issuer).fetch_all(pool).await?)?;
            all.extend(services);
        }
        Ok(sorted(all))
    }

    /// Whether a service has or had a token of one issuer, or of any issuer.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_service(&self, issuer: Option<&str>, service: &str) -> Result<bool, StoreError> {
        const ONE: &str = "SELECT 1 FROM service_only_tokens WHERE issuer = $1 AND service = $2 LIMIT 1";
        for issuer in self.named_or_all(issuer).await? {
            let found = on_pool!(self, pool =>
                sqlx::query(ONE).bind(&issuer).bind(service).fetch_optional(pool).await?.is_some())?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names of an issuer's keys: those in the journal, and those that signed a token.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn key_names(&self, issuer: &str) -> Result<Vec<String>, StoreError> {
        const OF_JOURNAL: &str = "SELECT kid FROM service_only_keys WHERE issuer = $1";
        let of_journal: Vec<String> =
            on_pool!(self, pool => sqlx::query_scalar(OF_JOURNAL).bind(issuer).fetch_all(pool).await?)?;
        Ok(sorted(self.signing_kids(issuer, i64::MAX).await?.into_iter().chain(of_journal)))
    }

    /// Up to `most` keys that signed a token of the issuer.
    pub(crate) async fn signing_kids(&self, issuer: &str, most: i64) -> Result<Vec<String>, StoreError> {
        on_pool!(self, pool => sqlx::query_scalar(KIDS).bind(issuer).bind(most).fetch_all(pool).await?)
    }

    pub(crate) async fn token_issuers(&self) -> Result<Vec<String>, StoreError> {
        on_pool!(self, pool => sqlx::query_scalar(ISSUERS).fetch_all(pool).await?)
    }

    async fn named_or_all(&self, issuer: Option<&str>) -> Result<Vec<String>, StoreError> {
        match issuer {
            Some(issuer) => Ok(vec![issuer.to_owned()]),
            None => self.token_issuers().await,
        }
    }
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    BTreeSet::from_iter(names).into_iter().collect()
}
