//! `service-token rotate`: prepares and activates the next signing key when it is due, and retires the
//! previous one.
//!
//! Run it every hour from a timer: most runs find nothing to do. If a run is killed, the next run finishes
//! it.

use clap::Args;
use serde_json::{Value, json};
use service_only_store::Store;
use service_only_store::rotation::{Need, Plan, Planned, Step, Warning};

use crate::change::{By, Consent};
use crate::clocks::Clocks;
use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::members;
use crate::named;
use crate::output::{self, Format, Report};
use crate::problem::{Outcome, Problem};
use crate::published::Unknown;
use crate::rotation::{Emergency, Made, Rotation, Site, Successor};
use crate::store::{self, StoreAndConfig};
use crate::unlisted;
use crate::unlock::UnlockOptions;

const EXAMPLES: &str = "\
Exit codes: 0 done, 2 usage or files, 4 the store cannot be used, 5 another run is active, 6 refused because
verifiers would refuse a valid token, or the clock is wrong, 7 the active key is revoked, 8 `--plan` found an overdue step, a key past its life or an unfinished run.

Examples:
  service-token rotate --plan
  service-token rotate
  service-token rotate --emergency --dry-run
  service-token rotate --emergency
  service-token rotate --plan --format prometheus > rotation.prom.new && mv rotation.prom.new rotation.prom";

/// Rotate the signing key: run the steps that are due
///
/// When half of the active key's life is left, the next key is prepared and published. When a sixth is
/// left and every reporting verifier has the next key, that key signs. The former key is retired when
/// its last token has expired, or when it is unused. Run this command from a timer: it
/// skips steps that are not due, and completes a run that was killed. Other keys of the published set stay
/// as retiring keys.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RotateOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    unlock: UnlockOptions,
    /// Print the planned steps and their times, and change nothing
    #[arg(long, conflicts_with = "emergency")]
    plan: bool,
    /// Revoke and retire a leaked key now, and sign with a new one. A prepared key is retired too, because it may
    /// have leaked with the active one. KID defaults to the active key, which must then be at least 15 minutes old.
    /// Write `--emergency=KID` with an equals sign, because a key id may begin with `-`. A unique beginning of
    /// the id is enough
    #[arg(long, value_name = "KID")]
    emergency: Option<Option<String>>,
    /// Sign with the prepared key, which did not leak and which verifiers already have
    #[arg(long, requires = "emergency", conflicts_with = "plan")]
    keep_prepared: bool,
    /// Remove from the published set each key that the journal does not contain. Verifiers then refuse its tokens
    #[arg(long, conflicts_with = "plan")]
    drop_unknown: bool,
    #[command(flatten)]
    by: By,
    /// Print what would change, and change nothing. Without --emergency, that is the plan
    #[arg(long, conflicts_with = "plan")]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    /// Output format; `prometheus` has the warnings of --plan, and the exit code 0
    #[arg(long, value_enum, default_value_t)]
    format: Report,
}

/// What was asked for.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Asked {
    Plan,
    Run,
}

