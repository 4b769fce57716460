//! Reads keys and secrets from files and the environment.
//!
//! Secrets are never arguments, because every user of the machine can read arguments in `ps`. Buffers with
//! key material are zeroed, and the size is limited before parsing. A key file that other users can read is
//! accepted with a warning.

use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use service_only::{Algorithm, issue::SigningKey};
use service_only_signer::EncryptedKey;
use zeroize::Zeroizing;

pub(crate) use crate::bounded_file::read;
use crate::device::Device;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::reference::{self, Reference};
use crate::unlock::Unlock;
use crate::variable::VariableName;

/// The shortest HMAC secret of any algorithm: RFC 7518 section 3.2.
pub(crate) const MIN_SECRET_BYTES: usize = 32;

/// The encoding of an HMAC secret in a file.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SecretEncoding {
    /// The secret is the decoded base64url text.
    Base64url,
    /// The secret is the text without one final line ending (LF or CRLF).
    Utf8,
    /// The secret is all bytes of the file, as `keygen` writes it.
    Raw,
}

impl FromStr for SecretEncoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(name, false)
            .map_err(|_| format!("`{name}` is not an encoding; write `raw`, `utf8` or `base64url`"))
    }
}

impl SecretEncoding {
    /// Uses the decoder of the runtime, so that a verifying service reads the same secret from the same file.
    fn decode(self, content: &[u8]) -> Outcome<Zeroizing<Vec<u8>>> {
        let rule = match self {
            Self::Base64url => service_only::keys::SecretEncoding::Base64url,
            Self::Utf8 => service_only::keys::SecretEncoding::Utf8,
            Self::Raw => service_only::keys::SecretEncoding::Raw,
        };
        rule.decode(content).map_err(|error| {
            Problem::key(&error)
                .help("check that this is a secret, and set its encoding with `--secret-encoding base64url`, `utf8` or `raw`")
        })
    }
}

/// Reads an HMAC secret from a file.
pub(crate) fn secret_from_file(path: &Path, encoding: SecretEncoding) -> Outcome<Zeroizing<Vec<u8>>> {
    let bytes = read(path)?;
    warn_if_others_can_read(path);
    if encoding == SecretEncoding::Raw && bytes.last() == Some(&b'\n') && bytes.is_ascii() {
        output::note(&format!(
            "the line ending at the end of `{}` is a part of the secret, here and in `FileKeys::hmac`; the encoding `utf8` drops it, in both",
            path.display()
        ));
    }
    encoding.decode(&bytes).map_err(|problem| problem.at(format!("`{}`", path.display())))
}

/// Reads an HMAC secret from an environment variable, byte for byte.
pub(crate) fn secret_from_variable(
    name: &VariableName,
    encoding: SecretEncoding,
) -> Outcome<Zeroizing<Vec<u8>>> {
    let value = std::env::var_os(name.as_str()).ok_or_else(|| not_set(name))?;
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    // A program that reads the variable also gets the line ending, which the encoding of a file would drop.
    let encoding = match encoding {
        SecretEncoding::Utf8 if std::str::from_utf8(&bytes).is_ok() => SecretEncoding::Raw,
        encoding => encoding,
    };
    encoding.decode(&bytes).map_err(|problem| problem.at(format!("the variable `{}`", name.as_str())))
}

/// The message does not quote an invalid variable name: it may be the secret itself.
fn not_set(name: &VariableName) -> Problem {
    let reason = match name.plain() {
        Some(name) => format!("the environment variable `{name}` is not set"),
        None => "the environment variable that `--secret-env` names is not set".to_owned(),
    };
    Problem::new(ProblemCode::BadKey, reason).help(
        "export it and give its name, never the secret, to `--secret-env`; or name a file with `--secret-file`",
    )
}

/// Reads a base64url secret from a configuration.
pub(crate) fn secret_from_base64url(text: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    SecretEncoding::Base64url.decode(text.as_bytes())
}

/// Refuses a secret that is too short for every algorithm: a configuration error, not a denial.
pub(crate) fn check_secret_length(secret: &[u8], needed: usize) -> Outcome<()> {
    if secret.len() >= needed {
        return Ok(());
    }
    let reason =
        format!("the HMAC secret has {} bytes, and needs {needed} (RFC 7518 section 3.2)", secret.len());
    Err(Problem::new(ProblemCode::WeakKey, reason)
        .help("make one with `service-token keygen --algorithm HS256 --out FILE`"))
}

/// The length of the hash, which is the minimum length of the secret.
pub(crate) fn hash_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => MIN_SECRET_BYTES,
    }
}

/// Where a signing key is and how to read it.
#[derive(Clone, Debug)]
pub(crate) struct KeySource {
    /// The private key, or the reference of a key that is elsewhere.
    pub(crate) path: std::path::PathBuf,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) encoding: SecretEncoding,
    /// The passphrase of the file, or the PIN of the device.
    pub(crate) unlock: Unlock,
    /// Where the private key is, if it is not in the file.
    pub(crate) device: Option<Device>,
}

