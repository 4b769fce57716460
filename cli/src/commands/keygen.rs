//! `service-token keygen`: creates a new signing key, in a file that only its owner can read.
//!
//! Asymmetric keys are PKCS#8 PEM. An HMAC secret is random text of the base64url alphabet, and the text
//! itself is the secret, so that a variable can contain it too. The file appears completely or not at all. It
//! never replaces another key without `--force`: after the loss of a key, all tokens signed with it are lost
//! too.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only::keys::KeyState;
use service_only::{Algorithm, issue::SigningKey};
use service_only_store::KeyRecord;
use service_only_store::rotation::Journal;

use super::audit;
use crate::change::{self, Consent, DryRun};
use crate::config::Config;
use crate::device::Device;
use crate::escape;
use crate::exit::Exit;
use crate::key_file;
use crate::new_file::{self, NewFile, Overwrite};
use crate::option_values::{algorithm_parser, key_name};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_half;
use crate::published::{self, ExistingSet, Sources, Unknown};
use crate::reference::Reference;
use crate::store::{self, StoreOptions};
use crate::unlock::UnlockOptions;

/// Every JWT library and every cloud key store supports it, its keys and signatures are short, and a verifier
/// cannot mint.
const DEFAULT_ALGORITHM: Algorithm = Algorithm::ES256;

/// 128 bits of strength, which NIST SP 800-57 asks of keys that are used beyond 2030.
const DEFAULT_RSA_BITS: usize = 3072;

const EXAMPLES: &str = "\
Examples:
  service-token keygen
  service-token keygen --algorithm EdDSA --out signing.pem --public-out jwks.json
  service-token keygen --algorithm RS256 --bits 4096 --out signing.pem
  service-token keygen --encrypt --out signing.pem
  service-token keygen --existing alias/tokens";

/// Generate a new signing key
///
/// Writes the private key to a file with mode 0600, and prints its key id, algorithm and path. If the
/// configuration names a PKCS#11 token or a command, the key is created there, and the file contains its name
/// and its public key.
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
    /// Encrypt the private key under a passphrase: PKCS#8 with scrypt and AES-256. The command asks for the
    /// passphrase twice on the terminal, unless another option gives it
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    unlock: UnlockOptions,
    /// Use the key of this name, which exists in the token or in the service of the command
    #[arg(long, value_name = "NAME", conflicts_with_all = ["encrypt", "bits"])]
    existing: Option<String>,
    /// Generate the key that signs the checkpoints of the audit log with this name, such as
    /// `bakery.example/orders`; the public key is written to the file of --out with `.pub` at its end
    #[arg(long, value_name = "NAME", requires = "out",
        conflicts_with_all = ["algorithm", "public_out", "kid", "bits", "encrypt", "existing", "config", "passphrase_file", "passphrase_fd"])]
    audit: Option<String>,
    /// Configuration file that names key file and algorithm [default: `service-token.toml`, unless
    /// --out names a file]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace existing files. A key with valid tokens, or that the journal has, needs
    /// --dangerously-abandon-tokens too
    #[arg(long)]
    force: bool,
    /// With --force, replace the configured key even if the registry has valid tokens of it, or the journal has
    /// it as a key that signs. Verifiers then refuse these tokens
    #[arg(long, requires = "force", conflicts_with = "audit")]
    dangerously_abandon_tokens: bool,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    consent: Consent,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &KeygenOptions) -> Outcome<Exit> {
    if let (Some(name), Some(out)) = (&options.audit, &options.out) {
        return audit::tree::keygen(
            name,
            out,
            options.force,
            options.dry_run,
            options.consent,
            options.format,
        );
    }
    let config = Config::find(options.config.as_deref(), options.out.is_none())?;
    let plan = Plan::new(options, config.as_ref())?;
    let overwrite = Overwrite::of_key(options.force);
    if let Some(config) = &config {
        options.unlock.apply(&config.key.unlock);
    }
    let device = config.as_ref().and_then(|config| config.key.device.clone());
    options.check_place(device.as_ref(), plan.algorithm)?;
    if let Some(device) = device {
        return elsewhere(&device, &plan, options, config.as_ref());
    }
    let targets = std::iter::once(plan.out.as_path()).chain(options.public_out.as_deref());
    let targets: Vec<_> = targets.collect();
    options.check_files(Some(&plan.out))?;
    options.check_loss(&plan.out)?;
    // Not even with `--force`: the configuration file is not a key that may be replaced.
    let config_file = config.as_ref().map(|config| config.path.as_path());
    new_file::check_distinct(&targets.iter().copied().chain(config_file).collect::<Vec<_>>())?;

    if options.dry_run.dry_run {
        return change::preview(&targets, options.format).map(|()| Exit::Done);
    }
    options.consent.ask_before_loss(&plan.out)?;

    let key = plan.make()?;
    let unlock = config.map_or_else(|| options.unlock.unlock(), |config| config.key.unlock);
    let is_encrypted = options.encrypt || (unlock.is_named() && !plan.algorithm.is_symmetric());
    let content = if is_encrypted { key_file::encrypted(&key, &unlock)? } else { key_file::content(&key)? };
    let mut files = vec![NewFile::secret(&plan.out, content)];
    if let Some(path) = &options.public_out {
        files.push(NewFile::public(path, public_set(&key, path)?));
    }
    new_file::write_all(&files, overwrite)?;
    report(&key, &plan, options)?;
    Ok(Exit::Done)
}

