//! The background task that reads revocations. It reads everything at the start, then only what is new, and
//! resumes where it was after a lost connection. It logs once that the database is gone, and once that it is
//! back.
//!
//! The reader never replays an undone revocation. It asks the store for the current revocation of that token,
//! service or key, and sets memory to it. So a target that was revoked again stays revoked, whatever the
//! reader has missed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use service_only::{__satellite::FleetMemory as _, revocation::RevocationsFull};
use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, watch};

use super::{NEVER, Shared};
use crate::background::Background;
use crate::store::{Address, CHANNEL, PastRevocation, RevocationRecord, RevocationTarget, Store, StoreError};

/// How many revocations one query reads: some hundred kilobytes.
const PAGE: u32 = 2_000;

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause. The reader notices within seconds that a database is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Reader {
    address: Address,
    shared: Arc<Shared>,
    poll: Duration,
    loaded: watch::Sender<bool>,
    /// The name of the store that was read.
    store: Option<String>,
    /// The last revocation that was read; all earlier ones were read too.
    last: Option<RevocationRecord>,
    /// Whether undoings are followed yet. The first reading does not contain revocations that were undone
    /// before it.
    follows_undoings: bool,
    /// The last undoing that was followed; all earlier ones were followed too.
    last_undone: Option<PastRevocation>,
    failures: u32,
}

impl Reader {
    pub(crate) fn new(
        address: Address,
        shared: Arc<Shared>,
        poll: Duration,
        loaded: watch::Sender<bool>,
    ) -> Self {
        Self {
            address,
            shared,
            poll,
            loaded,
            store: None,
            last: None,
            follows_undoings: false,
            last_undone: None,
            failures: 0,
        }
    }

