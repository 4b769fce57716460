//! `service-token revoke`: revokes a token, the tokens of a service, or all that a key signed, immediately.
//!
//! Success means an effect: an unknown name or an expired token is an error. A separate option allows the
//! revocation of unknown names.

mod checks;
mod made;
#[cfg(feature = "dashboard")]
mod page;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{ArgGroup, Args};
use service_only::{Verifier, claims::ServiceName, clock::Timestamp, keys::KeyId};
use service_only_store::{
    Coverage, NewRevocation, RevocationRecord, RevocationTarget, Revoked, Store, TokenFilter,
};

use self::checks::{check_authentic, check_clock};
pub(crate) use self::made::Made;
use self::made::outcome;
#[cfg(feature = "dashboard")]
pub(crate) use self::page::Target;
use crate::change::{By, Consent, DryRun};
use crate::commands::presented::{Presented, STDIN};
use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::named;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, Instant, StoreAndConfig, refused};
use crate::unlisted;

/// How long the store keeps the revocation of an expired token. Longer than a year: if the clock of this machine is set a
/// year ahead by mistake, no revocation of a valid token is deleted. Verifiers skip expired ones.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(400 * 86_400);

/// 2010, the year of the first draft of JSON Web Tokens, in seconds since the epoch.
const FIRST_TOKEN: i64 = 1_262_304_000;

/// How many tokens of a service are revoked one by one, because their `iat` is ahead of the clock.
const MOST_AHEAD: u32 = 1_000;

const EXAMPLES: &str = "\
Examples:
  service-token revoke 76514ef5-446e-4842-932c-231cd329f030 --reason 'seen in a log'
  service-token revoke --service orders --before now
  service-token revoke --key 2026-01
  service-token revoke - --reason 'seen in a log' < leaked.token

Exit codes: 0 it is revoked. Otherwise nothing was revoked: 1 the token of `-` is not authentic, 2 usage,
4 the store cannot be used, 6 the clock is wrong, 9 an unknown name.";

/// Revoke a token, the tokens of a service, or all tokens that a key signed
///
/// Every verifier that follows the store refuses the tokens within a second. A repeated revocation changes
/// nothing. Prints how many tokens of the registry are covered (`at least` so many beyond 10,000), and the
/// number of the revocation, which `unrevoke` needs to undo it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("what").required(true).args(["jti", "service", "key"]))]
pub(crate) struct RevokeOptions {
    /// The token's `jti` or a unique beginning of it. With `-`, the command reads the token itself from standard
    /// input, and revokes it only if a known key of its issuer signed it. Never write a token as an argument:
    /// other programs can read arguments
    jti: Option<String>,
    /// Tokens of this service that were issued up to --before
    #[arg(long, value_name = "NAME", requires = "before")]
    service: Option<String>,
    /// Revoke the tokens that were issued up to this second: RFC 3339 with its offset, seconds since the
    /// epoch, or `now`; at most a minute in the future
    #[arg(long, value_name = "TIME", requires = "service", conflicts_with_all = ["jti", "key"])]
    before: Option<Instant>,
    /// Every token that this key signed; a unique beginning of its id is enough
    #[arg(long, value_name = "KID", allow_hyphen_values = true)]
    key: Option<String>,
    /// Expiry of a token that the registry does not contain. Without it, such a token is not revoked,
    /// because its `jti` is probably mistyped and the right token would stay valid
    #[arg(long, value_name = "TIME", requires = "jti", conflicts_with_all = ["service", "key"])]
    expires: Option<Instant>,
    /// Revoke a service, a key or an issuer that neither the registry nor the configuration contains, or a token whose
    /// `jti` is nearly that of another
    #[arg(long)]
    allow_unknown: bool,
    /// Issuer of the token, the service or the key [default: the configuration's]
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Why, for those who read the list of revocations later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &RevokeOptions) -> Outcome<Exit> {
    options.check()?;
    let (url, config) = options.store.find()?;
    let presented = (options.jti.as_deref() == Some(STDIN)).then(Presented::read).transpose()?;
    let issuer = options.issuer(config.as_ref(), presented.as_ref())?;
    let made = store::run(options.revoke(&url, config.as_ref(), &issuer, presented.as_ref()))?;
    if let Some(Err(error)) = &made.purged {
        output::warning(&format!("expired revocations were not deleted: {error}"));
    }
    made.warn();
    options.print(&made)?;
    Ok(Exit::Done)
}

/// The services whose tokens a revocation covers.
async fn services(store: &Store, issuer: &str, target: &RevocationTarget) -> Outcome<BTreeSet<String>> {
    match target {
        RevocationTarget::Service { service, .. } => Ok(BTreeSet::from([service.clone()])),
        RevocationTarget::Token { jti, .. } => {
            let filter = TokenFilter {
                issuer: Some(issuer.to_owned()),
                jti: Some(jti.clone()),
                ..TokenFilter::default()
            };
            let tokens = store.tokens(&filter).await.map_err(|error| refused(&error))?;
            Ok(tokens.into_iter().map(|listed| listed.token.service).collect())
        }
        RevocationTarget::Key { kid } => {
            let holders = store.holders_of(issuer, kid).await.map_err(|error| refused(&error))?;
            Ok(holders.into_iter().map(|holder| holder.service).collect())
        }
    }
}

