//! The errors of a store, worded for the operator.
//!
//! This module maps the errors of SQLite and PostgreSQL to one enum, so that a full disk has the same message
//! for both databases. A `place` is the address without its password.

use std::time::Duration;

use service_only::clock::Timestamp;

use super::RevocationTarget;

/// The error of a store that cannot do what the program asked. Each operation is done completely or not at
/// all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address does not name a store. The message does not quote it, because it may contain a password.
    #[error("{0}")]
    BadUrl(String),
    /// The file does not exist.
    #[error("there is no store at `{place}`")]
    Missing {
        /// The store.
        place: String,
    },
    /// The database does not answer, or rejects the connection of this program.
    #[error("the store `{place}` cannot be reached: {reason}")]
    Unreachable {
        /// The store.
        place: String,
        /// The reason, in the words of the database or of the operating system.
        reason: String,
    },
    /// Something else is at this place: a directory, or the database of another program.
    #[error("`{place}` is not a store of service tokens: {reason}")]
    NotAStore {
        /// The store.
        place: String,
        /// What was found there.
        reason: String,
    },
    /// A newer program created the tables. This program changed nothing.
    #[error(
        "the store `{place}` was made by a newer program: its schema is {found}, this program knows {known}; use the newer program"
    )]
    Newer {
        /// The store.
        place: String,
        /// The version of the schema that was found.
        found: i64,
        /// The latest version that this program supports.
        known: i64,
    },
    /// Another program holds a lock for longer than this program waits.
    #[error("the store `{place}` is locked by somebody else; try again when that program is done")]
    Locked {
        /// The store.
        place: String,
    },
    /// The disk is full.
    #[error("the disk of the store `{place}` is full")]
    Full {
        /// The store.
        place: String,
    },
    /// The store does not answer in time. A pending change was made completely or not at all.
    #[error("the store `{place}` did not answer within {} s", .after.as_secs())]
    Timeout {
        /// The store.
        place: String,
        /// How long this program waited.
        after: Duration,
    },
    /// A revocation already covers a new token, before it is handed out. Nothing was written.
    #[error("{}", .0.reach())]
    Revoked(RevocationTarget),
    /// No revocation has this number: it was never made, or it was purged after its token had expired.
    #[error("the store `{place}` has no revocation {number}")]
    NoRevocation {
        /// The store.
        place: String,
        /// The requested number.
        number: i64,
    },
    /// The revocation was undone earlier. Nothing was changed.
    #[error(
        "revocation {number} was undone already, at {}{}",
        .at,
        .by.as_ref().map(|by| format!(" by `{by}`")).unwrap_or_default()
    )]
    UndoneAlready {
        /// The number of the revocation.
        number: i64,
        /// When it was undone.
        at: Timestamp,
        /// The operator who undid it.
        by: Option<String>,
    },
    /// The store does not contain what the change expects: another program changed it first.
    #[error("{0}")]
    Conflict(String),
    /// Any other error.
    #[error("the store `{place}` refused: {reason}")]
    Refused {
        /// The store.
        place: String,
        /// The reason, in the words of the database.
        reason: String,
    },
}

impl RevocationTarget {
    fn reach(&self) -> String {
        match self {
            Self::Token { jti, .. } => format!("the token `{jti}` is revoked"),
            Self::Service { service, issued_by } => {
                format!("the tokens of `{service}` that are issued up to {issued_by} are revoked")
            }
            Self::Key { kid } => format!("the key `{kid}` is revoked, and with it all that it signs"),
        }
    }
}

/// An error inside an operation, before the place of the store is added.
pub(crate) enum Fault {
    Sql(sqlx::Error),
    Store(StoreError),
    Timeout(Duration),
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
    /// `user` is the database user of this program, if the database has users.
    pub(crate) fn at(self, place: &str, user: Option<&str>) -> StoreError {
        let place = place.to_owned();
        match self {
            Self::Store(error) => error,
            Self::Timeout(after) => StoreError::Timeout { place, after },
            Self::Sql(error) => sorted(&error, place, user.unwrap_or("USER")),
        }
    }
}

