//! A verifier by configuration: from the file `service-token.toml`, which the command `service-token` reads too, or from
//! environment variables. Both sources fill the same settings, so both mean the same.

mod error;
#[doc(hidden)]
pub mod format;
mod names;
mod variables;

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;

pub use self::error::ConfigError;
use self::{
    error::Source,
    format::{Filled, JWKS_FILE, Parsed, Settings, Values, placed_store},
};
use crate::{
    keys::{Algorithm, FileKeys, KeySource, SecretEncoding},
    trusted::TrustedIssuer,
    verifier::{Verifier, VerifierBuilder},
    watched_file::read_regular,
};

/// What a verifier needs of a configuration: issuer, audience, profile and keys.
///
/// The settings come from `service-token.toml` ([`file`](Self::file)), from a table of your own configuration (it
/// implements [`Deserialize`](trait@serde::Deserialize)), or from environment variables ([`env`](Self::env)). The guide's page on
/// configuration lists the keys and the variables. An unknown key, an unknown variable and an invalid value are errors,
/// and no required setting has a default.
///
/// - `issuer` and `audience` are those of the tokens. `profile` is `compatible` or `strict`.
/// - If `algorithm` of `[key]` is an HMAC, `file` of `[key]` is the secret. Otherwise `jwks` of `[rotation]` is the JWK set
///   with the public keys, and no private key is read. Both files are read again when they change.
/// - If a `store` is configured, it contains revocations, which this crate cannot read. Call
///   [`take_store`](Self::take_store) to get its address, and pass its revocations to the builder. Without that call no
///   verifier is built, because it would accept revoked tokens.
///
/// ```no_run
/// use service_only::{Verifier, config::VerifierConfig};
///
/// let verifier = Verifier::from_config(VerifierConfig::file("service-token.toml")?)?;
/// # Ok::<(), service_only::config::ConfigError>(())
/// ```
///
/// With further settings of the builder, and the revocations of `service-only-store`:
///
/// ```no_run
/// # fn open(_: String) -> service_only::revocation::MemoryRevocations { todo!() }
/// use service_only::{JsonLinesAudit, config::VerifierConfig};
///
/// let mut config = VerifierConfig::env()?;
/// let store = config.take_store();
/// let mut builder = config.builder()?.audit(JsonLinesAudit::to_file("audit.jsonl")?);
/// if let Some(store) = store {
///     builder = builder.revocation(open(store));
/// }
/// let verifier = builder.build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// As a table of your own configuration:
///
/// ```
/// use service_only::config::VerifierConfig;
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     port: u16,
///     tokens: VerifierConfig,
/// }
///
/// let config: Config = toml::from_str(r#"
///     port = 3000
///     tokens = { issuer = "bakery-auth", audience = "orders", rotation = { jwks = "jwks.json" } }
/// "#)?;
/// assert_eq!((config.port, config.tokens.issuer()), (3000, "bakery-auth"));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(try_from = "Settings<Verifying>")]
pub struct VerifierConfig {
    source: Source,
    issuer: String,
    audience: Option<String>,
    profile: Profile,
    keys: Option<Keys>,
    store: Option<String>,
}

/// The kind of service tokens that are accepted.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// See [`TrustedIssuer::compatible`].
    #[default]
    Compatible,
    /// See [`TrustedIssuer::strict`].
    Strict,
}

/// The file of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Keys {
    Jwks(PathBuf),
    Secret { file: PathBuf, algorithm: Algorithm, encoding: SecretEncoding, kid: Option<String> },
}

impl VerifierConfig {
    /// The maximum size of a configuration file, in bytes.
    pub const MAX_BYTES: usize = 1024 * 1024;

