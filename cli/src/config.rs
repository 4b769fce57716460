//! `service-token.toml`: the issuer, its key and its services.
//!
//! People write the file by hand, so it is read strictly. An unknown key, a wrong type or an invalid value is
//! refused with the file, the line, the key and the remedy. Values are parsed into valid types while their
//! position in the file is known.

mod environment;
mod keep_expired;
mod key;
mod rotation;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub(crate) use environment::choose;
pub(crate) use keep_expired::KeepExpired;
pub(crate) use rotation::RotationConfig;
use serde::{Deserialize, Deserializer, de};
use service_only::claims::{Scopes, ServiceName};
use service_only_store::{Store, StoreError};

pub(crate) use crate::instant::Lifetime;
use crate::key_file::{self, KeySource};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::redact;

/// The default configuration file, if no key and no other configuration is named.
pub(crate) const DEFAULT_FILE: &str = "service-token.toml";

/// The default role of a service: what the handlers of the first services expected.
pub(crate) const DEFAULT_ROLE: &str = "admin";

/// The whole configuration, with paths relative to the current directory.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) issuer: String,
    pub(crate) audience: Option<String>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) profile: Option<Profile>,
    pub(crate) store: Option<String>,
    pub(crate) keep_expired: KeepExpired,
    pub(crate) key: KeySource,
    pub(crate) rotation: RotationConfig,
    pub(crate) services: BTreeMap<ServiceName, ServiceEntry>,
}

/// The claims for the tokens of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceEntry {
    pub(crate) role: Option<String>,
    pub(crate) scopes: Vec<String>,
    /// The file with the certificate that its tokens are bound to.
    pub(crate) certificate: Option<PathBuf>,
}

impl Config {
    /// Reads a file, in the environment that the command line chooses.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        Self::load_in(path, environment::chosen())
    }

    fn load_in(path: &Path, environment: Option<&str>) -> Outcome<Self> {
        let mut common = Settings::read(path)?;
        let mut environments = std::mem::take(&mut common.environments);
        let settings = match environment {
            None => common,
            Some(name) => match environments.remove(name) {
                Some(own) => common.overridden(own),
                None => return Err(environment::unknown(path, name, environments.keys())),
            },
        };
        settings.complete(path, environment, &environments)
    }

    /// The names of the environments of a file.
    pub(crate) fn environments(path: &Path) -> Outcome<Vec<String>> {
        Settings::read(path).map(|settings| settings.environments.into_keys().collect())
    }

    /// Reads the named file. Without a name, reads the default file if it exists and `wanted` is set.
    pub(crate) fn find(named: Option<&Path>, wanted: bool) -> Outcome<Option<Self>> {
        match (named, environment::chosen()) {
            (Some(path), _) => Self::load(path).map(Some),
            (None, _) if wanted && Path::new(DEFAULT_FILE).exists() => {
                Self::load(Path::new(DEFAULT_FILE)).map(Some)
            }
            (None, Some(name)) if wanted => Err(Problem::usage(format!(
                "no configuration has the environment `{name}`: there is no `{DEFAULT_FILE}` here"
            ))
            .help("name one with `--config FILE`")),
            (None, _) => Ok(None),
        }
    }
}

/// The settings of a file, or of one of its environments.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    issuer: Option<Parsed<Filled>>,
    audience: Option<Parsed<Filled>>,
    lifetime: Option<Parsed<Lifetime>>,
    profile: Option<Parsed<Profile>>,
    store: Option<Parsed<StoreAddress>>,
    keep_expired: Option<Parsed<KeepExpired>>,
    #[serde(default)]
    key: key::Key,
    #[serde(default)]
    rotation: rotation::Rotation,
    #[serde(default)]
    services: BTreeMap<ServiceName, Service>,
    #[serde(default)]
    environments: BTreeMap<String, Self>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    role: Option<Parsed<Filled>>,
    #[serde(default)]
    scopes: Vec<Parsed<ScopeToken>>,
    certificate: Option<Parsed<Filled>>,
}

