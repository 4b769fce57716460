//! The SPIFFE Workload API as the source of certificate, key and roots. A thread follows its stream and keeps the last
//! delivery, which the watcher of the material reads like a file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use spiffe::{WorkloadApiClient, X509Context, transport::Endpoint};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

use crate::{
    error::{TlsError, TlsErrorKind},
    parts::joined,
};

/// The time for a connection and for the first message of a stream.
const ANSWER: Duration = Duration::from_secs(10);

/// The pause before the first attempt after an error. It doubles with each further error.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The stream of the Workload API of one socket. Its thread ends when this is dropped.
pub(crate) struct Workload {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    socket: PathBuf,
    state: Mutex<State>,
    /// How often the state has changed, and the change that was read last.
    changes: AtomicU64,
    read: AtomicU64,
    /// Makes the watcher read without delay.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

enum State {
    /// Nothing was delivered yet.
    Waiting,
    /// The last delivery, in the form of joined parts.
    Delivered(Zeroizing<Vec<u8>>),
    /// The stream has ended, or cannot be opened.
    Failed(String),
}

impl Workload {
    /// Starts the thread that follows the stream.
    pub(crate) fn start(socket: PathBuf) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::new(Shared {
            socket,
            state: Mutex::new(State::Waiting),
            changes: AtomicU64::new(0),
            read: AtomicU64::new(0),
            wake: OnceLock::new(),
        });
        let follower = Arc::clone(&shared);
        std::thread::Builder::new().name("tls-workload-api".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = follower.follow() => {}
                }
            });
        })?;
        Ok(Self { shared, _stop: stop })
    }

    /// Calls a function after each change.
    pub(crate) fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.wake.set(Box::new(wake));
    }

    /// Whether the state has changed since the last read.
    pub(crate) fn is_renewed(&self) -> bool {
        self.shared.changes.load(Ordering::Acquire) != self.shared.read.load(Ordering::Acquire)
    }

    /// The last delivery.
    pub(crate) fn read(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        let shared = &self.shared;
        shared.read.store(shared.changes.load(Ordering::Acquire), Ordering::Release);
        match &*shared.state() {
            State::Delivered(parts) => Ok(parts.clone()),
            State::Waiting => Err(shared.error("it has not delivered an SVID yet")),
            State::Failed(why) => Err(shared.error(why)),
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, why: &str) -> TlsError {
        let message = format!("the SPIFFE Workload API at {}: {why}", self.socket.display());
        TlsError::new(TlsErrorKind::WorkloadApi, message)
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.changes.fetch_add(1, Ordering::AcqRel);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Follows the stream, and opens it again after it has ended.
    async fn follow(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let delivered = self.changes.load(Ordering::Acquire);
            let why = match self.stream().await {
                Ok(()) => "the stream has ended".to_owned(),
                Err(why) => why,
            };
            // The pause grows only while nothing is delivered.
            let is_new = self.changes.load(Ordering::Acquire) != delivered;
            pause = if is_new { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            self.set(State::Failed(why));
            sleep(pause).await;
        }
    }

    async fn stream(&self) -> Result<(), String> {
        let late = |_| format!("no answer within {ANSWER:?}");
        let opened = async {
            let client = WorkloadApiClient::connect(Endpoint::Unix(self.socket.clone())).await?;
            client.stream_x509_contexts().await
        };
        let mut stream = timeout(ANSWER, opened).await.map_err(late)?.map_err(|error| chain_of(&error))?;
        let mut message = timeout(ANSWER, stream.next()).await.map_err(late)?;
        while let Some(context) = message {
            let context = context.map_err(|error| chain_of(&error))?;
            self.set(State::Delivered(parts(&context)?));
            message = stream.next().await;
        }
        Ok(())
    }
}

/// An error with its causes.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Some errors repeat their cause.
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// The names of the further trust domains, and then the parts of a set of files in PEM.
fn parts(context: &X509Context) -> Result<Zeroizing<Vec<u8>>, String> {
    let svid = context.default_svid().ok_or("it delivered no SVID")?;
    let own = svid.spiffe_id().trust_domain();
    let (mut domains, mut further, mut roots) = (String::new(), Vec::new(), None);
    for (domain, bundle) in context.bundle_set().iter() {
        let text = pem("CERTIFICATE", bundle.authorities().iter().map(spiffe::cert::Certificate::as_bytes));
        if domain == own {
            roots = Some(text);
        } else {
            domains.push_str(domain.as_str());
            domains.push('\n');
            further.push(text);
        }
    }
    let roots = roots.ok_or_else(|| format!("it delivered no roots of its own trust domain `{own}`"))?;
    let chain = pem("CERTIFICATE", svid.cert_chain().iter().map(spiffe::cert::Certificate::as_bytes));
    let key = pem("PRIVATE KEY", [svid.private_key().as_bytes()].into_iter());
    let names = Zeroizing::new(domains.into_bytes());
    let all: Vec<_> = [names, chain, key, roots].into_iter().chain(further).collect();
    Ok(joined(&all))
}

fn pem<'d>(label: &str, ders: impl Iterator<Item = &'d [u8]> + Clone) -> Zeroizing<Vec<u8>> {
    // Allocate the full size first: a text that grows leaves copies of the key in memory.
    let size = ders.clone().map(|der| der.len() * 4 / 3 + 100).sum();
    let mut text = Zeroizing::new(String::with_capacity(size));
    for der in ders {
        text.push_str(&format!("-----BEGIN {label}-----\n"));
        STANDARD.encode_string(der, &mut text);
        text.push_str(&format!("\n-----END {label}-----\n"));
    }
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

/// The path of a socket, which `SPIFFE_ENDPOINT_SOCKET` writes as a URI.
pub(crate) fn socket_path(endpoint: &Path) -> PathBuf {
    let text = endpoint.to_string_lossy();
    let plain = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:"));
    plain.map_or_else(|| endpoint.to_owned(), PathBuf::from)
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload").field("socket", &self.shared.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_or_a_uri() {
        for endpoint in ["/run/spire/a.sock", "unix:///run/spire/a.sock", "unix:/run/spire/a.sock"] {
            assert_eq!(socket_path(Path::new(endpoint)), Path::new("/run/spire/a.sock"));
        }
    }
}
