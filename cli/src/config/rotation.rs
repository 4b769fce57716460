//! `[rotation]` of the configuration: the times of a rotation, and the file of the public keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use service_only::__satellite::format::{Filled, JWKS_FILE, Parsed, Rotation};
use service_only_store::rotation::RotationSettings;

use super::{Lifetime, Operator};

/// The settings of a rotation.
#[derive(Debug)]
pub(crate) struct RotationConfig {
    /// The JWK set that verifiers read.
    pub(crate) jwks: PathBuf,
    /// All times except the longest life of a token, which depends on the profile.
    pub(crate) settings: RotationSettings,
    /// The configured `token_life`, if there is one.
    pub(crate) token_life: Option<Duration>,
}

/// The settings of the table, and the defaults of what it leaves out.
pub(super) fn placed(table: Rotation<Operator>, folder: &Path) -> RotationConfig {
    let mut settings = RotationSettings::default();
    let set = |place: &mut Duration, said: Option<Parsed<Lifetime>>| {
        if let Some(Parsed(Lifetime(duration))) = said {
            *place = duration;
        }
    };
    set(&mut settings.key_life, table.key_life);
    set(&mut settings.longest_refresh, table.longest_refresh);
    set(&mut settings.verifier_silence, table.verifier_silence);
    set(&mut settings.unused_for, table.unused_for);
    set(&mut settings.leeway, table.leeway);
    settings.prepare = table.prepare.map_or(settings.prepare, |Parsed(share)| share);
    settings.activate = table.activate.map_or(settings.activate, |Parsed(share)| share);
    let jwks = table.jwks.map_or_else(|| JWKS_FILE.to_owned(), |Parsed(Filled(path))| path);
    let token_life = table.token_life.map(|Parsed(Lifetime(duration))| duration);
    RotationConfig { jwks: folder.join(jwks), settings, token_life }
}
