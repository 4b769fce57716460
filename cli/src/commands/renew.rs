//! `service-token renew`: mints new tokens for services whose tokens expire soon; run it from a timer.
//!
//! It checks the token that a service has, not the newest one that was minted. So if tokens were never
//! delivered, the next run mints them again. If there is a folder with the deployed tokens, the folder
//! decides; otherwise the registry does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only::keys::KeyState;
use service_only::{Verifier, claims::ServiceName, clock::Timestamp};
use service_only_store::{ListedToken, Store, TokenFilter, TokenState};

use super::{generate, inspect, k8s_secret};
use crate::change::{By, DryRun};
use crate::config::{Config, Lifetime};
use crate::exit::Exit;
use crate::key_file;
use crate::members;
use crate::new_file::{NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::service_token::ServiceToken;
use crate::signing::{self, RefusedTokens, TokenOptions};
use crate::stdout;
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted;
use crate::unlock::UnlockOptions;

const EXAMPLES: &str = "\
Examples:
  service-token renew --out-dir tokens
  service-token renew --within 7d --out-dir tokens
  service-token renew --deployed /run/tokens --k8s-secret --namespace bakery | kubectl apply -f -";

/// Mint new tokens for the services whose tokens expire soon
///
/// A service of the configuration gets a new token if its token expires soon, has expired, is revoked, or
/// if the token's key no longer signs. A service without a token is skipped: `generate` mints its first
/// token. The old token stays valid until it expires.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RenewOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    unlock: UnlockOptions,
    /// Remaining lifetime, such as `7d` [default: a third of the token's lifetime, so that two runs may fail]
    #[arg(long, value_name = "DURATION")]
    within: Option<Lifetime>,
    /// Lifetime of the new tokens [default: as for `generate`]
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<Lifetime>,
    #[command(flatten)]
    refused: RefusedTokens,
    /// Folder with the tokens in use, as files `NAME.token` [default: --out-dir]
    #[arg(long, value_name = "DIR")]
    deployed: Option<PathBuf>,
    /// Replace the files `NAME.token` of this folder, with mode 0600
    #[arg(long, value_name = "DIR", required_unless_present = "k8s_secret", conflicts_with = "k8s_secret")]
    out_dir: Option<PathBuf>,
    /// Print Kubernetes Secrets as `k8s-secret` does, for `kubectl apply -f -`
    #[arg(long)]
    k8s_secret: bool,
    /// Namespace of the Secrets [default: none, so that `kubectl apply -n` decides]
    #[arg(long, value_name = "NAMESPACE", requires = "k8s_secret", conflicts_with = "out_dir")]
    namespace: Option<String>,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format; Secrets are always YAML
    #[arg(long, value_enum, default_value_t, conflicts_with = "k8s_secret")]
    format: Format,
}

