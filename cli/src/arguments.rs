//! The command line: the commands, and the answer to invalid arguments.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum as _};

#[cfg(feature = "dashboard")]
use crate::commands::dashboard;
use crate::commands::{
    attack, audit, ca, completions, dev, doctor, endpoints, expiring, generate, init, inspect, jwks,
    k8s_secret, keygen, keys, list, man, prune, renew, revocations, revoke, rotate, serve, show, store,
    unrevoke, verifiers, verify,
};
use crate::config;
use crate::errors;
use crate::exit::Exit;
use crate::help;
use crate::output::{self, Color};
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Start here:
  service-token init                      write a commented service-token.toml, create its store
  service-token keygen                    generate the signing key that the file names
  service-token generate --all            one token for each service of the file
  service-token verify - < orders.token   check a token as a service would
";

const STREAMS: &str = "\
Results go to standard output, everything else to standard error. With `--format json`, an error is one
line of JSON. Only `generate` and `dev` print tokens. The manifests of `k8s-secret` and `renew` contain tokens.";

fn after_help() -> String {
    format!("{EXAMPLES}\n{}\n{STREAMS}", Exit::help())
}

/// Mint, verify and inspect service tokens, and manage the keys that sign them.
#[derive(Debug, Parser)]
#[command(name = "service-token", version, after_help = after_help(), max_term_width = 100)]
pub(crate) struct Cli {
    /// When the output has colours
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        help_heading = "Global options"
    )]
    color: Color,
    /// Environment of the configuration file: the table `[environments.NAME]` overrides the common settings
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "SERVICE_TOKEN_ENVIRONMENT",
        help_heading = "Global options"
    )]
    environment: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitOptions),
    Keygen(keygen::KeygenOptions),
    Generate(generate::GenerateOptions),
    Verify(verify::VerifyOptions),
    Inspect(inspect::InspectOptions),
    Jwks(jwks::JwksOptions),
    K8sSecret(k8s_secret::SecretOptions),
    List(list::ListOptions),
    Show(show::ShowOptions),
    Keys(keys::KeysOptions),
    Verifiers(verifiers::VerifiersOptions),
    Expiring(expiring::ExpiringOptions),
    Revoke(Box<revoke::RevokeOptions>),
    Unrevoke(unrevoke::UnrevokeOptions),
    Revocations(revocations::RevocationsOptions),
    Rotate(rotate::RotateOptions),
    Serve(serve::ServeOptions),
    Renew(renew::RenewOptions),
    Prune(prune::PruneOptions),
    Store(store::StoreCommand),
    Doctor(doctor::DoctorOptions),
    Dev(dev::DevOptions),
    Ca(ca::CaOptions),
    Cert(ca::CertOptions),
    Endpoints(Box<endpoints::EndpointsOptions>),
    Attack(Box<attack::AttackOptions>),
    Audit(Box<audit::AuditCommand>),
    Usage(audit::usage::UsageOptions),
    Unused(audit::unused::UnusedOptions),
    Anomalies(audit::anomalies::AnomaliesOptions),
    Suggest(audit::suggest::SuggestOptions),
    Explain(Box<audit::explain::ExplainOptions>),
    #[cfg(feature = "dashboard")]
    Dashboard(Box<dashboard::DashboardOptions>),
    Completions(completions::CompletionsOptions),
    Man(man::ManOptions),
}

impl Cli {
    /// Parses the arguments. It prints help and errors itself, and returns the exit code for them.
    pub(crate) fn from_command_line() -> Result<Self, Exit> {
        // An error of the arguments has colours too, and ends the parsing before they are known.
        let words: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(Ok(color)) = option(&words, "--color").map(|when| Color::from_str(&when, false)) {
            color.apply();
        }
        errors::choose_format(std::env::args_os().skip(1));
        let mut described = Self::described();
        let parsed = described.try_get_matches_from_mut(std::env::args_os()).and_then(|matches| {
            check_choices(&described, &matches)?;
            Self::from_arg_matches(&matches)
        });
        parsed.map_err(|error| {
            let text = error.render().ansi().to_string();
            if error.use_stderr() && errors::are_json() {
                output::problem(&errors::of_arguments(&error));
                Exit::Misuse
            } else if error.use_stderr() {
                output::styled(text.trim_end());
                Exit::Misuse
            } else {
                output::help(text.trim_end());
                Exit::Done
            }
        })
    }

