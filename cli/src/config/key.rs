//! `[key]` of the configuration: the private key in a file, in a token of PKCS#11 or of another program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use service_only::Algorithm;
use service_only_signer::{CommandKeys, KeyDevice};

use super::{Filled, Lifetime, Parsed};
use crate::device::Device;
use crate::key_file::{KeySource, SecretEncoding};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::unlock::{Source, Unlock};

#[derive(Default, Deserialize)]
#[serde(try_from = "Table")]
pub(crate) struct Key(Table);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: Option<Parsed<Filled>>,
    algorithm: Option<Parsed<Algorithm>>,
    kid: Option<Parsed<Filled>>,
    encoding: Option<SecretEncoding>,
    passphrase_file: Option<Parsed<Filled>>,
    passphrase_env: Option<Parsed<Filled>>,
    pkcs11: Option<Pkcs11>,
    command: Option<Vec<Parsed<Filled>>>,
    command_limit: Option<Parsed<Lifetime>>,
    #[serde(default)]
    command_env: Vec<Parsed<Filled>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pkcs11 {
    module: Parsed<Filled>,
    token: Option<Parsed<Filled>>,
    serial: Option<Parsed<Filled>>,
    pin_file: Option<Parsed<Filled>>,
    pin_env: Option<Parsed<Filled>>,
}

impl TryFrom<Table> for Key {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        table.check()?;
        Ok(Self(table))
    }
}

impl Table {
    /// Refuses keys that do not fit together.
    fn check(&self) -> Result<(), String> {
        let both = |one: bool, other: bool, names: &str| {
            if one && other {
                Err(format!("{names} contradict each other; write one of them"))
            } else {
                Ok(())
            }
        };
        both(self.pkcs11.is_some(), self.command.is_some(), "`pkcs11` and `command`")?;
        both(
            self.passphrase_file.is_some(),
            self.passphrase_env.is_some(),
            "`passphrase_file` and `passphrase_env`",
        )?;
        if let Some(pkcs11) = &self.pkcs11 {
            both(pkcs11.token.is_some(), pkcs11.serial.is_some(), "`token` and `serial`")?;
            both(pkcs11.pin_file.is_some(), pkcs11.pin_env.is_some(), "`pin_file` and `pin_env`")?;
            if !cfg!(feature = "pkcs11") {
                return Err(
                    "this program was built without PKCS#11; build it with the feature `pkcs11`".to_owned()
                );
            }
        }
        let is_elsewhere = self.pkcs11.is_some() || self.command.is_some();
        if let Some(Parsed(algorithm)) = self.algorithm
            && is_elsewhere
            && algorithm.is_symmetric()
        {
            return Err(format!(
                "{algorithm} uses a secret, which every verifier needs in a file; use a key pair, such as ES256"
            ));
        }
        if is_elsewhere && (self.passphrase_file.is_some() || self.passphrase_env.is_some()) {
            return Err("a passphrase is for a key in a file; `pin_file` and `pin_env` of `[key.pkcs11]` are for a PIN".to_owned());
        }
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            return Err("`command` is empty; write the program and its arguments".to_owned());
        }
        if self.command.is_none() && (self.command_limit.is_some() || !self.command_env.is_empty()) {
            return Err("`command_limit` and `command_env` are for a `command`".to_owned());
        }
        Ok(())
    }

    fn overridden(self, own: Self) -> Self {
        Self {
            file: own.file.or(self.file),
            algorithm: own.algorithm.or(self.algorithm),
            kid: own.kid.or(self.kid),
            encoding: own.encoding.or(self.encoding),
            passphrase_file: own.passphrase_file.or(self.passphrase_file),
            passphrase_env: own.passphrase_env.or(self.passphrase_env),
            pkcs11: own.pkcs11.or(self.pkcs11),
            command: own.command.or(self.command),
            command_limit: own.command_limit.or(self.command_limit),
            command_env: if own.command_env.is_empty() { self.command_env } else { own.command_env },
        }
    }
}

impl Key {
    /// The key of an environment, with the common settings that it leaves out.
    pub(super) fn overridden(self, own: Self) -> Self {
        Self(self.0.overridden(own.0))
    }

    /// The complete key. `missing` is the problem for a key of the table that has no default.
    pub(super) fn placed(self, folder: &Path, missing: impl Fn(&str) -> Problem) -> Outcome<KeySource> {
        // The settings of an environment may contradict the common ones.
        self.0.check().map_err(|why| Problem::new(ProblemCode::BadConfig, format!("`[key]`: {why}")))?;
        let Table {
            file, algorithm, kid, encoding, passphrase_file, passphrase_env, pkcs11, command, ..
        } = self.0;
        let secret = |file: Option<Parsed<Filled>>, variable: Option<Parsed<Filled>>| match (file, variable) {
            (Some(Parsed(Filled(path))), _) => Source::File(folder.join(path)),
            (None, Some(Parsed(Filled(name)))) => Source::Variable(name),
            (None, None) => Source::Terminal,
        };
        let (unlock, device) = match (pkcs11, command) {
            (Some(pkcs11), _) => {
                let unlock = Unlock::from(secret(pkcs11.pin_file, pkcs11.pin_env));
                let name = |name: Option<Parsed<Filled>>| name.map(|Parsed(Filled(name))| name);
                // The module is a path, or a name that the system's loader finds.
                let module = PathBuf::from(pkcs11.module.0.0);
                let module = if module.components().count() > 1 { folder.join(module) } else { module };
                let device = token(module, name(pkcs11.token), name(pkcs11.serial), unlock.clone());
                (unlock, device)
            }
            (None, Some(command)) => {
                let mut words = command.into_iter().map(|Parsed(Filled(word))| word);
                let mut keys = CommandKeys::new(words.next().unwrap_or_default());
                for word in words {
                    keys = keys.argument(word);
                }
                if let Some(Parsed(Lifetime(limit))) = self.0.command_limit {
                    keys = keys.limit(limit);
                }
                for Parsed(Filled(name)) in self.0.command_env {
                    keys = keys.keep_variable(name);
                }
                (Unlock::default(), Some(Arc::new(keys) as Arc<dyn KeyDevice>))
            }
            (None, None) => (Unlock::from(secret(passphrase_file, passphrase_env)), None),
        };
        Ok(KeySource {
            path: folder.join(file.ok_or_else(|| missing("file` of `[key]"))?.0.0),
            algorithm: algorithm.ok_or_else(|| missing("algorithm` of `[key]"))?.0,
            kid: kid.map(|kid| kid.0.0),
            encoding: encoding.unwrap_or(SecretEncoding::Raw),
            unlock,
            device: device.map(Device),
        })
    }
}

#[cfg(feature = "pkcs11")]
fn token(
    module: PathBuf,
    token: Option<String>,
    serial: Option<String>,
    unlock: Unlock,
) -> Option<Arc<dyn KeyDevice>> {
    let name = token.as_deref().or(serial.as_deref()).map(|name| format!(" of the token `{name}`"));
    let what = format!("PIN{}", name.unwrap_or_default());
    let mut keys = service_only_signer::Pkcs11Keys::new(module, move || unlock.passphrase(&what));
    if let Some(label) = token {
        keys = keys.token(label);
    }
    if let Some(serial) = serial {
        keys = keys.serial(serial);
    }
    Some(Arc::new(keys))
}

#[cfg(not(feature = "pkcs11"))]
fn token(_: PathBuf, _: Option<String>, _: Option<String>, _: Unlock) -> Option<Arc<dyn KeyDevice>> {
    // The configuration was refused before.
    None
}
