//! Keys in a device or of another program: what the configuration says about the place.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use service_only::clock::{Clock as _, SystemClock};
use service_only::issue::{PublicJwk, SignError, SigningKey};
use service_only::{Algorithm, issue};
use service_only_signer::KeyDevice;

use crate::members;
use crate::new_file::Overwrite;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::reference::Reference;

/// The place of the private keys.
#[derive(Clone)]
pub(crate) struct Device(pub(crate) Arc<dyn KeyDevice>);

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device")
    }
}

impl Device {
    /// Creates a key and writes its reference. If a run was killed while it created one, this is that key.
    pub(crate) fn create(
        &self,
        algorithm: Algorithm,
        rsa_bits: Option<u32>,
        path: &Path,
        overwrite: Overwrite,
    ) -> Outcome<SigningKey> {
        let name = match Reference::read(path) {
            Ok(Some(Reference::Creating { creating })) => creating,
            _ => {
                let name = new_name();
                Reference::Creating { creating: name.clone() }.write(path, overwrite)?;
                name
            }
        };
        let public = self.0.create(algorithm, rsa_bits, &name).map_err(failed)?;
        self.refer(algorithm, &name, &public, path, Overwrite::ReplaceKey)
    }

    /// Writes the reference of a key that exists.
    pub(crate) fn adopt(
        &self,
        algorithm: Algorithm,
        name: &str,
        path: &Path,
        overwrite: Overwrite,
    ) -> Outcome<SigningKey> {
        let public = self.0.find(algorithm, name).map_err(failed)?.ok_or_else(|| {
            let reason = format!("no key `{}` exists for {algorithm}", crate::escape::one_line(name));
            Problem::new(ProblemCode::BadKey, reason)
                .help("check the name, and that `[key]` names the right place")
        })?;
        self.refer(algorithm, name, &public, path, overwrite)
    }

    fn refer(
        &self,
        algorithm: Algorithm,
        name: &str,
        public: &PublicJwk,
        path: &Path,
        overwrite: Overwrite,
    ) -> Outcome<SigningKey> {
        let reference = Reference::to_key(name, public);
        // A key that does not sign what its public half verifies would be noticed by the first token only.
        let key = reference.open(&*self.0, algorithm, name)?;
        let key = key.ok_or_else(|| Problem::new(ProblemCode::BadKey, "the key is not created"))?;
        key.sign(b"service-only: a test signature").map_err(|error: issue::IssueError| {
            Problem::new(ProblemCode::BadKey, format!("the key `{name}` cannot sign: {error}"))
        })?;
        reference.write(path, overwrite)?;
        Ok(key)
    }

    pub(crate) fn destroy(&self, name: &str) -> Outcome<()> {
        self.0.destroy(name).map_err(failed)
    }
}

pub(crate) fn failed(error: SignError) -> Problem {
    Problem::new(ProblemCode::BadKey, error.to_string())
}

/// A name that no other key has: the time, for people, and a random part.
fn new_name() -> String {
    let time: String =
        members::instant(SystemClock.now()).chars().filter(char::is_ascii_alphanumeric).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    let random = random.get(..8).unwrap_or_default();
    format!("service-token-{time}-{random}")
}
