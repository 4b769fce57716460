//! The name of an environment variable, which people confuse with its value.
//!
//! `--secret-env "$JWT_SECRET"` passes the secret itself. So a value that cannot be a name is refused, and
//! the message does not quote it. A value that can be a name is quoted only if it is short and in capitals.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

/// A longer name could be a secret: the shortest secret has 32 bytes (RFC 7518 section 3.2).
const MAX_QUOTED: usize = 31;

/// A name by POSIX's rule: `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Clone)]
pub(crate) struct VariableName(String);

impl VariableName {
    pub(crate) fn parse(value: &OsStr) -> Option<Self> {
        let name = value.to_str()?;
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let valid = first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        valid.then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name if it is obviously one: short and in capitals, as such names are by convention.
    pub(crate) fn plain(&self) -> Option<&str> {
        let capitals = !self.0.bytes().any(|byte| byte.is_ascii_lowercase());
        Some(self.as_str()).filter(|name| capitals && name.len() <= MAX_QUOTED)
    }
}

impl std::fmt::Debug for VariableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VariableName").field(&self.plain()).finish()
    }
}

/// Parses a [`VariableName`] with its own error, because clap's error would quote the value.
#[derive(Clone)]
pub(crate) struct VariableNameParser;

impl TypedValueParser for VariableNameParser {
    type Value = VariableName;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<VariableName, clap::Error> {
        VariableName::parse(value).ok_or_else(|| {
            let option = argument.map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "the value of '{option}' is not the name of a variable; give the name, such as \
                 `JWT_SECRET`, and never the secret"
            );
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<VariableName> {
        VariableName::parse(OsStr::new(value))
    }

    #[test]
    fn name_follows_the_rule_of_posix() {
        for name in ["JWT_SECRET", "_", "a1", "_x9"] {
            assert!(parse(name).is_some(), "{name}");
        }
        for value in ["", "1a", "a-b", "a b", "a=b", "$A", "ä", "A\n", "c2VjcmV0=="] {
            assert!(parse(value).is_none(), "{value:?}");
        }
    }

    #[test]
    fn name_that_could_be_a_secret_is_not_quoted() {
        assert_eq!(parse("JWT_SECRET_2").unwrap().plain(), Some("JWT_SECRET_2"));
        for value in ["hunter2", "correcthorsebatterystaple", &"A".repeat(32)] {
            let name = parse(value).unwrap();
            assert_eq!(name.plain(), None);
            assert!(!format!("{name:?}").contains(value));
        }
    }
}