pub(crate) fn run(options: &RotateOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let config: Config = config.ok_or_else(|| {
        Problem::usage("no configuration names the key to rotate").help("name one with `--config FILE`")
    })?;
    options.unlock.apply(&config.key.unlock);
    let mut site = Site::of(&config)?;
    site.unknown = match (options.drop_unknown, &options.emergency) {
        (true, _) => Unknown::Drop,
        (false, Some(_)) => Unknown::KeepReadable,
        (false, None) => Unknown::Keep,
    };
    site.by = options.by.name();
    if options.plan || (options.dry_run && options.emergency.is_none()) {
        let plan = plan(&url, &site)?;
        unlisted::warn_of_holders(&url, &config)?;
        let Some(format) = options.format.format() else {
            output::metrics(&plan.exposition(&site.issuer))?;
            return Ok(Exit::Done);
        };
        tell(&[], &plan, format)?;
        return Ok(exit(&plan, if options.plan { Asked::Plan } else { Asked::Run }));
    }
    let format = options
        .format
        .format()
        .ok_or_else(|| Problem::usage("metrics are those of the plan").help("add `--plan`"))?;
    let go_on = &mut || Ok(());
    let successor = if options.keep_prepared { Successor::Prepared } else { Successor::Fresh };
    if let Some(named) = options.emergency.as_ref().filter(|_| options.dry_run) {
        let preview = store::run(async {
            let store = Store::open(&url).await.map_err(|error| store::refused(&error))?;
            let kid = whole(named.as_deref(), &store, &config, &site).await?;
            unlisted::warn_of_all(&store, Some(&config), None).await?;
            Rotation::new(&store, &site, go_on).preview(kid.as_deref(), successor).await
        })?;
        tell_emergency(&preview, format, Tried::Yes)?;
        return Ok(Exit::Done);
    }
    let _lock = site.lock()?;
    if let Some(named) = &options.emergency {
        let emergency = store::run(async {
            let store = Store::connect(&url).await.map_err(|error| store::refused(&error))?;
            // A leak cannot wait for a clock: revoking and replacing a key does not depend on it.
            if let Some(clocks) = Clocks::read(&store).await?.filter(|clocks| clocks.differ()) {
                output::warning(&clocks.in_words());
            }
            let kid = whole(named.as_deref(), &store, &config, &site).await?;
            // Afterwards their tokens are not valid, and `renew` skips these services.
            unlisted::warn_of_all(&store, Some(&config), None).await?;
            if options.consent.is_needed() {
                let preview = Rotation::new(&store, &site, go_on).preview(kid.as_deref(), successor).await?;
                options.consent.ask(&in_question(&preview))?;
            }
            Rotation::new(&store, &site, go_on).emergency(kid.as_deref(), successor).await
        })?;
        tell_emergency(&emergency, format, Tried::No)?;
        output::note(&format!(
            "publish `{}` to the verifiers, and mint new tokens for the services: `service-token renew`",
            site.jwks.display()
        ));
        tell_kept(&emergency.made, &site);
        return Ok(Exit::Done);
    }
    let (made, mut plan, journal) = store::run(async {
        let store = Store::connect(&url).await.map_err(|error| store::refused(&error))?;
        if options.consent.is_needed() {
            options.ask(&store, &site).await?;
        }
        unlisted::warn_of_all(&store, Some(&config), None).await?;
        let (made, plan) = Rotation::new(&store, &site, go_on).advance().await?;
        let journal = store.journal(&site.issuer).await.map_err(|error| store::refused(&error))?;
        Ok((made, plan, journal))
    })?;
    plan.warnings.extend(site.strange_keys(&journal)?);
    tell(&made, &plan, format)?;
    tell_kept(&made, &site);
    Ok(exit(&plan, Asked::Run))
}

impl RotateOptions {
    /// Asks before a key is withdrawn. A key that is prepared or activated refuses no token.
    async fn ask(&self, store: &Store, site: &Site) -> Outcome<()> {
        let journal = store.journal(&site.issuer).await.map_err(|error| store::refused(&error))?;
        let plan = Plan::new(&journal, &site.settings, store::now());
        for planned in plan.steps.iter().filter(|planned| planned.is_due()) {
            if let Step::Retire { kid } = &planned.step {
                self.consent
                    .ask(&format!("The key `{kid}` will be retired: verifiers then refuse its tokens."))?;
            }
        }
        if self.drop_unknown {
            self.consent.ask(&format!(
                "Keys of `{}` that the journal does not have will be removed: verifiers then refuse their tokens.",
                site.jwks.display()
            ))?;
        }
        Ok(())
    }
}

/// The whole key id of a unique beginning.
async fn whole(id: Option<&str>, store: &Store, config: &Config, site: &Site) -> Outcome<Option<String>> {
    match id {
        Some(id) => named::key(store, Some(config), &site.issuer, id).await.map(Some),
        None => Ok(None),
    }
}

fn in_question(preview: &Emergency) -> String {
    let leaked: Vec<_> = preview.leaked.iter().map(|kid| format!("`{kid}`")).collect();
    let services = preview.stranded.len();
    format!(
        "Verifiers will refuse all tokens of {} within a second, and {services} services need a new token.",
        leaked.join(", ")
    )
}

/// The plan, with what the files of this machine add to it.
fn plan(url: &str, site: &Site) -> Outcome<Plan> {
    let journal = store::work(async { Store::open(url).await?.journal(&site.issuer).await })
        .map_err(|problem| problem.help("the first `service-token rotate` registers the key"))?;
    let mut plan = Plan::new(&journal, &site.settings, store::now());
    plan.warnings.extend(site.unfinished(&journal).map(|what| Warning::Unfinished { what }));
    plan.warnings.extend(site.strange_keys(&journal)?);
    Ok(plan)
}

