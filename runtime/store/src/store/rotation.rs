//! Reads everything that a rotation needs.

use service_only::clock::Timestamp;

use super::{Journal, KeyHolder, Store, StoreError};

/// Revoked tokens do not delay a key's retirement: verifiers refuse them already.
const HOLDERS: &str = "
    SELECT t.kid, t.service, MAX(t.expires_at) FROM service_only_tokens t
    WHERE t.issuer = $1
    AND NOT EXISTS (SELECT 1 FROM service_only_revocations r WHERE r.issuer = t.issuer AND (
        (r.kind = 'token' AND r.name = t.jti) OR (r.kind = 'key' AND r.name = t.kid)
        OR (r.kind = 'service' AND r.name = t.service AND r.until >= t.issued_at)))
    GROUP BY t.kid, t.service ORDER BY t.kid, t.service";

const REVOKED: &str =
    "SELECT name FROM service_only_revocations WHERE kind = 'key' AND issuer = $1 ORDER BY name";

impl Store {
    /// All records of an issuer's keys.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn journal(&self, issuer: &str) -> Result<Journal, StoreError> {
        // These reads are not one transaction. If the data changes in between, the next step detects it and
        // fails.
        Ok(Journal {
            keys: self.keys(issuer).await?,
            holders: self.holders(issuer).await?,
            uses: self.key_use(issuer).await?,
            verifiers: self.verifiers(issuer).await?,
            revoked: on_pool!(self, pool => sqlx::query_scalar(REVOKED).bind(issuer).fetch_all(pool).await?)?,
        })
    }

    async fn holders(&self, issuer: &str) -> Result<Vec<KeyHolder>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            on_pool!(self, pool => sqlx::query_as(HOLDERS).bind(issuer).fetch_all(pool).await?)?;
        let held =
            |(kid, service, second)| KeyHolder { kid, service, last_expiry: Timestamp::from_unix(second) };
        Ok(rows.into_iter().map(held).collect())
    }
}