    /// Reads a file in the format of `service-token.toml`. Paths in it are relative to the file.
    ///
    /// # Errors
    /// When the file cannot be read or is longer than [`MAX_BYTES`](Self::MAX_BYTES), has an unknown key or an invalid
    /// value, or its common settings lack the issuer.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::read(path.as_ref(), None)
    }

    /// Reads a file with several environments: the table `[environments.NAME]` overrides the common settings.
    ///
    /// # Errors
    /// As [`file`](Self::file), and when the file does not have the environment.
    pub fn file_in(path: impl AsRef<Path>, environment: &str) -> Result<Self, ConfigError> {
        Self::read(path.as_ref(), Some(environment))
    }

    /// Reads the environment variables of this process that start with `SERVICE_TOKEN_`. Paths in them are relative to the
    /// current directory.
    ///
    /// # Errors
    /// When a variable with that prefix is unknown, empty or not text, when its value is invalid, or when the issuer is
    /// missing. The variables that Kubernetes sets for a Service of that name are ignored.
    pub fn env() -> Result<Self, ConfigError> {
        Self::variables(std::env::vars_os())
    }

    /// Reads variables that are not those of this process. See [`env`](Self::env).
    ///
    /// # Errors
    /// As [`env`](Self::env).
    pub fn variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        Self::complete(variables::read(variables)?, Source::Variables, Path::new(""))
    }

    fn read(path: &Path, environment: Option<&str>) -> Result<Self, ConfigError> {
        let source = Source::File(path.to_owned());
        let refused = |what: String, remedy: &str| ConfigError::new(&source, None, what, remedy);
        let bytes = read_regular(path, Self::MAX_BYTES).map_err(|error| {
            refused(format!("cannot be read: {error}"), "check the path and its permissions")
        })?;
        if bytes.len() > Self::MAX_BYTES {
            let what = format!("is larger than {} bytes", Self::MAX_BYTES);
            return Err(refused(what, "name a configuration file"));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| refused("is not UTF-8 text".to_owned(), "save it as UTF-8"))?;
        let mut common: Settings<Verifying> =
            Settings::parse(text).map_err(|mistake| ConfigError::of_text(&source, mistake))?;
        let mut environments = std::mem::take(&mut common.environments);
        let known = listed(environments.keys());
        let settings = match environment {
            None => common,
            Some(name) => match environments.remove(name) {
                Some(own) => common.overridden(own),
                None => {
                    let what = format!("has no environment `{name}`");
                    return Err(refused(what, &format!("its environments are {known}")));
                }
            },
        };
        if settings.issuer.is_none() && environment.is_none() && !known.is_empty() {
            return Err(refused(
                "missing key `issuer` of the common settings".to_owned(),
                &format!("choose an environment with `VerifierConfig::file_in`: {known}"),
            ));
        }
        Self::complete(settings, source, path.parent().unwrap_or(Path::new("")))
    }

    fn complete(settings: Settings<Verifying>, source: Source, folder: &Path) -> Result<Self, ConfigError> {
        // The settings of an environment may contradict the common ones.
        settings
            .key
            .0
            .check()
            .map_err(|why| ConfigError::new(&source, None, format!("`[key]`: {why}"), "keep one of them"))?;
        let issuer = settings
            .issuer
            .ok_or_else(|| ConfigError::missing(&source, "issuer", "the `iss` that every token must have"))?;
        let key = settings.key.0;
        let jwks = settings.rotation.jwks.map(|Parsed(Filled(file))| folder.join(file));
        let keys = match (key.algorithm, key.file) {
            (Some(Parsed(algorithm)), file) if algorithm.is_symmetric() => {
                let file = file.ok_or_else(|| {
                    ConfigError::missing(&source, "file` of `[key]", "the file with the secret")
                })?;
                Some(Keys::Secret {
                    file: folder.join(file.0.0),
                    algorithm,
                    encoding: key.encoding.map(|Parsed(encoding)| encoding).unwrap_or_default(),
                    kid: key.kid.map(|Parsed(Filled(kid))| kid),
                })
            }
            // A key pair has a default file for its public half; a configuration without a key has none.
            (Some(_), _) => Some(Keys::Jwks(jwks.unwrap_or_else(|| folder.join(JWKS_FILE)))),
            (None, Some(_)) => {
                let why = "it decides whether `file` of `[key]` is a secret or a private key";
                return Err(ConfigError::missing(&source, "algorithm` of `[key]", why));
            }
            (None, None) => jwks.map(Keys::Jwks),
        };
        Ok(Self {
            issuer: issuer.0.0,
            audience: settings.audience.map(|Parsed(Filled(audience))| audience),
            profile: settings.profile.map(|Parsed(profile)| profile).unwrap_or_default(),
            keys,
            store: settings.store.map(|Parsed(Filled(store))| placed_store(&store, folder)),
            source,
        })
    }

    /// The `iss` that tokens must have.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audience that tokens must name; `None` refuses tokens that name one.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The kind of tokens that are accepted.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Takes the address of the store, such as `sqlite:tokens.db`. Pass its revocations to
    /// [`VerifierBuilder::revocation`]; `SqlRevocations` of `service-only-store` reads them. The address may contain a
    /// password.
    #[must_use = "without the revocations of the store, the verifier accepts revoked tokens"]
    pub fn take_store(&mut self) -> Option<String> {
        self.store.take()
    }

    /// Opens the file of the keys, and starts a builder with these settings.
    ///
    /// # Errors
    /// When no file of keys is configured, it cannot be used, strict tokens have no audience, or the store was not
    /// [taken](Self::take_store).
    pub fn builder(self) -> Result<VerifierBuilder, ConfigError> {
        self.check_store()?;
        let keys = self.open_keys()?;
        self.builder_with(keys)
    }

    /// Starts a builder with these settings, and with keys from elsewhere, such as
    /// `RemoteJwks`. Files of keys are not read.
    ///
    /// # Errors
    /// When strict tokens have no audience, or the store was not [taken](Self::take_store).
    pub fn builder_with(self, keys: impl KeySource) -> Result<VerifierBuilder, ConfigError> {
        self.check_store()?;
        let trusted = match self.profile {
            Profile::Compatible => TrustedIssuer::compatible(&*self.issuer),
            Profile::Strict if self.audience.is_none() => {
                let why = "the name of this service, which strict tokens must name";
                return Err(ConfigError::missing(&self.source, "audience", why));
            }
            Profile::Strict => TrustedIssuer::strict(&*self.issuer),
        };
        let trusted = trusted.keys(keys);
        Ok(Verifier::builder().trust(match self.audience {
            Some(audience) => trusted.audience(audience),
            None => trusted,
        }))
    }

    fn check_store(&self) -> Result<(), ConfigError> {
        match self.store {
            None => Ok(()),
            Some(_) => Err(self.refused(
                "the store has revocations, and the verifier checks none".to_owned(),
                "take its address with `VerifierConfig::take_store`, and pass its revocations to `VerifierBuilder::revocation`",
            )),
        }
    }

    fn open_keys(&self) -> Result<FileKeys, ConfigError> {
        let (keys, remedy) = match &self.keys {
            Some(Keys::Jwks(file)) => (
                FileKeys::jwks(file),
                "`service-token jwks --out FILE` writes the public keys; `jwks` of `[rotation]` names the file",
            ),
            Some(Keys::Secret { file, algorithm, encoding, kid }) => {
                let keys = FileKeys::hmac(*algorithm, file).encoding(*encoding);
                let keys = match kid {
                    Some(kid) => keys.kid(kid),
                    None => keys.named_by_secret(),
                };
                (keys, "`file` of `[key]` names the secret")
            }
            None => {
                let why =
                    "the JWK set with the public keys; an HMAC secret is `file` and `algorithm` of `[key]`";
                return Err(ConfigError::missing(&self.source, "jwks` of `[rotation]", why));
            }
        };
        keys.open().map_err(|error| self.refused(format!("the keys cannot be used: {error}"), remedy))
    }

    fn refused(&self, what: String, remedy: &str) -> ConfigError {
        ConfigError::new(&self.source, None, what, remedy)
    }
}

