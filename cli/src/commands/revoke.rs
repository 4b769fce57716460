//! `service-token revoke`: a token, the tokens of a service, or all that a key signed, at once.

use clap::{ArgGroup, Args};
use serde_json::json;
use service_only::store::{NewRevocation, RevocationTarget, Revoked, Store, StoreError, TokenFilter};

use super::Exit;
use crate::escape;
use crate::members;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, Instant, StoreAndConfig};

/// A verifier's largest leeway is five minutes; the rest is for its clock.
const FORGET_AFTER_SECONDS: i64 = 3600;

const EXAMPLES: &str = "\
Examples:
  service-token revoke 76514ef5-446e-4842-932c-231cd329f030 --reason 'seen in a log'
  service-token revoke --service orders --before now
  service-token revoke --key 2026-01";

/// Revoke a token, the tokens of a service, or all that a key signed
///
/// Every verifier that follows the store refuses within a second. To revoke twice changes nothing,
/// and says so. Nothing takes a revocation back; mint a new token.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("what").required(true).args(["jti", "service", "key"]))]
pub(crate) struct RevokeOptions {
    /// The token's `jti`; never the token
    jti: Option<String>,
    /// Tokens of this service that were issued up to --before
    #[arg(long, value_name = "NAME", requires = "before")]
    service: Option<String>,
    /// Up to and within this second: RFC 3339, seconds since the epoch, or `now`
    #[arg(long, value_name = "TIME", requires = "service")]
    before: Option<Instant>,
    /// Every token that this key signed
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    key: Option<String>,
    /// When a token expires that the registry does not know. Without it, such a token is not revoked:
    /// its name is most likely mistyped, and the right one would stay good
    #[arg(long, value_name = "TIME", requires = "jti")]
    expires: Option<Instant>,
    /// Issuer of the token, the service or the key [default: the configuration's]
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    store: StoreAndConfig,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &RevokeOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let issuer = options
        .issuer
        .clone()
        .or_else(|| config.map(|config| config.issuer))
        .ok_or_else(|| Problem::usage("no issuer").help("pass `--issuer ISSUER`"))?;
    let target = options.target(&url, &issuer)?;
    let now = store::now();
    let mut revocation = NewRevocation::new(&issuer, target).at(now);
    revocation.reason.clone_from(&options.reason);
    revocation.revoked_by = store::operator();
    let (outcome, purged) = store::work(async {
        let store = Store::connect(&url).await?;
        let outcome = store.revoke(&revocation).await?;
        Ok((outcome, store.purge_revocations(now.saturating_sub(FORGET_AFTER_SECONDS)).await))
    })?;
    if let Err(error) = purged {
        output::warning(&format!("expired revocations were not cleared away: {error}"));
    }
    options.print(&revocation, outcome)?;
    Ok(Exit::Done)
}

impl RevokeOptions {
    fn target(&self, url: &str, issuer: &str) -> Outcome<RevocationTarget> {
        match (&self.jti, &self.service, self.before, &self.key) {
            (Some(jti), ..) => {
                let expires_at = self.expiry(url, issuer, jti)?;
                Ok(RevocationTarget::Token { jti: jti.clone(), expires_at })
            }
            (_, Some(service), Some(Instant(issued_by)), _) => {
                Ok(RevocationTarget::Service { service: service.clone(), issued_by })
            }
            (.., Some(kid)) => Ok(RevocationTarget::Key { kid: kid.clone() }),
            _ => Err(Problem::usage("nothing to revoke").help("name a JTI, --service or --key")),
        }
    }

    /// When the token ends: as the registry knows, or as was said, whichever is later.
    fn expiry(&self, url: &str, issuer: &str, jti: &str) -> Outcome<i64> {
        if jti.contains('.') && jti.len() > 100 {
            return Err(Problem::usage("that is a token, and not its `jti`")
                .help("`service-token inspect -` shows the `jti`, and it has to be revoked now: it was on a command line"));
        }
        let filter = TokenFilter {
            issuer: Some(issuer.to_owned()),
            jti: Some(jti.to_owned()),
            ..TokenFilter::default()
        };
        let known = store::work(async {
            match Store::open(url).await {
                Ok(store) => store.tokens(&filter).await,
                // There may be revocations before there is a registry.
                Err(StoreError::Missing { .. } | StoreError::NotAStore { .. }) if self.expires.is_some() => {
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            }
        })?;
        let known = known.first().map(|listed| listed.token.expires_at);
        known.max(self.expires.map(|Instant(expires)| expires)).ok_or_else(|| {
            Problem::usage(format!("the registry has no token `{jti}` of `{issuer}`"))
                .help("check the name; a token that was minted without the registry needs `--expires TIME`")
        })
    }

    fn print(&self, revocation: &NewRevocation, outcome: Revoked) -> Outcome<()> {
        let (kind, name, until) = match &revocation.target {
            RevocationTarget::Token { jti, expires_at } => ("token", jti, Some(*expires_at)),
            RevocationTarget::Service { service, issued_by } => ("service", service, Some(*issued_by)),
            RevocationTarget::Key { kid } => ("key", kid, None),
        };
        let until = until.map(members::instant);
        let (word, text) = match outcome {
            Revoked::New => ("new", "revoked"),
            Revoked::Extended => ("extended", "revoked, further than before"),
            _ => ("already", "revoked already, nothing has changed"),
        };
        match self.format {
            Format::Json => output::json(&json!({
                "outcome": word, "kind": kind, "issuer": revocation.issuer, "name": name, "until": until,
            })),
            Format::Text => {
                let until = match (kind, &until) {
                    ("service", Some(until)) => format!(", issued up to {until}"),
                    ("token", Some(until)) => format!(", which expires {until}"),
                    _ => String::new(),
                };
                let line = format!("{text}: {kind} `{name}` of `{}`{until}", revocation.issuer);
                output::result(&escape::one_line(&line))
            }
        }
    }
}
