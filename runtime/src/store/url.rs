//! The address of a store: which database, and how it is reached safely.

use std::{path::PathBuf, str::FromStr, time::Duration};

use sqlx::{
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::StoreError;

/// How long a write waits for another program's before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A parsed address.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Address {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // A store in memory would be gone with the command that wrote it.
            if path.is_empty() || path == ":memory:" || path.contains('\0') {
                return Err(StoreError::BadUrl("`sqlite:` needs the path of a file".to_owned()));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url);
        }
        let rule = "an address of a store is `sqlite:PATH` or `postgres://USER@HOST/DATABASE`";
        Err(StoreError::BadUrl(rule.to_owned()))
    }
}

fn postgres(url: &str) -> Result<Address, StoreError> {
    // The parser's words may quote the address, and so a password.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        let rule = "write `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`";
        StoreError::BadUrl(format!("the address of the PostgreSQL store cannot be read; {rule}"))
    })?;
    let options = options.application_name("service-only");
    let local = options.get_socket().is_some() || is_local(options.get_host());
    // To prefer TLS is to do without it whenever somebody on the way wishes so.
    let weak = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    let options = if weak && !local { options.ssl_mode(PgSslMode::VerifyFull) } else { options };
    Ok(Address::Postgres(Box::new(options)))
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// Where it is, without a password.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let host = options
                    .get_socket()
                    .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
                let database = options.get_database().unwrap_or_default();
                format!("postgres://{host}:{}/{database}", options.get_port())
            }
        }
    }
}

/// The rollback journal, not the log: readers need no write access to the directory, and none of its
/// files is left to others' modes.
pub(super) fn sqlite_options(path: &std::path::Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> String {
        match url.parse::<Address>().unwrap() {
            Address::Postgres(options) => format!("{:?}", options.get_ssl_mode()),
            Address::Sqlite(_) => panic!("`{url}` is SQLite's"),
        }
    }

    #[test]
    fn an_address_says_which_database() {
        for url in ["sqlite:a/b.db", "sqlite://a/b.db"] {
            assert_eq!(url.parse::<Address>().unwrap().place(), "sqlite:a/b.db");
        }
        let place = "postgres://me:secret@db:6543/tokens".parse::<Address>().unwrap().place();
        assert_eq!(place, "postgres://db:6543/tokens");
    }

    #[test]
    fn an_address_that_cannot_be_one_is_not_quoted() {
        for url in
            ["", "sqlite:", "sqlite::memory:", "mysql://a:hush@b/c", "postgres://a:hush@b:port/c", "hush"]
        {
            let error = url.parse::<Address>().unwrap_err();
            assert!(matches!(error, StoreError::BadUrl(_)), "{url}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_database_elsewhere_is_verified_unless_the_address_says_otherwise() {
        assert_eq!(ssl_mode("postgres://db/tokens"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=prefer"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=require"), "Require");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=disable"), "Disable");
        assert_eq!(ssl_mode("postgres://127.0.0.1/tokens"), "Prefer");
    }
}
