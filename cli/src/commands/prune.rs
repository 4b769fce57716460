//! `service-token prune`: removes tokens from the registry that expired long ago.
//!
//! Minting and revoking prune a few of them each time. This command prunes all of them. Run it from a timer if the
//! minting program has no right to delete.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use service_only_store::Store;

use super::revoke::FORGET_AFTER;
use crate::change::{Consent, DryRun};
use crate::clocks;
use crate::config::{KeepExpired, Lifetime};
use crate::exit::Exit;
use crate::members;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};

/// How long the checkpoints of audit logs stay in the store. The largest one of each log stays forever.
const CHECKPOINTS_FOR: Duration = Duration::from_secs(90 * 86_400);

/// The number of tokens that one transaction deletes, so that other programs can write in between.
const BATCH: u32 = 5_000;

const EXAMPLES: &str = "\
Examples:
  service-token prune
  service-token prune --dry-run
  service-token prune --expired-for 90d --format json

Exit codes: 0 all of them are removed, 2 usage, 4 the store cannot be used; what was removed before stays
removed. 6 the clock is wrong.";

/// Remove tokens from the registry that expired long ago
///
/// The last token of each service stays, so that `renew` still knows the service. The command also removes
/// revocations of expired tokens, and checkpoints of audit logs that are older than 90 days. `generate`, `renew` and
/// `revoke` remove a few old tokens on each run; `keep_expired` of the configuration sets how old.
/// `expiring --format prometheus` counts the removed tokens.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PruneOptions {
    /// How long ago they expired, an hour at least [default: `keep_expired` of the configuration, else 365d]
    #[arg(long, value_name = "DURATION")]
    expired_for: Option<Lifetime>,
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

pub(crate) fn run(options: &PruneOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let keep = options.keep(store::keep_expired(config.as_ref()))?;
    let now = store::now();
    let before = now.minus(keep);
    let checkpoints_before = now.minus(CHECKPOINTS_FOR);
    let (tokens, revocations, checkpoints) = store::run(async {
        let store = Store::connect(&url).await.map_err(|error| refused(&error))?;
        clocks::check(&store, "nothing was pruned").await?;
        if options.dry_run.dry_run || options.consent.is_needed() {
            let tokens = store.prunable_tokens(before).await.map_err(|error| refused(&error))?;
            let revocations = store.purgeable_revocations(now.minus(FORGET_AFTER)).await;
            let revocations = revocations.map_err(|error| refused(&error))?;
            if options.dry_run.dry_run {
                let checkpoints = store.prunable_checkpoints(checkpoints_before).await;
                return Ok((tokens, revocations, checkpoints.map_err(|error| refused(&error))?));
            }
            options.consent.ask(&format!(
                "{tokens} tokens that expired before {} will be removed from `{}`.",
                members::instant(before),
                store.place()
            ))?;
        }
        let mut all = 0;
        loop {
            let pruned = store.prune_tokens(before, BATCH, now).await.map_err(|error| {
                refused(&error).help(format!("{all} tokens were pruned; run it again to prune the rest"))
            })?;
            all += pruned;
            if pruned == 0 {
                break;
            }
        }
        let revocations = store.purge_revocations(now.minus(FORGET_AFTER)).await;
        let revocations = revocations.map_err(|error| refused(&error))?;
        let checkpoints = store.prune_checkpoints(checkpoints_before).await;
        Ok((all, revocations, checkpoints.map_err(|error| refused(&error))?))
    })?;
    match options.format {
        Format::Json => output::json(&json!({
            "dry_run": options.dry_run.dry_run, "pruned": tokens, "expired_before": members::instant(before), "cleared_revocations": revocations,
            "pruned_checkpoints": checkpoints,
        }))?,
        Format::Text => output::result(&format!(
            "{}{tokens} tokens that expired before {}, {checkpoints} old checkpoints, and {revocations} revocations of \
             expired tokens",
            if options.dry_run.dry_run { "would prune " } else { "pruned " },
            members::instant(before)
        ))?,
    }
    Ok(Exit::Done)
}

impl PruneOptions {
    fn keep(&self, configured: Option<Duration>) -> Outcome<Duration> {
        match (self.expired_for, configured) {
            (Some(Lifetime(duration)), _) if duration < KeepExpired::LEAST => {
                Err(Problem::usage("`--expired-for` is less than an hour, and nothing was pruned")
                    .help("a verifier with a leeway may still accept these tokens; write `1h` or more"))
            }
            (Some(Lifetime(duration)), _) => Ok(duration),
            (None, Some(duration)) => Ok(duration),
            (None, None) => Err(Problem::usage("the configuration keeps expired tokens forever")
                .help("pass `--expired-for DURATION`, such as `365d`")),
        }
    }
}
