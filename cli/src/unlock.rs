//! Passphrases of private keys and PINs of tokens: where they come from. They are never arguments, because every user
//! of the machine can read arguments in `ps`.
//!
//! A passphrase is read when the first key needs it, and once in a run.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use service_only::issue::SignError;
use service_only_signer::{EncryptedKey, Passphrase};
use zeroize::Zeroizing;

use crate::problem::{Outcome, Problem, ProblemCode};

/// Where the passphrase or the PIN is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct UnlockOptions {
    /// File with the passphrase of the private key, or with the PIN of its token [default: the
    /// configuration's, else a prompt on the terminal]
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open file descriptor with the passphrase or the PIN, such as `3` in `3< <(pass show key)`
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
}

impl UnlockOptions {
    /// Whether the command line says where the passphrase is.
    pub(crate) fn any(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_fd.is_some()
    }

    /// The passphrase of a key that the command line names.
    pub(crate) fn unlock(&self) -> Unlock {
        let unlock = Unlock::default();
        self.apply(&unlock);
        unlock
    }

    /// Overrides the source of the configuration.
    pub(crate) fn apply(&self, unlock: &Unlock) {
        let source = match (&self.passphrase_file, self.passphrase_fd) {
            (Some(path), _) => Source::File(path.clone()),
            (None, Some(number)) => Source::Descriptor(number),
            (None, None) => return,
        };
        unlock.state().source = source;
    }
}

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    #[default]
    Terminal,
    File(PathBuf),
    Descriptor(u32),
    Variable(String),
}

/// The passphrase of a key, once it is known. It is cheap to clone, and clones share it.
#[derive(Clone, Default)]
pub(crate) struct Unlock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    source: Source,
    passphrase: Option<Passphrase>,
    /// Encrypted files that were decrypted, because the derivation of the key is slow on purpose.
    decrypted: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unlock").field(&self.state().source).finish()
    }
}

impl From<Source> for Unlock {
    fn from(source: Source) -> Self {
        Self(Arc::new(Mutex::new(State { source, ..State::default() })))
    }
}

impl Unlock {
    /// Whether the configuration or the command line names a passphrase.
    pub(crate) fn is_named(&self) -> bool {
        self.state().source != Source::Terminal
    }

    /// The passphrase of `what`.
    pub(crate) fn passphrase(&self, what: &str) -> Result<Passphrase, SignError> {
        let mut state = self.state();
        if let Some(known) = &state.passphrase {
            return Ok(known.clone());
        }
        let read = match &state.source {
            Source::Terminal => prompt(what, &format!("{what}: "))?,
            Source::File(path) => Passphrase::from_file(path)?,
            #[cfg(unix)]
            Source::Descriptor(number) => Passphrase::from_descriptor(*number)?,
            #[cfg(not(unix))]
            Source::Descriptor(_) => return Err(SignError::new("this system has no file descriptors")),
            Source::Variable(name) => variable(name)?,
        };
        Ok(state.passphrase.insert(read).clone())
    }

    /// The passphrase of a new key. On a terminal it is asked for twice.
    pub(crate) fn new_passphrase(&self, what: &str) -> Result<Passphrase, SignError> {
        let is_asked = !self.is_named() && self.state().passphrase.is_none();
        let passphrase = self.passphrase(&format!("new {what}"))?;
        if is_asked && prompt(what, &format!("the same {what} again: "))?.expose() != passphrase.expose() {
            self.state().passphrase = None;
            return Err(SignError::new("the two passphrases differ; nothing was written"));
        }
        Ok(passphrase)
    }

    /// The private key of an encrypted file, in PEM.
    pub(crate) fn decrypt(&self, text: &[u8], place: &str) -> Outcome<Zeroizing<Vec<u8>>> {
        if let Some((_, plain)) = self.state().decrypted.iter().find(|(known, _)| known == text) {
            return Ok(plain.clone());
        }
        let plain = EncryptedKey::from_pem(text)
            .and_then(|key| key.decrypt(&self.passphrase(&format!("passphrase of {place}"))?))
            .map_err(|error| Problem::new(ProblemCode::BadKey, error.to_string()).at(place))?;
        self.state().decrypted.push((text.to_vec(), plain.clone()));
        Ok(plain)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn variable(name: &str) -> Result<Passphrase, SignError> {
    let value = std::env::var_os(name).ok_or_else(|| {
        SignError::new(format!(
            "the environment variable `{name}` is not set; export it, or pass `--passphrase-file`"
        ))
    })?;
    Passphrase::new(value.into_encoded_bytes())
        .map_err(|error| SignError::new(format!("the environment variable `{name}`: {error}")))
}

fn prompt(what: &str, question: &str) -> Result<Passphrase, SignError> {
    let typed = rpassword::prompt_password(question).map_err(|error| {
        SignError::new(format!(
            "the {what} is needed, and this program has no terminal to ask on ({error}); pass `--passphrase-file FILE` or `--passphrase-fd N`, or name a file in `[key]`"
        ))
    })?;
    Passphrase::new(typed.into_bytes())
}