/// Prints no address of a store, which may contain a password.
impl fmt::Debug for VerifierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierConfig")
            .field("source", &self.source)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("profile", &self.profile)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl TryFrom<Settings<Verifying>> for VerifierConfig {
    type Error = ConfigError;

    fn try_from(settings: Settings<Verifying>) -> Result<Self, ConfigError> {
        if !settings.environments.is_empty() {
            let what = "the table has `environments`".to_owned();
            let remedy = "write the settings of one environment, or use `VerifierConfig::file_in`";
            return Err(ConfigError::new(&Source::Table, None, what, remedy));
        }
        Self::complete(settings, Source::Table, Path::new(""))
    }
}

impl Verifier {
    /// Builds a verifier from a configuration. Use [`VerifierConfig::builder`] for settings that a configuration does not
    /// have, such as the audit sink and revocations.
    ///
    /// # Errors
    /// As [`VerifierConfig::builder`] and [`VerifierBuilder::build`].
    pub fn from_config(config: VerifierConfig) -> Result<Self, ConfigError> {
        let source = config.source.clone();
        config.builder()?.build().map_err(|error| ConfigError::of_build(&source, error))
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "compatible" => Ok(Self::Compatible),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("`{name}` is not a profile; write `compatible` or `strict`")),
        }
    }
}

/// The values that a verifier uses, and any text for the others.
enum Verifying {}

impl Values for Verifying {
    type Profile = Profile;
    type Encoding = SecretEncoding;
    type Store = Filled;
    type Duration = Filled;
    type KeepExpired = Filled;
    type LifeLeft = Filled;
    type Scope = Filled;
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
