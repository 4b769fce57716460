//! One module a command, and the exit code that each ends with.

pub(crate) mod attack;
pub(crate) mod batch;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod endpoints;
pub(crate) mod expiring;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod jwks;
pub(crate) mod k8s_secret;
pub(crate) mod keygen;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod renew;
pub(crate) mod revocations;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod show;
pub(crate) mod unrevoke;
pub(crate) mod verify;

use crate::arguments::Command;
use crate::problem::Outcome;

/// How the program ends. The numbers are part of the contract.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Accepted, or done.
    Done,
    /// Not authentic: 401.
    NotAuthentic,
    /// Usage or configuration.
    Misuse,
    /// Authentic but forbidden: 403.
    Forbidden,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotAuthentic => 1,
            Self::Misuse => 2,
            Self::Forbidden => 3,
        }
    }
}

/// Does what was asked.
pub(crate) fn run(command: Command) -> Outcome<Exit> {
    match command {
        Command::Init(options) => init::run(&options),
        Command::Keygen(options) => keygen::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Jwks(options) => jwks::run(&options),
        Command::K8sSecret(options) => k8s_secret::run(&options),
        Command::List(options) => list::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Expiring(options) => expiring::run(&options),
        Command::Revoke(options) => revoke::run(&options),
        Command::Unrevoke(options) => unrevoke::run(&options),
        Command::Revocations(options) => revocations::run(&options),
        Command::Renew(options) => renew::run(&options),
        Command::Rotate(options) => rotate::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Endpoints(options) => endpoints::run(&options),
        Command::Attack(options) => attack::run(&options),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
    }
}
