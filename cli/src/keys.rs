//! Loads the keys with which `verify` checks signatures, from any source.

use std::path::{Path, PathBuf};

use clap::Args;
use service_only::{Algorithm, KeySet, VerifyingKey};

use crate::config::Config;
use crate::key_file::{self, MIN_SECRET_BYTES, SecretEncoding};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::unlock::UnlockOptions;
use crate::variable::{VariableName, VariableNameParser};

/// One source of keys.
#[derive(Args, Debug)]
pub(crate) struct KeyOptions {
    /// JWK set file with the public keys
    #[arg(long, value_name = "FILE", group = "key_source")]
    jwks: Option<PathBuf>,
    /// File with the HMAC secret
    #[arg(long, value_name = "FILE", group = "key_source")]
    secret_file: Option<PathBuf>,
    /// Name of the environment variable with the HMAC secret
    #[arg(long, value_name = "VAR", group = "key_source", value_parser = VariableNameParser)]
    secret_env: Option<VariableName>,
    /// PEM file with one public key; --algorithms names its algorithm
    #[arg(long, value_name = "FILE", group = "key_source", requires = "algorithms")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockOptions,
    /// Encoding of the HMAC secret [default: raw for a file, utf8 for a variable]
    #[arg(long, value_name = "ENCODING")]
    secret_encoding: Option<SecretEncoding>,
}

impl KeyOptions {
    /// Whether the command line names a key.
    pub(crate) fn any(&self) -> bool {
        self.jwks.is_some()
            || self.secret_file.is_some()
            || self.secret_env.is_some()
            || self.public_key.is_some()
    }

    pub(crate) fn load(&self, algorithms: &[Algorithm], config: Option<&Config>) -> Outcome<KeySet> {
        if let Some(path) = &self.jwks {
            let json = key_file::read(path)?;
            return KeySet::from_jwks(&json).map_err(|error| unusable(path, &error));
        }
        if let Some(path) = &self.secret_file {
            let encoding = self.secret_encoding.unwrap_or(SecretEncoding::Raw);
            let secret = key_file::secret_from_file(path, encoding)?;
            return from_secret(&secret, algorithms)
                .map_err(|problem| problem.at(format!("`{}`", path.display())));
        }
        if let Some(name) = &self.secret_env {
            let encoding = self.secret_encoding.unwrap_or(SecretEncoding::Utf8);
            let secret = key_file::secret_from_variable(name, encoding)?;
            return from_secret(&secret, algorithms)
                .map_err(|problem| problem.at(format!("variable `{}`", name.as_str())));
        }
        if let Some(path) = &self.public_key {
            return from_pem(path, algorithms);
        }
        match config {
            Some(config) => {
                self.unlock.apply(&config.key.unlock);
                Ok(KeySet::from(config.key.load()?.verifying_key()))
            }
            None => Err(Problem::usage("no key to verify with")
                .help("pass `--jwks FILE`, `--secret-file FILE`, `--secret-env VAR` or `--config FILE`")),
        }
    }
}

/// Uses one secret for every HMAC algorithm for which it is long enough. A secret shorter than the hash is
/// weaker than the algorithm requires (RFC 7518 section 3.2).
pub(crate) fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Outcome<KeySet> {
    key_file::check_secret_length(secret, MIN_SECRET_BYTES)?;
    let wanted = algorithms.iter().filter(|algorithm| algorithm.is_symmetric());
    let shortest = wanted.copied().map(key_file::hash_bytes).min();
    match shortest {
        Some(needed) => key_file::check_secret_length(secret, needed)?,
        None if algorithms.is_empty() => {}
        None => {
            let reason = "a secret is for HS256, HS384 and HS512, and none of them is accepted";
            return Err(Problem::new(ProblemCode::BadConfig, reason)
                .help("name one of them in `--algorithms`, or verify with a JWK set"));
        }
    }
    VerifyingKey::secret(secret).map(KeySet::from).map_err(|error| Problem::key(&error))
}

fn from_pem(path: &Path, algorithms: &[Algorithm]) -> Outcome<KeySet> {
    let &[algorithm] = algorithms else {
        return Err(Problem::usage("a public key in PEM has one algorithm")
            .help("name exactly one, such as `--algorithms ES256`"));
    };
    let pem = key_file::read(path)?;
    VerifyingKey::from_pem(algorithm, &pem).map(KeySet::from).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &service_only::keys::KeyError) -> Problem {
    Problem::key(error).at(format!("`{}`", path.display()))
}