impl RevokeOptions {
    /// Checks the options without the store.
    fn check(&self) -> Outcome<()> {
        if let Some(before) = self.before {
            before.not_ahead().map_err(|why| {
                Problem::usage(format!("`--before` is {}: {why}", members::instant(before.0)))
            })?;
        }
        // A year or a compact date is a small number of seconds, long before the first JSON Web Token.
        if let Some(Instant(before)) = self.before.filter(|Instant(before)| before.unix() < FIRST_TOKEN) {
            return Err(Problem::usage(format!(
                "`--before` is {}, and no token is that old: nothing was revoked",
                members::instant(before)
            ))
            .help("write a time with its offset, such as `2026-01-31T12:00:00Z`; a number is seconds since 1970"));
        }
        if let Some(Instant(expires)) = self.expires.filter(|Instant(expires)| *expires <= store::now()) {
            return Err(Problem::usage(format!(
                "`--expires` is {}, which is in the past: verifiers refuse the token already, so nothing was revoked",
                members::instant(expires)
            ))
            .help("pass the `exp` of the token, as `service-token inspect -` shows it"));
        }
        if self.allow_unknown || self.expires.is_some() {
            self.check_possible()?;
        }
        match &self.jti {
            Some(jti) if jti.contains('.') && jti.len() > 100 => {
                Err(Problem::usage("this is a token, not its `jti`")
                    .help("revoke the token by the `jti` that `service-token inspect -` shows, because it was on a command line"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a name that no token can have: its revocation would have no effect.
    fn check_possible(&self) -> Outcome<()> {
        let (issuer, jti, key) = (self.issuer.as_deref(), self.jti.as_deref(), self.key.as_deref());
        let names = [
            ("`--issuer`", issuer.filter(|issuer| issuer.is_empty())),
            ("the `jti`", jti.filter(|jti| jti.is_empty())),
            ("`--key`", key.filter(|kid| kid.is_empty() || kid.len() > KeyId::MAX_LENGTH)),
            ("`--service`", self.service.as_deref().filter(|name| name.parse::<ServiceName>().is_err())),
        ];
        match names.into_iter().find_map(|(option, name)| Some((option, name?))) {
            None => Ok(()),
            Some((option, name)) => Err(Problem::usage(format!(
                "{option} is `{name}`, which no token can have, and nothing was revoked"
            ))
            .help("check the name, and the variable of your shell that contains it")),
        }
    }

    fn issuer(&self, config: Option<&Config>, presented: Option<&Presented>) -> Outcome<String> {
        match (&self.issuer, presented) {
            (Some(issuer), Some(presented)) if *issuer != presented.issuer => {
                let reason = format!(
                    "the token is of `{}`, not of `{issuer}`, and nothing was revoked",
                    presented.issuer
                );
                Err(Problem::usage(reason).help("leave `--issuer` out: the token names its issuer"))
            }
            (_, Some(presented)) => Ok(presented.issuer.clone()),
            (Some(issuer), None) => Ok(issuer.clone()),
            (None, None) => config
                .map(|config| config.issuer.clone())
                .ok_or_else(|| Problem::usage("no issuer").help("pass `--issuer ISSUER`")),
        }
    }

    async fn revoke(
        &self,
        url: &str,
        config: Option<&Config>,
        issuer: &str,
        presented: Option<&Presented>,
    ) -> Outcome<Made> {
        let store = Store::connect(url).await.map_err(|error| refused(&error))?;
        let now = store::now();
        if let Some(presented) = presented {
            check_authentic(presented, &store, config).await?;
        }
        self.check_names(&store, config, issuer).await?;
        if let Some(Instant(before)) = self.before {
            check_clock(&store, before).await?;
        }
        let target = self.target(&store, config, issuer, now, presented).await?;
        let counted = store.coverage(issuer, &target, now).await.map_err(|error| refused(&error))?;
        let ahead = match &target {
            RevocationTarget::Service { service, .. } => {
                let tokens = store.tokens_issued_ahead(issuer, service, now, MOST_AHEAD).await;
                tokens.map_err(|error| refused(&error))?
            }
            _ => Vec::new(),
        };
        let revocation = |target| {
            let mut revocation = NewRevocation::new(issuer, target).at(now);
            revocation.reason.clone_from(&self.reason);
            revocation.revoked_by = self.by.name();
            revocation
        };
        let (ahead, revocation): (Vec<_>, _) =
            (ahead.into_iter().map(revocation).collect(), revocation(target));
        let met = services(&store, issuer, &revocation.target).await?;
        if self.dry_run.dry_run {
            unlisted::warn_of(&store, config, issuer, &met).await?;
            let known = store.revocation_of(issuer, &revocation.target).await;
            let outcome = outcome(known.map_err(|error| refused(&error))?.as_ref(), &revocation.target);
            let number = None;
            return Ok(Made { revocation, number, outcome, counted, ahead: ahead.len(), purged: None });
        }
        self.ask(&revocation, &counted)?;
        let all = [std::slice::from_ref(&revocation), &ahead].concat();
        let outcomes = store.revoke_all(&all).await.map_err(|error| refused(&error))?;
        let outcome = outcomes.first().copied().unwrap_or(Revoked::Already);
        let record =
            store.revocation_of(issuer, &revocation.target).await.map_err(|error| refused(&error))?;
        let record = record.ok_or_else(|| {
            Problem::new(ProblemCode::Busy, "another program undid the revocation at the same time")
        })?;
        // The revocation is made, so a failure here does not concern the caller.
        if let Err(problem) = unlisted::warn_of(&store, config, issuer, &met).await {
            output::warning(problem.reason());
        }
        let purged = store.purge_revocations(now.minus(FORGET_AFTER)).await;
        store::prune_some(&store, config).await;
        let RevocationRecord { sequence, revocation, .. } = record;
        let (number, ahead) = (Some(sequence), ahead.len());
        Ok(Made { revocation, number, outcome, counted, ahead, purged: Some(purged) })
    }

    /// Asks before a revocation that can stop a service. That of one token is small.
    fn ask(&self, revocation: &NewRevocation, counted: &Coverage) -> Outcome<()> {
        let (kind, name, _) = store::columns(&revocation.target);
        if kind == "token" {
            return Ok(());
        }
        self.consent.ask(&format!(
            "Verifiers will refuse {} valid tokens of the {kind} `{name}` of `{}` within a second{}.",
            counted.valid,
            revocation.issuer,
            if counted.complete { "" } else { ", and probably more" },
        ))
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
        presented: Option<&Presented>,
    ) -> Outcome<RevocationTarget> {
        match (&self.jti, &self.service, self.before, &self.key) {
            (Some(jti), ..) => {
                // With its expiry, a token may be one that the registry does not have.
                let jti = match (presented, self.expires) {
                    (Some(presented), _) => presented.jti.clone(),
                    (None, None) => named::token(store, Some(issuer), jti).await?,
                    (None, Some(_)) => self.whole(store, issuer, jti).await?,
                };
                let own = presented.and_then(|presented| presented.expires_at);
                let expires_at = self.expiry(store, issuer, &jti, now, own).await?;
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

    /// A `jti` that is nearly that of a registered token is probably mistyped: the right token would stay valid.
    async fn whole(&self, store: &Store, issuer: &str, jti: &str) -> Outcome<String> {
        let meant = named::token(store, Some(issuer), jti).await?;
        if meant == jti || self.allow_unknown {
            return Ok(jti.to_owned());
        }
        let reason = format!("the registry has no token `{jti}` of `{issuer}`, so nothing was revoked");
        Err(Problem::new(ProblemCode::NotFound, reason)
            .help(format!("did you mean `{meant}`?"))
            .also("`--allow-unknown` revokes it anyway"))
    }

    /// When the token expires: by the registry, by the option or by the token `own`, whichever is latest.
    async fn expiry(
        &self,
        store: &Store,
        issuer: &str,
        jti: &str,
        now: Timestamp,
        own: Option<Timestamp>,
    ) -> Outcome<Timestamp> {
        let filter = TokenFilter {
            issuer: Some(issuer.to_owned()),
            jti: Some(jti.to_owned()),
            ..TokenFilter::default()
        };
        let tokens = store.tokens(&filter).await.map_err(|error| refused(&error))?;
        let known = tokens.iter().map(|listed| listed.token.expires_at).max();
        let expires_at =
            known.max(own).max(self.expires.map(|Instant(expires)| expires)).ok_or_else(|| {
                let reason =
                    format!("the registry has no token `{jti}` of `{issuer}`, so nothing was revoked");
                Problem::new(ProblemCode::NotFound, reason).help(
                    "check the name; a token that was minted without the registry needs `--expires TIME`",
                )
            })?;
        if expires_at.plus(Verifier::MAX_LEEWAY) <= now {
            return Err(Problem::usage(format!(
                "the token `{jti}` expired {}: verifiers refuse it already, so nothing was revoked",
                members::instant(expires_at)
            ))
            .help("`service-token list --active` shows the tokens that are good"));
        }
        Ok(expires_at)
    }

    fn print(&self, made: &Made) -> Outcome<()> {
        match self.format {
            Format::Json => output::json(&made.json()),
            Format::Text => {
                output::result(&escape::one_line(&made.sentence()))?;
                let number = made.number.map(|number| format!("revocation {number}: ")).unwrap_or_default();
                output::result(&format!(
                    "{number}{} of the registry, {} of them valid until now",
                    store::tokens_in_words(&made.counted),
                    made.counted.valid
                ))
            }
        }
    }
}
