//! Reads everything that a rotation needs.

use service_only::clock::Timestamp;

use super::{Journal, KeyHolder, Store, StoreError};

/// The services that have tokens of a key, for each key of an issuer that is not revoked. It jumps from one pair of
/// names to the next in an index. Revoked tokens do not delay a key's retirement: verifiers refuse them already.
const HOLDERS: &str = "
    WITH RECURSIVE signer(kid) AS (
        SELECT MIN(kid) FROM service_only_tokens WHERE issuer = $1
        UNION ALL
        SELECT (SELECT MIN(t.kid) FROM service_only_tokens t WHERE t.issuer = $1 AND t.kid > signer.kid)
        FROM signer WHERE signer.kid IS NOT NULL),
    live(kid) AS (
        SELECT kid FROM signer WHERE kid IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM service_only_revocations r
            WHERE r.kind = 'key' AND r.issuer = $1 AND r.name = signer.kid)),
    holder(kid, service) AS (
        SELECT kid, (SELECT MIN(t.service) FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.kid = live.kid) FROM live
        UNION ALL
        SELECT holder.kid, (SELECT MIN(t.service) FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.kid = holder.kid AND t.service > holder.service)
        FROM holder WHERE holder.service IS NOT NULL),
    held(kid, service, last_expiry) AS (
        SELECT kid, service, (SELECT t.expires_at FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.kid = holder.kid AND t.service = holder.service
            AND NOT EXISTS (SELECT 1 FROM service_only_revocations r
                WHERE r.kind = 'token' AND r.issuer = $1 AND r.name = t.jti)
            AND NOT EXISTS (SELECT 1 FROM service_only_revocations r
                WHERE r.kind = 'service' AND r.issuer = $1 AND r.name = t.service AND r.until >= t.issued_at)
            ORDER BY t.expires_at DESC LIMIT 1)
        FROM holder WHERE service IS NOT NULL)
    SELECT kid, service, last_expiry FROM held WHERE last_expiry IS NOT NULL ORDER BY kid, service";

/// The services that have or had tokens of one key, also revoked ones.
const OF_KEY: &str = "
    WITH RECURSIVE holder(service) AS (
        SELECT MIN(service) FROM service_only_tokens WHERE issuer = $1 AND kid = $2
        UNION ALL
        SELECT (SELECT MIN(t.service) FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.kid = $2 AND t.service > holder.service)
        FROM holder WHERE holder.service IS NOT NULL)
    SELECT service, (SELECT MAX(t.expires_at) FROM service_only_tokens t
        WHERE t.issuer = $1 AND t.kid = $2 AND t.service = holder.service)
    FROM holder WHERE service IS NOT NULL ORDER BY service";

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
            revoked: self.revoked_keys(issuer).await?,
        })
    }

    /// The names of an issuer's revoked keys, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn revoked_keys(&self, issuer: &str) -> Result<Vec<String>, StoreError> {
        on_pool!(self, pool => sqlx::query_scalar(REVOKED).bind(issuer).fetch_all(pool).await?)
    }

    /// The services that have or had tokens of a key, and when the last of these tokens expires. Revoked tokens count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn holders_of(&self, issuer: &str, kid: &str) -> Result<Vec<KeyHolder>, StoreError> {
        let rows: Vec<(String, i64)> =
            on_pool!(self, pool => sqlx::query_as(OF_KEY).bind(issuer).bind(kid).fetch_all(pool).await?)?;
        let held = |(service, second)| KeyHolder {
            kid: kid.to_owned(),
            service,
            last_expiry: Timestamp::from_unix(second),
        };
        Ok(rows.into_iter().map(held).collect())
    }

    async fn holders(&self, issuer: &str) -> Result<Vec<KeyHolder>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            on_pool!(self, pool => sqlx::query_as(HOLDERS).bind(issuer).fetch_all(pool).await?)?;
        let held =
            |(kid, service, second)| KeyHolder { kid, service, last_expiry: Timestamp::from_unix(second) };
        Ok(rows.into_iter().map(held).collect())
    }
}
