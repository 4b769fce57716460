//! `service-token show`: prints all that the registry has about one token.

use clap::Args;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter};

use super::list;
use crate::exit::Exit;
use crate::named;
use crate::output::{self, Cell, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token show 76514ef5
  service-token show 76514ef5-446e-4842-932c-231cd329f030 --format json";

/// Show the registry's data of one token
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowOptions {
    /// The token's `jti`, or a unique beginning of it
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
    let jti = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        named::token(&store, options.issuer.as_deref(), &options.jti).await
    })?;
    let filter = TokenFilter { jti: Some(jti), issuer: options.issuer.clone(), ..TokenFilter::default() };
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
    match options.format {
        Format::Text => print(one, store::now())?,
        Format::Json => output::json(&store::json(one, store::now()))?,
    }
    Ok(Exit::Done)
}

fn print(listed: &ListedToken, now: Timestamp) -> Outcome<()> {
    let token = &listed.token;
    let numbers: Vec<_> = listed.revocations.iter().map(ToString::to_string).collect();
    let text = |text: &Option<String>| Cell::text(text.as_deref().unwrap_or_default());
    let members = [
        ("jti", Cell::id(&token.jti)),
        ("service", Cell::word(&token.service)),
        ("issuer", Cell::word(&token.issuer)),
        ("kid", Cell::id(&token.kid)),
        ("state", Cell::state(listed.state(now).as_str())),
        ("revoked by", Cell::word(listed.revoked.as_deref().unwrap_or_default())),
        ("revocations", Cell::word(numbers.join(", "))),
        ("issued", Cell::Instant(Some(token.issued_at))),
        ("expires", Cell::Instant(Some(token.expires_at))),
        ("minted", Cell::Instant(Some(token.minted_at))),
        ("minted by", text(&token.minted_by)),
        ("note", text(&token.note)),
    ];
    output::record(members, now)
}
