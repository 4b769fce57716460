//! `/metrics`: the registry and the journal as `expiring --format prometheus` prints them, and the state of this server.
//!
//! The registry is read at most every ten seconds, and by one request at a time, however many clients ask.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use service_only_store::Store;
use tokio::sync::Mutex;

use super::publication::Snapshot;
use crate::config::Config;
use crate::output;
use crate::store::now;

/// How long the metrics of the registry are kept.
const KEEP: Duration = Duration::from_secs(10);

pub(crate) struct Metrics {
    issuer: String,
    /// The services of the configuration.
    services: Vec<String>,
    store: Option<String>,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    /// When it was read, and its text, if it could be read.
    read: Option<(Instant, Option<String>)>,
    problem: Option<String>,
}

impl Metrics {
    pub(crate) fn new(config: &Config, store: Option<String>) -> Self {
        let services = config.listed().into_iter().map(str::to_owned).collect();
        Self { issuer: config.issuer.clone(), services, store, registry: Mutex::default() }
    }

    pub(crate) async fn text(&self, snapshot: &Snapshot) -> String {
        let registry = match &self.store {
            Some(url) => Some(self.registry.lock().await.text(url, &self.issuer, &self.services).await),
            None => None,
        };
        let mut text = self.own(snapshot, registry.as_ref().map(Option::is_some));
        text.extend(registry.flatten());
        text
    }

    /// The state of this server. `readable` tells whether the registry can be read, if there is one.
    fn own(&self, snapshot: &Snapshot, readable: Option<bool>) -> String {
        let mut text = String::new();
        let issuer = self.issuer.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a `String` cannot fail.
        let mut line = |name: &str, kind: &str, help: &str, value: i64| {
            let name = format!("service_only_serve_{name}");
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{issuer=\"{issuer}\"}} {value}"
            );
        };
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        line("keys", "gauge", "Keys of the published set", number(snapshot.set.kids.len() as u64));
        let read = "When the published set was last read";
        line("last_read_timestamp_seconds", "gauge", read, snapshot.read_at.unix());
        let failed = "Reads of the published set that failed";
        line("failed_reads_total", "counter", failed, number(snapshot.failures));
        if let Some(readable) = readable {
            line("registry_readable", "gauge", "Whether the registry can be read", i64::from(readable));
        }
        text
    }
}

impl Registry {
    async fn text(&mut self, url: &str, issuer: &str, services: &[String]) -> Option<String> {
        if let Some((at, text)) = &self.read
            && at.elapsed() < KEEP
        {
            return text.clone();
        }
        let read = async {
            let store = Store::open(url).await?;
            let listed: Vec<_> = services.iter().map(String::as_str).collect();
            let text = store.exposition(issuer, &listed, now()).await;
            store.close().await;
            text
        };
        let text = match read.await {
            Ok(text) => {
                self.problem = None;
                Some(text)
            }
            Err(error) => {
                let why = format!("no metrics of the registry: {error}");
                if self.problem.as_ref() != Some(&why) {
                    output::warning(&why);
                    self.problem = Some(why);
                }
                None
            }
        };
        self.read = Some((Instant::now(), text.clone()));
        text
    }
}
