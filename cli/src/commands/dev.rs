//! `service-token dev`: from nothing to a working guarded handler, in a minute.
//!
//! It creates a key for this user and machine on first use, outside of every repository, and a token with a
//! lifetime of one hour. The key id starts with `dev-only.`. A verifier in a release build refuses such a
//! key, so that it cannot reach production unnoticed.

mod guide;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use service_only::{
    Algorithm,
    claims::ServiceName,
    clock::Timestamp,
    issue::{Issuer, SigningKey},
    keys::KeyId,
};

use crate::change::DryRun;
use crate::config::{DEFAULT_ROLE, Lifetime, ScopeToken};
use crate::exit::Exit;
use crate::key_file::{self, KeySource, SecretEncoding};
use crate::members;
use crate::new_file::{self, NewFile, Overwrite};
use crate::option_values::role;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_half;
use crate::published::{ExistingSet, Published, Unknown};
use crate::unlock::Unlock;

const KEY_FILE: &str = "development-key.pem";
const JWKS_FILE: &str = "jwks.json";
const ALGORITHM: Algorithm = Algorithm::ES256;

/// Long enough for a trial, and too short to be useful in a shell history or a screenshot.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The `iss` of development tokens, which no real verifier expects.
const DEFAULT_ISSUER: &str = "dev-only";

const EXAMPLES: &str = "\
Examples:
  service-token dev orders
  curl -H \"Authorization: Bearer $(service-token dev orders)\" http://127.0.0.1:3000/

Standard output contains only the token. The configuration for a local service and the curl
command go to standard error.";

/// Mint a short-lived token with a development key, for tests on this machine
///
/// The first use generates the key in your state directory, outside of every repository.
/// A verifier in a release build refuses the key.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevOptions {
    /// Name of the service that calls
    name: ServiceName,
    /// Issuer (`iss`) of the token
    #[arg(long, value_name = "ISSUER", default_value = DEFAULT_ISSUER)]
    issuer: String,
    /// Audience (`aud`) of the token [default: none]
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Role of the service
    #[arg(long, value_name = "ROLE", value_parser = role, default_value = DEFAULT_ROLE)]
    role: String,
    /// Scope of the token (repeatable)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<ScopeToken>,
    /// Lifetime of the token [default: 1h, long enough for a test and too short to be a risk in a
    /// shell history]
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<Lifetime>,
    /// Directory of the key [default: $XDG_STATE_HOME/service-only or ~/.local/state/service-only]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &DevOptions) -> Outcome<Exit> {
    let dir = options.dir.clone().map_or_else(state_directory, Ok)?;
    if options.dry_run.dry_run {
        return options.preview(&dir);
    }
    let (key, jwks) = development_key(&dir)?;
    let kid = key.kid().to_string();
    let token = options.mint(key)?;
    match options.format {
        Format::Json => output::json(&json!({
            "service": options.name.as_str(),
            "token": token.as_str(),
            "issuer": options.issuer,
            "kid": kid,
            "jwks": jwks.display().to_string(),
            "expires": members::instant(Timestamp::from_unix(token.claims().exp)),
        }))?,
        Format::Text => {
            output::result(token.as_str())?;
            output::aside(&guide::guide(options, &jwks));
        }
    }
    Ok(Exit::Done)
}

impl DevOptions {
    /// Mints with a key that is not kept, so that a token that cannot be minted is refused here too.
    fn preview(&self, dir: &Path) -> Outcome<Exit> {
        let key = SigningKey::generate(ALGORITHM)
            .map_err(|error| Problem::new(ProblemCode::BadKey, format!("no development key: {error}")))?;
        let expires = members::instant(Timestamp::from_unix(self.mint(key)?.claims().exp));
        let (key, service) = (dir.join(KEY_FILE), self.name.as_str());
        let is_new = !key.exists();
        let key = key.display().to_string();
        match self.format {
            Format::Json => output::json(&json!({
                "dry_run": true, "service": service, "expires": expires, "key": key, "would_generate_key": is_new,
            }))?,
            Format::Text if is_new => {
                output::lines(&format!("would generate the key {key}, and mint a token for {service}"))?;
            }
            Format::Text => output::lines(&format!("would mint a token for {service} with the key {key}"))?,
        }
        Ok(Exit::Done)
    }

    fn mint(&self, key: SigningKey) -> Outcome<service_only::issue::MintedToken> {
        let refused =
            |error: &dyn std::fmt::Display| Problem::usage(format!("no token for `{}`: {error}", self.name));
        let lifetime = self.lifetime.map_or(LIFETIME, |Lifetime(duration)| duration);
        let mut builder = Issuer::builder().issuer(&self.issuer).key(key).lifetime(lifetime);
        if let Some(audience) = &self.audience {
            builder = builder.audience(audience);
        }
        let issuer = builder.build().map_err(|error| refused(&error))?;
        let mut request = issuer.token_for(self.name.as_str()).role(&self.role);
        for ScopeToken(scope) in &self.scope {
            request = request.scope(scope);
        }
        request.mint().map_err(|error| refused(&error))
    }
}

/// The key of this machine, created on first use, and the file of its public half.
fn development_key(dir: &Path) -> Outcome<(SigningKey, PathBuf)> {
    let (path, jwks) = (dir.join(KEY_FILE), dir.join(JWKS_FILE));
    if !path.exists() {
        let key = SigningKey::generate(ALGORITHM)
            .map_err(|error| Problem::new(ProblemCode::BadKey, format!("no development key: {error}")))?;
        new_file::private_directory(dir)?;
        new_file::write_all(&[NewFile::secret(&path, key_file::content(&key)?)], Overwrite::Refuse)?;
        output::note(&format!("generated a development key: `{}`", path.display()));
    }
    let source = KeySource {
        path,
        algorithm: ALGORITHM,
        kid: None,
        encoding: SecretEncoding::Raw,
        unlock: Unlock::default(),
        device: None,
    };
    let key = source.load()?;
    let kid = format!("{}{}", KeyId::DEVELOPMENT_PREFIX, key.kid());
    let key = key.with_kid(kid);
    let set = Published::of(vec![public_half(&key)?]).text()?;
    // Compared on each run, so that the two files always match.
    if std::fs::read(&jwks).ok().as_deref() != Some(set.as_bytes()) {
        check_owner(&jwks)?;
        new_file::write_all(&[NewFile::public(&jwks, set)], Overwrite::Replace)?;
    }
    Ok((key, std::path::absolute(&jwks).unwrap_or(jwks)))
}

/// Refuses to write over a set with another key than one for development: that set is in use.
fn check_owner(jwks: &Path) -> Outcome<()> {
    let existing = ExistingSet::read(jwks, Unknown::KeepReadable)?;
    let Some(kid) = existing.kids().find(|kid| !kid.starts_with(KeyId::DEVELOPMENT_PREFIX)) else {
        return Ok(());
    };
    let reason = format!("`{}` publishes the key `{kid}`, which is not for development", jwks.display());
    Err(Problem::new(ProblemCode::WouldBreak, reason).help("name another directory with `--dir`"))
}

/// The directory for persistent state by the XDG base directory specification.
pub(super) fn state_directory() -> Outcome<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    named
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .map(|state| state.join("service-only"))
        .ok_or_else(|| {
            Problem::usage("no home directory was found for the development key").help("pass `--dir DIR`")
        })
}
