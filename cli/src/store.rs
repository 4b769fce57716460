//! The store of tokens and revocations: finds its address, and runs the operations of a command.
//!
//! The address comes from `--store`, then `SERVICE_TOKEN_STORE`, then `store` of the configuration. It is
//! never guessed: a registry in a different folder than yesterday's would look empty, and the operator would
//! trust it.

mod asked;
mod mintable;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use asked::AskedStore;
use clap::Args;
use service_only::claims::ServiceName;
use service_only::clock::Timestamp;
use service_only_store::{
    Coverage, ListedToken, RevocationTarget, Store, StoreError, TokenFilter, TokenRecord, TokenState,
};

use crate::change::By;
use crate::clocks;
use crate::config::{Config, KeepExpired, ServiceEntry};
pub(crate) use crate::database::{refused, run, work};
pub(crate) use crate::instant::{Instant, now};
use crate::members;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::service_token::ServiceToken;

/// Which store a command works with.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreOptions {
    /// Store of tokens and revocations, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    /// [default: `store` of the configuration]
    #[arg(long, value_name = "URL", env = "SERVICE_TOKEN_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
}

/// Which store, for a command that reads nothing else from a configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreAndConfig {
    #[command(flatten)]
    store: StoreOptions,
    /// Configuration file [default: `service-token.toml`, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Which store a minted token is written down in, and what is to be remembered of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct RegistryOptions {
    #[command(flatten)]
    store: StoreOptions,
    /// Do not register the token, although a store is configured
    #[arg(long)]
    no_store: bool,
    /// Note for the registry
    #[arg(long, value_name = "TEXT", conflicts_with = "no_store")]
    note: Option<String>,
    #[command(flatten)]
    by: By,
}

/// The result of recording tokens.
pub(crate) enum Recorded {
    Done,
    /// Not recorded: one of the tokens is revoked up to and including this second, which will pass soon.
    RevokedUpTo(Timestamp),
}

const UNRECORDED: &str = "no store is configured, so the token is not registered and `list` cannot show it; pass `--store sqlite:service-token.db`, write `store` into the configuration, or pass `--no-store`";

/// How far ahead another machine's clock may have been when it revoked up to its current time.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many tokens of an issuer are pruned after a change of the registry: a few milliseconds.
const PRUNED_AT_ONCE: u32 = 500;

/// An address. It may contain a password, so messages never show it.
#[derive(Clone)]
pub(crate) struct StoreUrl(String);

impl FromStr for StoreUrl {
    type Err = std::convert::Infallible;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Ok(Self(url.to_owned()))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl")
    }
}

impl StoreUrl {
    /// The address, after a warning if it contains a password.
    pub(crate) fn warned(&self) -> &str {
        warn_of_a_password(&self.0);
        &self.0
    }
}

impl StoreOptions {
    pub(crate) fn url(&self, config: Option<&Config>) -> Option<String> {
        let given = self.store.as_ref().map(|StoreUrl(url)| url.clone()).filter(|url| !url.is_empty());
        if let Some(url) = &given {
            warn_of_a_password(url);
        }
        given.or_else(|| config.and_then(|config| config.store.clone()))
    }
}

/// Every user of the machine can read arguments; only the current user can read the variable.
fn warn_of_a_password(url: &str) {
    let from_variable = std::env::var("SERVICE_TOKEN_STORE").is_ok_and(|value| value == url);
    if !from_variable && Store::address_holds_password(url) {
        output::warning(
            "every user of this machine can read a password of the address in the process list; set it in PGPASSWORD, in the file that PGPASSFILE names, or pass the address in SERVICE_TOKEN_STORE",
        );
    }
}

impl StoreAndConfig {
    /// The configuration, if there is one.
    pub(crate) fn configuration(&self) -> Outcome<Option<Config>> {
        Config::find(self.config.as_deref(), true)
    }

    /// The store's address, if one is named.
    pub(crate) fn url(&self, config: Option<&Config>) -> Option<String> {
        self.store.url(config)
    }

    /// The store's address, and the configuration, if there is one.
    pub(crate) fn find(&self) -> Outcome<(String, Option<Config>)> {
        let config = Config::find(self.config.as_deref(), true)?;
        let url = self.store.url(config.as_ref()).ok_or_else(|| {
            Problem::usage("no store is named").help(
                "pass `--store sqlite:service-token.db`, set SERVICE_TOKEN_STORE, or write `store` into the configuration",
            )
        })?;
        Ok((url, config))
    }
}

