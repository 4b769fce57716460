//! Reports which keys a verifier has and which services still use them, so that a rotation can decide.
//!
//! A request only sets a mark in memory. A background task writes the marks to the store: within a second
//! when the keys have changed, otherwise every 30 seconds. If the database is down, a rotation has less
//! evidence, and requests are not affected.

mod uses;

use std::{fmt, sync::Arc, time::Duration};

use service_only::{
    clock::{Clock, SystemClock},
    keys::{KeyId, KeySource},
    revocation::{PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
};
use tokio::sync::Mutex;
use uses::Uses;

use crate::background::Background;
use crate::store::{Address, KeyUse, Store, StoreError, VerifierReport};

/// How often the task compares the current keys with the reported ones. It compares them in memory.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Reports to a [`Store`] which keys of an issuer a verifier has, and which services use them. Cheap to
/// clone; all clones share one task, which ends with the last clone.
///
/// It sees a token when the verifier checks revocation, after signature and claims were checked. Put it in
/// front of the revocation store of the verifier with [`before`](KeyReporter::before).
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

struct Running {
    shared: Arc<Shared>,
    _reports: Background,
}

struct Shared {
    address: Address,
    verifier: String,
    issuer: String,
    keys: Box<dyn KeySource>,
    refresh: Duration,
    uses: Uses,
    /// Locked during a report, so that no report overtakes a newer one.
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
    /// How often a verifier reports if nothing has changed. It is short enough to show that the verifier is
    /// running, and long enough that a thousand verifiers are not a load.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

    /// Configures a reporter for one verifier, with a unique name such as the name of its pod, and for one
    /// issuer that it trusts. Pass the same key source that the verifier uses.
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
            every: KeyReporter::DEFAULT_INTERVAL,
        }
    }

    /// Wraps a revocation store, and records the tokens that this store does not revoke.
    pub fn before(&self, revocations: impl RevocationStore) -> impl RevocationStore {
        Before { reporter: self.clone(), revocations }
    }

    /// Reports now. Call it before the program ends, so that no recorded use is lost.
    ///
    /// # Errors
    /// When the store cannot write the report. The recorded uses are kept for the next report.
    pub async fn report(&self) -> Result<(), StoreError> {
        self.0.shared.report().await.map(drop)
    }
}

impl KeyReporterBuilder {
    /// How long a published key may take to reach this verifier. A rotation waits this long [default: 5
    /// minutes].
    pub fn refresh_every(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// How often to report if nothing has changed, at least a second [default: [`KeyReporter::DEFAULT_INTERVAL`]].
    pub fn report_every(mut self, interval: Duration) -> Self {
        self.every = interval.max(LOOK_INTERVAL);
        self
    }

    /// Starts the background task. If the database cannot be reached, the task retries.
    ///
    /// # Errors
    /// When the address is invalid, or no tokio runtime is running.
    pub fn start(self) -> Result<KeyReporter, StoreError> {
        let address: Address = self.url.parse()?;
        let place = address.place();
        let shared = Arc::new(Shared {
            address,
            verifier: self.verifier,
            issuer: self.issuer,
            keys: self.keys,
            refresh: self.refresh,
            uses: Uses::default(),
            store: Mutex::new(None),
        });
        let _reports = Background::start(&place, run(Arc::clone(&shared), self.every))?;
        Ok(KeyReporter(Arc::new(Running { shared, _reports })))
    }
}

/// Runs until the task is aborted.
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
    /// The ids of the current keys; empty if the source has no keys to trust.
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
        let now = SystemClock.now();
        let kids = self.kids();
        let report = VerifierReport {
            id: self.verifier.clone(),
            issuer: self.issuer.clone(),
            kids: kids.clone(),
            refresh_interval: self.refresh,
            last_seen: now,
        };
        let seen = self.uses.take();
        let used: Vec<_> = seen
            .iter()
            .map(|(kid, service)| KeyUse { kid: kid.clone(), service: service.clone(), last_seen: now })
            .collect();
        // Write the key uses first: a rotation must not see the new key of this verifier before it sees which
        // services still need the old one.
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

/// Without another revocation store, no token is revoked, and each use is recorded.
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
