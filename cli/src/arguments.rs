//! The command line: commands, and how a wrong one is answered.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use service_only::Algorithm;

use crate::commands::{
    Exit, attack, completions, dev, endpoints, expiring, generate, init, inspect, jwks, k8s_secret, keygen,
    list, man, renew, revoke, rotate, show, verify,
};
use crate::output;

const EXAMPLES: &str = "\
Start here:
  service-token init                      write a commented service-token.toml
  service-token keygen                    make the signing key that it names
  service-token generate --all            one token for each service of the file
  service-token verify - < orders.token   check a token as a service would

Exit codes:
  0  accepted, or done
  1  the token is not authentic (HTTP 401)
  2  usage or configuration; nothing was written
  3  the token is authentic and forbidden (HTTP 403)

Results go to standard output, everything else to standard error. A token is printed by
`generate` and `dev`, and stands by its nature in the manifests of `k8s-secret`; nothing else
prints one.";

/// Mint, verify and inspect service tokens, and make the keys that sign them.
#[derive(Debug, Parser)]
#[command(name = "service-token", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
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
    Expiring(expiring::ExpiringOptions),
    Revoke(Box<revoke::RevokeOptions>),
    Rotate(rotate::RotateOptions),
    Renew(renew::RenewOptions),
    Dev(dev::DevOptions),
    Endpoints(Box<endpoints::EndpointsOptions>),
    Attack(Box<attack::AttackOptions>),
    Completions(completions::CompletionsOptions),
    Man(man::ManOptions),
}

impl Cli {
    /// Parses the arguments; help and errors are printed here, and say how to exit.
    pub(crate) fn from_command_line() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| {
            let text = error.render().ansi().to_string();
            if error.use_stderr() {
                output::styled(text.trim_end());
                Exit::Misuse
            } else {
                output::help(text.trim_end());
                Exit::Done
            }
        })
    }
}

/// An option's value that is one of our algorithms, with all of them in help and completions.
pub(crate) fn algorithm_parser() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::as_str)).try_map(|name| name.parse::<Algorithm>())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