impl StoreAndConfig {
    /// The same as [`find`](Self::find), for a command that works without a store too.
    pub(crate) fn find_if_any(&self) -> Outcome<Option<(String, Option<Config>)>> {
        let config = Config::find(self.config.as_deref(), true)?;
        Ok(self.store.url(config.as_ref()).map(|url| (url, config)))
    }

    /// The same store, for tokens that are minted.
    pub(crate) fn registry(&self, note: Option<String>, by: By) -> RegistryOptions {
        RegistryOptions { store: self.store.clone(), no_store: false, note, by }
    }
}

impl RegistryOptions {
    /// The services of a configuration that have no valid token.
    pub(crate) fn without_token(&self, config: &Config) -> Outcome<BTreeMap<ServiceName, ServiceEntry>> {
        let Some(url) = self.store.url(Some(config)).filter(|_| !self.no_store) else {
            return Err(Problem::usage("`--missing` needs the registry, and no store is named")
                .help("pass `--store URL`"));
        };
        let now = now();
        let valid = run(async {
            let store = Store::open(&url).await.map_err(|error| refused(&error))?;
            let services: Vec<_> = config.services.keys().map(ServiceName::as_str).collect();
            valid_holders(&store, &config.issuer, &services, now).await
        })?;
        let missing = config.services.iter().filter(|(service, _)| !valid.contains(service.as_str()));
        let missing: BTreeMap<_, _> =
            missing.map(|(service, entry)| (service.clone(), entry.clone())).collect();
        if missing.is_empty() {
            output::note("each service of the configuration has a valid token, so none was minted");
        }
        Ok(missing)
    }

    /// Checks that the tokens could be recorded, and records none.
    pub(crate) fn check(
        &self,
        config: Option<&Config>,
        tokens: &[ServiceToken],
        other_key: Option<&Problem>,
    ) -> Outcome<()> {
        let Some(url) = self.store.url(config).filter(|_| !self.no_store) else {
            return other_key.cloned().map_or(Ok(()), Err);
        };
        let records: Vec<_> = tokens.iter().map(|made| self.described(made)).collect();
        run(async {
            let store = Store::open(&url).await.map_err(|error| refused(&error))?;
            mintable::check(&store, config, &records, other_key).await
        })
    }

    /// Records the tokens before they are handed out, if a store is configured.
    ///
    /// `other_key` is the problem of a key that only a journal can make acceptable.
    pub(crate) fn record(
        &self,
        config: Option<&Config>,
        tokens: &[ServiceToken],
        other_key: Option<&Problem>,
    ) -> Outcome<Recorded> {
        let Some(url) = self.store.url(config).filter(|_| !self.no_store) else {
            if let Some(problem) = other_key {
                return Err(problem.clone());
            }
            if self.note.is_some() {
                return Err(Problem::usage("a note needs a store").help("pass `--store URL`"));
            }
            if !self.no_store {
                output::note(UNRECORDED);
            }
            return Ok(Recorded::Done);
        };
        let records: Vec<_> = tokens.iter().map(|made| self.described(made)).collect();
        run(async {
            let unprinted = |error: &StoreError| {
                refused(error).help("no token was printed; `--no-store` mints without the registry")
            };
            let store = Store::connect(&url).await.map_err(|error| unprinted(&error))?;
            mintable::check(&store, config, &records, other_key).await?;
            match store.record_minted(&records).await {
                Ok(()) => {
                    prune_some(&store, config).await;
                    Ok(Recorded::Done)
                }
                Err(StoreError::Revoked(RevocationTarget::Service { issued_by, .. }))
                    if issued_by <= now().plus(PATIENCE) =>
                {
                    Ok(Recorded::RevokedUpTo(issued_by))
                }
                Err(error @ StoreError::Revoked(RevocationTarget::Key { .. })) => {
                    Err(Problem::new(ProblemCode::KeyRefused, error.to_string()).help(
                        "verifiers would refuse the token, so none was minted; replace the key with `service-token rotate --emergency`",
                    ))
                }
                Err(error @ StoreError::Revoked(_)) => Err(refused(&error)
                    .help("the new token would be revoked too, so none was minted; mint after that instant")),
                Err(error) => Err(unprinted(&error)),
            }
        })
    }

