//! Completes the command line in a shell: the script of `completions` calls this program with the words so far.
//!
//! The names of services, keys and tokens come from the configuration and the store. A completion must not disturb: it
//! writes no error, and it waits for a store at most [`PATIENCE`].

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use service_only_store::{Store, StoreError, TokenFilter};

use crate::arguments::{Cli, option};
use crate::commands::completions::VARIABLE;
use crate::config::{self, Config, DEFAULT_FILE};
use crate::output;
use crate::store;

/// How long a completion waits for a store: longer, and a person notices.
const PATIENCE: Duration = Duration::from_millis(800);

/// The number of tokens that are offered.
const OFFERED: u32 = 50;

/// Answers a script, and ends the program. Without its variable, does nothing.
pub(crate) fn answer() {
    CompleteEnv::with_factory(|| with_values(Cli::described())).var(VARIABLE).complete();
}

/// Adds the values of each option and argument that names a service, a key, a token or another known thing.
fn with_values(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| with_completer(&name, arg)).mut_subcommands(with_values)
}

fn with_completer(command: &str, arg: Arg) -> Arg {
    let values: fn(&str, &Source) -> Vec<CompletionCandidate> = match (command, arg.get_id().as_str()) {
        // The service of a new token is one that the configuration lists.
        ("generate" | "k8s-secret", "name") => configured_services,
        ("verify" | "attack", "service") => services,
        ("list" | "expiring" | "revoke", "service") => services,
        ("show" | "revoke", "jti") => tokens,
        ("revoke", "key") | ("rotate", "emergency") => keys,
        ("unrevoke", "number") => revocations,
        (_, "issuer") => issuers,
        (_, "environment") => environments,
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(move |current: &OsStr| match current.to_str() {
        Some(current) => values(current, &Source::of_the_command_line()),
        None => Vec::new(),
    }))
}

/// Where names come from.
struct Source {
    path: PathBuf,
    config: Option<Config>,
    url: Option<String>,
}

impl Source {
    /// The configuration and the store that the unfinished command line names.
    fn of_the_command_line() -> Self {
        let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(1).collect();
        let named = option(&words, "--config").map(PathBuf::from);
        let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let environment = option(&words, "--environment");
        config::choose(environment.or_else(|| std::env::var("SERVICE_TOKEN_ENVIRONMENT").ok()));
        let config = path.exists().then(|| Config::load(&path).ok()).flatten();
        let given = option(&words, "--store").or_else(|| std::env::var("SERVICE_TOKEN_STORE").ok());
        let url = given.filter(|url| !url.is_empty()).or_else(|| config.as_ref()?.store.clone());
        Self { path, config, url }
    }

    /// The answer of the store, or nothing if it cannot be read in time.
    fn ask<T: Default>(&self, work: impl AsyncFnOnce(Store) -> Result<T, StoreError>) -> T {
        let Some(url) = &self.url else { return T::default() };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return T::default();
        };
        let answer = runtime.block_on(async {
            let asked = async { work(Store::open(url).await?).await };
            tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
        });
        // A name server that does not answer must not delay the shell.
        runtime.shutdown_background();
        answer.unwrap_or_default()
    }
}

fn offered(current: &str, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut names: Vec<_> = names.into_iter().filter(|name| name.starts_with(current)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn environments(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let known = if source.path.exists() { Config::environments(&source.path) } else { Ok(Vec::new()) };
    offered(current, known.unwrap_or_default())
}

fn configured_services(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    offered(current, source.config.iter().flat_map(|config| config.services.keys()).map(ToString::to_string))
}

fn services(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let configured = source.config.iter().flat_map(|config| config.services.keys()).map(ToString::to_string);
    let minted = source.ask(async |store| store.services(None).await);
    offered(current, configured.chain(minted))
}

fn issuers(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let configured = source.config.iter().map(|config| config.issuer.clone());
    let known = source.ask(async |store| store.issuers().await);
    offered(current, configured.chain(known))
}

fn keys(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let configured = source.config.iter().filter_map(|config| config.key.kid.clone());
    let known = source.ask(async |store| {
        let mut known = Vec::new();
        for issuer in store.issuers().await? {
            known.extend(store.key_names(&issuer).await?);
        }
        Ok(known)
    });
    offered(current, configured.chain(known))
}

/// Valid tokens, those that expire first; with a beginning, all tokens that have it.
fn tokens(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let now = store::now();
    let found = source.ask(async |store| {
        if current.is_empty() {
            let filter =
                TokenFilter { expires_after: Some(now), revoked: Some(false), ..TokenFilter::default() };
            store.tokens_after(&filter, None, OFFERED).await
        } else {
            store.tokens_by_prefix(None, current, OFFERED).await
        }
    });
    let described = found.into_iter().map(|listed| {
        let state = listed.state(now).as_str();
        let help = format!(
            "{} {state}, expires {}",
            listed.token.service,
            output::relative(listed.token.expires_at, now)
        );
        CompletionCandidate::new(listed.token.jti).help(Some(StyledStr::from(help)))
    });
    described.collect()
}

/// The latest revocations that are in effect.
fn revocations(current: &str, source: &Source) -> Vec<CompletionCandidate> {
    let found = source.ask(async |store| store.revocations_since(0, 2_000).await);
    let matching = found.into_iter().rev().filter(|record| record.sequence.to_string().starts_with(current));
    let described = matching.take(OFFERED as usize).map(|record| {
        let (kind, name, _) = store::columns(&record.revocation.target);
        CompletionCandidate::new(record.sequence.to_string())
            .help(Some(StyledStr::from(format!("{kind} {name}"))))
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_that_is_missing_or_wrong_offers_nothing() {
        for url in [None, Some("sqlite:/no/such/file.db"), Some("postgres://"), Some("nonsense")] {
            let source = Source { path: PathBuf::new(), config: None, url: url.map(str::to_owned) };
            for values in [services, keys, tokens, issuers, revocations] {
                assert!(values("", &source).is_empty(), "{url:?}");
            }
        }
    }
}
