//! The two profiles of service tokens, as options and configuration name them.

use std::str::FromStr;

use clap::ValueEnum;

/// What a service token must be.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// As the first services sent them: `typ` JWT, audience and a bounded life optional
    #[default]
    Compatible,
    /// `typ` service+jwt, a key pair, an audience, and a life of 24 hours at most
    Strict,
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(name, false)
            .map_err(|_| format!("`{name}` is not a profile; write `compatible` or `strict`"))
    }
}
