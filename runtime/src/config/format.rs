//! The format of `service-token.toml`: its tables and keys, as one type for the command and for a service. People write the
//! file by hand, so an unknown key, a wrong type and an invalid value are refused with the line, the key and the remedy.
//! Values are parsed into valid types while their position in the file is known.

#![expect(clippy::exhaustive_structs, reason = "hidden")]
#![expect(missing_debug_implementations, reason = "the address of a store may contain a password")]

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use crate::{claims::ServiceName, keys::Algorithm};

/// The types of values that differ between the command and a service. A service does not use most of them.
pub trait Values {
    type Profile: FromStr<Err: fmt::Display>;
    type Encoding: FromStr<Err: fmt::Display>;
    type Store: FromStr<Err: fmt::Display>;
    type Duration: FromStr<Err: fmt::Display>;
    type KeepExpired: FromStr<Err: fmt::Display>;
    type LifeLeft: FromStr<Err: fmt::Display>;
    type Scope: FromStr<Err: fmt::Display>;
}

/// The settings of a file, or of one of its environments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "V: Values")]
pub struct Settings<V: Values> {
    pub issuer: Option<Parsed<Filled>>,
    pub audience: Option<Parsed<Filled>>,
    pub lifetime: Option<Parsed<V::Duration>>,
    pub profile: Option<Parsed<V::Profile>>,
    pub store: Option<Parsed<V::Store>>,
    pub keep_expired: Option<Parsed<V::KeepExpired>>,
    #[serde(default)]
    pub key: Key<V>,
    #[serde(default)]
    pub rotation: Rotation<V>,
    #[serde(default)]
    pub services: BTreeMap<ServiceName, Service<V>>,
    #[serde(default)]
    pub environments: BTreeMap<String, Self>,
}

/// `[services.NAME]`: the claims for the tokens of one service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "V: Values")]
pub struct Service<V: Values> {
    pub role: Option<Parsed<Filled>>,
    #[serde(default)]
    pub scopes: Vec<Parsed<V::Scope>>,
    pub certificate: Option<Parsed<Filled>>,
    pub dpop_key: Option<Parsed<Filled>>,
}

/// `[key]`: the key that signs, in a file, in a token of PKCS#11 or of another program.
#[derive(Deserialize)]
#[serde(try_from = "KeyTable<V>", bound = "V: Values")]
pub struct Key<V: Values>(pub KeyTable<V>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "V: Values")]
pub struct KeyTable<V: Values> {
    pub file: Option<Parsed<Filled>>,
    pub algorithm: Option<Parsed<Algorithm>>,
    pub kid: Option<Parsed<Filled>>,
    pub encoding: Option<Parsed<V::Encoding>>,
    pub passphrase_file: Option<Parsed<Filled>>,
    pub passphrase_env: Option<Parsed<Filled>>,
    pub pkcs11: Option<Pkcs11>,
    pub command: Option<Vec<Parsed<Filled>>>,
    pub command_limit: Option<Parsed<V::Duration>>,
    #[serde(default)]
    pub command_env: Vec<Parsed<Filled>>,
}

/// `[key.pkcs11]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    pub module: Parsed<Filled>,
    pub token: Option<Parsed<Filled>>,
    pub serial: Option<Parsed<Filled>>,
    pub pin_file: Option<Parsed<Filled>>,
    pub pin_env: Option<Parsed<Filled>>,
}

/// `[rotation]`: the times of a rotation, and the file of the public keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "V: Values")]
pub struct Rotation<V: Values> {
    pub jwks: Option<Parsed<Filled>>,
    pub key_life: Option<Parsed<V::Duration>>,
    pub prepare: Option<Parsed<V::LifeLeft>>,
    pub activate: Option<Parsed<V::LifeLeft>>,
    pub longest_refresh: Option<Parsed<V::Duration>>,
    pub verifier_silence: Option<Parsed<V::Duration>>,
    pub unused_for: Option<Parsed<V::Duration>>,
    pub token_life: Option<Parsed<V::Duration>>,
    pub leeway: Option<Parsed<V::Duration>>,
}

/// The default file of the public keys.
pub const JWKS_FILE: &str = "jwks.json";