fn sorted(error: &sqlx::Error, place: String, user: &str) -> StoreError {
    match error {
        sqlx::Error::Database(said) if said.is_unique_violation() => {
            StoreError::Conflict(format!("the store `{place}` has it already: {}", said.message()))
        }
        sqlx::Error::Database(said) => {
            let reason = said.message().to_owned();
            let code = said.code().unwrap_or_default();
            match code.parse::<i32>() {
                Ok(code) if code_is_of_sqlite(said.as_ref()) => of_sqlite(code & 0xff, place, reason),
                _ => of_postgres(&code, place, reason, user),
            }
        }
        sqlx::Error::PoolTimedOut => {
            let reason = "no connection became free in time; this program uses all that it may".to_owned();
            StoreError::Unreachable { place, reason }
        }
        sqlx::Error::Io(error) => StoreError::Unreachable { place, reason: of_system(error) },
        sqlx::Error::Tls(error) => {
            StoreError::Unreachable { place, reason: format!("TLS: {error}; {TLS_REMEDY}") }
        }
        sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            StoreError::Unreachable { place, reason: error.to_string() }
        }
        _ => StoreError::Refused { place, reason: error.to_string() },
    }
}

const TLS_REMEDY: &str =
    "name the certificate of its authority with `sslrootcert=FILE`, or choose another `sslmode`";

/// The error of the operating system, with the next step for the operator.
fn of_system(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let remedy = match error.kind() {
        ErrorKind::ConnectionRefused => "no server listens there; check the host, the port and that it runs",
        ErrorKind::NotFound => {
            "there is no such socket; check the folder and the port, and that the server runs"
        }
        ErrorKind::PermissionDenied => "check the permissions of the socket or the file",
        ErrorKind::InvalidData => TLS_REMEDY,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "the server ended the connection; its log says why"
        }
        _ if error.to_string().contains("lookup address") => "check the name of the host",
        _ => return error.to_string(),
    };
    format!("{error}; {remedy}")
}

fn code_is_of_sqlite(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
}

/// Maps the primary result code: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(code: i32, place: String, reason: String) -> StoreError {
    let reason = match code {
        8 | 14 | 23 => format!("{reason}; check the permissions of the file and of its folder"),
        _ => reason,
    };
    match code {
        5 | 6 => StoreError::Locked { place },
        13 => StoreError::Full { place },
        8 | 10 | 14 | 23 => StoreError::Unreachable { place, reason },
        11 | 26 => StoreError::NotAStore { place, reason },
        _ => StoreError::Refused { place, reason },
    }
}

/// Maps the SQLSTATE: appendix A of PostgreSQL's manual.
fn of_postgres(code: &str, place: String, reason: String, user: &str) -> StoreError {
    let reason = match remedy_for(code, &reason, user) {
        Some(remedy) => format!("{reason}; {remedy}"),
        None => reason,
    };
    match code {
        "53100" => StoreError::Full { place },
        "55P03" | "40P01" | "40001" => StoreError::Locked { place },
        _ if ["08", "28", "3D", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Unreachable { place, reason }
        }
        _ => StoreError::Refused { place, reason },
    }
}

fn remedy_for(code: &str, reason: &str, user: &str) -> Option<String> {
    let user = format!("\"{}\"", user.replace('"', "\"\""));
    Some(match code {
        "28P01" => "set the password in PGPASSWORD or in the file that PGPASSFILE names".to_owned(),
        "28000" => "check the name of the user, and what `pg_hba.conf` allows it".to_owned(),
        "3D000" => "create the database with `createdb`, or name another".to_owned(),
        "53300" => "raise `max_connections` of the server, or end programs that hold connections".to_owned(),
        "57P03" => "try again when the server is ready".to_owned(),
        "25006" => "this server only reads, as a standby does; name the primary".to_owned(),
        "3F000" => "create the schema that `search_path` names, or name another".to_owned(),
        "42501" if reason.contains("schema") => format!(
            "since PostgreSQL 15 only the owner of a database may create tables in `public`: as the owner, \
             run `GRANT USAGE, CREATE ON SCHEMA public TO {user}`; or run `CREATE SCHEMA service_only \
             AUTHORIZATION {user}` and add `?options[search_path]=service_only` to the address"
        ),
        "42501" => format!(
            "as the owner of the tables, run `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \
             public TO {user}`, or only SELECT for a verifier"
        ),
        _ => return None,
    })
}
