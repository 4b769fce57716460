//! Checks a store: its file, its tables, and that their content fits together.

use std::time::Duration;

use super::{Pool, Store, StoreError};

/// The timeout. SQLite reads the whole file.
const TIMEOUT: Duration = Duration::from_secs(1_800);

/// What each query counts must not be there.
const CONTRADICTIONS: [(&str, &str); 5] = [
    (
        "revocations have a number beyond the last one, so verifiers would miss later revocations",
        "SELECT COUNT(*) FROM service_only_revocations WHERE sequence > (SELECT MAX(value) FROM service_only_sequence)",
    ),
    (
        "revocations lack the time that they reach up to, or have one that they must not have",
        "SELECT COUNT(*) FROM service_only_revocations WHERE (kind = 'key') <> (until IS NULL)",
    ),
    (
        "revocations are of a kind that this program does not know",
        "SELECT COUNT(*) FROM service_only_revocations WHERE kind NOT IN ('token', 'service', 'key')",
    ),
    (
        "active keys are revoked: `service-token rotate --emergency` replaces them",
        "SELECT COUNT(*) FROM service_only_keys k WHERE k.state = 'active' AND EXISTS (
            SELECT 1 FROM service_only_revocations r
            WHERE r.kind = 'key' AND r.issuer = k.issuer AND r.name = k.kid)",
    ),
    (
        "issuers have a key that is retiring or prepared, and none that is active",
        "SELECT COUNT(DISTINCT k.issuer) FROM service_only_keys k WHERE k.state IN ('prepared', 'retiring')
            AND NOT EXISTS (SELECT 1 FROM service_only_keys a WHERE a.issuer = k.issuer AND a.state = 'active')",
    ),
];

impl Store {
    /// Checks the store, and returns what is wrong with it, one sentence each. SQLite reads and checks the whole
    /// file. PostgreSQL checks its files itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut found = self.damage().await?;
        for (problem, query) in CONTRADICTIONS {
            let count: i64 = on_pool!(self, within TIMEOUT, pool =>
                sqlx::query_scalar(query).fetch_one(pool).await?)?;
            if count > 0 {
                found.push(format!("{count} {problem}"));
            }
        }
        let heads: i64 = on_pool!(self, pool =>
            sqlx::query_scalar("SELECT COUNT(*) FROM service_only_sequence").fetch_one(pool).await?)?;
        if heads != 1 {
            found.push(format!("the row with the number of the last revocation is there {heads} times"));
        }
        let mut missing = self.missing_indexes().await?;
        if !self.has_past_revocations().await? {
            missing.push("service_only_past_revocations".to_owned());
        }
        if !self.has_pruned().await? {
            missing.push("service_only_pruned".to_owned());
        }
        if !self.has_checkpoints().await? {
            missing.push("service_only_checkpoints".to_owned());
        }
        if !self.has_proofs().await? {
            missing.push("service_only_proofs".to_owned());
        }
        if !missing.is_empty() {
            let missing = missing.join("`, `");
            found.push(format!(
                "an older program made it without `{missing}`: `service-token store init` adds them"
            ));
        }
        Ok(found)
    }

    async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let Pool::Sqlite(_) = self.pool else { return Ok(Vec::new()) };
        // As many lines as an operator reads.
        let lines: Vec<String> = on_pool!(self, within TIMEOUT, pool =>
            sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(pool).await?)?;
        let damage = lines.into_iter().filter(|line| line != "ok");
        Ok(damage.map(|line| format!("the file is damaged: {line}; restore a backup")).collect())
    }
}
