//! `service-token unrevoke`: undoes one revocation, by its number, with a reason that stays on record.

use clap::Args;
use serde_json::json;
use service_only::clock::Timestamp;
use service_only_store::{PastRevocation, RevocationRecord, Store, StoreError, Undoing};

use crate::change::{By, DryRun};
use crate::escape;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token revocations
  service-token unrevoke 17 --reason 'the wrong service'

Exit codes: 0 it is undone. Otherwise nothing was undone: 2 usage, or undone already, 4 the store cannot be
used, 9 no such revocation.";

/// Undo a revocation, by its number
///
/// Every verifier that follows the store accepts the tokens again within a second, unless another
/// revocation covers them too. Only this revocation is undone: one that it had replaced takes effect again.
/// The list of `revocations` shows the person, time and reason of the undo.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnrevokeOptions {
    /// Number of the revocation, as `revocations`, `show` and `revoke` print it
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    number: i64,
    /// Reason, for later readers of the list of revocations
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &UnrevokeOptions) -> Outcome<Exit> {
    if options.reason.trim().is_empty() {
        return Err(Problem::usage("`--reason` is empty, and nothing was undone")
            .help("write why the revocation is undone, for later readers of the list"));
    }
    let (url, _) = options.store.find()?;
    let now = store::now();
    if options.dry_run.dry_run {
        return options.preview(&url, now);
    }
    let (undone, counted) = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        let mut undoing = Undoing::new(options.number, options.reason.trim()).at(now);
        undoing.undone_by = options.by.name();
        let undone = store.undo_revocation(&undoing).await.map_err(|error| explained(&error))?;
        let revocation = &undone.revoked.revocation;
        let counted = store.coverage(&revocation.issuer, &revocation.target, now).await;
        let counted = counted.map_err(|error| refused(&error))?;
        Ok((undone, counted))
    })?;
    let revocation = &undone.revoked.revocation;
    let (kind, name, _) = store::columns(&revocation.target);
    match options.format {
        Format::Json => output::json(&json!({
            "dry_run": false, "undone": options.number, "number": undone.number, "kind": kind, "issuer": revocation.issuer,
            "name": name, "known_tokens": counted.tokens, "valid_tokens": counted.valid, "still_revoked": counted.revoked,
            "counted_all": counted.complete,
            "held_by": undone.still.as_ref().map(|record| record.sequence),
        }))?,
        Format::Text => {
            let reach = store::reach(&revocation.target);
            let line = format!(
                "undone: revocation {} of {kind} `{name}` of `{}`{reach}",
                options.number, revocation.issuer
            );
            output::result(&escape::one_line(&line))?;
            output::result(&format!(
                "{} of the registry: {} valid again, {} still revoked by other revocations",
                store::tokens_in_words(&counted),
                counted.valid,
                counted.revoked
            ))?;
        }
    }
    if let Some(still) = &undone.still {
        output::warning(&escape::one_line(&format!(
            "revocation {} still holds for {kind} `{name}`{}",
            still.sequence,
            store::reach(&still.revocation.target)
        )));
    }
    if kind == "key" {
        output::note(
            "a key that `rotate` has retired stays retired; undoing a revocation does not publish it again",
        );
    }
    Ok(Exit::Done)
}

impl UnrevokeOptions {
    fn preview(&self, url: &str, now: Timestamp) -> Outcome<Exit> {
        let (found, counted) = store::run(async {
            let store = Store::open(url).await.map_err(|error| refused(&error))?;
            let found = find(&store, self.number).await.map_err(|error| explained(&error))?;
            let counted = store.coverage(&found.revocation.issuer, &found.revocation.target, now).await;
            Ok((found, counted.map_err(|error| refused(&error))?))
        })?;
        let revocation = &found.revocation;
        let (kind, name, _) = store::columns(&revocation.target);
        match self.format {
            Format::Json => output::json(&json!({
                "dry_run": true, "undone": self.number, "kind": kind, "issuer": revocation.issuer, "name": name,
                "known_tokens": counted.tokens, "counted_all": counted.complete,
            }))?,
            Format::Text => {
                let reach = store::reach(&revocation.target);
                output::result(&escape::one_line(&format!(
                    "would be undone: revocation {} of {kind} `{name}` of `{}`{reach}",
                    self.number, revocation.issuer
                )))?;
                let covered = store::tokens_in_words(&counted);
                output::result(&format!(
                    "it covers {covered} of the registry, some of which other revocations may cover too"
                ))?;
            }
        }
        Ok(Exit::Done)
    }
}

/// The revocation with this number that can be undone.
async fn find(store: &Store, number: i64) -> Result<RevocationRecord, StoreError> {
    let current = store.revocations_since(number - 1, 1).await?;
    if let Some(found) = current.into_iter().find(|record| record.sequence == number) {
        return Ok(found);
    }
    let past = store.past_since(number - 1, 1).await?;
    match past.into_iter().find(|past| past.revoked.sequence == number) {
        Some(PastRevocation { undone: Some((_, undone)), .. }) => {
            Err(StoreError::UndoneAlready { number, at: undone.undone_at, by: undone.undone_by })
        }
        Some(past) => Ok(past.revoked),
        None => Err(StoreError::NoRevocation { place: store.place().to_owned(), number }),
    }
}

fn explained(error: &StoreError) -> Problem {
    let problem = refused(error);
    match error {
        StoreError::NoRevocation { .. } => problem.and("nothing was undone").help(
            "`service-token revocations` lists their numbers; the revocation of a token is deleted 400 days after the token expires",
        ),
        StoreError::UndoneAlready { .. } => problem.and("nothing has changed").help(
            "`service-token revocations` lists what is in force; `service-token revoke` revokes again",
        ),
        _ => problem,
    }
}