impl<V: Values> Settings<V> {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is not a file of this format.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let settings: Self = toml::from_str(text).map_err(|error| Mistake::new(text, &error))?;
        match settings.environments.iter().find(|(_, own)| !own.environments.is_empty()) {
            None => Ok(settings),
            Some((name, _)) => Err(Mistake {
                line: None,
                key: None,
                what: format!("the environment `{name}` contains environments"),
                remedy: "write each as a table `[environments.NAME]`".to_owned(),
            }),
        }
    }

    /// The settings of an environment, and the common ones that it leaves out. Services are those of both.
    #[must_use]
    pub fn overridden(self, own: Self) -> Self {
        let mut services = self.services;
        services.extend(own.services);
        Self {
            issuer: own.issuer.or(self.issuer),
            audience: own.audience.or(self.audience),
            lifetime: own.lifetime.or(self.lifetime),
            profile: own.profile.or(self.profile),
            store: own.store.or(self.store),
            keep_expired: own.keep_expired.or(self.keep_expired),
            key: Key(self.key.0.overridden(own.key.0)),
            rotation: self.rotation.overridden(own.rotation),
            services,
            environments: BTreeMap::new(),
        }
    }
}

impl<V: Values> Default for Settings<V> {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            lifetime: None,
            profile: None,
            store: None,
            keep_expired: None,
            key: Key::default(),
            rotation: Rotation::default(),
            services: BTreeMap::new(),
            environments: BTreeMap::new(),
        }
    }
}

impl<V: Values> Default for Key<V> {
    fn default() -> Self {
        Self(KeyTable {
            file: None,
            algorithm: None,
            kid: None,
            encoding: None,
            passphrase_file: None,
            passphrase_env: None,
            pkcs11: None,
            command: None,
            command_limit: None,
            command_env: Vec::new(),
        })
    }
}

impl<V: Values> TryFrom<KeyTable<V>> for Key<V> {
    type Error = String;

    fn try_from(table: KeyTable<V>) -> Result<Self, String> {
        table.check()?;
        Ok(Self(table))
    }
}

impl<V: Values> KeyTable<V> {
    /// Refuses keys that do not fit together.
    ///
    /// # Errors
    /// When two settings contradict each other, or one is for another kind of key.
    pub fn check(&self) -> Result<(), String> {
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

impl<V: Values> Default for Rotation<V> {
    fn default() -> Self {
        Self {
            jwks: None,
            key_life: None,
            prepare: None,
            activate: None,
            longest_refresh: None,
            verifier_silence: None,
            unused_for: None,
            token_life: None,
            leeway: None,
        }
    }
}

impl<V: Values> Rotation<V> {
    fn overridden(self, own: Self) -> Self {
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
}

/// Resolves a store in a file relative to the configuration, like a key file.
pub fn placed_store(address: &str, folder: &Path) -> String {
    match address.strip_prefix("sqlite:") {
        Some(path) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            format!("sqlite:{}", folder.join(path).display())
        }
        None => address.to_owned(),
    }
}

/// Any type with `FromStr`, parsed while the TOML reader still knows the position.
#[derive(Debug, Clone)]
pub struct Parsed<T>(pub T);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled(pub String);

impl FromStr for Filled {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("must not be empty") } else { Ok(Self(text.to_owned())) }
    }
}

/// What is wrong with a text of this format. Nothing of it is redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from one.
    pub line: Option<usize>,
    /// The key of that line, if the message does not name it.
    pub key: Option<String>,
    pub what: String,
    pub remedy: String,
}

impl Mistake {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message =
            error.message().replace("unknown field", "unknown key").replace("missing field", "missing key");
        let (what, remedy) = match message.rsplit_once(", expected ") {
            Some((what, expected)) => (without_value(what).to_owned(), format!("expected {expected}")),
            None => (message, "`service-token init` writes an example with every key explained".to_owned()),
        };
        let key = text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
        let key = key.filter(|key| !key.is_empty() && !what.contains(&format!("`{key}`")));
        Self { line: Some(line), key: key.map(str::to_owned), what, remedy }
    }
}

/// Removes the value from the message: it may be a secret in place of a file name.
fn without_value(what: &str) -> &str {
    match what.strip_prefix("invalid ") {
        Some(_) => what.split(['"', '`']).next().unwrap_or_default().trim_end(),
        None => what,
    }
}
