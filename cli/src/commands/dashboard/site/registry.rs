//! What the store contains: valid tokens, keys and revocations. A task reads it again and again, so no page waits for it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use service_only::clock::Timestamp;
use service_only_evidence::unused::GrantedToken;
use service_only_store::{ListedToken, Store, TokenFilter};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::commands::audit::unused;
use crate::commands::keys;
use crate::commands::list;
use crate::commands::revocations;
use crate::config::Config;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, refused};

/// The time between two reads.
const REFRESH: Duration = Duration::from_secs(5);

/// The timeout of one read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of a question that a page asks.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Tokens that expire within this time are shown.
pub(crate) const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many of the last revocations are shown.
const REVOCATIONS: i64 = 100;

/// The content of the store at one time.
pub(crate) struct Content {
    pub(crate) at: Timestamp,
    /// The number of valid tokens.
    pub(crate) active: usize,
    /// The valid tokens that expire soon, the first of them first.
    pub(crate) expiring: Vec<ListedToken>,
    pub(crate) keys: Vec<keys::Listed>,
    /// The last revocations, the newest first.
    pub(crate) revocations: Vec<revocations::Entry>,
    granted: Arc<Vec<GrantedToken>>,
}

/// What is known of the store.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// The last content that was read.
    pub(crate) content: Option<Arc<Content>>,
    /// Why it cannot be read now.
    pub(crate) problem: Option<String>,
}

pub(crate) struct Registry {
    pub(crate) url: String,
    pub(crate) config: Option<Config>,
    state: RwLock<State>,
    changed: Notify,
}

impl Registry {
    pub(crate) fn new(url: String, config: Option<Config>) -> Self {
        Self { url, config, state: RwLock::default(), changed: Notify::new() }
    }

    pub(crate) fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the store soon, because it was changed.
    pub(crate) fn refresh_soon(&self) {
        self.changed.notify_one();
    }

    /// Reads the store now and then. `tell` receives the valid tokens of each read.
    pub(crate) async fn follow(&self, tell: impl Fn(Arc<Vec<GrantedToken>>)) {
        loop {
            self.refresh(&tell).await;
            let _ = timeout(REFRESH, self.changed.notified()).await;
        }
    }

    /// Reads the store once. It reports a problem to the operator once.
    pub(crate) async fn refresh(&self, tell: &impl Fn(Arc<Vec<GrantedToken>>)) {
        let read = match timeout(READ_TIMEOUT, self.read()).await {
            Ok(read) => read,
            Err(_) => Err(silent(READ_TIMEOUT)),
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(content) => {
                tell(Arc::clone(&content.granted));
                if state.problem.is_some() {
                    output::note("the store can be read again");
                }
                *state = State { content: Some(Arc::new(content)), problem: None };
            }
            Err(problem) => {
                let why = problem.reason().to_owned();
                if state.problem.as_ref() != Some(&why) {
                    output::warning(&format!("the store cannot be read: {why}"));
                }
                state.problem = Some(why);
            }
        }
    }

    async fn read(&self) -> Outcome<Content> {
        let now = store::now();
        let store = Store::open(&self.url).await.map_err(|error| refused(&error))?;
        let valid = list::active(TokenFilter::default(), now);
        let mut valid = store.tokens(&valid).await.map_err(|error| refused(&error))?;
        let granted = Arc::new(unused::granted(&valid, self.config.as_ref()));
        let active = valid.len();
        valid.retain(|listed| listed.token.expires_at <= now.plus(SOON));
        valid.sort_by_key(|listed| listed.token.expires_at);
        let keys = keys::read(&store, self.config.as_ref(), None, now).await?;
        let head = store.head().await.map_err(|error| refused(&error))?.sequence;
        let last = store.revocations_since(head.saturating_sub(REVOCATIONS).max(0), REVOCATIONS as u32).await;
        let last = last.map_err(|error| refused(&error))?;
        store.close().await;
        let revocations = last.into_iter().rev().map(revocations::Entry::active).collect();
        Ok(Content { at: now, active, expiring: valid, keys, revocations, granted })
    }

    /// Asks the store for a page, within a time.
    pub(crate) async fn ask<T, F>(&self, ask: impl FnOnce(Store) -> F) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let asked = async {
            let store = Store::open(&self.url).await.map_err(|error| refused(&error))?;
            ask(store).await
        };
        timeout(ASK_TIMEOUT, asked).await.unwrap_or_else(|_| Err(silent(ASK_TIMEOUT)))
    }

    /// The tokens of the registry with this `jti`, of one issuer or of all.
    pub(crate) async fn token(&self, issuer: Option<&str>, jti: &str) -> Outcome<Vec<ListedToken>> {
        let filter = TokenFilter {
            issuer: issuer.map(str::to_owned),
            jti: Some(jti.to_owned()),
            ..TokenFilter::default()
        };
        self.ask(|store| async move { store.tokens(&filter).await.map_err(|error| refused(&error)) }).await
    }
}

fn silent(limit: Duration) -> Problem {
    Problem::new(ProblemCode::Store, format!("the store did not answer within {} s", limit.as_secs()))
}
