//! `[rotation]` of the configuration: the times of a rotation, and the file of the public keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use service_only_store::rotation::{LifeLeft, RotationSettings};

use super::{Filled, Lifetime, Parsed};

/// The default file for the public keys.
const DEFAULT_JWKS: &str = "jwks.json";

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

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    jwks: Option<Parsed<Filled>>,
    key_life: Option<Parsed<Lifetime>>,
    prepare: Option<Parsed<LifeLeft>>,
    activate: Option<Parsed<LifeLeft>>,
    longest_refresh: Option<Parsed<Lifetime>>,
    verifier_silence: Option<Parsed<Lifetime>>,
    unused_for: Option<Parsed<Lifetime>>,
    token_life: Option<Parsed<Lifetime>>,
    leeway: Option<Parsed<Lifetime>>,
}

impl Rotation {
    /// The settings of an environment, and the common ones that it leaves out.
    pub(super) fn overridden(self, own: Self) -> Self {
        Self {
            jwks: own.jwks.or(self.jwks),
            key_life: own.key_life.or(self.key_life),
            prepare: own.prepare.or(self.prepare),
            activate: own.activate.or(self.activate),
            longest_refresh: own.longest_refresh.or(self.longest_refresh),
            verifier_silence: own.verifier_silence.or(self.verifier_silence),
            unused_for: own.unused_for.or(self.unused_for),
            token_life: own.token_life.or(self.token_life),
            leeway: own.leeway.or(self.leeway),
        }
    }

    pub(crate) fn placed(self, folder: &Path) -> RotationConfig {
        let mut settings = RotationSettings::default();
        let set = |place: &mut Duration, said: Option<Parsed<Lifetime>>| {
            if let Some(Parsed(Lifetime(duration))) = said {
                *place = duration;
            }
        };
        set(&mut settings.key_life, self.key_life);
        set(&mut settings.longest_refresh, self.longest_refresh);
        set(&mut settings.verifier_silence, self.verifier_silence);
        set(&mut settings.unused_for, self.unused_for);
        set(&mut settings.leeway, self.leeway);
        settings.prepare = self.prepare.map_or(settings.prepare, |Parsed(share)| share);
        settings.activate = self.activate.map_or(settings.activate, |Parsed(share)| share);
        let jwks = self.jwks.map_or_else(|| DEFAULT_JWKS.to_owned(), |Parsed(Filled(path))| path);
        let token_life = self.token_life.map(|Parsed(Lifetime(duration))| duration);
        RotationConfig { jwks: folder.join(jwks), settings, token_life }
    }
}
