//! `service-token show`: prints all that the registry has about one token.
//!
//! `show -` reads the token itself, for an operator who found one. It also tells whether the token is authentic, because
//! a forged token can name the `jti` of another.

use clap::Args;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter};

use super::list;
use crate::commands::presented::{Authenticity, Presented, STDIN};
use crate::exit::Exit;
use crate::named;
use crate::output::{self, Cell, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted::Unlisted;

const EXAMPLES: &str = "\
Examples:
  service-token show 76514ef5
  service-token show 76514ef5-446e-4842-932c-231cd329f030 --format json
  service-token show - < found.token

Exit codes: 0 it is shown, 1 the token of `-` is not authentic, 2 usage, 4 the store cannot be used,
9 the registry has no such token.";

/// Show the registry's data of one token
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ShowOptions {
    /// The token's `jti` or a unique beginning of it, or `-` to read the token from standard input
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
    let presented = (options.jti == STDIN).then(Presented::read).transpose()?;
    let issuer = options.issuer.clone().or_else(|| presented.as_ref().map(|own| own.issuer.clone()));
    let (jti, unproven) = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        match &presented {
            None => Ok((named::token(&store, issuer.as_deref(), &options.jti).await?, None)),
            Some(presented) => {
                let authenticity = presented.authenticity(&store, config.as_ref()).await?;
                Ok((presented.jti.clone(), doubt(&authenticity)))
            }
        }
    })?;
    let filter = TokenFilter { jti: Some(jti), issuer, ..TokenFilter::default() };
    let tokens = list::read(&url, config.as_ref(), &filter)
        .map_err(|problem| unproven.iter().fold(problem, |problem, doubt| problem.and(doubt)))?;
    let [one] = tokens.as_slice() else {
        let jti = filter.jti.unwrap_or_default();
        return Err(match (tokens.len(), &unproven) {
            (0, Some(doubt)) => Problem::new(ProblemCode::NotAuthentic, doubt)
                .and(format!("the registry has no token `{jti}`")),
            (0, None) => Problem::new(ProblemCode::NotFound, format!("the registry has no token `{jti}`"))
                .help("`service-token list` shows its tokens"),
            _ => {
                Problem::usage("several issuers have a token with this `jti`").help("pass `--issuer ISSUER`")
            }
        });
    };
    let now = store::now();
    let is_authentic = presented.as_ref().map(|_| unproven.is_none());
    match options.format {
        Format::Text => print(one, now, is_authentic)?,
        Format::Json => {
            let mut shown = store::json(one, now);
            if let (Some(is_authentic), Some(members)) = (is_authentic, shown.as_object_mut()) {
                members.insert("authentic".to_owned(), is_authentic.into());
            }
            output::json(&shown)?;
        }
    }
    let mut unlisted = Unlisted::of(config.as_ref(), now);
    unlisted.meet(one);
    unlisted.warn();
    match unproven {
        None => Ok(Exit::Done),
        Some(doubt) => {
            output::warning(&format!("{doubt}; this is the token of the registry with the same `jti`"));
            Ok(Exit::Found)
        }
    }
}

/// Why the claims of a token do not count.
fn doubt(authenticity: &Authenticity) -> Option<String> {
    match authenticity {
        Authenticity::Proven => None,
        Authenticity::Disproven(why) => Some(format!("the token is not authentic: {why}")),
        Authenticity::NoKeys => {
            Some("the token is not proven to be authentic: no key of its issuer is known".to_owned())
        }
    }
}

fn print(listed: &ListedToken, now: Timestamp, is_authentic: Option<bool>) -> Outcome<()> {
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
        ("authentic", Cell::word(is_authentic.map_or("", |is| if is { "yes" } else { "no" }))),
    ];
    output::record(members, now)
}
