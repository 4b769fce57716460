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
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub(crate) use environment::choose;
pub(crate) use keep_expired::KeepExpired;
pub(crate) use rotation::RotationConfig;
use service_only::{
    __satellite::format::{self, Mistake, Parsed, Values},
    claims::{Scopes, ServiceName},
};
use service_only_store::{Store, StoreError, rotation::LifeLeft};

pub(crate) use crate::instant::Lifetime;
use crate::key_file::{self, KeySource, SecretEncoding};
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
    /// The file with the public key that its tokens are bound to.
    pub(crate) dpop_key: Option<PathBuf>,
}

impl Config {
    /// Reads a file, in the environment that the command line chooses.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        Self::load_in(path, environment::chosen())
    }

    fn load_in(path: &Path, environment: Option<&str>) -> Outcome<Self> {
        let mut common = read(path)?;
        let mut environments = std::mem::take(&mut common.environments);
        let settings = match environment {
            None => common,
            Some(name) => match environments.remove(name) {
                Some(own) => common.overridden(own),
                None => return Err(environment::unknown(path, name, environments.keys())),
            },
        };
        complete(settings, path, environment, &environments)
    }

    /// The names of the services.
    pub(crate) fn listed(&self) -> Vec<&str> {
        self.services.keys().map(ServiceName::as_str).collect()
    }

    /// The names of the environments of a file.
    pub(crate) fn environments(path: &Path) -> Outcome<Vec<String>> {
        read(path).map(|settings| settings.environments.into_keys().collect())
    }

    /// Reads the named file. Without a name, reads the default file if it exists and `wanted` is set.
    pub(crate) fn find(named: Option<&Path>, wanted: bool) -> Outcome<Option<Self>> {
        match (named, environment::chosen()) {
            (Some(path), _) => Self::load(path).map(Some),
            (None, _) if wanted && Path::new(DEFAULT_FILE).exists() => {
                Self::load(Path::new(DEFAULT_FILE)).map(Some)
            }
            (None, Some(name)) if wanted => Err(Problem::usage(format!(
                "no configuration has the environment `{name}`: `{DEFAULT_FILE}` does not exist in this directory"
            ))
            .help("name one with `--config FILE`")),
            (None, _) => Ok(None),
        }
    }
}

/// The format of the file with the values of the command.
type Settings = format::Settings<Operator>;

/// The types of the values.
pub(crate) enum Operator {}

impl Values for Operator {
    type Profile = Profile;
    type Encoding = SecretEncoding;
    type Store = StoreAddress;
    type Duration = Lifetime;
    type KeepExpired = KeepExpired;
    type LifeLeft = LifeLeft;
    type Scope = ScopeToken;
}

fn read(path: &Path) -> Outcome<Settings> {
    let bytes = key_file::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Problem::new(ProblemCode::BadConfig, format!("`{}` is not UTF-8 text", path.display()))
            .help("save it as UTF-8")
    })?;
    Settings::parse(text).map_err(|mistake| explain(path, &mistake))
}

fn complete(
    settings: Settings,
    path: &Path,
    environment: Option<&str>,
    others: &BTreeMap<String, Settings>,
) -> Outcome<Config> {
    let missing = |key: &str| environment::missing(path, key, environment, others.keys());
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Config {
        path: path.to_owned(),
        issuer: settings.issuer.ok_or_else(|| missing("issuer"))?.0.0,
        audience: settings.audience.map(|audience| audience.0.0),
        lifetime: settings.lifetime.map(|lifetime| lifetime.0.0),
        profile: settings.profile.map(|profile| profile.0),
        store: settings.store.map(|store| format::placed_store(&store.0.0, folder)),
        keep_expired: settings.keep_expired.map_or(KeepExpired::DEFAULT, |Parsed(keep)| keep),
        key: key::placed(settings.key.0, folder, missing)?,
        rotation: rotation::placed(settings.rotation, folder),
        services: settings
            .services
            .into_iter()
            .map(|(name, service)| (name, placed_service(service, folder)))
            .collect(),
    })
}

fn placed_service(service: format::Service<Operator>, folder: &Path) -> ServiceEntry {
    ServiceEntry {
        role: service.role.map(|role| role.0.0),
        scopes: service.scopes.into_iter().map(|scope| scope.0.0).collect(),
        certificate: service.certificate.map(|file| folder.join(file.0.0)),
        dpop_key: service.dpop_key.map(|file| folder.join(file.0.0)),
    }
}

/// The address of a store.
pub(crate) struct StoreAddress(String);

impl FromStr for StoreAddress {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The error never quotes the address: it may contain a password.
        Store::check_address(text).map(|()| Self(text.to_owned()))
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

/// The problem for a mistake in the file: file, line, key, what is wrong, the next step.
fn explain(path: &Path, mistake: &Mistake) -> Problem {
    let mut place = path.display().to_string();
    if let Some(line) = mistake.line {
        place = format!("{place}:{line}");
    }
    if let Some(key) = &mistake.key {
        place = format!("{place}: key `{}`", redact::foreign(key));
    }
    Problem::new(ProblemCode::BadConfig, redact::foreign(&mistake.what))
        .at(place)
        .help(redact::foreign(&mistake.remedy))
}

#[cfg(test)]
mod tests;
