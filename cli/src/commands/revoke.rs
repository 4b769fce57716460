//! `service-token revoke`: revokes a token, the tokens of a service, or all that a key signed, immediately.
//!
//! Success means an effect: an unknown name or an expired token is an error. A separate option allows the
//! revocation of unknown names.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::json;
use service_only::{Verifier, clock::Timestamp};
use service_only_store::{
    Coverage, NewRevocation, RevocationRecord, RevocationTarget, Revoked, Store, StoreError, TokenFilter,
};

use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::named;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, Instant, StoreAndConfig, refused};

/// A verifier's largest leeway is five minutes; the rest allows for the difference of its clock.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(3600);

const EXAMPLES: &str = "\
Examples:
  service-token revoke 76514ef5-446e-4842-932c-231cd329f030 --reason 'seen in a log'
  service-token revoke --service orders --before now
  service-token revoke --key 2026-01

Exit codes: 0 it is revoked, 2 nothing was revoked: usage, an unknown name, or the store failed.";

/// Revoke a token, the tokens of a service, or all tokens that a key signed
///
/// Every verifier that follows the store refuses the tokens within a second. A repeated revocation changes
/// nothing. Prints how many tokens of the registry are covered (`at least` so many beyond 10,000), and the
/// number of the revocation, which `unrevoke` needs to undo it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("what").required(true).args(["jti", "service", "key"]))]
pub(crate) struct RevokeOptions {
    /// The token's `jti`, or a unique beginning of it; never the token
    jti: Option<String>,
    /// Tokens of this service that were issued up to --before
    #[arg(long, value_name = "NAME", requires = "before")]
    service: Option<String>,
    /// Last second of issue that is revoked: RFC 3339 with its offset, seconds since the epoch, or `now`;
    /// at most a minute in the future
    #[arg(long, value_name = "TIME", requires = "service")]
    before: Option<Instant>,
    /// Every token that this key signed; a unique beginning of its id is enough
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    key: Option<String>,
    /// Expiry of a token that the registry does not contain. Without it, such a token is not revoked,
    /// because its `jti` is probably mistyped and the right token would stay valid
    #[arg(long, value_name = "TIME", requires = "jti")]
    expires: Option<Instant>,
    /// Revoke a service, a key or an issuer that neither the registry nor the configuration contains
    #[arg(long)]
    allow_unknown: bool,
    /// Issuer of the token, the service or the key [default: the configuration's]
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Why, for those who read the list of revocations later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &RevokeOptions) -> Outcome<Exit> {
    options.check()?;
    let (url, config) = options.store.find()?;
    let issuer = options
        .issuer
        .clone()
        .or_else(|| config.as_ref().map(|config| config.issuer.clone()))
        .ok_or_else(|| Problem::usage("no issuer").help("pass `--issuer ISSUER`"))?;
    let made = store::run(options.revoke(&url, config.as_ref(), &issuer))?;
    if let Err(error) = &made.purged {
        output::warning(&format!("expired revocations were not deleted: {error}"));
    }
    made.warn();
    options.print(&made)?;
    Ok(Exit::Done)
}

/// The result of a revocation.
struct Made {
    record: RevocationRecord,
    outcome: Revoked,
    /// The tokens of the registry that it covers, counted before.
    counted: Coverage,
    purged: Result<u64, StoreError>,
}

impl RevokeOptions {
    /// Checks the options without the store.
    fn check(&self) -> Outcome<()> {
        if let Some(before) = self.before {
            before.not_ahead().map_err(|why| {
                Problem::usage(format!("`--before` is {}: {why}", members::instant(before.0)))
            })?;
        }
        if let Some(Instant(expires)) = self.expires.filter(|Instant(expires)| *expires <= store::now()) {
            return Err(Problem::usage(format!(
                "`--expires` is {}, which is in the past: the token is refused anyway, and nothing was revoked",
                members::instant(expires)
            ))
            .help("pass the `exp` of the token, as `service-token inspect -` shows it"));
        }
        match &self.jti {
            Some(jti) if jti.contains('.') && jti.len() > 100 => {
                Err(Problem::usage("this is a token, not its `jti`")
                    .help("revoke the token by the `jti` that `service-token inspect -` shows, because it was on a command line"))
            }
            _ => Ok(()),
        }
    }

    async fn revoke(&self, url: &str, config: Option<&Config>, issuer: &str) -> Outcome<Made> {
        let store = Store::connect(url).await.map_err(|error| refused(&error))?;
        let now = store::now();
        self.check_names(&store, config, issuer).await?;
        let target = self.target(&store, config, issuer, now).await?;
        let counted = store.coverage(issuer, &target, now).await.map_err(|error| refused(&error))?;

        let mut revocation = NewRevocation::new(issuer, target).at(now);
        revocation.reason.clone_from(&self.reason);
        revocation.revoked_by = store::operator();
        let outcome = store.revoke(&revocation).await.map_err(|error| refused(&error))?;
        let record =
            store.revocation_of(issuer, &revocation.target).await.map_err(|error| refused(&error))?;
        let record =
            record.ok_or_else(|| Problem::usage("another program undid the revocation at the same time"))?;
        let purged = store.purge_revocations(now.minus(FORGET_AFTER)).await;
        store::prune_some(&store, config).await;
        Ok(Made { record, outcome, counted, purged })
    }

