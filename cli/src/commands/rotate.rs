//! `service-token rotate`: prepares and activates the next signing key when it is due, and retires the
//! previous one.
//!
//! Run it every hour from a timer: most runs find nothing to do. If a run is killed, the next run finishes
//! it.

use clap::Args;
use serde_json::{Value, json};
use service_only_store::Store;
use service_only_store::rotation::{Need, Plan, Planned, Step};

use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::members;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::rotation::{Emergency, Made, Rotation, Site, Successor};
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Examples:
  service-token rotate --plan
  service-token rotate
  service-token rotate --emergency";

/// Rotate the signing key, as far as it is time
///
/// The next key is prepared and published while half of the active one's life is left, signs when a
/// sixth is left and every verifier that reports has it, and the former one is retired when its last
/// token has expired, or nobody uses it any more. Run it from a timer; what is not due is left alone,
/// and a run that was killed is finished by the next.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RotateOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    /// Say what would happen when, and do nothing
    #[arg(long, conflicts_with = "emergency")]
    plan: bool,
    /// A key leaked: revoke and retire it now. If it is the one that signs, as without KID, sign with a
    /// new one; a prepared key, which lay beside it, goes too. Say `--emergency=KID`: a name may begin with `-`
    #[arg(long, value_name = "KID")]
    emergency: Option<Option<String>>,
    /// The prepared key did not leak: sign with it, since verifiers know it already
    #[arg(long, requires = "emergency")]
    keep_prepared: bool,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &RotateOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let config: Config = config.ok_or_else(|| {
        Problem::usage("no configuration says which key is rotated").help("name one with `--config FILE`")
    })?;
    let site = Site::of(&config)?;
    if options.plan {
        let journal = store::work(async { Store::open(&url).await?.journal(&site.issuer).await })
            .map_err(|problem| problem.help("the first `service-token rotate` writes the key down"))?;
        let plan = Plan::new(&journal, &site.settings, store::now());
        tell(&[], &plan, options.format)?;
        return Ok(Exit::Done);
    }
    let _lock = site.lock()?;
    let go_on = &mut || Ok(());
    if let Some(named) = &options.emergency {
        let successor = if options.keep_prepared { Successor::Prepared } else { Successor::Fresh };
        let emergency = store::run(async {
            let store = Store::connect(&url).await.map_err(|error| store::refused(&error))?;
            Rotation::new(&store, &site, go_on).emergency(named.as_deref(), successor).await
        })?;
        tell_emergency(&emergency, &site, options.format)?;
        return Ok(Exit::Done);
    }
    let (made, plan) = store::run(async {
        let store = Store::connect(&url).await.map_err(|error| store::refused(&error))?;
        Rotation::new(&store, &site, go_on).advance().await
    })?;
    tell(&made, &plan, options.format)?;
    Ok(Exit::Done)
}

fn tell(made: &[Made], plan: &Plan, format: Format) -> Outcome<()> {
    match format {
        Format::Json => output::json(&json!({
            "made": made.iter().map(made_json).collect::<Vec<_>>(),
            "next": plan.steps.iter().map(planned_json).collect::<Vec<_>>(),
            "warnings": plan.warnings,
        }))?,
        Format::Text => {
            tell_made(made)?;
            for planned in &plan.steps {
                let (word, kid) = named(&planned.step);
                let when = if planned.is_due() { "now".to_owned() } else { members::instant(planned.at) };
                output::lines(&format!("{when}  {word} {kid}"))?;
                for need in planned.needs.iter().filter(|need| !matches!(need, Need::Time { .. })) {
                    output::lines(&format!("  waits: {need}"))?;
                }
            }
        }
    }
    plan.warnings.iter().for_each(|warning| output::warning(warning));
    Ok(())
}

fn tell_emergency(emergency: &Emergency, site: &Site, format: Format) -> Outcome<()> {
    match format {
        Format::Json => output::json(&json!({
            "made": emergency.made.iter().map(made_json).collect::<Vec<_>>(),
            "leaked": emergency.leaked,
            "need_tokens": emergency.stranded.keys().collect::<Vec<_>>(),
        }))?,
        Format::Text => {
            tell_made(&emergency.made)?;
            for (service, until) in &emergency.stranded {
                let until =
                    until.map(|until| format!(", would have been good until {}", members::instant(until)));
                output::lines(&format!("{service} needs a new token{}", until.unwrap_or_default()))?;
            }
        }
    }
    output::note(&format!(
        "verifiers learn the new key from `{}`; give them that, and the services new tokens: `service-token renew`",
        site.jwks.display()
    ));
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
