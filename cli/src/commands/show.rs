//! `service-token show`: prints all that the registry has about one token.

use clap::Args;
use service_only_store::TokenFilter;

use super::list;
use crate::exit::Exit;
use crate::members;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Examples:
  service-token show 76514ef5-446e-4842-932c-231cd329f030
  service-token show 76514ef5-446e-4842-932c-231cd329f030 --format json";

/// Show the registry's data of one token
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowOptions {
    /// The token's `jti`
    jti: String,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Issuer of the token, if several issuers share the store
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &ShowOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let filter = TokenFilter {
        jti: Some(options.jti.clone()),
        issuer: options.issuer.clone(),
        ..TokenFilter::default()
    };
    let tokens = list::read(&url, config.as_ref(), &filter)?;
    let [one] = tokens.as_slice() else {
        return Err(match tokens.len() {
            0 => Problem::new(ProblemCode::Store, format!("the registry has no token `{}`", options.jti))
                .help("`service-token list` shows its tokens"),
            _ => {
                Problem::usage("several issuers have a token with this `jti`").help("pass `--issuer ISSUER`")
            }
        });
    };
    let shown = store::json(one, store::now());
    match (options.format, shown.as_object()) {
        (Format::Text, Some(shown)) => {
            members::lines(shown).iter().try_for_each(|line| output::result(line))?;
        }
        _ => output::json(&shown)?,
    }
    Ok(Exit::Done)
}
