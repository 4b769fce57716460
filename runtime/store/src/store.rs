//! The shared state of a fleet: minted tokens, revocations, and the life of its signing keys.
//!
//! One address chooses the database: a SQLite file, which needs no installation, or PostgreSQL for a fleet.
//! Both use the same schema and code; the differences are here and in `schema`. Only a request
//! with a proof of DPoP waits for the database: see [`SqlReplays`](crate::SqlReplays).

#[macro_use]
mod macros;

mod backup;
mod check;
mod checkpoints;
mod counts;
mod coverage;
mod error;
mod exposition;
mod journal;
mod names;
mod pages;
mod proofs;
mod prune;
mod registry;
mod revoked;
mod rotation;
mod schema;
mod short_id;
mod statement;
mod target;
mod time;
mod undoing;
mod url;

use std::{
    fmt,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use error::Fault;
pub(crate) use exposition::Text;
use service_only::__satellite::FileIdentity;
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::SqlitePoolOptions,
};
pub(crate) use url::Address;

pub use self::{
    backup::BackupSummary,
    checkpoints::LogCheckpoint,
    coverage::Coverage,
    error::StoreError,
    journal::{Journal, KeyHolder, KeyRecord, KeyStep, KeyUse, VerifierReport},
    prune::PruneRecord,
    registry::{ListedToken, TokenFilter, TokenRecord, TokenState},
    revoked::{NewRevocation, RevocationRecord, Revoked, SequenceHead},
    target::RevocationTarget,
    undoing::{PastRevocation, Undoing, Undone},
};

/// The timeout of one operation. A database that is down does not report it.
const WORK_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The channel on which PostgreSQL notifies of a revocation.
pub(crate) const CHANNEL: &str = "service_only_revocations";

/// A registry of tokens, revocations and keys. Cheap to clone; all clones share their connections.
///
/// Each call is done completely or not at all, and within a bounded time. Instants are stored in whole seconds:
/// a fraction of a second is dropped. The store never contains a token, only its `jti`.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
/// use service_only::clock::{Clock, SystemClock, Timestamp};
/// use service_only_store::{NewRevocation, Revoked, Store};
///
/// let store = Store::create(&url).await?;
/// let expires_at = Timestamp::from_unix(1_798_761_600);
/// let revocation = NewRevocation::token("bakery-auth", "76514ef5", expires_at).at(SystemClock.now());
/// assert_eq!(store.revoke(&revocation).await?, Revoked::New);
/// assert_eq!(store.revoke(&revocation).await?, Revoked::Already);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    place: String,
    /// Whether the table of past revocations was found; see `schema`.
    has_past: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Store {
    /// Opens the store at `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, and creates what is missing: the
    /// file (for its owner only, mode 0600), the tables and the indexes. Call it when an operator asks for a store,
    /// and [`connect`](Self::connect) everywhere else: a mistyped address would become an empty store.
    ///
    /// Name PostgreSQL as for libpq: `postgresql://`, `?host=/var/run/postgresql`, `sslmode`,
    /// `application_name`, or `host=db user=me dbname=tokens`. An unknown parameter is an error.
    ///
    /// The connection to a PostgreSQL on another machine uses TLS and verifies the certificate, unless the
    /// address names an `sslmode` other than `prefer`.
    ///
    /// # Errors
    /// When the address is invalid, the database cannot be reached, or a newer program created its tables.
    pub async fn create(url: &str) -> Result<Self, StoreError> {
        let address: Address = url.parse()?;
        if let Address::Sqlite(path) = &address {
            check_file(path, &address.place())?;
            create(path, &address.place())?;
        }
        let store = Self::at(&address).await?;
        store.create_tables().await?;
        Ok(store)
    }

    /// Opens an existing store to read from it and to write to it. It creates no store, and migrates the tables of an
    /// older program.
    ///
    /// # Errors
    /// As [`create`](Self::create), and when the store does not exist.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = Self::existing(&url.parse()?).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Opens an existing store to read from it. It creates and changes nothing.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when the store does not exist.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_at(&url.parse()?).await
    }

    pub(crate) async fn open_at(address: &Address) -> Result<Self, StoreError> {
        let store = Self::existing(address).await?;
        store.check_schema().await?;
        Ok(store)
    }

    async fn existing(address: &Address) -> Result<Self, StoreError> {
        if let Address::Sqlite(path) = address {
            check_file(path, &address.place())?;
            if !path.exists() {
                return Err(StoreError::Missing { place: address.place() });
            }
        }
        Self::at(address).await
    }

    async fn at(address: &Address) -> Result<Self, StoreError> {
        let place = address.place();
        let pool = match address {
            Address::Sqlite(path) => {
                let opened = bounded(WORK_TIMEOUT, open_file(path)).await;
                Pool::Sqlite(opened.map_err(|fault| fault.at(&place, None))?)
            }
            Address::Postgres(options) => {
                connect_once(options, &place).await?;
                let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(CONNECT_TIMEOUT);
                Pool::Postgres(pool.connect_lazy_with((**options).clone()))
            }
        };
        Ok(Self { pool, place, has_past: Arc::default() })
    }

    /// Checks that an address can name a store, without opening it.
    ///
    /// # Errors
    /// When it cannot. The error has the reason and the rule, and never quotes a password.
    pub fn check_address(url: &str) -> Result<(), StoreError> {
        url.parse::<Address>().map(drop)
    }

    /// Whether an address contains a password, which other users can read if the address is an argument.
    pub fn address_holds_password(url: &str) -> bool {
        url::holds_password(url)
    }

    /// The address of the store, without a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Closes the connections, and waits for the running operations.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    pub(crate) fn postgres(&self) -> Option<&PgPool> {
        match &self.pool {
            Pool::Postgres(pool) => Some(pool),
            Pool::Sqlite(_) => None,
        }
    }

    fn is_postgres(&self) -> bool {
        self.postgres().is_some()
    }

    /// Runs a piece of work within a timeout.
    async fn bounded<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        let fault = match bounded(limit, work).await {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        let options = self.postgres().map(PgPool::connect_options);
        if let (Fault::Sql(sqlx::Error::PoolTimedOut), Some(options)) = (&fault, &options) {
            // The pool retried until its timeout, and does not keep the reason.
            connect_once(options, &self.place).await?;
        }
        Err(fault.at(&self.place, options.as_ref().map(|options| options.get_username())))
    }
}

