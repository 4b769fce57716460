//! Tokens that are obtained on demand, one for each audience, and renewed before they expire.
//!
//! For each audience, one request to the provider is in progress at a time. A caller that finds a valid token never waits:
//! after a fraction of the lifetime it starts a renewal and uses the current token. The renewal runs in a separate task, so
//! a caller that is cancelled does not cancel the renewal of the others.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use service_only::{
    __satellite::WeakHandle,
    clock::{Clock, Timestamp},
};
use tokio::sync::watch;

#[cfg(feature = "oauth")]
use crate::oauth::Endpoint;
use crate::{
    error::{TokenError, TokenErrorKind},
    minter::Minter,
    token::Sendable,
};

/// Tokens that are obtained on demand, one for each audience, and renewed before they expire. Cheap to clone; all clones
/// share one state.
///
/// Create it with [`TokenSource::client_credentials`](crate::TokenSource::client_credentials),
/// [`TokenSource::issuer`](crate::TokenSource::issuer) or [`TokenSource::fixed`](crate::TokenSource::fixed), and pass it
/// to [`AttachToken`](crate::AttachToken).
///
/// - A token is renewed after two thirds of its lifetime. Requests use the old token until the new one has arrived.
/// - For each audience, one request to the provider is in progress at a time, and all callers wait for it together.
/// - While the provider is down, a valid token stays in use until it expires. Attempts to renew it have growing pauses.
/// - Two sources never share a token, so tokens of different issuers, scopes and credentials stay separate.
#[derive(Clone)]
pub struct TokenSupply(Arc<Shared>);

struct Shared {
    minter: Minter,
    clock: Box<dyn Clock>,
    renew_after: u32,
    entries: Mutex<HashMap<Option<String>, Arc<Entry>>>,
    renewals: AtomicU64,
    failures: AtomicU64,
}

/// The token of one audience.
struct Entry {
    state: Mutex<State>,
    /// The number of requests to the provider that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    token: Option<Held>,
    in_progress: bool,
    error: Option<TokenError>,
    failed_in_a_row: u32,
    /// No request to the provider starts before.
    not_before: Option<Timestamp>,
}

struct Held {
    token: Sendable,
    obtained_at: Timestamp,
    renew_at: Option<Timestamp>,
}

/// What a request does next.
enum Next {
    Send(HeaderValue),
    Wait(watch::Receiver<u64>),
    Fail(TokenError),
}

impl TokenSupply {
    /// The percentage of a lifetime after which a token is renewed by default. A third of the lifetime remains for an
    /// outage of the provider.
    pub const DEFAULT_RENEWAL_PERCENT: u32 = 66;

    /// The maximum number of audiences of one source. A recipient has one audience, so a larger number is probably a
    /// mistake.
    pub const MAX_AUDIENCES: usize = 256;

    /// The longest pause between two attempts to obtain a token.
    pub const MAX_PAUSE: Duration = Duration::from_secs(60);

    /// The minimum age of a token that is renewed after a 401 response. Without a minimum, a service that refuses every
    /// token would turn each request to it into a request to the provider.
    pub const REFUSED_INTERVAL: Duration = Duration::from_secs(30);

    /// The longest `Retry-After` that is respected. A longer one counts as this time, so that a provider cannot stop a
    /// client for days.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

