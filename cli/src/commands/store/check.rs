//! `service-token store check`: checks that a store is whole and that only its owner can read it.

use std::path::Path;

use clap::Args;
use serde_json::json;
use service_only_store::Store;

use crate::escape;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Exit codes: 0 nothing is wrong, 1 something is, 2 usage, 4 the store cannot be used.

Examples:
  service-token store check
  service-token store check --format json";

/// Check the store: its file, its tables, and that their content fits together
///
/// It changes nothing. A large SQLite file takes minutes, during which programs that mint wait.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &CheckOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let (place, mut found) = store::work(async {
        let store = Store::open(&url).await?;
        Ok((store.place().to_owned(), store.check().await?))
    })?;
    found.extend(place.strip_prefix("sqlite:").and_then(|path| readable_by_others(Path::new(path))));
    match options.format {
        Format::Json => output::json(&json!({ "store": place, "found": found }))?,
        Format::Text if found.is_empty() => {
            output::result(&escape::one_line(&format!("nothing is wrong with {place}")))?
        }
        Format::Text => found.iter().try_for_each(|problem| output::result(&escape::one_line(problem)))?,
    }
    Ok(if found.is_empty() { Exit::Done } else { Exit::Found })
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let reason = || {
        format!(
            "other users can read or write the file (mode {mode:04o}): run `chmod go= {}`",
            path.display()
        )
    };
    (mode & 0o077 != 0).then(reason)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<String> {
    None
}