    /// The command line with its help.
    pub(crate) fn described() -> clap::Command {
        help::with_help(Self::command())
    }

    /// Runs the command.
    pub(crate) fn run(self) -> Outcome<Exit> {
        self.color.apply();
        config::choose(self.environment);
        self.command.run()
    }
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> Outcome<Exit> {
        match self {
            Self::Init(options) => init::run(&options),
            Self::Keygen(options) => keygen::run(&options),
            Self::Generate(options) => generate::run(&options),
            Self::Verify(options) => verify::run(&options),
            Self::Inspect(options) => inspect::run(&options),
            Self::Jwks(options) => jwks::run(&options),
            Self::K8sSecret(options) => k8s_secret::run(&options),
            Self::List(options) => list::run(&options),
            Self::Show(options) => show::run(&options),
            Self::Keys(options) => keys::run(&options),
            Self::Verifiers(options) => verifiers::run(&options),
            Self::Expiring(options) => expiring::run(&options),
            Self::Revoke(options) => revoke::run(&options),
            Self::Unrevoke(options) => unrevoke::run(&options),
            Self::Revocations(options) => revocations::run(&options),
            Self::Renew(options) => renew::run(&options),
            Self::Rotate(options) => rotate::run(&options),
            Self::Serve(options) => serve::run(&options),
            Self::Prune(options) => prune::run(&options),
            Self::Store(options) => store::run(&options),
            Self::Doctor(options) => doctor::run(&options),
            Self::Dev(options) => dev::run(&options),
            Self::Ca(options) => ca::run_ca(&options),
            Self::Cert(options) => ca::run_cert(&options),
            Self::Endpoints(options) => endpoints::run(&options),
            Self::Attack(options) => attack::run(&options),
            Self::Audit(options) => audit::run(&options),
            Self::Usage(options) => audit::usage::run(&options),
            Self::Unused(options) => audit::unused::run(&options),
            Self::Anomalies(options) => audit::anomalies::run(&options),
            Self::Suggest(options) => audit::suggest::run(&options),
            Self::Explain(options) => audit::explain::run(&options),
            #[cfg(feature = "dashboard")]
            Self::Dashboard(options) => dashboard::run(&options),
            Self::Completions(options) => completions::run(&options),
            Self::Man(options) => man::run(&options, &Cli::described()),
        }
    }
}

/// Options without which a command works with something else. Their variables count as unset if they are empty, so only
/// the command line tells whether a value was meant.
const CHOICES: [&str; 2] = ["store", "environment"];

/// Refuses an empty choice: `--store "$STORE"` with an unset variable would change another store.
fn check_choices(command: &clap::Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    for id in CHOICES.iter().filter(|id| matches.try_contains_id(id).unwrap_or(false)) {
        let is_empty = matches.get_raw(id).into_iter().flatten().any(|value| value.is_empty());
        if is_empty && matches.value_source(id) == Some(ValueSource::CommandLine) {
            let reason = format!("the value of '--{id}' is empty; write one, or leave the option out");
            return Err(command.clone().error(ErrorKind::InvalidValue, reason));
        }
    }
    match matches.subcommand() {
        Some((name, matches)) => {
            command.find_subcommand(name).map_or(Ok(()), |command| check_choices(command, matches))
        }
        None => Ok(()),
    }
}