impl KeySource {
    /// Reads the key, with every error naming the file.
    pub(crate) fn load(&self) -> Outcome<SigningKey> {
        let key = match &self.device {
            Some(device) => self.load_reference(device)?,
            None if self.algorithm.is_symmetric() => self.load_secret()?,
            None => self.load_pem()?,
        };
        Ok(self.named(key))
    }

    /// The key under the name that the configuration gives it.
    pub(crate) fn named(&self, key: SigningKey) -> SigningKey {
        match &self.kid {
            Some(kid) => key.with_kid(kid.as_str()),
            None => key,
        }
    }

    /// A key without the device's help: its file has its public half.
    fn load_reference(&self, device: &Device) -> Outcome<SigningKey> {
        let missing = |what: &str| {
            Problem::new(ProblemCode::BadKey, format!("{} {what}", self.place())).help(
                "`service-token keygen` creates the key, and `keygen --existing NAME` uses one that exists",
            )
        };
        let reference = Reference::read(&self.path)?.ok_or_else(|| missing("does not exist"))?;
        let key = reference.open(&*device.0, self.algorithm, &self.place())?;
        key.ok_or_else(|| missing("names a key that a killed run has not finished"))
    }

    fn load_secret(&self) -> Outcome<SigningKey> {
        let secret = secret_from_file(&self.path, self.encoding)?;
        check_secret_length(&secret, hash_bytes(self.algorithm))
            .map_err(|problem| problem.at(self.place()))?;
        SigningKey::hmac(self.algorithm, &secret).map_err(|error| self.unusable(&error))
    }

    fn load_pem(&self) -> Outcome<SigningKey> {
        let mut pem = read(&self.path)?;
        warn_if_others_can_read(&self.path);
        if EncryptedKey::is_encrypted(&pem) {
            pem = self.unlock.decrypt(&pem, &self.place())?;
        } else if reference::is_reference(&pem) {
            let reason = format!("{} names a key that is elsewhere, and does not contain it", self.place());
            return Err(Problem::new(ProblemCode::BadKey, reason).help(
                "write `pkcs11` or `command` into `[key]` of the configuration, and leave `--key` out",
            ));
        }
        SigningKey::from_pem(self.algorithm, &pem).map_err(|error| self.unusable(&error))
    }

    /// Whether a new key of this file is encrypted: if the present one is, or a passphrase is named.
    pub(crate) fn encrypts(&self) -> bool {
        let present = || read(&self.path).is_ok_and(|text| EncryptedKey::is_encrypted(&text));
        !self.algorithm.is_symmetric() && (self.unlock.is_named() || present())
    }

    /// The content of the file of a new key.
    pub(crate) fn content(&self, key: &SigningKey) -> Outcome<Zeroizing<Vec<u8>>> {
        if self.encrypts() { encrypted(key, &self.unlock) } else { content(key) }
    }

    fn place(&self) -> String {
        format!("key file `{}`", self.path.display())
    }

    fn unusable(&self, error: &service_only::keys::KeyError) -> Problem {
        Problem::key(error).at(self.place()).help(format!(
            "`service-token keygen --algorithm {algorithm} --out FILE` makes a new private key for {algorithm}",
            algorithm = self.algorithm
        ))
    }
}

/// The content of a file that is encrypted under a passphrase.
pub(crate) fn encrypted(key: &SigningKey, unlock: &Unlock) -> Outcome<Zeroizing<Vec<u8>>> {
    let text = unlock
        .new_passphrase("passphrase of the private key")
        .and_then(|passphrase| EncryptedKey::encrypt(key, &passphrase));
    text.map(|text| Zeroizing::new(text.as_bytes().to_vec()))
        .map_err(|error| Problem::new(ProblemCode::BadKey, error.to_string()))
}

/// The content of a file that is not encrypted.
pub(crate) fn content(key: &SigningKey) -> Outcome<Zeroizing<Vec<u8>>> {
    key.to_secret_bytes().ok_or_else(|| {
        Problem::new(ProblemCode::BadKey, format!("the private key of `{}` is not here", key.kid()))
    })
}

pub(crate) fn warn_if_others_can_read(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(found) = std::fs::metadata(path) else { return };
        let mode = found.permissions().mode() & 0o777;
        if found.is_file() && mode & 0o077 != 0 {
            let path = path.display();
            output::warning(&format!(
                "others can read the key file `{path}` (mode {mode:04o}); run `chmod 600 {path}`"
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_of_31_bytes_is_weak() {
        assert_eq!(check_secret_length(&[7; 31], MIN_SECRET_BYTES).unwrap_err().code(), ProblemCode::WeakKey);
        assert!(check_secret_length(&[7; 32], MIN_SECRET_BYTES).is_ok());
    }
}