    fn described(&self, made: &ServiceToken) -> TokenRecord {
        let claims = made.token.claims();
        TokenRecord {
            issuer: claims.issuer.clone(),
            jti: claims.jti.clone().unwrap_or_default(),
            service: made.service.to_string(),
            kid: made.token.kid().to_string(),
            issued_at: claims.iat.map_or_else(now, Timestamp::from_unix),
            expires_at: Timestamp::from_unix(claims.exp),
            note: self.note.clone(),
            minted_by: self.by.name(),
            minted_at: now(),
        }
    }
}

/// Those of the services that have a valid token.
pub(crate) async fn valid_holders(
    store: &Store,
    issuer: &str,
    services: &[&str],
    now: Timestamp,
) -> Outcome<BTreeSet<String>> {
    let newest = store.newest_tokens(issuer, services).await.map_err(|error| refused(&error))?;
    let mut valid = BTreeSet::new();
    for listed in newest {
        let service = listed.token.service.clone();
        let is_valid = match listed.state(now) {
            TokenState::Active => true,
            TokenState::Expired => false,
            // An older token of the service may be good.
            TokenState::Revoked => {
                let filter = TokenFilter {
                    issuer: Some(issuer.to_owned()),
                    service: Some(service.clone()),
                    expires_after: Some(now),
                    revoked: Some(false),
                    ..TokenFilter::default()
                };
                let first = store.tokens_after(&filter, None, 1).await.map_err(|error| refused(&error))?;
                !first.is_empty()
            }
        };
        if is_valid {
            valid.insert(service);
        }
    }
    Ok(valid)
}

/// How long an expired token stays in the registry; `None` means forever.
pub(crate) fn keep_expired(config: Option<&Config>) -> Option<Duration> {
    config.map_or(KeepExpired::DEFAULT, |config| config.keep_expired).duration()
}

/// Removes some of the tokens that expired long ago, after a change of the registry. A failure does not concern the
/// caller. A program whose database role may not delete leaves them to `prune`.
pub(crate) async fn prune_some(store: &Store, config: Option<&Config>) {
    let Some(keep) = keep_expired(config) else { return };
    let pruned = match store.may_prune().await {
        Ok(true) => match clocks::check(store, "tokens that expired long ago were not pruned").await {
            Ok(()) => store.prune_tokens(now().minus(keep), PRUNED_AT_ONCE, now()).await.map(drop),
            Err(problem) => return output::warning(problem.reason()),
        },
        other => other.map(drop),
    };
    if let Err(error) = pruned {
        output::warning(&format!("tokens that expired long ago were not pruned: {error}"));
    }
}

/// The number of tokens, in words.
pub(crate) fn tokens_in_words(counted: &Coverage) -> String {
    match (counted.complete, counted.tokens) {
        (true, 1) => "1 token".to_owned(),
        (true, tokens) => format!("{tokens} tokens"),
        (false, tokens) => format!("at least {tokens} tokens"),
    }
}

/// The kind and the name of a revocation's target, and its time limit.
pub(crate) fn columns(target: &RevocationTarget) -> (&'static str, &str, Option<Timestamp>) {
    match target {
        RevocationTarget::Token { jti, expires_at } => ("token", jti, Some(*expires_at)),
        RevocationTarget::Service { service, issued_by } => ("service", service, Some(*issued_by)),
        RevocationTarget::Key { kid } => ("key", kid, None),
    }
}

/// How far a revocation reaches, as a suffix for the name of its target.
pub(crate) fn reach(target: &RevocationTarget) -> String {
    match target {
        RevocationTarget::Token { expires_at, .. } => {
            format!(", which expires {}", members::instant(*expires_at))
        }
        RevocationTarget::Service { issued_by, .. } => {
            format!(", issued up to {}", members::instant(*issued_by))
        }
        RevocationTarget::Key { .. } => String::new(),
    }
}

/// A recorded token in the format of JSON answers.
pub(crate) fn json(listed: &ListedToken, now: Timestamp) -> serde_json::Value {
    let token = &listed.token;
    serde_json::json!({
        "jti": token.jti,
        "service": token.service,
        "issuer": token.issuer,
        "kid": token.kid,
        "state": listed.state(now).as_str(),
        "revoked": listed.revoked,
        "revocations": listed.revocations,
        "issued": members::instant(token.issued_at),
        "iat": token.issued_at.unix(),
        "expires": members::instant(token.expires_at),
        "exp": token.expires_at.unix(),
        "note": token.note,
        "minted_by": token.minted_by,
        "minted": members::instant(token.minted_at),
    })
}
