//! Why a closed router cannot serve its routes.

use std::{error::Error, fmt};

/// Why a closed router cannot serve its routes. The message states what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouterError {
    /// A policy compares a claim with a path parameter that its route does not have, so it refuses every caller.
    #[non_exhaustive]
    MissingParameter {
        /// The path of the route.
        path: String,
        /// The parameter that the policy reads.
        parameter: String,
        /// The guarded handler, if it has a name.
        handler: Option<String>,
    },
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::MissingParameter { path, parameter, handler } = self;
        write!(f, "the path `{path}` has no parameter `{{{parameter}}}`, which `claims(..)`")?;
        if let Some(handler) = handler {
            write!(f, " of `{handler}`")?;
        }
        f.write_str(
            " reads; write the parameter into the path, or correct its name in `claims(..)` (nest a router before its state is set)",
        )
    }
}

impl Error for RouterError {}