    async fn check_names(&self, store: &Store, config: Option<&Config>, issuer: &str) -> Outcome<()> {
        if self.allow_unknown {
            return Ok(());
        }
        let checked = async {
            known::issuer(store, config, issuer).await?;
            match (&self.service, &self.key) {
                (Some(service), _) => known::service(store, config, Some(issuer), service).await,
                (_, Some(kid)) => {
                    known::key(store, config, issuer, &named::key(store, config, issuer, kid).await?).await
                }
                _ => Ok(()),
            }
        };
        checked
            .await
            .map_err(|problem| problem.and("nothing was revoked").also("`--allow-unknown` revokes it anyway"))
    }

    async fn target(
        &self,
        store: &Store,
        config: Option<&Config>,
        issuer: &str,
        now: Timestamp,
    ) -> Outcome<RevocationTarget> {
        match (&self.jti, &self.service, self.before, &self.key) {
            (Some(jti), ..) => {
                // With its expiry, a token may be one that the registry does not have.
                let jti = match self.expires {
                    None => named::token(store, Some(issuer), jti).await?,
                    Some(_) => jti.clone(),
                };
                let expires_at = self.expiry(store, issuer, &jti, now).await?;
                Ok(RevocationTarget::Token { jti, expires_at })
            }
            (_, Some(service), Some(Instant(issued_by)), _) => {
                Ok(RevocationTarget::Service { service: service.clone(), issued_by })
            }
            (.., Some(kid)) => {
                let kid = match self.allow_unknown {
                    false => named::key(store, config, issuer, kid).await?,
                    true => kid.clone(),
                };
                Ok(RevocationTarget::Key { kid })
            }
            _ => Err(Problem::usage("nothing to revoke").help("name a JTI, --service or --key")),
        }
    }

    /// When the token expires: by the registry or by the option, whichever is later.
    async fn expiry(&self, store: &Store, issuer: &str, jti: &str, now: Timestamp) -> Outcome<Timestamp> {
        let filter = TokenFilter {
            issuer: Some(issuer.to_owned()),
            jti: Some(jti.to_owned()),
            ..TokenFilter::default()
        };
        let tokens = store.tokens(&filter).await.map_err(|error| refused(&error))?;
        let known = tokens.iter().map(|listed| listed.token.expires_at).max();
        let expires_at = known.max(self.expires.map(|Instant(expires)| expires)).ok_or_else(|| {
            Problem::usage(format!("the registry has no token `{jti}` of `{issuer}`, so nothing was revoked"))
                .help("check the name; a token that was minted without the registry needs `--expires TIME`")
        })?;
        if expires_at.plus(Verifier::MAX_LEEWAY) <= now {
            return Err(Problem::usage(format!(
                "the token `{jti}` expired {}: it is refused anyway, and nothing was revoked",
                members::instant(expires_at)
            ))
            .help("`service-token list --active` shows the tokens that are good"));
        }
        Ok(expires_at)
    }

    fn print(&self, made: &Made) -> Outcome<()> {
        let revocation = &made.record.revocation;
        let (kind, name, until) = store::columns(&revocation.target);
        let until = until.map(members::instant);
        let (word, text) = match made.outcome {
            Revoked::New => ("new", "revoked"),
            Revoked::Extended => ("extended", "revoked, further than before"),
            _ => ("already", "revoked already, nothing has changed"),
        };
        let number = made.record.sequence;
        match self.format {
            Format::Json => output::json(&json!({
                "outcome": word, "revocation": number, "kind": kind, "issuer": revocation.issuer, "name": name,
                "until": until, "known_tokens": made.counted.tokens, "valid_tokens": made.counted.valid,
                "counted_all": made.counted.complete,
            })),
            Format::Text => {
                let reach = store::reach(&revocation.target);
                let line = format!("{text}: {kind} `{name}` of `{}`{reach}", revocation.issuer);
                output::result(&escape::one_line(&line))?;
                output::result(&format!(
                    "revocation {number}: {} of the registry, {} of them good until now",
                    store::tokens_in_words(&made.counted),
                    made.counted.valid
                ))
            }
        }
    }
}

impl Made {
    fn warn(&self) {
        if self.counted.valid == 0 && self.outcome == Revoked::New {
            output::warning(
                "no good token of the registry is revoked by it; it holds for tokens that the registry does not know",
            );
        }
        if self.counted.valid_later > 0 {
            output::note(&format!(
                "{} good tokens of the service were issued later and stay good",
                self.counted.valid_later
            ));
        }
    }
}
