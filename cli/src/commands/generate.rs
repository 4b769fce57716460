//! `service-token generate`: mints a token for one service, or for every service of the configuration.
//!
//! Its purpose is to print tokens. The table and the warnings go to standard error, so that a pipe contains
//! only tokens.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use zeroize::Zeroizing;

use crate::change::DryRun;
use crate::exit::Exit;
use crate::members;
use crate::new_file::{self, NewFile, Overwrite, Staged};
use crate::output::{self, Cell, Format, Table};
use crate::problem::{Outcome, Problem};
use crate::service_token::ServiceToken;
use crate::signing::{self, ServiceChoice, SigningOptions, TokenOptions};
use crate::stdout;
use crate::store::{RegistryOptions, now};

const EXAMPLES: &str = "\
Examples:
  service-token generate orders --out orders.token
  service-token generate orders --lifetime 30d --scope orders:read
  service-token generate --all --out-dir tokens
  service-token generate --missing --out-dir tokens
  service-token generate orders --key key.pem --algorithm ES256 --issuer bakery-auth";

/// Mint a token for one service, or for every service of the configuration
///
/// --out and --out-dir write files that only you can read. Without them the token is printed on standard
/// output, ready for a pipe. With --all or --missing, each line is `NAME TOKEN`, and standard error shows a
/// table of the tokens.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GenerateOptions {
    #[command(flatten)]
    choice: ServiceChoice,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    token: TokenOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    /// Write the token into this file with mode 0600, instead of printing it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "missing", "out_dir"])]
    out: Option<PathBuf>,
    /// Write a file `NAME.token` with mode 0600 for each service, instead of printing tokens
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing token files
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &GenerateOptions) -> Outcome<Exit> {
    if options.force && options.out.is_none() && options.out_dir.is_none() {
        return Err(Problem::usage("`--force` replaces files, and no file is written")
            .help("add `--out FILE` or `--out-dir DIR`"));
    }
    if options.dry_run.dry_run {
        let tokens = signing::attempt(&options.signing, &options.choice, &options.token, &options.registry)?;
        return preview(&tokens, options);
    }
    let minted =
        signing::mint(&options.signing, &options.choice, &options.token, &options.registry, |tokens| {
            options.stage(tokens)
        })?;
    let tokens = minted.hand_out(|tokens, staged| match staged {
        Some((files, staged)) => {
            staged.publish()?;
            name_files(&files, tokens, options)
        }
        None => {
            stdout::warn_if_others_can_read();
            print(tokens, options)
        }
    })?;
    if options.choice.several() && !tokens.is_empty() {
        table(&tokens).print_aside(now());
    }
    Ok(Exit::Done)
}

impl GenerateOptions {
    /// The files of these tokens; none if the tokens are printed.
    fn files(&self, tokens: &[ServiceToken]) -> Vec<NewFile> {
        match (&self.out, &self.out_dir) {
            (Some(file), _) => tokens.iter().map(|made| token_file(file.clone(), made)).collect(),
            (_, Some(dir)) => files_in(dir, tokens),
            (None, None) => Vec::new(),
        }
    }