    /// Runs until the task is aborted.
    pub(crate) async fn run(mut self) {
        loop {
            let trouble = self.follow().await;
            self.complain(&trouble);
            tokio::time::sleep(pause(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Reads from one connection until it fails.
    async fn follow(&mut self) -> Trouble {
        let store = match Store::open_at(&self.address).await {
            Ok(store) => store,
            Err(error) => return Trouble::Store(error),
        };
        let news = Arc::new(Notify::new());
        let _listener =
            store.postgres().map(|pool| Background::spawn(listen(pool.clone(), Arc::clone(&news))));
        loop {
            if let Err(trouble) = self.catch_up(&store).await {
                return trouble;
            }
            self.rejoice();
            // After a notification and after a timeout, the reader reads again.
            let _ = tokio::time::timeout(self.poll, news.notified()).await;
        }
    }

    /// Reads new revocations, together with the last known one. If the last one is missing, it was deleted
    /// with its token, or the database was restored to an older state, for example from a standby without all
    /// changes. Then numbers have a different meaning, and the reader reads everything again.
    async fn catch_up(&mut self, store: &Store) -> Result<(), Trouble> {
        let asked_us = self.shared.elapsed_us();
        if self.shared.memory.remember() {
            // The clock went back: no token is accepted until everything is read again.
            self.shared.heard_us.store(NEVER, Ordering::Release);
            self.last = None;
        }
        let head = store.head().await?;
        if self.store.as_ref() != Some(&head.store) {
            // The store name changed: this is another database.
            self.last = None;
            self.follows_undoings = false;
            self.store = Some(head.store);
        }
        self.follow_undoings(store).await?;
        loop {
            let before = self.last.as_ref().map_or(0, |last| last.sequence.saturating_sub(1));
            let page = store.revocations_since(before, PAGE).await?;
            let news = match (&self.last, page.as_slice()) {
                (None, all) => all,
                (Some(last), [first, news @ ..]) if first == last => news,
                (Some(_), _) => {
                    self.last = None;
                    continue;
                }
            };
            for record in news {
                self.take(record)?;
            }
            let Some(last) = news.last() else { break };
            self.last = Some(last.clone());
            if page.len() < PAGE as usize {
                break;
            }
        }
        self.shared.full.store(false, Ordering::Release);
        self.shared.heard_us.store(asked_us, Ordering::Release);
        Ok(())
    }

    /// Follows new undoings. It reads them before the revocations, so that a revocation that was undone and
    /// made again applies again in the same pass.
    async fn follow_undoings(&mut self, store: &Store) -> Result<(), Trouble> {
        if !self.follows_undoings {
            self.last_undone = store.last_undone().await?;
            self.follows_undoings = true;
            return Ok(());
        }
        loop {
            let last = self.last_undone.as_ref().and_then(PastRevocation::undoing_number);
            let page = store.undone_since(last.map_or(0, |last| last.saturating_sub(1)), PAGE).await?;
            let news = match (&self.last_undone, page.as_slice()) {
                (None, all) => all,
                (Some(last), [first, news @ ..]) if first == last => news,
                (Some(_), _) => {
                    // The database was restored: an undone revocation may apply again, under a number that
                    // was already read.
                    self.last = None;
                    self.last_undone = store.last_undone().await?;
                    return Ok(());
                }
            };
            for past in news {
                self.set_as_stored(store, &past.revoked).await?;
            }
            let Some(last) = news.last() else { return Ok(()) };
            self.last_undone = Some(last.clone());
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Makes memory hold of this token, service or key what the store holds now.
    async fn set_as_stored(&self, store: &Store, undone: &RevocationRecord) -> Result<(), Trouble> {
        let (memory, issuer) = (&self.shared.memory, undone.revocation.issuer.as_str());
        let target = &undone.revocation.target;
        let held = store.revocation_of(issuer, target).await?;
        match (target, held.as_ref().map(|held| &held.revocation.target)) {
            (RevocationTarget::Token { jti, .. }, None) => {
                memory.undo_token(issuer, jti);
            }
            (RevocationTarget::Service { service, .. }, None) => {
                memory.undo_service(issuer, service);
            }
            (RevocationTarget::Key { kid }, None) => {
                memory.undo_key(issuer, kid);
            }
            (_, Some(RevocationTarget::Service { service, issued_by })) => {
                memory.shorten_service(issuer, service, *issued_by);
            }
            // A token or a key has no reach that could be shorter.
            (_, Some(_)) => {}
        }
        match held {
            Some(held) => self.take(&held).map_err(Trouble::from),
            None => Ok(()),
        }
    }

    fn take(&self, record: &RevocationRecord) -> Result<(), RevocationsFull> {
        let memory = &self.shared.memory;
        match &record.revocation.target {
            RevocationTarget::Token { expires_at, .. } if memory.pass_over(*expires_at) => Ok(()),
            _ => record.revocation.hold_in(memory),
        }
    }

    fn complain(&self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Full(_)) {
            // Not all revocations were read, so no token may be accepted from now on.
            self.shared.full.store(true, Ordering::Release);
        }
        if self.failures == 0 {
            tracing::error!(
                target: "service_only",
                place = self.shared.place,
                error = %trouble,
                max_silence_s = self.shared.max_silence.as_secs(),
                "revocations cannot be read; the reader tries again, and reports an outage if this continues"
            );
        }
    }

    fn rejoice(&mut self) {
        if self.failures > 0 {
            tracing::warn!(
                target: "service_only",
                place = self.shared.place,
                failures = self.failures,
                "revocations are read again"
            );
            self.failures = 0;
        }
        self.loaded.send_if_modified(|loaded| !std::mem::replace(loaded, true));
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

/// Why reading stopped.
enum Trouble {
    Store(StoreError),
    Full(RevocationsFull),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RevocationsFull> for Trouble {
    fn from(error: RevocationsFull) -> Self {
        Self::Full(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Full(error) => error.fmt(f),
        }
    }
}

/// Listens for PostgreSQL's notifications on its own connection. Without it, the
/// reader only polls.
async fn listen(pool: PgPool, news: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            news.notify_one();
            while let Ok(Some(_)) = listener.try_recv().await {
                news.notify_one();
            }
        }
        tokio::time::sleep(LONGEST_PAUSE).await;
    }
}
