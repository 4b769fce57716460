//! `service-token jwks`: prints or writes the set of public keys for the services that verify.
//!
//! The set is the one that `rotate` publishes: after the first rotation the journal decides. The keys that are
//! published already stay in it.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use service_only::Algorithm;
use service_only_store::rotation::Journal;

use crate::config::{Config, DEFAULT_FILE};
use crate::exit::Exit;
use crate::key_file::{KeySource, SecretEncoding};
use crate::new_file::{self, NewFile, Overwrite};
use crate::option_values::{algorithm_parser, key_name};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_jwk;
use crate::published::{self, ExistingSet, Published, Sources, Unknown};
use crate::rotation;
use crate::store::{self, StoreOptions};
use crate::unlock::UnlockOptions;

const EXAMPLES: &str = "\
Exit codes: 0 done, 2 usage or files, 4 the store cannot be used, 6 refused because the set would lack the
key of a valid token.

Examples:
  service-token jwks --out jwks.json
  service-token jwks --key old.pem --algorithm RS256 --key new.pem --algorithm ES256";

/// Print the public JWK set of the signing keys
///
/// Services verify tokens with this set, which contains no secret. After the first `rotate`, the set has all
/// keys of the store that are not retired. Before, it has the configured key and the keys of the set that
/// `[rotation]` names.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct JwksOptions {
    /// Configuration file [default: `service-token.toml`, unless --key names a key]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOptions,
    /// Do not read the keys of the configured store
    #[arg(long)]
    no_store: bool,
    /// Private key file (repeatable, each with its --algorithm)
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    key: Vec<PathBuf>,
    /// Algorithm of the key in the --key of the same position
    #[arg(long, value_name = "ALG", requires = "key", value_parser = algorithm_parser())]
    algorithm: Vec<Algorithm>,
    /// Key id of the key in the --key of the same position [default: the RFC 7638 thumbprint]
    #[arg(long, value_name = "KID", allow_hyphen_values = true, value_parser = key_name, requires = "key")]
    kid: Vec<String>,
    #[command(flatten)]
    unlock: UnlockOptions,
    /// Write the set to this file, whose other keys stay. `> FILE` empties the file first
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave out keys that are published, and that neither the store nor the configuration has:
    /// verifiers then refuse their tokens
    #[arg(long)]
    drop_unknown: bool,
    /// With --out, print the set and write no file
    #[arg(long, requires = "out")]
    dry_run: bool,
}

pub(crate) fn run(options: &JwksOptions) -> Outcome<Exit> {
    let config = Config::find(options.config.as_deref(), options.key.is_empty())?;
    if let Some(config) = &config {
        options.unlock.apply(&config.key.unlock);
    }
    let set = options.set(config.as_ref())?;
    set.warn();
    for kept in set.kept() {
        output::note(&format!("kept a published key: {kept}; `--drop-unknown` leaves it out"));
    }
    for dropped in &set.dropped {
        output::note(&format!("left out a published key: `{dropped}`"));
    }
    match &options.out {
        Some(_) if options.dry_run => output::pretty_json(&set.json())?,
        None => output::pretty_json(&set.json())?,
        Some(path) => {
            let written: Vec<_> =
                options.key.iter().chain(config.iter().map(|config| &config.key.path)).collect();
            let others = written.into_iter().chain(config.iter().map(|config| &config.path));
            new_file::check_distinct(
                &others.map(PathBuf::as_path).chain([path.as_path()]).collect::<Vec<_>>(),
            )?;
            new_file::write_all(&[NewFile::public(path, set.text()?)], Overwrite::Replace)?;
            output::result(&path.display().to_string())?;
        }
    }
    Ok(Exit::Done)
}

impl JwksOptions {
    fn set(&self, config: Option<&Config>) -> Outcome<Published> {
        let mut sources = self.sources()?;
        let journal = match config.and_then(|config| Some((config, self.store.url(Some(config))?))) {
            Some((config, url)) if !self.no_store => published::journal_at(&url, &config.issuer)?,
            _ => Journal::default(),
        };
        if journal.keys.is_empty() {
            sources.extend(config.map(|config| config.key.clone()));
        }
        if sources.is_empty() && journal.keys.is_empty() {
            return Err(Problem::usage(format!(
                "no signing key: `{DEFAULT_FILE}` does not exist in this directory"
            ))
            .help("name a configuration with `--config FILE`, or pass `--key FILE --algorithm ALG`"));
        }
        let unknown = if self.drop_unknown { Unknown::Drop } else { Unknown::Keep };
        let mut existing = ExistingSet::default();
        let managed = config.map(|config| &config.rotation.jwks);
        for path in managed.into_iter().chain(self.out.as_ref().filter(|out| Some(*out) != managed)) {
            existing = ExistingSet::read(path, unknown)?.and(existing);
        }
        let leftover = config.and_then(rotation::prepared_name);
        let own = public_keys(&sources)?;
        let is_first = journal.keys.is_empty();
        let sources =
            Sources { journal: &journal, own, existing: &existing, leftover: leftover.as_deref(), unknown };
        let set = sources.decide()?;
        if is_first && unknown == Unknown::Keep {
            set.check_tokens(&journal.holders, store::now())?;
        }
        Ok(set)
    }

    fn sources(&self) -> Outcome<Vec<KeySource>> {
        if self.algorithm.len() != self.key.len() {
            return Err(Problem::usage("each `--key` needs its own `--algorithm`")
                .help("write them in pairs, such as `--key a.pem --algorithm ES256`"));
        }
        if !self.kid.is_empty() && self.kid.len() != self.key.len() {
            return Err(Problem::usage("pass one `--kid` for each `--key`, or none")
                .help("leave `--kid` out to use thumbprints"));
        }
        let kids = self.kid.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let keys = self.key.iter().zip(&self.algorithm).zip(kids);
        Ok(keys
            .map(|((path, &algorithm), kid)| KeySource {
                path: path.clone(),
                algorithm,
                kid,
                encoding: SecretEncoding::Raw,
                unlock: self.unlock.unlock(),
                device: None,
            })
            .collect())
    }
}

fn public_keys(sources: &[KeySource]) -> Outcome<Vec<Value>> {
    let mut seen: Vec<(String, &KeySource)> = Vec::new();
    let mut keys = Vec::new();
    for source in sources {
        if source.algorithm.is_symmetric() {
            return Err(no_public_part(source));
        }
        let key = source.load()?;
        if let Some((kid, earlier)) = seen.iter().find(|(kid, _)| kid == key.kid().as_str()) {
            return Err(duplicate(kid, earlier, source));
        }
        seen.push((key.kid().to_string(), source));
        keys.push(public_jwk(&key).ok_or_else(|| no_public_part(source))?);
    }
    Ok(keys)
}

fn no_public_part(source: &KeySource) -> Problem {
    let place = source.path.display();
    Problem::new(ProblemCode::BadKey, format!("the {} key in `{place}` is an HMAC secret and has no public part", source.algorithm))
        .help("a verifier needs the secret itself, and could mint tokens with it; use an asymmetric key, such as ES256")
}

fn duplicate(kid: &str, earlier: &KeySource, later: &KeySource) -> Problem {
    let (earlier, later) = (earlier.path.display(), later.path.display());
    Problem::new(ProblemCode::BadKey, format!("`{earlier}` and `{later}` have the same kid `{kid}`"))
        .help("name each key once, or give them different `--kid`s")
}
