//! The name of a service.

use std::{error::Error, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of a service. It has 1 to 253 ASCII letters, digits, `-`, `_` and `.`, and begins and ends with a letter
/// or digit. Names are compared byte for byte.
///
/// ```
/// use service_only::claims::ServiceName;
///
/// assert!("tenant-deletion-orchestrator".parse::<ServiceName>().is_ok());
/// assert!("../gateway".parse::<ServiceName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ServiceName(pub(crate) String);

impl ServiceName {
    /// The maximum length of a service name, in bytes: that of a DNS name (RFC 1035 section 2.3.4).
    pub const MAX_LENGTH: usize = 253;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is a valid name.
    pub(crate) fn is_one(name: &str) -> bool {
        let bytes = name.as_bytes();
        let inside = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        let ends = [bytes.first(), bytes.last()];
        bytes.len() <= ServiceName::MAX_LENGTH
            && bytes.iter().fold(true, |all, byte| all & inside(byte))
            && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(name: &str) -> Result<Self, InvalidServiceName> {
        if Self::is_one(name) { Ok(Self(name.to_owned())) } else { Err(InvalidServiceName) }
    }
}

impl TryFrom<&str> for ServiceName {
    type Error = InvalidServiceName;

    fn try_from(name: &str) -> Result<Self, InvalidServiceName> {
        name.parse()
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidServiceName;

    fn try_from(name: String) -> Result<Self, InvalidServiceName> {
        if Self::is_one(&name) { Ok(Self(name)) } else { Err(InvalidServiceName) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The error for a text that is not a service name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value without fields")]
pub struct InvalidServiceName;

impl fmt::Display for InvalidServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a service name is 1 to {} ASCII letters, digits, `-`, `_` and `.`, \
             and starts and ends with a letter or digit",
            ServiceName::MAX_LENGTH
        )
    }
}

impl Error for InvalidServiceName {}

/// Reads a service name from a string, for `Deserialize` of configuration files.
impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
