//! What a verifier says to those who rotate its keys: which it has, and who still uses them.
//!
//! A request leaves a mark in memory and nothing more. A task in the background writes down what it
//! finds: at once when the keys have changed, else every half minute. A database that is gone costs a
//! rotation its evidence and a request nothing.

mod uses;

use std::{fmt, sync::Arc, time::Duration};

use service_only::{
    clock::{Clock, SystemClock},
    keys::{KeyId, KeySource},
    revocation::{PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
};
use tokio::sync::Mutex;
use uses::Uses;

use crate::store::{Address, KeyUse, Store, StoreError, VerifierReport};

/// How often a verifier reports where nothing has changed: often enough to be known as there, seldom
/// enough that a thousand of them are no load.
pub const DEFAULT_REPORT_INTERVAL: Duration = Duration::from_secs(30);

/// How often its keys are compared with those that it reported; that is done in memory.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Reports to a [`Store`] which keys of an issuer a verifier has, and which services use them. Cheap to
/// clone; all clones are one. The task ends with the last clone.
///
/// It sees the tokens where revocation is asked about, after their signature and their claims were
/// checked: give it to the verifier in front of what knows the revocations.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use service_only::{FileKeys, Verifier};
/// use service_only_store::{SqlRevocations, rotation::KeyReporter};
///
/// let store = "postgres://orders@db.bakery.example/tokens";
/// let keys = FileKeys::jwks("/etc/service-keys/jwks.json").open()?;
/// let reporter = KeyReporter::of(store, "orders-7d4f9", "bakery-auth", keys.clone())
///     // A mounted ConfigMap is there within two minutes.
///     .refresh_every(Duration::from_secs(120))
///     .start()?;
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(keys)
///     .revocation(reporter.before(SqlRevocations::of(store).start()?))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyReporter(Arc<Running>);

/// Ends the task when it is dropped.
struct Running {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

struct Shared {
    address: Address,
    verifier: String,
    issuer: String,
    keys: Box<dyn KeySource>,
    refresh: Duration,
    uses: Uses,
    /// Held while it is written, so that no report overtakes a newer one.
    store: Mutex<Option<Store>>,
}

/// Settings of a [`KeyReporter`].
#[must_use = "nothing is reported until `start` is called"]
pub struct KeyReporterBuilder {
    url: String,
    verifier: String,
    issuer: String,
    keys: Box<dyn KeySource>,
    refresh: Duration,
    every: Duration,
}

impl KeyReporter {
    /// Of a verifier, by a name of its own such as that of its pod, about the keys of an issuer that it
    /// trusts. Give it the same source of keys that the verifier has.
    pub fn of(
        url: impl Into<String>,
        verifier: impl Into<String>,
        issuer: impl Into<String>,
        keys: impl KeySource,
    ) -> KeyReporterBuilder {
        KeyReporterBuilder {
            url: url.into(),
            verifier: verifier.into(),
            issuer: issuer.into(),
            keys: Box::new(keys),
            refresh: Duration::from_secs(300),
            every: DEFAULT_REPORT_INTERVAL,
        }
    }

    /// Sees the tokens that a store of revocations is asked about, and are good by its word.
    pub fn before(&self, revocations: impl RevocationStore) -> impl RevocationStore {
        Before { reporter: self.clone(), revocations }
    }

    /// Reports now: before a program ends, so that nothing that it saw is lost.
    ///
    /// # Errors
    /// When the store cannot write it; what was seen is kept for the next report.
    pub async fn report(&self) -> Result<(), StoreError> {
        self.0.shared.report().await.map(drop)
    }
}

impl KeyReporterBuilder {
    /// How long a published key may take to arrive here, which a rotation waits for [default: 5 minutes].
    pub fn refresh_every(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// How often it is reported that nothing has changed, a second at least [default:
    /// [`DEFAULT_REPORT_INTERVAL`]].
    pub fn report_every(mut self, interval: Duration) -> Self {
        self.every = interval.max(LOOK_INTERVAL);
        self
    }

    /// Starts to report in the background. A database that cannot be reached is tried again.
    ///
    /// # Errors
    /// When the address is none, or there is no tokio runtime to work in.
    pub fn start(self) -> Result<KeyReporter, StoreError> {
        let address: Address = self.url.parse()?;
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| StoreError::Refused { place: address.place(), reason: error.to_string() })?;
        let shared = Arc::new(Shared {
            address,
            verifier: self.verifier,
            issuer: self.issuer,
            keys: self.keys,
            refresh: self.refresh,
            uses: Uses::default(),
            store: Mutex::new(None),
        });
        let task = runtime.spawn(run(Arc::clone(&shared), self.every)).abort_handle();
        Ok(KeyReporter(Arc::new(Running { shared, task })))
    }
}

/// Never ends by itself; it is aborted.
async fn run(shared: Arc<Shared>, every: Duration) {
    let mut said: Option<Vec<String>> = None;
    let mut waited = Duration::ZERO;
    loop {
        if waited >= every || said.is_none() || said.as_ref() != Some(&shared.kids()) {
            let reported = shared.report().await;
            if let (Err(error), true) = (&reported, said.is_some() || waited.is_zero()) {
                tracing::warn!(target: "service_only", %error, "what this verifier sees of its keys cannot be reported");
            }
            said = reported.ok();
            waited = Duration::ZERO;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        waited = waited.saturating_add(LOOK_INTERVAL);
    }
}

impl Shared {
    /// The keys that it has now; none where there are none to trust.
    fn kids(&self) -> Vec<String> {
        let keys = self.keys.snapshot();
        let kids = keys.iter().flat_map(|set| set.keys()).filter_map(|key| key.kid());
        let mut kids: Vec<_> = kids.map(|kid| KeyId::as_str(kid).to_owned()).collect();
        kids.sort();
        kids
    }

    async fn report(&self) -> Result<Vec<String>, StoreError> {
        let mut held = self.store.lock().await;
        let store = match held.take() {
            Some(store) => store,
            None => Store::open_at(&self.address).await?,
        };
        let now = SystemClock.now().unix();
        let kids = self.kids();
        let report = VerifierReport {
            id: self.verifier.clone(),
            issuer: self.issuer.clone(),
            kids: kids.clone(),
            refresh_seconds: i64::try_from(self.refresh.as_secs()).unwrap_or(i64::MAX),
            last_seen: now,
        };
        let seen = self.uses.take();
        let used: Vec<_> = seen
            .iter()
            .map(|(kid, service)| KeyUse { kid: kid.clone(), service: service.clone(), last_seen: now })
            .collect();
        // Who still needs a key is told before that its successor is here.
        let written = async {
            store.report_key_use(&self.issuer, &used).await?;
            store.report_verifier(&report).await
        };
        if let Err(error) = written.await {
            for (kid, service) in &seen {
                self.uses.mark(kid, service);
            }
            return Err(error);
        }
        *held = Some(store);
        Ok(kids)
    }

    fn see(&self, token: &PresentedToken<'_>) {
        if let (Some(kid), Some(service), true) = (token.key_id, token.service, token.issuer == self.issuer) {
            self.uses.mark(kid, service);
        }
    }
}

/// Where nothing else knows revocations: none is revoked, and what is seen is reported.
impl RevocationStore for KeyReporter {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        self.0.shared.see(token);
        Ok(RevocationStatus::Good)
    }
}

struct Before<R> {
    reporter: KeyReporter,
    revocations: R,
}

impl<R: RevocationStore> RevocationStore for Before<R> {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        let status = self.revocations.status(token)?;
        if status == RevocationStatus::Good {
            self.reporter.0.shared.see(token);
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for KeyReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyReporter")
            .field("verifier", &self.0.shared.verifier)
            .field("issuer", &self.0.shared.issuer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyReporterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may hold a password.
        f.debug_struct("KeyReporterBuilder")
            .field("verifier", &self.verifier)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
