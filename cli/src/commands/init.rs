//! `service-token init`: writes a commented configuration that works as soon as its key exists, and creates its
//! store, and with `--tls` certificates for development. On a terminal it asks for the settings.

mod sample;
mod wizard;

use std::path::{Path, PathBuf};

use clap::Args;
use service_only::{Algorithm, claims::ServiceName};
use service_only_store::Store;

use self::sample::{Answers, certificate_folder};
use super::ca::{self, Authority, Leaf};
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
  service-token init --tls --issuer bakery-auth --service orders --service mail
  service-token init --compatible --config deploy/service-token.toml";

/// Write a commented service-token.toml, and create the store that it names
///
/// On a terminal and without an option for a setting, the command asks for the settings. Otherwise it writes
/// an example for each setting that you leave out. A new fleet gets the strict profile: short-lived tokens
/// with an audience, signed by a key pair.
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
    /// Set up mutual TLS. The development authority of this machine issues a certificate for each service, in
    /// `certificates/NAME` next to the file, and the token of the service is bound to that certificate
    #[arg(long)]
    tls: bool,
    /// Replace existing files
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
        let certificates = options.certificates(&options.answers().file()?)?;
        let and = match certificates.as_slice() {
            [] => String::new(),
            all => format!(", and issue {} certificates", all.len()),
        };
        output::lines(&format!("would write {place}, and create its store{and}"))?;
        return Ok(Exit::Done);
    }
    if options.force && options.config.exists() {
        options.consent.ask(&format!("The configuration `{place}` will be replaced."))?;
    }
    let answers = if options.is_plain() && wizard::can_ask() {
        Answers { tls: options.tls, ..wizard::ask()? }
    } else {
        options.answers()
    };
    let text = answers.file()?;
    let certificates = options.certificates(&text)?;
    let staged = Staged::new(&[NewFile::public(&options.config, text)], overwrite)?;
    let authority = options.tls.then(|| Authority::of(None)).transpose()?;
    store::work(Store::create(&answers.store_beside(&options.config)))?;
    if let Some(authority) = authority {
        let overwrite = Overwrite::of_key(options.force);
        certificates.iter().try_for_each(|(folder, leaf)| authority.issue(leaf, folder, overwrite))?;
    }
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
    if !certificates.is_empty() {
        output::note(
            "the folder `certificates` is for development: keep it out of the repository. In production, cert-manager, SPIRE or step-ca writes the same files",
        );
    }
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
            tls: self.tls,
        }
    }

    /// The certificates for the services of the file, with their folders, which have none yet.
    fn certificates(&self, text: &str) -> Outcome<Vec<(PathBuf, Leaf)>> {
        if !self.tls {
            return Ok(Vec::new());
        }
        let base = self.config.parent().unwrap_or(Path::new(""));
        let services = sample::listed(text)?;
        let issued = services.iter().map(|service| {
            let folder = base.join(certificate_folder(service.as_str()));
            let files = ca::certificate_files(&folder);
            new_file::check_targets(&files.each_ref().map(PathBuf::as_path), Overwrite::of_key(self.force))?;
            Ok((folder, Leaf::of(service)?))
        });
        issued.collect()
    }
}