pub(crate) fn run(options: &RenewOptions) -> Outcome<Exit> {
    if let Some(namespace) = &options.namespace {
        k8s_secret::check_namespace(namespace)?;
    }
    if let Some(dir) = options.deployed.as_deref().filter(|dir| !dir.is_dir()) {
        // If a missing folder counted as empty, each run would renew every service.
        return Err(Problem::usage(format!("`--deployed` names `{}`, which is not a folder", dir.display()))
            .help("name the folder with the tokens in use, as files `NAME.token`"));
    }
    let (url, config) = options.store.find()?;
    let config: Config = config.ok_or_else(|| {
        Problem::usage("no configuration lists the services").help("name one with `--config FILE`")
    })?;
    options.unlock.apply(&config.key.unlock);
    if config.services.is_empty() {
        return Err(Problem::usage(format!(
            "`{}` lists no service, so nothing is renewed",
            config.path.display()
        ))
        .help("add one under `[services]`, such as `orders = { role = \"admin\" }`"));
    }
    unlisted::warn_of_holders(&url, &config)?;
    let known = Known::read(&url, &config, options.deployed.as_deref().or(options.out_dir.as_deref()))?;
    let mut due = BTreeMap::new();
    for service in config.services.keys() {
        if let Some(why) = options.why(service, &known) {
            due.insert(service.clone(), why);
        }
    }
    if due.is_empty() {
        output::note("no token needs to be renewed");
    }
    // Check the name of each Secret before its token is minted.
    if options.k8s_secret {
        due.keys().try_for_each(|service| k8s_secret::name_of(service).map(drop))?;
    }
    let services = config.services.iter().filter(|(service, _)| due.contains_key(*service));
    let services = services.map(|(service, entry)| (service.clone(), entry.clone())).collect();
    let token =
        TokenOptions { lifetime: options.lifetime, refused: options.refused, ..TokenOptions::default() };
    let registry = options.store.registry(Some("renewed".to_owned()), options.by.clone());
    if options.dry_run.dry_run {
        let tokens = signing::try_again(&config, services, &token, &registry)?;
        return preview(&tokens, &due, options.format);
    }
    let minted = signing::mint_again(&config, services, &token, &registry, |tokens| {
        options.out_dir.as_deref().map(|dir| generate::stage(dir, tokens, Overwrite::Replace)).transpose()
    })?;
    for (service, why) in &due {
        output::note(&format!("`{service}` gets a new token: {why}"));
    }
    minted.hand_out(|tokens, staged| match staged {
        Some((files, staged)) => {
            staged.publish()?;
            name_files(&files, tokens, &due, options.format)
        }
        None => {
            stdout::warn_if_others_can_read();
            tokens.iter().try_for_each(|made| {
                output::result("---")?;
                let name = k8s_secret::name_of(&made.service)?;
                output::result_bytes(&k8s_secret::manifest(&name, options.namespace.as_deref(), made))
            })
        }
    })?;
    Ok(Exit::Done)
}

impl RenewOptions {
    /// Why a service needs a new token.
    fn why(&self, service: &ServiceName, known: &Known) -> Option<String> {
        let Some(newest) = known.newest.get(service.as_str()) else {
            output::note(&format!(
                "`{service}` has no token in the registry and is skipped; `service-token generate {service}` mints its first token"
            ));
            return None;
        };
        let current = match known.deployed.get(service.as_str()) {
            None => newest,
            Some(Deployed::Missing) => return Some("none is deployed".to_owned()),
            Some(Deployed::Unknown) => {
                return Some("the registry does not contain the deployed token".to_owned());
            }
            Some(Deployed::Known(listed)) => listed,
        };
        known.why(current, self.within)
    }
}

/// The token in the folder of deployed tokens.
enum Deployed {
    Missing,
    /// The registry has no such token of the service.
    Unknown,
    Known(Box<ListedToken>),
}

/// The data of the store about the services of the configuration.
struct Known {
    /// The token of each service that expires last.
    newest: BTreeMap<String, ListedToken>,
    /// For each of these services, if there is a folder.
    deployed: BTreeMap<String, Deployed>,
    /// The signing key, if keys rotate.
    active: Option<String>,
    now: Timestamp,
}

impl Known {
    fn read(url: &str, config: &Config, folder: Option<&Path>) -> Outcome<Self> {
        store::run(async {
            let store = Store::open(url).await.map_err(|error| refused(&error))?;
            let services: Vec<_> = config.services.keys().map(ServiceName::as_str).collect();
            let newest = store.newest_tokens(&config.issuer, &services).await;
            let newest = newest.map_err(|error| refused(&error))?.into_iter();
            let newest: BTreeMap<_, _> =
                newest.map(|listed| (listed.token.service.clone(), listed)).collect();
            let mut deployed = BTreeMap::new();
            for service in newest.keys() {
                if let Some(folder) = folder {
                    let there = deployed_token(&store, &config.issuer, service, folder).await?;
                    deployed.insert(service.clone(), there);
                }
            }
            let keys = store.keys(&config.issuer).await.map_err(|error| refused(&error))?;
            let active = keys.into_iter().find(|key| key.state == KeyState::Active).map(|key| key.kid);
            Ok(Self { newest, deployed, active, now: store::now() })
        })
    }

