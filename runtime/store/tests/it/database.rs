//! A database of each kind for one test: a file of its own, and a schema of its own in the PostgreSQL
//! that `DATABASE_URL` names.

use tempfile::TempDir;

pub(crate) struct Database {
    pub(crate) url: String,
    /// Deleted with the test.
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
        Self { url, _folder: Some(folder) }
    }

    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("DATABASE_URL") else {
            eprintln!("skipped for PostgreSQL: DATABASE_URL names none");
            return None;
        };
        let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
        let pool = sqlx::PgPool::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
        sqlx::query(create).execute(&pool).await.unwrap();
        pool.close().await;
        let joint = if server.contains('?') { '&' } else { '?' };
        Some(Self { url: format!("{server}{joint}options[search_path]={schema}"), _folder: None })
    }

    /// Locks the file of a SQLite store against everybody, until it is dropped.
    pub(crate) async fn lock(&self) -> sqlx::SqlitePool {
        let path = self.url.strip_prefix("sqlite:").unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let one = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = one.connect_with(options).await.unwrap();
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&pool).await.unwrap();
        pool
    }

    /// What the store itself would never do.
    pub(crate) async fn execute(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        } else {
            let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        }
    }

    /// Writes that many valid tokens of one key and a thousand services into the registry.
    pub(crate) async fn fill(&self, count: u64, now: service_only::clock::Timestamp) {
        let numbers = if self.url.starts_with("sqlite:") {
            format!(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
            )
        } else {
            format!("WITH numbers(n) AS (SELECT generate_series(1, {count}))")
        };
        let now = now.unix();
        let insert = format!(
            "INSERT INTO service_only_tokens
            (issuer, jti, service, kid, issued_at, expires_at, minted_at)
            {numbers} SELECT 'bakery-auth', 'j' || n, 's' || (n % 1000), 'k0', {now}, {now} + 60 + n, {now}
            FROM numbers"
        );
        self.execute(&insert).await;
    }

    /// Each kind that there is.
    pub(crate) async fn all() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres().await).collect()
    }
}
