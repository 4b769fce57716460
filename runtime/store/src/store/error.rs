//! The errors of a store, worded for the operator.
//!
//! This module maps the errors of SQLite and PostgreSQL to one enum, so that a full disk has the same message
//! for both databases. A `place` is the address without its password.

use std::{error::Error, time::Duration};

use service_only::{clock::Timestamp, keys::KeyState};
use sqlx::error::DatabaseError;

use super::RevocationTarget;

/// The error of the database, of the operating system or of the async runtime. Its type may change with the
/// versions of the libraries that access the database.
type Source = Box<dyn Error + Send + Sync>;

/// The error of a store that cannot do what the program asked. Each operation is done completely or not at
/// all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address does not name a store. The message does not quote it, because it may contain a password.
    #[error("{0}")]
    BadUrl(String),
    /// The file does not exist. [`Store::create`](super::Store::create) creates it.
    #[error("no store exists at `{place}`; `service-token store init` creates one")]
    Missing {
        /// The store.
        place: String,
    },
    /// The database has no tables yet. [`Store::create`](super::Store::create) creates them.
    #[error(
        "`{place}` is not a store of service tokens: it has no tables yet; `service-token store init` creates them"
    )]
    Empty {
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
        /// The error of the connection; `None` if there was no answer in time.
        source: Option<Source>,
    },
    /// Something else is at this place: a directory, or the database of another program.
    #[error("`{place}` is not a store of service tokens: {reason}")]
    NotAStore {
        /// The store.
        place: String,
        /// What was found there.
        reason: String,
        /// The error of the database that cannot read the file.
        source: Option<Source>,
    },
    /// An older program created the tables. [`Store::connect`](super::Store::connect) migrates them.
    #[error(
        "`{place}` is not a store of service tokens: its schema {found} is older than {known}; `service-token store init` upgrades it"
    )]
    Older {
        /// The store.
        place: String,
        /// The version of the schema that was found.
        found: i64,
        /// The version that this program needs.
        known: i64,
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
    /// A newer program made a revocation of a kind that this program does not know.
    #[error(
        "the store `{place}` refused: a revocation is of a kind that this program does not know, `{kind}`"
    )]
    UnknownRevocation {
        /// The store.
        place: String,
        /// The kind of the revocation.
        kind: String,
    },
    /// A newer program put a key into a state that this program does not know.
    #[error("the store `{place}` refused: the key `{kid}` is in an unknown state")]
    UnknownKeyState {
        /// The store.
        place: String,
        /// The key.
        kid: String,
        /// The name of the state.
        state: String,
    },
    /// Another program holds a lock for longer than this program waits.
    #[error("the store `{place}` is locked by another program; try again when that program is done")]
    Locked {
        /// The store.
        place: String,
        /// The error of the database.
        source: Source,
    },
    /// The disk is full.
    #[error("the disk of the store `{place}` is full")]
    Full {
        /// The store.
        place: String,
        /// The error of the database.
        source: Source,
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
        "revocation {number} was undone already, at {at}{}",
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
    /// The key is not in the state that the step starts from: another program changed it first.
    #[error("the key `{kid}` of `{issuer}` is not {}: another program was faster", .expected.as_str())]
    KeyMoved {
        /// The issuer of the key.
        issuer: String,
        /// The key.
        kid: String,
        /// The state that the step starts from.
        expected: KeyState,
    },
    /// The issuer has a key of that name, or another key in a state that only one key may be in.
    #[error("`{issuer}` has a key `{kid}` or another one that is {} already", .state.as_str())]
    KeyExists {
        /// The issuer of the key.
        issuer: String,
        /// The key that was not added.
        kid: String,
        /// The state of that key.
        state: KeyState,
    },
    /// The store has a record of that name: a token with that issuer and `jti`, or a second active key.
    #[error("the store `{place}` has it already: {reason}")]
    Duplicate {
        /// The store.
        place: String,
        /// The reason, in the words of the database.
        reason: String,
        /// The error of the database.
        source: Source,
    },
    /// A backup cannot be written, or cannot be restored. Nothing was restored.
    #[error("the backup cannot be used: {reason}")]
    Backup {
        /// The reason.
        reason: String,
    },
    /// A background task cannot start, because no tokio runtime is running.
    #[error("the store `{place}` refused: {source}")]
    NoRuntime {
        /// The store.
        place: String,
        /// The error of the async runtime.
        source: Source,
    },
    /// Any other error of the database.
    #[error("the store `{place}` refused: {reason}")]
    Refused {
        /// The store.
        place: String,
        /// The reason, in the words of the database.
        reason: String,
        /// The error of the database.
        source: Source,
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
            Self::Sql(error) => sorted(error, place, user.unwrap_or("USER")),
        }
    }
}