/// Creates a key in a device, or uses one that exists there.
fn elsewhere(
    device: &Device,
    plan: &Plan,
    options: &KeygenOptions,
    config: Option<&Config>,
) -> Outcome<Exit> {
    let overwrite = Overwrite::from_force(options.force);
    let others = options.public_out.iter().chain(config.map(|config| &config.path));
    let others: Vec<_> = others.map(PathBuf::as_path).collect();
    new_file::check_distinct(&[&[plan.out.as_path()], others.as_slice()].concat())?;
    // A run that was killed has left the name of its key. This run finishes it.
    let is_unfinished = matches!(Reference::read(&plan.out), Ok(Some(Reference::Creating { .. })));
    options.check_files(Some(plan.out.as_path()).filter(|_| !is_unfinished))?;
    if !is_unfinished {
        options.check_loss(&plan.out)?;
    }
    if options.dry_run.dry_run {
        let targets = std::iter::once(plan.out.as_path()).chain(options.public_out.as_deref());
        return change::preview(&targets.collect::<Vec<_>>(), options.format).map(|()| Exit::Done);
    }
    if !is_unfinished {
        options.consent.ask_before_loss(&plan.out)?;
    }
    let made = match &options.existing {
        Some(name) => device.adopt(plan.algorithm, name, &plan.out, Overwrite::ReplaceKey)?,
        None => {
            let bits = is_rsa(plan.algorithm).then(|| plan.bits.unwrap_or(DEFAULT_RSA_BITS));
            let bits = bits.and_then(|bits| u32::try_from(bits).ok());
            device.create(plan.algorithm, bits, &plan.out, Overwrite::ReplaceKey)?
        }
    };
    let key = match &plan.kid {
        Some(kid) => made.with_kid(kid.as_str()),
        None => made,
    };
    if let Some(path) = &options.public_out {
        new_file::write_all(&[NewFile::public(path, public_set(&key, path)?)], overwrite)?;
    }
    report(&key, plan, options)?;
    Ok(Exit::Done)
}

impl KeygenOptions {
    /// Refuses existing files without `--force`. With it, a key may replace a key, and a public set may not.
    fn check_files(&self, out: Option<&Path>) -> Outcome<()> {
        let check =
            |path: Option<&Path>, overwrite| path.map(|path| new_file::check_targets(&[path], overwrite));
        check(out, Overwrite::of_key(self.force)).transpose()?;
        check(self.public_out.as_deref(), Overwrite::from_force(self.force)).transpose()?;
        Ok(())
    }

    /// Refuses to replace the configured key while the registry has valid tokens of it, or the journal has it. The
    /// configuration is read also if --out names the file of its key.
    fn check_loss(&self, out: &Path) -> Outcome<()> {
        if self.dangerously_abandon_tokens || !out.exists() {
            return Ok(());
        }
        let config = match Config::find(self.config.as_deref(), true) {
            Ok(Some(config)) if new_file::is_same(&config.key.path, out) => config,
            // With --out, a configuration that cannot be read is not that of the key.
            _ => return Ok(()),
        };
        let Some(url) = self.store.url(Some(&config)) else { return Ok(()) };
        // The name of a key that cannot be read is not known, and neither are its tokens.
        let Ok(key) = config.key.load() else { return Ok(()) };
        let kid = key.kid().as_str();
        let journal = published::journal_at(&url, &config.issuer)?;
        let place = out.display();
        let remedy = "replace the key with `service-token rotate`, or after a leak with `service-token rotate --emergency`; `--dangerously-abandon-tokens` replaces it anyway";
        if let Some(tokens) = published::lacking(&journal.holders, store::now(), |other| other != kid) {
            let reason = format!("without the key in `{place}`, verifiers would refuse {tokens}");
            return Err(Problem::new(ProblemCode::WouldBreak, reason).help(remedy));
        }
        let signs = |record: &KeyRecord| record.kid == kid && record.state == KeyState::Active;
        if journal.keys.iter().any(signs) {
            let reason = format!("the journal has the key `{kid}` in `{place}` as the active one");
            return Err(Problem::new(ProblemCode::WouldBreak, reason).help(remedy));
        }
        Ok(())
    }

    /// Refuses options that do not fit the place of the key.
    fn check_place(&self, device: Option<&Device>, algorithm: Algorithm) -> Outcome<()> {
        if device.is_some() && self.encrypt {
            return Err(Problem::usage("the key is created elsewhere, so no file of it is encrypted")
                .help("leave `--encrypt` out"));
        }
        if device.is_none() && self.existing.is_some() {
            return Err(Problem::usage(
                "`--existing` names a key that is elsewhere, and no place is configured",
            )
            .help("write `pkcs11` or `command` into `[key]` of the configuration"));
        }
        if algorithm.is_symmetric() && (self.encrypt || self.unlock.any()) {
            return Err(Problem::usage(format!(
                "{algorithm} is an HMAC secret, and only key pairs are encrypted"
            ))
            .help("choose an asymmetric algorithm such as ES256, or leave the passphrase out"));
        }
        Ok(())
    }
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
    if key.to_secret_bytes().is_none() {
        output::note(
            "the file contains the name and the public half of the key; the private half stays where it is",
        );
        return Ok(());
    }
    output::note("keep the private key out of the repository, and store its backups apart from its tokens");
    if plan.algorithm.is_symmetric() {
        output::note(
            "verify with `--secret-file FILE`; every program that has this secret can also mint tokens",
        );
    }
    Ok(())
}
