//! How a command changes something: who asks for it, whether it is only tried, and whether a step that cannot be undone
//! is confirmed.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::Path;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};

/// Who asks for the change.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct By {
    /// Who makes the change, for the registry [default: the user of the operating system]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    by: Option<String>,
}

impl By {
    /// A person whose name is known otherwise than by an option.
    #[cfg(feature = "dashboard")]
    pub(crate) fn person(name: &str) -> Self {
        Self { by: Some(name.to_owned()) }
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.by.clone().or_else(user_name).or_else(user_id)
    }
}

/// The operator's user name on this system.
fn user_name() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The number of the user, for a program without these variables, as in a container.
fn user_id() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata("/proc/self").ok().map(|found| format!("uid {}", found.uid()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Whether the change is only tried.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct DryRun {
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Whether the operator is asked before a step that cannot be undone.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Consent {
    /// Do not ask before a step that cannot be undone. Without a terminal, the command never asks
    #[arg(long)]
    yes: bool,
}

impl Consent {
    /// The operator has confirmed it elsewhere.
    #[cfg(feature = "dashboard")]
    pub(crate) const GIVEN: Self = Self { yes: true };

    /// Whether an operator sits at the terminal. A script and a timer have no terminal.
    pub(crate) fn is_needed(self) -> bool {
        !self.yes && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks on the terminal. Only `y` and `yes` confirm.
    pub(crate) fn ask(self, effect: &str) -> Outcome<()> {
        if !self.is_needed() {
            return Ok(());
        }
        output::question(&format!("{effect} Continue? [y/N]"));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let confirmed = read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
        if confirmed {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::NotConfirmed, "not confirmed, so nothing was changed")
            .help("answer `y`, or pass `--yes`"))
    }

    /// Asks before an existing key is replaced.
    pub(crate) fn ask_before_loss(self, key: &Path) -> Outcome<()> {
        if !key.exists() {
            return Ok(());
        }
        self.ask(&format!(
            "The key in `{}` will be replaced and is lost, and with it each token that needs it.",
            key.display()
        ))
    }
}

/// Prints which files a command would write.
pub(crate) fn preview(targets: &[&Path], format: Format) -> Outcome<()> {
    if format == Format::Json {
        let file = |path: &&Path| json!({ "path": path.display().to_string(), "replaces": path.exists() });
        let files: Vec<_> = targets.iter().map(file).collect();
        return output::json(&json!({ "dry_run": true, "files": files }));
    }
    targets.iter().try_for_each(|path| {
        let word = if path.exists() { "replace" } else { "write" };
        output::lines(&format!("would {word} {}", path.display()))
    })
}
