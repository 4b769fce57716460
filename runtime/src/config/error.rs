//! Why a configuration makes no verifier: the place, what was read, what was expected, and the next step.

use std::{error::Error, fmt, path::PathBuf};

use super::{format::Mistake, names};
use crate::{
    denial::{Backslash, escaped},
    error::BuildError,
};

/// Where the settings are from, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Table,
    Variables,
}

/// Why a configuration makes no verifier. The message names the file or the variable, what was read, what was expected and
/// the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    what: String,
    remedy: String,
}

/// Long enough for a value and a rule; a hostile value is cut.
pub(super) const MAX_MESSAGE: usize = 1024;

impl ConfigError {
    pub(super) fn new(source: &Source, place: Option<String>, what: String, remedy: &str) -> Self {
        let place = place.unwrap_or_else(|| match source {
            Source::File(path) => format!("`{}`", path.display()),
            Source::Table => "the settings of the verifier".to_owned(),
            Source::Variables => "the environment variables".to_owned(),
        });
        let plain = |text: &str| escaped(text, MAX_MESSAGE, Backslash::Kept).into_owned();
        Self { place: plain(&place), what: plain(&what), remedy: plain(remedy) }
    }

    pub(super) fn of_text(source: &Source, mistake: Mistake) -> Self {
        let place = match (source, mistake.line) {
            (Source::File(path), Some(line)) => {
                let key = mistake.key.map(|key| format!(": key `{key}`")).unwrap_or_default();
                Some(format!("`{}`, line {line}{key}", path.display()))
            }
            _ => None,
        };
        Self::new(source, place, mistake.what, &mistake.remedy)
    }

    pub(super) fn of_variable(name: &str, what: &str, remedy: &str) -> Self {
        Self::new(&Source::Variables, Some(format!("the variable `{name}`")), what.to_owned(), remedy)
    }

    /// `key` is written as in a file, such as `file` of `[key]`, without the outer quotes.
    pub(super) fn missing(source: &Source, key: &str, why: &str) -> Self {
        match source {
            Source::Variables => {
                let name = names::variable_of(key);
                Self::new(source, None, format!("`{name}` is not set"), &format!("set it: {why}"))
            }
            _ => Self::new(source, None, format!("missing key `{key}`"), &format!("add it: {why}")),
        }
    }

    pub(super) fn of_build(source: &Source, error: BuildError) -> Self {
        Self::new(source, None, "the settings make no verifier".to_owned(), &error.to_string())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.remedy)
    }
}

impl Error for ConfigError {}
