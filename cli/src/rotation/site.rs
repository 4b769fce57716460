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
use zeroize::Zeroizing;

use super::check_rotatable;
use crate::config::Config;
use crate::key_file::{self, KeySource};
use crate::new_file::{self, NewFile, Overwrite};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::public_jwk::public_half;
use crate::published::{ExistingSet, Published, Sources, Unknown};
use crate::reference::Reference;

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
    /// The names of keys in a device that no longer sign, until they are destroyed.
    former: PathBuf,
    /// The set that verifiers read.
    pub(crate) jwks: PathBuf,
    /// What happens to the published keys that the journal does not have.
    pub(crate) unknown: Unknown,
    /// Who asks for the rotation.
    pub(crate) by: Option<String>,
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
        let former = beside(&file, "former");
        let store = config.store.as_deref().and_then(|store| store.strip_prefix("sqlite:")).map(Path::new);
        let lock = lock_file(&file);
        let written = [file.as_path(), &next, &former, &lock, &config.rotation.jwks, &config.path];
        // A key set written over the key file would destroy the key, and all tokens with it.
        new_file::check_distinct(&written.into_iter().chain(store).collect::<Vec<_>>())
            .map_err(|problem| problem.at(format!("{}: `[key]`, `[rotation]`", config.path.display())))?;
        Ok(Self {
            issuer: config.issuer.clone(),
            algorithm: config.key.algorithm,
            settings,
            next,
            former,
            jwks: config.rotation.jwks.clone(),
            unknown: Unknown::default(),
            by: None,
            file,
            source: config.key.clone(),
        })
    }

    /// The key that signs.
    pub(crate) fn current(&self) -> Outcome<SigningKey> {
        self.source.load()
    }

    /// A new key in memory.
    fn successor(&self) -> Outcome<SigningKey> {
        let made = match self.rsa_bits() {
            Some(bits) => SigningKey::generate_rsa(self.algorithm, bits),
            None => SigningKey::generate(self.algorithm),
        };
        made.map_err(|error| Problem::key(&error))
    }

    /// The size of the next RSA key: that of the current key, or the default size if the current key cannot be read.
    fn rsa_bits(&self) -> Option<usize> {
        let public = self.current().and_then(|key| public_half(&key)).ok()?;
        // Base64url without padding: six bits per letter.
        let bits = public.get("n")?.as_str()?.len() * 6 / 8 * 8;
        let size = RSA_SIZES.into_iter().find(|size| *size >= bits);
        Some(size.unwrap_or(VerifyingKey::MAX_RSA_BITS))
    }

    /// The key that will sign next, if it exists.
    pub(crate) fn next(&self) -> Outcome<Option<SigningKey>> {
        load_next(&self.source, &self.next)
    }

    /// Creates the next key. In a device, the key of a run that was killed is used again.
    pub(crate) fn make_next(&self) -> Outcome<SigningKey> {
        if let Some(device) = &self.source.device {
            let bits = self.rsa_bits().and_then(|bits| u32::try_from(bits).ok());
            let key = device.create(self.algorithm, bits, &self.next, Overwrite::ReplaceKey)?;
            return Ok(self.source.named(key));
        }
        let key = self.successor()?;
        let file = NewFile::secret(&self.next, self.source.content(&key)?);
        new_file::write_all(&[file], Overwrite::ReplaceKey)?;
        Ok(key)
    }

    /// Makes the next key the one that signs, and discards the private half of the former one.
    pub(crate) fn promote(&self) -> Outcome<()> {
        if self.source.device.is_some()
            && let Some(Reference::Key { key, .. }) = Reference::read(&self.file)?
        {
            // Its name is written down first, so that a run after a kill destroys it.
            let mut names = self.former_names()?;
            if !names.contains(&key) {
                names.push(key);
                self.write_former(&names)?;
            }
        }
        new_file::promote(&self.next, &self.file)
    }

    /// Discards a next key that will not sign.
    pub(crate) fn discard_next(&self) -> Outcome<()> {
        if let Some(device) = &self.source.device
            && let Some(reference) = Reference::read(&self.next)?
        {
            device.destroy(reference.name())?;
        }
        new_file::remove(&self.next)
    }

    /// Leaves a next key that is not in the journal to the next `prepare`, if it is in a device: another key there
    /// may cost money. A key in a file is removed. Neither has ever signed.
    pub(crate) fn put_back_next(&self) -> Outcome<()> {
        if self.source.device.is_some()
            && let Some(Reference::Key { key, .. }) = Reference::read(&self.next)?
        {
            return Reference::Creating { creating: key }.write(&self.next, Overwrite::Replace);
        }
        new_file::remove(&self.next)
    }

    /// Destroys the keys of the device that no longer sign. A device that refuses does not stop the rotation.
    pub(crate) fn destroy_former(&self) -> Outcome<()> {
        let Some(device) = &self.source.device else { return Ok(()) };
        let names = self.former_names()?;
        if names.is_empty() {
            return Ok(());
        }
        let mut used = Vec::new();
        for path in [&self.file, &self.next] {
            used.extend(Reference::read(path)?.map(|reference| reference.name().to_owned()));
        }
        let mut left = Vec::new();
        for name in names.into_iter().filter(|name| !used.contains(name)) {
            if let Err(problem) = device.destroy(&name) {
                output::warning(&format!(
                    "the key `{name}` no longer signs, and could not be destroyed: {problem}; the next run tries again"
                ));
                left.push(name);
            }
        }
        if left.is_empty() { new_file::remove(&self.former) } else { self.write_former(&left) }
    }

    fn former_names(&self) -> Outcome<Vec<String>> {
        if !self.former.exists() {
            return Ok(Vec::new());
        }
        let text = key_file::read(&self.former)?;
        serde_json::from_slice(&text).map_err(|error| {
            let reason = format!("`{}` is not a list of names: {error}", self.former.display());
            Problem::new(ProblemCode::BadKey, reason)
                .help("destroy the keys that it names with the tool of the device, and remove the file")
        })
    }

    fn write_former(&self, names: &[String]) -> Outcome<()> {
        let text = serde_json::json!(names).to_string() + "\n";
        let file = NewFile::secret(&self.former, Zeroizing::new(text.into_bytes()));
        new_file::write_all(&[file], Overwrite::Replace)
    }

    /// Where the private key is, for the journal: the path of its file, or its reference in the device.
    pub(crate) fn place_of(&self, key: &SigningKey) -> String {
        let reference = || {
            let device = self.source.device.as_ref()?;
            let files = [&self.file, &self.next].map(|path| Reference::read(path).ok().flatten());
            let public = serde_json::to_value(key.public_jwk()?).ok()?;
            // The configuration may rename a key.
            let is_same = |jwk: &serde_json::Value| {
                ["n", "x", "y"].iter().all(|member| jwk.get(*member) == public.get(*member))
            };
            files.into_iter().flatten().find_map(|file| match file {
                Reference::Key { key, jwk } if is_same(&jwk) => Some(device.0.reference(&key)),
                _ => None,
            })
        };
        reference().unwrap_or_else(|| self.file.display().to_string())
    }

    /// Checks that the private half of the next key exists.
    pub(crate) fn insist_on_next(&self, kid: &str) -> Outcome<()> {
        match self.next()? {
            Some(key) if key.kid().as_str() == kid => Ok(()),
            _ => {
                let reason = format!("the prepared key `{kid}` is not in `{}`", self.next.display());
                Err(Problem::new(ProblemCode::BadKey, reason)
                    .help("run `rotate` on the machine that prepared the key, or copy the file of the key to this machine"))
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
        if self.source.device.is_some()
            && let Ok(Some(Reference::Creating { creating })) = Reference::read(&self.next)
        {
            let place = self.next.display();
            return Some(format!("`{place}` names the key `{creating}`, which is not finished"));
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
                Err(Problem::new(ProblemCode::Busy, reason)
                    .help("wait until it ends, and run `rotate` again"))
            }
            Err(TryLockError::Error(error)) => Err(Problem::io("lock", &path, &error)),
        }
    }
}

/// The name of the key that will sign next, if its file is here.
pub(crate) fn prepared_name(config: &Config) -> Option<String> {
    let next = load_next(&config.key, &next_file(&config.key.path)).ok().flatten();
    next.map(|key| key.kid().to_string())
}

/// A key that a run has not finished to create is not a key yet.
fn load_next(current: &KeySource, path: &Path) -> Outcome<Option<SigningKey>> {
    if current.device.is_some() && matches!(Reference::read(path)?, None | Some(Reference::Creating { .. })) {
        return Ok(None);
    }
    path.exists().then(|| KeySource { path: path.to_owned(), ..current.clone() }.load()).transpose()
}

/// The file of the key that will sign next.
pub(crate) fn next_file(key: &Path) -> PathBuf {
    beside(key, "next")
}

/// A file beside that of the key, such as `signing-next.pem` for the key that will sign next.
fn beside(key: &Path, what: &str) -> PathBuf {
    let stem = key.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = match key.extension() {
        Some(extension) => format!("{stem}-{what}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{what}"),
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
