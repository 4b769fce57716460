//! The names of issuers, services and keys in the registry.
//!
//! Each query jumps from one name to the next in an index. It reads as many entries as there are names, however many
//! tokens there are.

use std::collections::BTreeSet;

use super::{
    Store, StoreError,
    statement::{Statement, with_arguments},
};

const ISSUERS: &str = "
    WITH RECURSIVE found(name) AS (
        SELECT MIN(issuer) FROM service_only_tokens
        UNION ALL
        SELECT (SELECT MIN(t.issuer) FROM service_only_tokens t WHERE t.issuer > found.name)
        FROM found WHERE found.name IS NOT NULL)
    SELECT name FROM found WHERE name IS NOT NULL";

/// Appends the recursive table `found(name)`: the different values of a column among the tokens of an issuer, and one
/// `NULL` at the end.
pub(crate) fn push_found(statement: &mut Statement, column: &str, issuer: &str) {
    statement.push(&format!("found(name) AS (SELECT MIN({column}) FROM service_only_tokens WHERE issuer = "));
    statement.bind(issuer).push(&format!(
        " UNION ALL SELECT (SELECT MIN(t.{column}) FROM service_only_tokens t WHERE t.{column} > found.name AND t.issuer = "
    ));
    statement.bind(issuer).push(") FROM found WHERE found.name IS NOT NULL)");
}

/// Selects up to `most` different values of a column among the tokens of an issuer.
fn names(column: &str, issuer: &str, most: i64) -> Statement {
    let mut statement = Statement::new("WITH RECURSIVE ");
    push_found(&mut statement, column, issuer);
    statement.push(" SELECT name FROM found WHERE name IS NOT NULL LIMIT ").bind(most);
    statement
}

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
            all.extend(self.token_names("service", &issuer, i64::MAX).await?);
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
        self.token_names("kid", issuer, most).await
    }

    async fn token_names(&self, column: &str, issuer: &str, most: i64) -> Result<Vec<String>, StoreError> {
        let statement = names(column, issuer, most);
        on_pool!(self, pool =>
            with_arguments!(sqlx::query_scalar(statement.sql()), statement).fetch_all(pool).await?)
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
