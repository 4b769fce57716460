//! The files and settings of a rotation, and the lock that allows only one run at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::json;
use service_only::keys::KeyState;
use service_only::{
    Algorithm,
    issue::{Issuer, SigningKey},
    keys::VerifyingKey,
};
use service_only_store::rotation::{Journal, RotationSettings};

use super::check_rotatable;
use crate::config::Config;
use crate::escape;
use crate::key_file::KeySource;
use crate::new_file::{self, NewFile, Overwrite};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::public_jwk::{public_half, stored_half};

/// The RSA key sizes that the program generates.
const RSA_SIZES: [usize; 3] = [2048, 3072, 4096];

/// Where an issuer's keys are, and how they are rotated.
pub(crate) struct Site {
    pub(crate) issuer: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) settings: RotationSettings,
    /// The key that signs.
    pub(crate) file: PathBuf,
    /// The file of the key that will sign next.
    pub(crate) next: PathBuf,
    /// The set that verifiers read.
    pub(crate) jwks: PathBuf,
    source: KeySource,
}

impl Site {
    pub(crate) fn of(config: &Config) -> Outcome<Self> {
        check_rotatable(config.key.algorithm, config.key.kid.as_deref())?;
        let mut settings = config.rotation.settings.clone();
        let strict = config.profile == Some(Profile::Strict);
        let usual = if strict { Issuer::STRICT_LIFETIME } else { Issuer::DEFAULT_LIFETIME };
        settings.token_life = config.rotation.token_life.or(config.lifetime).unwrap_or(usual);
        settings.check().map_err(|why| {
            Problem::new(ProblemCode::BadConfig, why.to_string())
                .at(format!("{}: `[rotation]`", config.path.display()))
        })?;
        let file = config.key.path.clone();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = match file.extension() {
            Some(extension) => format!("{stem}-next.{}", extension.to_string_lossy()),
            None => format!("{stem}-next"),
        };
        let next = file.with_file_name(name);
        let store = config.store.as_deref().and_then(|store| store.strip_prefix("sqlite:")).map(Path::new);
        let lock = lock_file(&file);
        let written = [file.as_path(), &next, &lock, &config.rotation.jwks, &config.path];
        // A key set written over the key file would destroy the key, and all tokens with it.
        new_file::check_distinct(&written.into_iter().chain(store).collect::<Vec<_>>())
            .map_err(|problem| problem.at(format!("{}: `[key]`, `[rotation]`", config.path.display())))?;
        Ok(Self {
            issuer: config.issuer.clone(),
            algorithm: config.key.algorithm,
            settings,
            next,
            jwks: config.rotation.jwks.clone(),
            file,
            source: config.key.clone(),
        })
    }

    /// The key that signs.
    pub(crate) fn current(&self) -> Outcome<SigningKey> {
        self.source.load()
    }

    /// A new key. An RSA key has the size of the current key, or the default size if the current key cannot
    /// be read.
    pub(crate) fn successor(&self) -> Outcome<SigningKey> {
        let public = self.current().and_then(|key| public_half(&key)).ok();
        // Base64url without padding: six bits per letter.
        let modulus = public.as_ref().and_then(|jwk| jwk["n"].as_str()).map(|text| text.len() * 6 / 8 * 8);
        let made = match modulus {
            Some(bits) => {
                let size =
                    RSA_SIZES.into_iter().find(|size| *size >= bits).unwrap_or(VerifyingKey::MAX_RSA_BITS);
                SigningKey::generate_rsa(self.algorithm, size)
            }
            None => SigningKey::generate(self.algorithm),
        };
        made.map_err(|error| Problem::key(&error))
    }

    /// The key that will sign next, if it exists.
    pub(crate) fn next(&self) -> Outcome<Option<SigningKey>> {
        if !self.next.exists() {
            return Ok(None);
        }
        KeySource { path: self.next.clone(), ..self.source.clone() }.load().map(Some)
    }

    pub(crate) fn write_next(&self, key: &SigningKey) -> Outcome<()> {
        let file = NewFile::secret(&self.next, key.to_secret_bytes());
        new_file::write_all(&[file], Overwrite::Replace)
    }

    /// Checks that the private half of the next key exists.
    pub(crate) fn insist_on_next(&self, kid: &str) -> Outcome<()> {
        match self.next()? {
            Some(key) if key.kid().as_str() == kid => Ok(()),
            _ => {
                let reason = format!("the prepared key `{kid}` is not in `{}`", self.next.display());
                Err(Problem::new(ProblemCode::BadKey, reason)
                    .help("run `rotate` on the machine that prepared the key, or copy its file here"))
            }
        }
    }

    /// Writes the set that verifiers read, if it has changed: all keys that are not retired.
    pub(crate) fn publish(&self, journal: &Journal, unfinished: Option<&SigningKey>) -> Outcome<()> {
        let live = journal.keys.iter().filter(|key| key.state != KeyState::Retired);
        let mut keys =
            live.map(|key| stored_half(&key.kid, key.public_jwk.as_deref())).collect::<Outcome<Vec<_>>>()?;
        if let Some(key) = unfinished {
            keys.push(public_half(key)?);
        }
        let text = escape::pretty_json(&json!({ "keys": keys })).map_err(|error| {
            Problem::new(ProblemCode::BadKey, format!("cannot write the key set: {error}"))
        })?;
        let text = text + "\n";
        if std::fs::read(&self.jwks).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        new_file::write_all(&[NewFile::public(&self.jwks, text)], Overwrite::Replace)
    }

    /// Locks the files of a rotation against a concurrent run. The system releases the lock if the process is
    /// killed.
    pub(crate) fn lock(&self) -> Outcome<Lock> {
        let path = lock_file(&self.file);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| Problem::io("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let reason = format!("another rotation of `{}` is running", self.file.display());
                Err(Problem::new(ProblemCode::Exists, reason)
                    .help("wait until it ends, and run `rotate` again"))
            }
            Err(TryLockError::Error(error)) => Err(Problem::io("lock", &path, &error)),
        }
    }
}

fn lock_file(key: &Path) -> PathBuf {
    key.with_extension("lock")
}

/// The lock of a running rotation.
pub(crate) struct Lock {
    _file: File,
}