/// The value of an option, as `--option VALUE` or `--option=VALUE`.
pub(crate) fn option(words: &[String], name: &str) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next().cloned(),
            Some(rest) if rest.starts_with('=') => return rest.strip_prefix('=').map(str::to_owned),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_of_an_unfinished_command_line_is_found_in_both_forms() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            option(&words("service-token list --config a.toml"), "--config").as_deref(),
            Some("a.toml")
        );
        assert_eq!(option(&words("list --config=a=b --service"), "--config").as_deref(), Some("a=b"));
        assert_eq!(option(&words("list --configs x --config"), "--config"), None);
    }

    #[test]
    fn definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// One thumbprint in sixty-four begins with a hyphen.
    #[test]
    fn name_of_a_key_may_begin_with_a_hyphen() {
        for arguments in [
            &["revoke", "--key", "-l3x"][..],
            &["rotate", "--emergency=-l3x", "--keep-prepared"],
            &["keygen", "--kid", "-l3x"],
            &["generate", "orders", "--key", "k", "--algorithm", "ES256", "--kid", "-l3x"],
            &["jwks", "--key", "k", "--algorithm", "ES256", "--kid", "-l3x"],
        ] {
            let parsed = Cli::try_parse_from(["service-token"].iter().chain(arguments));
            assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
        }
    }

    const GUIDE: &str = include_str!("../docs/configuration.md");

    /// The rows of the table with this heading, as a list of cells.
    fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
        let (_, table) = GUIDE.split_once(&format!("\n| {heading} | ")).unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
    }

    /// The code spans in a cell.
    fn code(cell: &'static str) -> impl Iterator<Item = &'static str> {
        cell.split('`').skip(1).step_by(2)
    }

    #[test]
    fn guide_has_the_options_of_each_command_and_no_others() {
        let mut line = Cli::command();
        line.build();
        let commands = line.get_subcommands().filter(|command| command.get_name() != "help");
        // `store` has only subcommands.
        let commands = commands.flat_map(|command| {
            let nested = command.get_subcommands().filter(|nested| nested.get_name() != "help");
            let nested =
                nested.map(|nested| (format!("{} {}", command.get_name(), nested.get_name()), nested));
            let nested: Vec<_> = nested.collect();
            if nested.is_empty() { vec![(command.get_name().to_owned(), command)] } else { nested }
        });
        let known: Vec<(String, Vec<String>)> = commands
            .map(|(name, command)| {
                // Global options have a table of their own.
                let options = command.get_arguments().filter(|option| !option.is_global_set());
                let options = options.filter_map(|option| option.get_long());
                let options = options.filter(|long| *long != "help").map(|long| format!("--{long}"));
                (name, options.collect())
            })
            .collect();
        let shown: Vec<(String, Vec<String>)> = rows("command")
            .map(|row| {
                let name = code(row[0]).next().unwrap();
                (name.to_owned(), code(row[1]).map(str::to_owned).collect())
            })
            .collect();
        assert_eq!(shown, known);
        let explained: Vec<_> = rows("option")
            .flat_map(|row| {
                code(row[0]).map(|option| option.split([' ', '[']).next().unwrap()).collect::<Vec<_>>()
            })
            .collect();
        let options: std::collections::BTreeSet<_> =
            known.iter().flat_map(|(_, options)| options).map(String::as_str).collect();
        assert_eq!(explained.iter().copied().collect::<std::collections::BTreeSet<_>>(), options);
        assert_eq!(explained.len(), options.len(), "an option is explained twice");
    }

    #[test]
    fn guide_has_the_global_options() {
        let line = Cli::command();
        let known: Vec<_> = line.get_arguments().filter(|option| option.is_global_set()).collect();
        let known: Vec<_> = known.iter().filter_map(|option| option.get_long()).collect();
        let shown: Vec<_> = rows("global option").map(|row| code(row[0]).next().unwrap()).collect();
        let shown: Vec<_> = shown.iter().map(|name| name.split(' ').next().unwrap()).collect();
        assert_eq!(shown, known.iter().map(|name| format!("--{name}")).collect::<Vec<_>>());
    }

    #[test]
    fn guide_has_each_variable_that_is_read() {
        let shown: Vec<_> = rows("variable").flat_map(|row| code(row[0]).collect::<Vec<_>>()).collect();
        let line = Cli::command();
        let named = line.get_subcommands().flat_map(|command| command.get_arguments());
        for variable in named.filter_map(|option| option.get_env()) {
            assert!(shown.iter().any(|name| *name == variable), "{variable:?}");
        }
        for read in [
            include_str!("change.rs").split_once("fn user_name").unwrap().1,
            include_str!("commands/dev.rs").split_once("fn state_directory").unwrap().1,
        ] {
            let texts = read.split("\n}").next().unwrap().split('"').skip(1).step_by(2);
            let names: Vec<_> =
                texts.filter(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_')).collect();
            assert!(!names.is_empty());
            for name in names {
                assert!(shown.contains(&name), "{name}");
            }
        }
    }
}
