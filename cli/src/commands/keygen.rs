//! `service-token keygen`: creates a new signing key, in a file that only its owner can read.
//!
//! Asymmetric keys are PKCS#8 PEM. An HMAC secret is random text of the base64url alphabet, and the text
//! itself is the secret, so that a variable can contain it too. The file appears completely or not at all. It
//! never replaces another key without `--force`: after the loss of a key, all tokens signed with it are lost
//! too.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only::{Algorithm, issue::SigningKey};
use service_only_store::rotation::Journal;

use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::key_file;
use crate::new_file::{self, NewFile, Overwrite};
use crate::option_values::{algorithm_parser, key_name};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_half;
use crate::published::{ExistingSet, Sources, Unknown};

/// Every JWT library and every cloud key store supports it, its keys and signatures are short, and a verifier
/// cannot mint.
const DEFAULT_ALGORITHM: Algorithm = Algorithm::ES256;

/// 128 bits of strength, which NIST SP 800-57 asks of keys that are used beyond 2030.
const DEFAULT_RSA_BITS: usize = 3072;

const EXAMPLES: &str = "\
Examples:
  service-token keygen
  service-token keygen --algorithm EdDSA --out signing.pem --public-out jwks.json
  service-token keygen --algorithm RS256 --bits 4096 --out signing.pem";

/// Generate a new signing key
///
/// Writes the private key to a file with mode 0600, and prints its key id, algorithm and path.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeygenOptions {
    /// Algorithm of the key [default: the configuration's, else ES256, which every JWT library
    /// supports and whose signatures are short]
    #[arg(long, value_name = "ALG", value_parser = algorithm_parser())]
    algorithm: Option<Algorithm>,
    /// File for the private key [default: the one that the configuration names]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// File for the public key, as a JWK set for the services that verify; with --force, its other keys stay
    #[arg(long, value_name = "FILE")]
    public_out: Option<PathBuf>,
    /// Key id [default: the configuration's, else the RFC 7638 thumbprint, which is computed from the key]
    #[arg(long, value_name = "KID", allow_hyphen_values = true, value_parser = key_name)]
    kid: Option<String>,
    /// Size of an RSA key [default: 3072, the 128 bits of strength that NIST requires after 2030]
    #[arg(long, value_name = "BITS")]
    bits: Option<usize>,
    /// Configuration file that names key file and algorithm [default: `service-token.toml`, unless
    /// --out names a file]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    force: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &KeygenOptions) -> Outcome<Exit> {
    let config = Config::find(options.config.as_deref(), options.out.is_none())?;
    let plan = Plan::new(options, config.as_ref())?;
    let overwrite = Overwrite::from_force(options.force);
    let targets = std::iter::once(plan.out.as_path()).chain(options.public_out.as_deref());
    let targets: Vec<_> = targets.collect();
    new_file::check_targets(&targets, overwrite)?;
    // Not even with `--force`: the configuration file is not a key that may be replaced.
    let config_file = config.as_ref().map(|config| config.path.as_path());
    new_file::check_distinct(&targets.into_iter().chain(config_file).collect::<Vec<_>>())?;

    let key = plan.make()?;
    let mut files = vec![NewFile::secret(&plan.out, key_file::content(&key)?)];
    if let Some(path) = &options.public_out {
        files.push(NewFile::public(path, public_set(&key, path)?));
    }
    new_file::write_all(&files, overwrite)?;
    report(&key, &plan, options)?;
    Ok(Exit::Done)
}

/// The key to create, from options and configuration.
struct Plan {
    algorithm: Algorithm,
    out: PathBuf,
    kid: Option<String>,
    bits: Option<usize>,
}

impl Plan {
    fn new(options: &KeygenOptions, config: Option<&Config>) -> Outcome<Self> {
        let configured = config.map(|config| &config.key);
        let algorithm =
            options.algorithm.or(configured.map(|key| key.algorithm)).unwrap_or(DEFAULT_ALGORITHM);
        let out = options.out.clone().or(configured.map(|key| key.path.clone())).ok_or_else(|| {
            Problem::usage("no file for the key")
                .help("pass `--out FILE`, or write a configuration with `service-token init`")
        })?;
        let kid = options.kid.clone().or(configured.and_then(|key| key.kid.clone()));
        if options.bits.is_some() && !is_rsa(algorithm) {
            return Err(Problem::usage(format!(
                "`--bits` is the size of an RSA key, and {algorithm} has its own"
            ))
            .help("leave `--bits` out"));
        }
        if options.public_out.is_some() && algorithm.is_symmetric() {
            return Err(Problem::usage(format!(
                "{algorithm} is an HMAC secret and has no public part for `--public-out`"
            ))
            .help("leave `--public-out` out, or choose an asymmetric algorithm such as ES256"));
        }
        Ok(Self { algorithm, out, kid, bits: options.bits })
    }

    fn make(&self) -> Outcome<SigningKey> {
        let made = if is_rsa(self.algorithm) {
            SigningKey::generate_rsa(self.algorithm, self.bits.unwrap_or(DEFAULT_RSA_BITS))
        } else {
            SigningKey::generate(self.algorithm)
        };
        let key = made.map_err(|error| {
            Problem::new(ProblemCode::BadKey, format!("no {} key: {error}", self.algorithm))
                .help("choose another `--algorithm` or another size with `--bits`")
        })?;
        Ok(match &self.kid {
            Some(kid) => key.with_kid(kid.as_str()),
            None => key,
        })
    }
}

fn is_rsa(algorithm: Algorithm) -> bool {
    matches!(algorithm.as_str().get(..2), Some("RS" | "PS"))
}

/// The JWK set of a new key, as text for a file. The keys that the file has already stay.
fn public_set(key: &SigningKey, path: &Path) -> Outcome<String> {
    let set = Sources {
        journal: &Journal::default(),
        own: vec![public_half(key)?],
        existing: &ExistingSet::read(path, Unknown::KeepReadable)?,
        leftover: None,
        unknown: Unknown::KeepReadable,
    }
    .decide()?;
    set.warn();
    for kept in set.kept() {
        output::note(&format!("kept a published key: {kept}"));
    }
    set.text()
}

fn report(key: &SigningKey, plan: &Plan, options: &KeygenOptions) -> Outcome<()> {
    let (kid, path) = (key.kid().as_str(), plan.out.display().to_string());
    let public = options.public_out.as_ref().map(|path| path.display().to_string());
    match options.format {
        Format::Json => output::json(&json!({
            "kid": kid, "algorithm": plan.algorithm.as_str(), "path": path, "public_path": public,
        }))?,
        Format::Text => {
            output::result(&format!("kid: {}", escape::one_line(kid)))?;
            output::result(&format!("algorithm: {}", plan.algorithm))?;
            output::result(&format!("path: {path}"))?;
            if let Some(public) = public {
                output::result(&format!("public path: {public}"))?;
            }
        }
    }
    output::note("keep the private key out of the repository, and store its backups apart from its tokens");
    if plan.algorithm.is_symmetric() {
        output::note(
            "verify with `--secret-file FILE`; every program that has this secret can also mint tokens",
        );
    }
    Ok(())
}