    pub(crate) fn new(minter: Minter, clock: Box<dyn Clock>, renew_after: u32) -> Self {
        Self(Arc::new(Shared {
            minter,
            clock,
            renew_after,
            entries: Mutex::default(),
            renewals: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// The value of an `Authorization` header for a service with this audience: `Bearer` and the token. If there is no
    /// token yet, it first obtains one. With `None`, the token is requested without an audience.
    ///
    /// # Errors
    /// When the source has no valid token and cannot obtain one.
    pub async fn authorization_for(&self, audience: Option<&str>) -> Result<HeaderValue, TokenError> {
        let entry = self.entry(audience)?;
        match self.next(&entry, audience) {
            Next::Send(value) => Ok(value),
            Next::Fail(error) => Err(error),
            Next::Wait(mut ended) => {
                // The sender is in `entry`, so it lives for as long as this waits.
                let _ = ended.changed().await;
                let state = entry.state();
                match state.valid(self.0.clock.now()) {
                    Some(held) => Ok(held.token.authorization.clone()),
                    None => Err(state.error.clone().unwrap_or_else(cancelled)),
                }
            }
        }
    }

    /// When the token for an audience expires, for a metric or an alert; `None` without a token, or for one that never
    /// expires.
    pub fn expires_at(&self, audience: Option<&str>) -> Option<Timestamp> {
        self.held(audience, |held| held.token.expires_at).flatten()
    }

    /// When the token for an audience was obtained; `None` if there is none.
    pub fn obtained_at(&self, audience: Option<&str>) -> Option<Timestamp> {
        self.held(audience, |held| held.obtained_at)
    }

    /// Why the last attempt to obtain a token for an audience failed; `None` if it succeeded.
    pub fn last_error(&self, audience: Option<&str>) -> Option<TokenError> {
        let entry = locked(&self.0.entries).get(&audience.map(str::to_owned)).cloned()?;
        entry.state().error.clone()
    }

    /// The audiences that tokens were requested for.
    pub fn audiences(&self) -> Vec<Option<String>> {
        locked(&self.0.entries).keys().cloned().collect()
    }

    /// How many tokens were obtained, for all audiences.
    pub fn renewals(&self) -> u64 {
        self.0.renewals.load(Ordering::Relaxed)
    }

    /// How many attempts to obtain a token failed, for all audiences.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    fn held<T>(&self, audience: Option<&str>, part: impl FnOnce(&Held) -> T) -> Option<T> {
        let entry = locked(&self.0.entries).get(&audience.map(str::to_owned)).cloned()?;
        let state = entry.state();
        state.token.as_ref().map(part)
    }

    fn entry(&self, audience: Option<&str>) -> Result<Arc<Entry>, TokenError> {
        let mut entries = locked(&self.0.entries);
        let name = audience.map(str::to_owned);
        if let Some(entry) = entries.get(&name) {
            return Ok(Arc::clone(entry));
        }
        if entries.len() == Self::MAX_AUDIENCES {
            let why = format!(
                "more than {} audiences; name the audience of the callee, not of a request",
                Self::MAX_AUDIENCES
            );
            return Err(TokenErrorKind::Configuration(why).into());
        }
        let entry = Arc::new(Entry { state: Mutex::default(), ended: watch::Sender::new(0) });
        entries.insert(name, Arc::clone(&entry));
        Ok(entry)
    }

    fn next(&self, entry: &Arc<Entry>, audience: Option<&str>) -> Next {
        let now = self.0.clock.now();
        let mut state = entry.state();
        let may_start = !state.in_progress && state.not_before.is_none_or(|at| now >= at);
        if let Some(held) = state.valid(now) {
            let value = held.token.authorization.clone();
            if may_start && held.renew_at.is_some_and(|at| now >= at) {
                self.obtain(entry, &mut state, audience);
            }
            // An issuer of this process has minted the new token already.
            return Next::Send(state.valid(now).map_or(value, |held| held.token.authorization.clone()));
        }
        if !state.in_progress {
            if !may_start {
                return Next::Fail(state.error.clone().unwrap_or_else(cancelled));
            }
            let ended = entry.ended.subscribe();
            self.obtain(entry, &mut state, audience);
            if state.in_progress {
                return Next::Wait(ended);
            }
            return match state.valid(now) {
                Some(held) => Next::Send(held.token.authorization.clone()),
                None => Next::Fail(state.error.clone().unwrap_or_else(cancelled)),
            };
        }
        Next::Wait(entry.ended.subscribe())
    }

    /// Obtains a token: in this call if that needs no network, otherwise in a task.
    fn obtain(&self, entry: &Arc<Entry>, state: &mut State, audience: Option<&str>) {
        #[cfg(not(feature = "oauth"))]
        let _ = entry;
        match &self.0.minter {
            #[cfg(feature = "oauth")]
            Minter::Endpoint(endpoint) => self.spawn(endpoint, entry, state, audience),
            other => {
                let minted = other.mint(audience);
                self.finish(state, minted);
            }
        }
    }

    #[cfg(feature = "oauth")]
    fn spawn(&self, endpoint: &Arc<Endpoint>, entry: &Arc<Entry>, state: &mut State, audience: Option<&str>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let why = "a token is requested outside of a tokio runtime; call from a task of tokio";
            return self.finish(state, Err(TokenErrorKind::Configuration(why.to_owned()).into()));
        };
        state.in_progress = true;
        let obtaining = Obtaining { supply: self.clone(), entry: Arc::clone(entry) };
        let (endpoint, audience) = (Arc::clone(endpoint), audience.map(str::to_owned));
        runtime.spawn(async move {
            let obtained = endpoint.obtain(audience.as_deref(), &*obtaining.supply.0.clock).await;
            obtaining.end(obtained);
        });
    }

    /// Notes the result of an attempt.
    fn finish(&self, state: &mut State, obtained: Result<Sendable, TokenError>) {
        let now = self.0.clock.now();
        match obtained {
            Ok(token) => {
                let renew_at = token.expires_at.map(|at| {
                    let life = at.since(now).unwrap_or_default();
                    now.plus(life * self.0.renew_after / 100)
                });
                self.0.renewals.fetch_add(1, Ordering::Relaxed);
                *state = State {
                    token: Some(Held { token, obtained_at: now, renew_at }),
                    // The end of the task resets it.
                    in_progress: state.in_progress,
                    ..State::default()
                };
            }
            Err(error) => {
                tracing::error!(target: "service_only", %error, "no token to send was obtained, a valid one stays in use");
                self.0.failures.fetch_add(1, Ordering::Relaxed);
                let pause = Duration::from_secs(1 << state.failed_in_a_row.min(6)).min(Self::MAX_PAUSE);
                let pause = match error.kind() {
                    TokenErrorKind::RateLimited(wait) => (*wait).clamp(pause, Self::MAX_RETRY_AFTER),
                    _ => pause,
                };
                state.failed_in_a_row += 1;
                state.not_before = Some(now.plus(pause));
                state.error = Some(error);
            }
        }
    }

    /// Returns another token than the refused one, after a renewal if the token is older than
    /// [`REFUSED_INTERVAL`](Self::REFUSED_INTERVAL).
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn another_than(
        &self,
        sent: &HeaderValue,
        audience: Option<&str>,
    ) -> Option<HeaderValue> {
        let entry = self.entry(audience).ok()?;
        let now = self.0.clock.now();
        let ended = {
            let mut state = entry.state();
            if let Some(held) = state.valid(now).filter(|held| held.token.authorization != *sent) {
                return Some(held.token.authorization.clone());
            }
            let is_old = state.token.as_ref().is_none_or(|held| {
                now.since(held.obtained_at).is_some_and(|age| age >= Self::REFUSED_INTERVAL)
            });
            let may_start = !state.in_progress && is_old && state.not_before.is_none_or(|at| now >= at);
            let ended = entry.ended.subscribe();
            if may_start {
                self.obtain(&entry, &mut state, audience);
            }
            state.in_progress.then_some(ended)
        };
        if let Some(mut ended) = ended {
            let _ = ended.changed().await;
        }
        let state = entry.state();
        let another = state.valid(now).map(|held| held.token.authorization.clone());
        another.filter(|another| another != sent)
    }
}

/// A request to the provider that is in progress. Dropping it ends the wait of all callers, also if the runtime ends.
#[cfg(feature = "oauth")]
struct Obtaining {
    supply: TokenSupply,
    entry: Arc<Entry>,
}

#[cfg(feature = "oauth")]
impl Obtaining {
    fn end(self, obtained: Result<Sendable, TokenError>) {
        self.supply.finish(&mut self.entry.state(), obtained);
    }
}

#[cfg(feature = "oauth")]
impl Drop for Obtaining {
    fn drop(&mut self) {
        self.entry.state().in_progress = false;
        self.entry.ended.send_modify(|ended| *ended += 1);
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    fn valid(&self, now: Timestamp) -> Option<&Held> {
        self.token.as_ref().filter(|held| held.token.expires_at.is_none_or(|at| now < at))
    }
}

fn cancelled() -> TokenError {
    TokenErrorKind::NoAnswer(
        "the request for a token was cancelled; it is sent again with the next call".to_owned(),
    )
    .into()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl WeakHandle for TokenSupply {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        let own = Arc::downgrade(&self.0);
        move || own.upgrade().map(Self)
    }
}

impl fmt::Debug for TokenSupply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSupply")
            .field("source", &self.0.minter)
            .field("renewals", &self.renewals())
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}
