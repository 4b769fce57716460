//! `service-token init`: writes a commented configuration that works as soon as its key exists, and creates its
//! store.

use std::path::{Path, PathBuf};

use clap::Args;

use service_only_store::Store;

use crate::config::DEFAULT_FILE;
use crate::exit::Exit;
use crate::new_file::{NewFile, Overwrite, Staged};
use crate::output;
use crate::problem::Outcome;
use crate::store;

const SAMPLE: &str = include_str!("init/service-token.toml");

/// The store of the sample, relative to its file.
const STORE: &str = "service-token.db";

const EXAMPLES: &str = "\
Examples:
  service-token init
  service-token init --config deploy/service-token.toml";

/// Write a commented service-token.toml, and create the store that it names
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitOptions {
    /// File to write
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(options: &InitOptions) -> Outcome<Exit> {
    let file = NewFile::public(&options.config, SAMPLE);
    let staged = Staged::new(&[file], Overwrite::from_force(options.force))?;
    let folder = options.config.parent().unwrap_or(Path::new(""));
    store::work(Store::create(&format!("sqlite:{}", folder.join(STORE).display())))?;
    staged.publish()?;
    output::result(&options.config.display().to_string())?;

    let config = match options.config.as_path() {
        path if path == Path::new(DEFAULT_FILE) => String::new(),
        path => format!(" --config {}", path.display()),
    };
    output::aside(&format!(
        "Set the issuer and list your services, then:\n  \
         service-token keygen{config}\n  \
         service-token generate --all{config}"
    ));
    output::note(
        "keep the key file `service-token.pem` and the store `service-token.db` out of the repository, for example by lines in .gitignore",
    );
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DEFAULT_FILE);
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    #[test]
    fn sample_is_a_valid_configuration() {
        let config = load(SAMPLE);
        assert_eq!(config.services.len(), 2);
        let store = format!("sqlite:{}", config.path.with_file_name(STORE).display());
        assert_eq!(config.store, Some(store), "`init` creates it");
    }

    #[test]
    fn every_commented_line_of_the_sample_is_valid_too() {
        let uncommented: String = SAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(entry) if entry.contains(" = ") => format!("{entry}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = load(&uncommented);
        assert_eq!(config.services.len(), 14);
        assert!(config.audience.is_some() && config.key.kid.is_some());
    }
}