/// A run has made each step that is due, so only a plan can find one that is overdue.
fn exit(plan: &Plan, asked: Asked) -> Exit {
    let any = |is: fn(&Warning) -> bool| plan.warnings.iter().any(is);
    if any(|warning| matches!(warning, Warning::ActiveRevoked { .. })) {
        return Exit::KeyRefused;
    }
    let late = |warning: &Warning| {
        matches!(warning, Warning::Overdue { .. } | Warning::PastLife { .. } | Warning::Unfinished { .. })
    };
    if asked == Asked::Plan && any(late) { Exit::Overdue } else { Exit::Done }
}

/// A key that was added to the set by hand is trusted from now on, so the operator has to see it.
fn tell_kept(made: &[Made], site: &Site) {
    for Made { kid, .. } in made.iter().filter(|made| made.what == "kept") {
        output::warning(&format!(
            "`{}` contained the key `{kid}`, but the journal did not; the key stays until its last token has expired; if you do not know this key, run `service-token rotate --emergency={kid}`",
            site.jwks.display()
        ));
    }
}

fn tell(made: &[Made], plan: &Plan, format: Format) -> Outcome<()> {
    match format {
        Format::Json => output::json(&json!({
            "made": made.iter().map(made_json).collect::<Vec<_>>(),
            "next": plan.steps.iter().map(planned_json).collect::<Vec<_>>(),
            "warnings": plan.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            tell_made(made)?;
            for planned in &plan.steps {
                let (word, kid) = named(&planned.step);
                let when = match planned {
                    Planned { overdue: true, .. } => "overdue".to_owned(),
                    planned if planned.is_due() => "now".to_owned(),
                    planned => members::instant(planned.at),
                };
                output::lines(&format!("{when}  {word} {kid}"))?;
                for need in planned.needs.iter().filter(|need| !matches!(need, Need::Time { .. })) {
                    output::lines(&format!("  waits: {need}"))?;
                }
            }
        }
    }
    plan.warnings.iter().for_each(|warning| output::warning(&warning.to_string()));
    Ok(())
}

/// Whether the emergency was only tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Yes,
    No,
}

fn tell_emergency(emergency: &Emergency, format: Format, tried: Tried) -> Outcome<()> {
    match format {
        Format::Json => output::json(&json!({
            "dry_run": tried == Tried::Yes,
            "made": emergency.made.iter().map(made_json).collect::<Vec<_>>(),
            "leaked": emergency.leaked,
            "need_tokens": emergency.stranded.keys().collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            let would = if tried == Tried::Yes { "would " } else { "" };
            emergency.made.iter().try_for_each(|Made { what, kid }| {
                output::result(&format!("{would}{what} {}", escape::one_line(kid)))
            })?;
            for (service, until) in &emergency.stranded {
                let until =
                    until.map(|until| format!(", would have been valid until {}", members::instant(until)));
                let needs = if tried == Tried::Yes { "would need" } else { "needs" };
                output::lines(&format!("{service} {needs} a new token{}", until.unwrap_or_default()))?;
            }
        }
    }
    Ok(())
}

fn tell_made(made: &[Made]) -> Outcome<()> {
    made.iter()
        .try_for_each(|Made { what, kid }| output::result(&format!("{what} {}", escape::one_line(kid))))
}

fn made_json(made: &Made) -> Value {
    json!({ "step": made.what, "kid": made.kid })
}

fn planned_json(planned: &Planned) -> Value {
    let (step, kid) = match &planned.step {
        Step::Adopt => ("adopt", None),
        Step::Prepare => ("prepare", None),
        Step::Activate { kid } => ("activate", kid.as_deref()),
        Step::Retire { kid } => ("retire", Some(kid.as_str())),
    };
    json!({
        "step": step,
        "kid": kid,
        "due": planned.is_due(),
        "overdue": planned.overdue,
        "at": members::instant(planned.at),
        "needs": planned.needs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "needed_by": planned.needs.iter().filter_map(Need::service).collect::<Vec<_>>(),
    })
}

fn named(step: &Step) -> (&'static str, &str) {
    match step {
        Step::Adopt => ("adopt", "the key of the configuration"),
        Step::Prepare => ("prepare", "the next key"),
        Step::Activate { kid } => ("activate", kid.as_deref().unwrap_or("the next key")),
        Step::Retire { kid } => ("retire", kid),
    }
}
