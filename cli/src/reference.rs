//! The file of a key that is elsewhere: its name there, and its public half. It contains no secret.
//!
//! A file with the public half lets commands publish and compare keys without the device and without its PIN. Before a
//! key is created, its name is written down, so that a run after a kill finds it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_only::issue::PublicJwk;
use service_only::{Algorithm, issue::SigningKey};
use service_only_signer::KeyDevice;

use crate::bounded_file;
use crate::new_file::{self, NewFile, Overwrite};
use crate::problem::{Outcome, Problem, ProblemCode};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Reference {
    /// A key that exists.
    Key { key: String, jwk: Value },
    /// A key that a run is creating, or was creating when it was killed.
    Creating { creating: String },
}

impl Reference {
    pub(crate) fn to_key(name: &str, public: &PublicJwk) -> Self {
        Self::Key { key: name.to_owned(), jwk: serde_json::to_value(public).unwrap_or_default() }
    }

    /// Reads the file; `None` if it does not exist.
    pub(crate) fn read(path: &Path) -> Outcome<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = bounded_file::read(path)?;
        serde_json::from_slice(&text).map(Some).map_err(|_| {
            let what = if text.trim_ascii_start().starts_with(b"-----BEGIN") { "a private key" } else { "something else" };
            let reason = format!(
                "`{}` contains {what}, and `[key]` says that the key is elsewhere; the file should contain its name and its public half",
                path.display()
            );
            Problem::new(ProblemCode::BadKey, reason).help(
                "name another `file`; `service-token keygen` creates the key and writes it, and `keygen --existing NAME` uses one that exists",
            )
        })
    }

    pub(crate) fn write(&self, path: &Path, overwrite: Overwrite) -> Outcome<()> {
        new_file::write_all(&[self.file(path)?], overwrite)
    }

    pub(crate) fn file(&self, path: &Path) -> Outcome<NewFile> {
        let text = serde_json::to_string(self)
            .map_err(|error| Problem::new(ProblemCode::BadKey, error.to_string()))?;
        Ok(NewFile::secret(path, zeroize::Zeroizing::new((text + "\n").into_bytes())))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Key { key, .. } => key,
            Self::Creating { creating } => creating,
        }
    }

    /// The key, whose private half stays in the device. `None` if it is not created yet.
    pub(crate) fn open(
        &self,
        device: &dyn KeyDevice,
        algorithm: Algorithm,
        place: &str,
    ) -> Outcome<Option<SigningKey>> {
        let Self::Key { key, jwk } = self else { return Ok(None) };
        let unusable = |error| {
            Problem::key(&error)
                .at(place)
                .help("write the file again with `service-token keygen --existing NAME --force`")
        };
        let public = PublicJwk::from_jwk(algorithm, jwk.to_string().as_bytes()).map_err(unusable)?;
        SigningKey::from_signer(device.signer(key, public)).map(Some).map_err(unusable)
    }
}

/// Whether the content of a key file is a reference.
pub(crate) fn is_reference(text: &[u8]) -> bool {
    serde_json::from_slice::<Reference>(text).is_ok()
}