impl Settings {
    fn read(path: &Path) -> Outcome<Self> {
        let bytes = key_file::read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Problem::new(ProblemCode::BadConfig, format!("`{}` is not UTF-8 text", path.display()))
                .help("save it as UTF-8")
        })?;
        let settings: Self = toml::from_str(text).map_err(|error| explain(path, text, &error))?;
        match settings.environments.iter().find(|(_, own)| !own.environments.is_empty()) {
            None => Ok(settings),
            Some((name, _)) => Err(Problem::new(
                ProblemCode::BadConfig,
                format!("{}: the environment `{name}` contains environments", path.display()),
            )
            .help("write each as a table `[environments.NAME]`")),
        }
    }

    /// The settings of an environment, and the common ones that it leaves out. Services are those of both.
    fn overridden(self, own: Self) -> Self {
        let mut services = self.services;
        services.extend(own.services);
        Self {
            issuer: own.issuer.or(self.issuer),
            audience: own.audience.or(self.audience),
            lifetime: own.lifetime.or(self.lifetime),
            profile: own.profile.or(self.profile),
            store: own.store.or(self.store),
            keep_expired: own.keep_expired.or(self.keep_expired),
            key: self.key.overridden(own.key),
            rotation: self.rotation.overridden(own.rotation),
            services,
            environments: BTreeMap::new(),
        }
    }

    fn complete(
        self,
        path: &Path,
        environment: Option<&str>,
        others: &BTreeMap<String, Self>,
    ) -> Outcome<Config> {
        let missing = |key: &str| environment::missing(path, key, environment, others.keys());
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Config {
            path: path.to_owned(),
            issuer: self.issuer.ok_or_else(|| missing("issuer"))?.0.0,
            audience: self.audience.map(|audience| audience.0.0),
            lifetime: self.lifetime.map(|lifetime| lifetime.0.0),
            profile: self.profile.map(|profile| profile.0),
            store: self.store.map(|store| store.0.placed(folder)),
            keep_expired: self.keep_expired.map_or(KeepExpired::DEFAULT, |Parsed(keep)| keep),
            key: self.key.placed(folder, missing)?,
            rotation: self.rotation.placed(folder),
            services: self
                .services
                .into_iter()
                .map(|(name, service)| (name, service.placed(folder)))
                .collect(),
        })
    }
}

impl Service {
    fn placed(self, folder: &Path) -> ServiceEntry {
        ServiceEntry {
            role: self.role.map(|role| role.0.0),
            scopes: self.scopes.into_iter().map(|scope| scope.0.0).collect(),
            certificate: self.certificate.map(|file| folder.join(file.0.0)),
        }
    }
}

/// Any type with `FromStr`, parsed while the TOML reader still knows the position.
struct Parsed<T>(T);

impl<'de, T> Deserialize<'de> for Parsed<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A string that is not empty.
struct Filled(String);

impl FromStr for Filled {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("must not be empty") } else { Ok(Self(text.to_owned())) }
    }
}

/// The address of a store.
struct StoreAddress(String);

impl FromStr for StoreAddress {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The error never quotes the address: it may contain a password.
        Store::check_address(text).map(|()| Self(text.to_owned()))
    }
}

impl StoreAddress {
    /// Resolves a file relative to the configuration, like the key file.
    fn placed(self, folder: &Path) -> String {
        match self.0.strip_prefix("sqlite:") {
            Some(path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                format!("sqlite:{}", folder.join(path).display())
            }
            None => self.0,
        }
    }
}

/// One scope: a scope-token of RFC 6749 section 3.3.
#[derive(Clone, Debug)]
pub(crate) struct ScopeToken(pub(crate) String);

impl FromStr for ScopeToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = !text.is_empty() && !text.contains(' ');
        if one && text.parse::<Scopes>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is not a scope; write printable ASCII without spaces, such as `tenants:delete`"
            ))
        }
    }
}

/// Converts an error of the TOML reader to: file, line, key, what is wrong, the next step.
fn explain(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message =
        error.message().replace("unknown field", "unknown key").replace("missing field", "missing key");
    let (what, remedy) = match message.rsplit_once(", expected ") {
        Some((what, expected)) => (without_value(what).to_owned(), format!("expected {expected}")),
        None => (message, "`service-token init` writes an example with every key explained".to_owned()),
    };
    let key =
        text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    let place = match key {
        "" => format!("{}:{line}", path.display()),
        key if what.contains(&format!("`{key}`")) => format!("{}:{line}", path.display()),
        key => format!("{}:{line}: key `{}`", path.display(), redact::foreign(key)),
    };
    Problem::new(ProblemCode::BadConfig, redact::foreign(&what)).at(place).help(redact::foreign(&remedy))
}

/// Removes the value from the message: it may be a secret in place of a file name.
fn without_value(what: &str) -> &str {
    match what.strip_prefix("invalid ") {
        Some(_) => what.split(['"', '`']).next().unwrap_or_default().trim_end(),
        None => what,
    }
}

#[cfg(test)]
mod tests;
