//! What can be wrong with a store, in words for the operator.
//!
//! The databases' own errors are sorted here, so that a full disk reads the same whoever met it. The
//! place is the address without its password.

use std::time::Duration;

use super::RevocationTarget;
use crate::clock::Timestamp;

/// A store that cannot do what it was asked. Whatever it was, it is done whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An address that names no store. It is not quoted: it may hold a password.
    #[error("{0}")]
    BadUrl(String),
    /// There is no such file.
    #[error("there is no store at `{place}`")]
    Missing {
        /// Where.
        place: String,
    },
    /// The database does not answer, or does not let this program in.
    #[error("the store `{place}` cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        place: String,
        /// In the words of whoever said no.
        reason: String,
    },
    /// Something else is there: a directory, another program's database.
    #[error("`{place}` is not a store of service tokens: {reason}")]
    NotAStore {
        /// Where.
        place: String,
        /// What it is.
        reason: String,
    },
    /// A newer program has made the tables. Nothing was touched.
    #[error(
        "the store `{place}` was made by a newer program: its schema is {found}, this program knows {known}"
    )]
    Newer {
        /// Where.
        place: String,
        /// The schema's version there.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// Somebody else holds it locked for longer than this program waits.
    #[error("the store `{place}` is locked by somebody else")]
    Locked {
        /// Where.
        place: String,
    },
    /// There is no room left.
    #[error("the disk of the store `{place}` is full")]
    Full {
        /// Where.
        place: String,
    },
    /// It does not answer in time. A change that was on its way may have been made or not, never half.
    #[error("the store `{place}` did not answer within {} s", .after.as_secs())]
    Timeout {
        /// Where.
        place: String,
        /// How long was waited.
        after: Duration,
    },
    /// A token that would be revoked before anybody has it. Nothing was written.
    #[error("{}", .0.reach())]
    Revoked(RevocationTarget),
    /// What is there is not what the change expects: somebody else was first.
    #[error("{0}")]
    Conflict(String),
    /// Anything else.
    #[error("the store `{place}` refused: {reason}")]
    Refused {
        /// Where.
        place: String,
        /// In the database's words.
        reason: String,
    },
}

impl RevocationTarget {
    fn reach(&self) -> String {
        match self {
            Self::Token { jti, .. } => format!("the token `{jti}` is revoked"),
            Self::Service { service, issued_by } => {
                let instant = Timestamp::from_unix(*issued_by);
                format!("the tokens of `{service}` that are issued up to {instant} are revoked")
            }
            Self::Key { kid } => format!("the key `{kid}` is revoked, and with it all that it signs"),
        }
    }
}

/// An error on its way out of a piece of work, before its place is known.
pub(super) enum Fault {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(super) fn at(self, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => sorted(&error, place.to_owned()),
        }
    }
}

fn sorted(error: &sqlx::Error, place: String) -> StoreError {
    match error {
        sqlx::Error::Database(said) if said.is_unique_violation() => {
            StoreError::Conflict(format!("the store `{place}` has it already: {}", said.message()))
        }
        sqlx::Error::Database(said) => {
            let reason = said.message().to_owned();
            let code = said.code().unwrap_or_default();
            match code.parse::<i32>() {
                Ok(code) if code_is_of_sqlite(said.as_ref()) => of_sqlite(code & 0xff, place, reason),
                _ => of_postgres(&code, place, reason),
            }
        }
        sqlx::Error::PoolTimedOut => {
            StoreError::Unreachable { place, reason: "no connection came about in time".to_owned() }
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) => {
            StoreError::Unreachable { place, reason: error.to_string() }
        }
        _ => StoreError::Refused { place, reason: error.to_string() },
    }
}

fn code_is_of_sqlite(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
}

/// By primary result code: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(code: i32, place: String, reason: String) -> StoreError {
    match code {
        5 | 6 => StoreError::Locked { place },
        13 => StoreError::Full { place },
        8 | 10 | 14 | 23 => StoreError::Unreachable { place, reason },
        11 | 26 => StoreError::NotAStore { place, reason },
        _ => StoreError::Refused { place, reason },
    }
}

/// By SQLSTATE: appendix A of PostgreSQL's manual.
fn of_postgres(code: &str, place: String, reason: String) -> StoreError {
    match code {
        "53100" => StoreError::Full { place },
        "55P03" | "40P01" | "40001" => StoreError::Locked { place },
        _ if ["08", "28", "3D", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Unreachable { place, reason }
        }
        _ => StoreError::Refused { place, reason },
    }
}
