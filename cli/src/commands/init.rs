//! `service-token init`: writes a commented configuration that works as soon as its key exists, and creates its
//! store. On a terminal it asks for the settings.

mod sample;
mod wizard;

use std::path::{Path, PathBuf};

use clap::Args;
use service_only::{Algorithm, claims::ServiceName};
use service_only_store::Store;

use self::sample::Answers;
use crate::change::{Consent, DryRun};
use crate::config::DEFAULT_FILE;
use crate::exit::Exit;
use crate::new_file::{self, NewFile, Overwrite, Staged};
use crate::option_values::algorithm_parser;
use crate::output;
use crate::problem::Outcome;
use crate::profile::Profile;
use crate::store::{self, StoreUrl};

const EXAMPLES: &str = "\
Examples:
  service-token init
  service-token init --strict --issuer bakery-auth --audience bakery --service orders --service mail
  service-token init --issuer bakery-auth --store postgres://operator@db/tokens --algorithm EdDSA
  service-token init --compatible --config deploy/service-token.toml";

/// Write a commented service-token.toml, and create the store that it names
///
/// On a terminal and without an option for a setting, the command asks for the settings. Otherwise it writes
/// examples in the place of what you leave out. A new fleet gets the strict profile: short-lived tokens with an
/// audience, signed by a key pair.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitOptions {
    /// File to write
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Strict tokens: a key pair, an audience, and a lifetime of 24 hours. This is the default
    #[arg(long)]
    strict: bool,
    /// Tokens as the first services sent them: no audience, and a lifetime of a year
    #[arg(long, conflicts_with = "strict")]
    compatible: bool,
    /// Issuer (`iss`) of the tokens [default: the example `bakery-auth`]
    #[arg(long, value_name = "ISSUER", value_parser = sample::filled)]
    issuer: Option<String>,
    /// Audience (`aud`) of the tokens [default: the issuer; with --compatible, none]
    #[arg(long, value_name = "AUDIENCE", value_parser = sample::filled)]
    audience: Option<String>,
    /// Algorithm of the key [default: ES256, which every JWT library supports]
    #[arg(long, value_name = "ALG", value_parser = algorithm_parser())]
    algorithm: Option<Algorithm>,
    /// Store, `sqlite:PATH` relative to the file, or `postgres://USER@HOST/DATABASE`
    /// [default: `sqlite:service-token.db`]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// Service that gets a token (repeatable) [default: two examples]
    #[arg(long, value_name = "NAME")]
    service: Vec<ServiceName>,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(options: &InitOptions) -> Outcome<Exit> {
    let overwrite = Overwrite::from_force(options.force);
    // Before the questions.
    new_file::check_targets(&[options.config.as_path()], overwrite)?;
    let place = options.config.display();
    if options.dry_run.dry_run {
        // Checks the answers of the options, and asks nothing.
        options.answers().file()?;
        output::lines(&format!("would write {place}, and create its store"))?;
        return Ok(Exit::Done);
    }
    if options.force && options.config.exists() {
        options.consent.ask(&format!("The configuration `{place}` will be replaced."))?;
    }
    let answers = if options.is_plain() && wizard::can_ask() { wizard::ask()? } else { options.answers() };
    let file = NewFile::public(&options.config, answers.file()?);
    let staged = Staged::new(&[file], overwrite)?;
    store::work(Store::create(&answers.store_beside(&options.config)))?;
    staged.publish()?;
    output::result(&options.config.display().to_string())?;

    let config = match options.config.as_path() {
        path if path == Path::new(DEFAULT_FILE) => String::new(),
        path => format!(" --config {}", path.display()),
    };
    let first = match (&answers.issuer, answers.services.as_slice()) {
        (Some(_), [_, ..]) => "Next",
        _ => "Set the issuer and list your services, then",
    };
    output::aside(&format!(
        "{first}:\n  \
         service-token keygen{config}\n  \
         service-token generate --all{config}"
    ));
    output::note(
        "keep the key file `service-token.pem` and the store `service-token.db` out of the repository, for example by lines in .gitignore",
    );
    Ok(Exit::Done)
}

impl InitOptions {
    /// Whether no option names a setting.
    fn is_plain(&self) -> bool {
        let profile = self.strict || self.compatible;
        let named = self.issuer.is_some() || self.audience.is_some() || self.algorithm.is_some();
        !profile && !named && self.store.is_none() && self.service.is_empty()
    }

    fn answers(&self) -> Answers {
        Answers {
            profile: if self.compatible { Profile::Compatible } else { Profile::Strict },
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            algorithm: self.algorithm,
            store: self.store.as_ref().map(|store| store.warned().to_owned()),
            services: self.service.clone(),
        }
    }
}
