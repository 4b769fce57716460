//! The environment of a file with several: its settings override the common ones.
//!
//! An environment is never guessed. Without a choice, the common settings count, and they must be complete.

use std::path::Path;
use std::sync::OnceLock;

use crate::problem::{Problem, ProblemCode};

static CHOSEN: OnceLock<Option<String>> = OnceLock::new();

/// Chooses the environment of every file that this program reads from now on. An empty name counts as none, as for an
/// empty variable.
pub(crate) fn choose(name: Option<String>) {
    // The command line is parsed once.
    let _ = CHOSEN.set(name.filter(|name| !name.is_empty()));
}

pub(super) fn chosen() -> Option<&'static str> {
    CHOSEN.get()?.as_deref()
}

/// The problem for an environment that a file does not have.
pub(super) fn unknown<'a>(path: &Path, name: &str, known: impl Iterator<Item = &'a String>) -> Problem {
    let reason = format!("`{}` has no environment `{name}`", path.display());
    let known = listed(known);
    Problem::new(ProblemCode::BadConfig, reason).help(match known.is_empty() {
        true => format!("add a table `[environments.{name}]`, or leave the environment out"),
        false => format!("its environments are {known}"),
    })
}

/// The problem for a required key that neither the environment nor the common settings have.
pub(super) fn missing<'a>(
    path: &Path,
    key: &str,
    environment: Option<&str>,
    known: impl Iterator<Item = &'a String>,
) -> Problem {
    let problem =
        |reason: String| Problem::new(ProblemCode::BadConfig, format!("{}: {reason}", path.display()));
    let known = listed(known);
    match environment {
        Some(name) => problem(format!("missing key `{key}`, also in the environment `{name}`"))
            .help("write it at the top of the file, or into the table of the environment"),
        None if !known.is_empty() => problem(format!("missing key `{key}` of the common settings"))
            .help(format!("choose an environment with `--environment NAME`: {known}")),
        None => problem(format!("missing key `{key}`"))
            .help("`service-token init` writes an example with every key explained"),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