    fn stage(&self, tokens: &[ServiceToken]) -> Outcome<Option<(Vec<NewFile>, Staged)>> {
        let overwrite = Overwrite::from_force(self.force);
        match (&self.out, &self.out_dir) {
            (Some(_), _) => {
                let files = self.files(tokens);
                let staged = Staged::new(&files, overwrite)?;
                Ok(Some((files, staged)))
            }
            (_, Some(dir)) => stage(dir, tokens, overwrite).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Prints what would be minted, and where it would be written.
fn preview(tokens: &[ServiceToken], options: &GenerateOptions) -> Outcome<Exit> {
    let files = options.files(tokens);
    let paths: Vec<_> = files.iter().map(NewFile::path).collect();
    new_file::check_targets(&paths, Overwrite::from_force(options.force))?;
    let places = paths.iter().map(|path| Some(path.display().to_string())).chain(std::iter::repeat(None));
    let rows = tokens.iter().zip(places);
    match options.format {
        Format::Json => {
            let rows = rows.map(|(made, file)| {
                let claims = made.token.claims();
                json!({
                    "dry_run": true, "service": made.service.as_str(), "file": file,
                    "kid": made.token.kid().as_str(), "role": claims.role, "scope": claims.scope,
                    "expires": expiry(made),
                })
            });
            output::json(&rows.collect::<Vec<_>>())?;
        }
        Format::Text => rows
            .map(|(made, file)| {
                let place = file.map(|file| format!(" into {file}")).unwrap_or_default();
                format!("would mint a token for {}, valid until {}{place}", made.service, expiry(made))
            })
            .try_for_each(|line| output::lines(&line))?,
    }
    Ok(Exit::Done)
}

fn print(tokens: &[ServiceToken], options: &GenerateOptions) -> Outcome<()> {
    match (options.format, tokens) {
        (Format::Json, [one]) if !options.choice.several() => output::json(&with_token(one)),
        (Format::Json, all) => output::json(&all.iter().map(with_token).collect::<Vec<_>>()),
        (Format::Text, all) if options.choice.several() => all
            .iter()
            .try_for_each(|made| output::result(&format!("{} {}", made.service, made.token.as_str()))),
        (Format::Text, all) => all.iter().try_for_each(|made| output::result(made.token.as_str())),
    }
}

/// Writes temporary files: if the disk fails, it fails before a token is recorded.
pub(crate) fn stage(
    dir: &Path,
    tokens: &[ServiceToken],
    overwrite: Overwrite,
) -> Outcome<(Vec<NewFile>, Staged)> {
    let files = files_in(dir, tokens);
    if !files.is_empty() {
        new_file::private_directory(dir)?;
    }
    let staged = Staged::new(&files, overwrite)?;
    Ok((files, staged))
}

fn name_files(files: &[NewFile], tokens: &[ServiceToken], options: &GenerateOptions) -> Outcome<()> {
    match options.format {
        Format::Json => output::json(&tokens.iter().zip(files).map(with_file).collect::<Vec<_>>()),
        Format::Text => files.iter().try_for_each(|file| output::result(&file.path().display().to_string())),
    }
}

/// The files that the services mount.
fn files_in(dir: &Path, tokens: &[ServiceToken]) -> Vec<NewFile> {
    tokens.iter().map(|made| token_file(dir.join(format!("{}.token", made.service)), made)).collect()
}

fn token_file(path: PathBuf, made: &ServiceToken) -> NewFile {
    NewFile::secret(path, Zeroizing::new(format!("{}\n", made.token.as_str()).into_bytes()))
}

fn with_token(made: &ServiceToken) -> Value {
    described(made, "token", made.token.as_str())
}

fn with_file((made, file): (&ServiceToken, &NewFile)) -> Value {
    described(made, "file", &file.path().display().to_string())
}

fn described(made: &ServiceToken, key: &str, value: &str) -> Value {
    let claims = made.token.claims();
    json!({
        "service": made.service.as_str(),
        key: value,
        "jti": claims.jti,
        "kid": made.token.kid().as_str(),
        "role": claims.role,
        "scope": claims.scope,
        "expires": expiry(made),
        "exp": claims.exp,
    })
}

fn table(tokens: &[ServiceToken]) -> Table {
    let mut table = Table::new(["service", "role", "scopes", "expires", "jti", "kid"]);
    for made in tokens {
        let claims = made.token.claims();
        table.row([
            Cell::word(made.service.as_str()),
            Cell::word(claims.role.clone().unwrap_or_default()),
            Cell::text(claims.scope.to_string()),
            Cell::Instant(Some(Timestamp::from_unix(claims.exp))),
            Cell::id(claims.jti.clone().unwrap_or_default()),
            Cell::id(made.token.kid().to_string()),
        ]);
    }
    table
}

fn expiry(made: &ServiceToken) -> String {
    members::instant(Timestamp::from_unix(made.token.claims().exp))
}
