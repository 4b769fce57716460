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

    /// Each kind that there is.
    pub(crate) async fn all() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres().await).collect()
    }
}