/// Connects once to get the reason of a failure immediately. A pool retries a refused connection until its
/// timeout, and then reports only the timeout.
async fn connect_once(options: &PgConnectOptions, place: &str) -> Result<(), StoreError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            // If the connection does not close in time, the server removes it.
            let _ = tokio::time::timeout(CONNECT_TIMEOUT, connection.close()).await;
            Ok(())
        }
        Ok(Err(error)) => Err(Fault::Sql(error).at(place, Some(options.get_username()))),
        Err(_) => Err(StoreError::Unreachable {
            place: place.to_owned(),
            reason: format!(
                "no answer within {} s; check the host, the port and the firewalls between",
                CONNECT_TIMEOUT.as_secs()
            ),
            source: None,
        }),
    }
}

/// Never opens the file read-only: a killed writer leaves a journal, which the next connection must replay.
/// SQLite still reads a file for which the program has no write permission.
///
/// An operator may replace the file, for example by a copy. SQLite would continue with the old one, in which no other
/// program revokes. So each operation compares the file of the path with the one that was there before the connection
/// was opened.
async fn open_file(path: &Path) -> Result<SqlitePool, Fault> {
    // `None` if the file is missing.
    let identity = |path: &Path| path.metadata().ok().map(|file| FileIdentity::of(&file));
    let there = Mutex::new(identity(path));
    let own_path = path.to_owned();
    let is_replaced = move || {
        let now = identity(&own_path);
        std::mem::replace(&mut *there.lock().unwrap_or_else(PoisonError::into_inner), now) != now
    };
    let pool = SqlitePoolOptions::new()
        // More connections would only wait for each other.
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT * 2)
        .before_acquire(move |_, _| {
            let is_good = !is_replaced();
            Box::pin(async move { Ok(is_good) })
        })
        .connect_with(url::sqlite_options(path))
        .await?;
    Ok(pool)
}

async fn bounded<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Fault::Timeout(limit)))
}

fn check_file(path: &Path, place: &str) -> Result<(), StoreError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            let reason = if found.is_dir() {
                "it is a directory; name a file for the store"
            } else {
                "it is not a regular file; name a file for the store"
            };
            Err(StoreError::NotAStore { place: place.to_owned(), reason: reason.to_owned(), source: None })
        }
        _ => Ok(()),
    }
}

/// Creates the file here and not in SQLite, which would leave its permissions to the umask.
fn create(path: &Path, place: &str) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unreachable {
            place: place.to_owned(),
            reason: error.to_string(),
            source: Some(error.into()),
        }),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("place", &self.place).finish_non_exhaustive()
    }
}