fn sorted(error: sqlx::Error, place: String, user: &str) -> StoreError {
    let unreachable = |reason| (Kind::Unreachable, reason);
    let (kind, reason) = match &error {
        sqlx::Error::Database(said) => of_database(said.as_ref(), user),
        sqlx::Error::PoolTimedOut => {
            let reason =
                "no connection became free in time; this program uses its maximum number of connections";
            unreachable(reason.to_owned())
        }
        sqlx::Error::Io(error) => unreachable(of_system(error)),
        sqlx::Error::Tls(error) => unreachable(format!("TLS: {error}; {TLS_REMEDY}")),
        sqlx::Error::PoolClosed | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            unreachable(error.to_string())
        }
        _ => (Kind::Refused, error.to_string()),
    };
    let source = Source::from(error);
    match kind {
        Kind::Duplicate => StoreError::Duplicate { place, reason, source },
        Kind::Full => StoreError::Full { place, source },
        Kind::Locked => StoreError::Locked { place, source },
        Kind::NotAStore => StoreError::NotAStore { place, reason, source: Some(source) },
        Kind::Refused => StoreError::Refused { place, reason, source },
        Kind::Unreachable => StoreError::Unreachable { place, reason, source: Some(source) },
    }
}

/// The kinds of errors that a database reports.
enum Kind {
    Duplicate,
    Full,
    Locked,
    NotAStore,
    Refused,
    Unreachable,
}

fn of_database(said: &(dyn DatabaseError + 'static), user: &str) -> (Kind, String) {
    let reason = said.message().to_owned();
    if said.is_unique_violation() {
        return (Kind::Duplicate, reason);
    }
    let code = said.code().unwrap_or_default();
    match code.parse::<i32>() {
        Ok(code) if code_is_of_sqlite(said) => of_sqlite(code & 0xff, reason),
        _ => of_postgres(&code, reason, user),
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
            "the socket does not exist; check the folder and the port, and that the server runs"
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

fn code_is_of_sqlite(error: &(dyn DatabaseError + 'static)) -> bool {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
}

/// Maps the primary result code: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(code: i32, reason: String) -> (Kind, String) {
    let reason = match code {
        8 | 14 | 23 => format!("{reason}; check the permissions of the file and of its folder"),
        _ => reason,
    };
    let kind = match code {
        5 | 6 => Kind::Locked,
        13 => Kind::Full,
        8 | 10 | 14 | 23 => Kind::Unreachable,
        11 | 26 => Kind::NotAStore,
        _ => Kind::Refused,
    };
    (kind, reason)
}

/// Maps the SQLSTATE: appendix A of PostgreSQL's manual.
fn of_postgres(code: &str, reason: String, user: &str) -> (Kind, String) {
    let reason = match remedy_for(code, &reason, user) {
        Some(remedy) => format!("{reason}; {remedy}"),
        None => reason,
    };
    let kind = match code {
        "53100" => Kind::Full,
        "55P03" | "40P01" | "40001" => Kind::Locked,
        _ if ["08", "28", "3D", "53", "57"].iter().any(|class| code.starts_with(class)) => Kind::Unreachable,
        _ => Kind::Refused,
    };
    (kind, reason)
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
