//! The clock of the database, which an operator's clock is compared with.

use service_only::clock::Timestamp;

use super::{Pool, Store, StoreError};

impl Store {
    /// The time of PostgreSQL's clock, in whole seconds. `None` for SQLite, which has no clock but that of this machine.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn database_time(&self) -> Result<Option<Timestamp>, StoreError> {
        // Not `now()`, which is when the transaction began.
        const NOW: &str = "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp())) AS BIGINT)";
        let Pool::Postgres(_) = self.pool else { return Ok(None) };
        let seconds: i64 = on_pool!(self, pool => sqlx::query_scalar(NOW).fetch_one(pool).await?)?;
        Ok(Some(Timestamp::from_unix(seconds)))
    }
}
