//! `service-token jwks`: prints the public half of the signing keys, for the services that verify.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use service_only::Algorithm;

use crate::config::{Config, DEFAULT_FILE};
use crate::exit::Exit;
use crate::key_file::{KeySource, SecretEncoding};
use crate::option_values::{algorithm_parser, key_name};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_jwk;

const EXAMPLES: &str = "\
Examples:
  service-token jwks > jwks.json
  service-token jwks --key old.pem --algorithm RS256 --key new.pem --algorithm ES256";

/// Print the public JWK set of the signing keys
///
/// Services verify tokens with this set, which contains no secret. Name every key whose tokens are
/// still in use: the new key and the old one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct JwksOptions {
    /// Configuration file [default: `service-token.toml`, unless --key names a key]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Private key file (repeatable, each with its --algorithm)
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    key: Vec<PathBuf>,
    /// Algorithm of the key in the --key of the same position
    #[arg(long, value_name = "ALG", requires = "key", value_parser = algorithm_parser())]
    algorithm: Vec<Algorithm>,
    /// Key id of the key in the --key of the same position [default: the RFC 7638 thumbprint]
    #[arg(long, value_name = "KID", allow_hyphen_values = true, value_parser = key_name, requires = "key")]
    kid: Vec<String>,
}

pub(crate) fn run(options: &JwksOptions) -> Outcome<Exit> {
    let config = Config::find(options.config.as_deref(), options.key.is_empty())?;
    let mut sources = options.sources()?;
    sources.extend(config.map(|config| config.key));
    if sources.is_empty() {
        return Err(Problem::usage(format!(
            "no signing key: `{DEFAULT_FILE}` does not exist in this directory"
        ))
        .help("name a configuration with `--config FILE`, or pass `--key FILE --algorithm ALG`"));
    }
    output::pretty_json(&key_set(&sources)?)?;
    Ok(Exit::Done)
}

impl JwksOptions {
    fn sources(&self) -> Outcome<Vec<KeySource>> {
        if self.algorithm.len() != self.key.len() {
            return Err(Problem::usage("each `--key` needs its own `--algorithm`")
                .help("write them in pairs, such as `--key a.pem --algorithm ES256`"));
        }
        if !self.kid.is_empty() && self.kid.len() != self.key.len() {
            return Err(Problem::usage("pass one `--kid` for each `--key`, or none")
                .help("leave `--kid` out to use thumbprints"));
        }
        let kids = self.kid.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let keys = self.key.iter().zip(&self.algorithm).zip(kids);
        Ok(keys
            .map(|((path, &algorithm), kid)| KeySource {
                path: path.clone(),
                algorithm,
                kid,
                encoding: SecretEncoding::Raw,
            })
            .collect())
    }
}

fn key_set(sources: &[KeySource]) -> Outcome<Value> {
    let mut seen: Vec<(String, &KeySource)> = Vec::new();
    let mut keys = Vec::new();
    for source in sources {
        if source.algorithm.is_symmetric() {
            return Err(no_public_part(source));
        }
        let key = source.load()?;
        if let Some((kid, earlier)) = seen.iter().find(|(kid, _)| kid == key.kid().as_str()) {
            return Err(duplicate(kid, earlier, source));
        }
        seen.push((key.kid().to_string(), source));
        keys.push(public_jwk(&key).ok_or_else(|| no_public_part(source))?);
    }
    Ok(json!({ "keys": keys }))
}

fn no_public_part(source: &KeySource) -> Problem {
    let place = source.path.display();
    Problem::new(ProblemCode::BadKey, format!("the {} key in `{place}` is an HMAC secret and has no public part", source.algorithm))
        .help("a verifier needs the secret itself, and could mint tokens with it; use an asymmetric key, such as ES256")
}

fn duplicate(kid: &str, earlier: &KeySource, later: &KeySource) -> Problem {
    let (earlier, later) = (earlier.path.display(), later.path.display());
    Problem::new(ProblemCode::BadKey, format!("`{earlier}` and `{later}` have the same kid `{kid}`"))
        .help("name each key once, or give them different `--kid`s")
}
