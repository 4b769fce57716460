//! `[key]` of the configuration: the private key in a file, in a token of PKCS#11 or of another program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use service_only::__satellite::format::{Filled, KeyTable, Parsed};
use service_only_signer::{CommandKeys, KeyDevice};

use super::{Lifetime, Operator};
use crate::device::Device;
use crate::key_file::{KeySource, SecretEncoding};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::unlock::{Source, Unlock};

/// The complete key. `missing` is the problem for a key of the table that has no default.
pub(super) fn placed(
    table: KeyTable<Operator>,
    folder: &Path,
    missing: impl Fn(&str) -> Problem,
) -> Outcome<KeySource> {
    let refused = |why: &str| Problem::new(ProblemCode::BadConfig, format!("`[key]`: {why}"));
    // The settings of an environment may contradict the common ones.
    table.check().map_err(|why| refused(&why))?;
    if table.pkcs11.is_some() && !cfg!(feature = "pkcs11") {
        return Err(refused("this program was built without PKCS#11; build it with the feature `pkcs11`"));
    }
    let KeyTable {
        file,
        algorithm,
        kid,
        encoding,
        passphrase_file,
        passphrase_env,
        pkcs11,
        command,
        command_limit,
        command_env,
    } = table;
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
            if let Some(Parsed(Lifetime(limit))) = command_limit {
                keys = keys.limit(limit);
            }
            for Parsed(Filled(name)) in command_env {
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
        encoding: encoding.map_or(SecretEncoding::Raw, |Parsed(encoding)| encoding),
        unlock,
        device: device.map(Device),
    })
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
