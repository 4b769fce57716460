//! `service-token generate`: mints a token for one service, or for every service of the configuration.
//!
//! Its purpose is to print tokens. The table and the warnings go to standard error, so that a pipe contains
//! only tokens.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::members;
use crate::new_file::{self, NewFile, Overwrite, Staged};
use crate::output::{self, Cell, Format, Table};
use crate::problem::Outcome;
use crate::service_token::ServiceToken;
use crate::signing::{self, ServiceChoice, SigningOptions, TokenOptions};
use crate::store::{RegistryOptions, now};

const EXAMPLES: &str = "\
Examples:
  service-token generate orders
  service-token generate orders --lifetime 30d --scope orders:read
  service-token generate --all --out-dir tokens
  service-token generate orders --key key.pem --algorithm ES256 --issuer bakery-auth";

/// Mint a token for one service, or for every service of the configuration
///
/// The token is printed on standard output, ready for a pipe. With --all, each line is
/// `NAME TOKEN`, and standard error shows a table of the tokens.
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
    /// Write a file `NAME.token` with mode 0600 for each service, instead of printing tokens
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing token files
    #[arg(long, requires = "out_dir")]
    force: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &GenerateOptions) -> Outcome<Exit> {
    let minted =
        signing::mint(&options.signing, &options.choice, &options.token, &options.registry, |tokens| {
            let overwrite = Overwrite::from_force(options.force);
            options.out_dir.as_deref().map(|dir| stage(dir, tokens, overwrite)).transpose()
        })?;
    let tokens = minted.hand_out(|tokens, staged| match staged {
        Some((files, staged)) => {
            staged.publish()?;
            name_files(&files, tokens, options)
        }
        None => print(tokens, options),
    })?;
    if options.choice.all {
        table(&tokens).print_aside(now());
    }
    Ok(Exit::Done)
}

fn print(tokens: &[ServiceToken], options: &GenerateOptions) -> Outcome<()> {
    match (options.format, tokens) {
        (Format::Json, [one]) if !options.choice.all => output::json(&with_token(one)),
        (Format::Json, all) => output::json(&all.iter().map(with_token).collect::<Vec<_>>()),
        (Format::Text, all) if options.choice.all => all
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
    let files: Vec<_> = tokens.iter().map(|made| token_file(dir, made)).collect();
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

/// The file that a service mounts.
fn token_file(dir: &Path, made: &ServiceToken) -> NewFile {
    let content = Zeroizing::new(format!("{}\n", made.token.as_str()).into_bytes());
    NewFile::secret(dir.join(format!("{}.token", made.service)), content)
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
