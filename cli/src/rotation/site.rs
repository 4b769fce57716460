//! The files and settings of a rotation, and the lock that allows only one run at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use service_only::keys::KeyState;
use service_only::{
    Algorithm,
    issue::{Issuer, SigningKey},
    keys::VerifyingKey,
};
use service_only_store::rotation::{Journal, RotationSettings, Warning};

use super::check_rotatable;
use crate::config::Config;
use crate::key_file::{self, KeySource};
use crate::new_file::{self, NewFile, Overwrite};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::public_jwk::public_half;
use crate::published::{ExistingSet, Published, Sources, Unknown};

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
    /// What happens to the published keys that the journal does not have.
    pub(crate) unknown: Unknown,
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
        let next = next_file(&file);
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
            unknown: Unknown::default(),
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
        load_next(&self.source, self.next.clone())
    }

    pub(crate) fn write_next(&self, key: &SigningKey) -> Outcome<()> {
        let file = NewFile::secret(&self.next, key_file::content(key)?);
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

    /// The set that verifiers read: the journal's keys, `own` if it is not in the journal yet, and what else is
    /// published.
    pub(crate) fn published(&self, journal: &Journal, own: Option<&SigningKey>) -> Outcome<Published> {
        let existing = ExistingSet::read(&self.jwks, self.unknown)?;
        let leftover = self.next()?.map(|key| key.kid().to_string());
        Sources {
            journal,
            own: own.map(public_half).transpose()?.into_iter().collect(),
            existing: &existing,
            leftover: leftover.as_deref(),
            unknown: self.unknown,
        }
        .decide()
    }

    /// Writes the set that verifiers read, if it has changed.
    pub(crate) fn publish(&self, journal: &Journal, own: Option<&SigningKey>) -> Outcome<Published> {
        let set = self.published(journal, own)?;
        let text = set.text()?;
        if !std::fs::read(&self.jwks).is_ok_and(|there| there == text.as_bytes()) {
            new_file::write_all(&[NewFile::public(&self.jwks, text)], Overwrite::Replace)?;
            set.warn();
        }
        Ok(set)
    }

    /// The names of the keys that are published now, as far as the set can be read.
    pub(crate) fn published_names(&self) -> Vec<String> {
        let existing = ExistingSet::read(&self.jwks, Unknown::Keep).unwrap_or_default();
        existing.kids().map(str::to_owned).collect()
    }

    /// The keys of the published set that the journal does not have.
    pub(crate) fn strange_keys(&self, journal: &Journal) -> Outcome<Vec<Warning>> {
        let own = journal.keys.is_empty().then(|| self.current().ok()).flatten();
        let set = self.published(journal, own.as_ref())?;
        let place = self.jwks.display().to_string();
        let kids: Vec<_> = set.adoptable.into_iter().map(|key| key.kid).collect();
        let adoptable = (!kids.is_empty()).then(|| Warning::UnknownKeys { kids, place: place.clone() });
        let keys = set.unmanaged;
        let unmanaged = (!keys.is_empty()).then_some(Warning::UnmanagedKeys { keys, place });
        Ok(adoptable.into_iter().chain(unmanaged).collect())
    }

    /// What a killed run has left here: files that differ from the journal. `None` while a run is in progress, and
    /// on a machine without the key.
    pub(crate) fn unfinished(&self, journal: &Journal) -> Option<String> {
        let has = |state, kid: &str| journal.keys.iter().any(|key| key.kid == kid && key.state == state);
        if journal.keys.is_empty() || !self.file.exists() || self.is_locked() {
            return None;
        }
        if let Ok(Some(next)) = self.next()
            && !has(KeyState::Prepared, next.kid().as_str())
        {
            let place = self.next.display();
            return Some(format!("`{place}` holds the key `{}`, which is not a prepared key", next.kid()));
        }
        let names = self.published_names();
        let lacking =
            journal.keys.iter().find(|key| key.state != KeyState::Retired && !names.contains(&key.kid));
        let retired =
            journal.keys.iter().find(|key| key.state == KeyState::Retired && names.contains(&key.kid));
        let place = self.jwks.display();
        match (lacking, retired) {
            (Some(key), _) => Some(format!("`{place}` lacks the {} key `{}`", key.state.as_str(), key.kid)),
            (None, Some(key)) => Some(format!("`{place}` still has the retired key `{}`", key.kid)),
            (None, None) => None,
        }
    }

    /// Whether a run is in progress here. It does not create the lock.
    fn is_locked(&self) -> bool {
        let lock = File::open(lock_file(&self.file));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
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

/// The name of the key that will sign next, if its file is here.
pub(crate) fn prepared_name(config: &Config) -> Option<String> {
    let next = load_next(&config.key, next_file(&config.key.path)).ok().flatten();
    next.map(|key| key.kid().to_string())
}

fn load_next(current: &KeySource, path: PathBuf) -> Outcome<Option<SigningKey>> {
    path.exists().then(|| KeySource { path, ..current.clone() }.load()).transpose()
}

/// The file of the key that will sign next.
fn next_file(key: &Path) -> PathBuf {
    let stem = key.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = match key.extension() {
        Some(extension) => format!("{stem}-next.{}", extension.to_string_lossy()),
        None => format!("{stem}-next"),
    };
    key.with_file_name(name)
}

fn lock_file(key: &Path) -> PathBuf {
    key.with_extension("lock")
}

/// The lock of a running rotation.
pub(crate) struct Lock {
    _file: File,
}
