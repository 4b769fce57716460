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
    /// axum would drop the fallback of a router, because it is nested in a router that has none.
    #[non_exhaustive]
    LostFallback {
        /// The path of the router that has the fallback.
        fallback: String,
        /// The path at which the router without a fallback is nested.
        nested: String,
    },
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingParameter { path, parameter, handler } => {
                write!(f, "the path `{path}` has no parameter `{{{parameter}}}`, which `claims(..)`")?;
                if let Some(handler) = handler {
                    write!(f, " of `{handler}`")?;
                }
                f.write_str(
                    " reads; write the parameter into the path, or correct its name in `claims(..)`; if another router adds the parameter, nest this router there before you set its state",
                )
            }
            Self::LostFallback { fallback, nested } => write!(
                f,
                "the fallback below `{fallback}` would be lost: the router that is nested at `{nested}` has no fallback, so axum drops the fallbacks of the routers inside it; add a fallback to it, or remove theirs with `reset_fallback`"
            ),
        }
    }
}

impl Error for RouterError {}