    fn why(&self, listed: &ListedToken, within: Option<Lifetime>) -> Option<String> {
        let token = &listed.token;
        let within = match within {
            Some(Lifetime(within)) => within,
            None => token.expires_at.since(token.issued_at).unwrap_or_default() / 3,
        };
        let left = token.expires_at.since(self.now).unwrap_or_default();
        match listed.state(self.now) {
            TokenState::Revoked => Some("its token is revoked".to_owned()),
            TokenState::Expired => Some("its own has ended".to_owned()),
            TokenState::Active if left <= within => {
                Some(format!("its token expires at {}", members::instant(token.expires_at)))
            }
            TokenState::Active if self.active.as_ref().is_some_and(|active| *active != token.kid) => {
                Some("the key of its token no longer signs".to_owned())
            }
            TokenState::Active => None,
        }
    }
}

async fn deployed_token(store: &Store, issuer: &str, service: &str, folder: &Path) -> Outcome<Deployed> {
    let Some(jti) = deployed_jti(&folder.join(format!("{service}.token")))? else {
        return Ok(Deployed::Missing);
    };
    let filter = TokenFilter {
        issuer: Some(issuer.to_owned()),
        service: Some(service.to_owned()),
        jti: Some(jti),
        ..TokenFilter::default()
    };
    let found = store.tokens(&filter).await.map_err(|error| refused(&error))?.into_iter().next();
    Ok(found.map_or(Deployed::Unknown, |listed| Deployed::Known(Box::new(listed))))
}

/// The unverified `jti` of a deployed token, which is only looked up. `None` if the file does not exist.
fn deployed_jti(path: &Path) -> Outcome<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = key_file::read(path)?;
    let token = bytes.trim_ascii();
    let jti = (token.len() <= Verifier::MAX_TOKEN_LENGTH).then(|| inspect::jti(token)).flatten();
    // A file without a token is replaced like an unknown token.
    Ok(Some(jti.unwrap_or_default()))
}

/// Prints which services would get a token.
fn preview(tokens: &[ServiceToken], due: &BTreeMap<ServiceName, String>, format: Format) -> Outcome<Exit> {
    let rows = tokens.iter().map(|made| (made, due.get(&made.service).map_or("", String::as_str)));
    match format {
        Format::Json => {
            let rows = rows.map(|(made, why)| {
                let expires = members::instant(Timestamp::from_unix(made.token.claims().exp));
                json!({ "dry_run": true, "service": made.service.as_str(), "expires": expires, "why": why })
            });
            output::json(&rows.collect::<Vec<_>>())?;
        }
        Format::Text => rows
            .map(|(made, why)| format!("would mint a token for {}: {why}", made.service))
            .try_for_each(|line| output::lines(&line))?,
    }
    Ok(Exit::Done)
}

fn name_files(
    files: &[NewFile],
    tokens: &[ServiceToken],
    due: &BTreeMap<ServiceName, String>,
    format: Format,
) -> Outcome<()> {
    match format {
        Format::Text => files.iter().try_for_each(|file| output::result(&file.path().display().to_string())),
        Format::Json => {
            let described = tokens.iter().zip(files).map(|(made, file)| {
                let claims = made.token.claims();
                json!({
                    "service": made.service.as_str(),
                    "file": file.path().display().to_string(),
                    "jti": claims.jti,
                    "kid": made.token.kid().as_str(),
                    "expires": members::instant(Timestamp::from_unix(claims.exp)),
                    "why": due.get(&made.service),
                })
            });
            output::json(&described.collect::<Vec<_>>())
        }
    }
}
