//! The errors of an export.

use thiserror::Error;

/// Why a table could not be exported. The export never writes weaker rules than those of the table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A route requires something that the target cannot express without allowing more.
    #[error("`{}`: {reason}", route.escape_debug())]
    Route {
        /// The methods and the path of the route.
        route: String,
        /// What the target cannot express.
        reason: String,
    },
    /// An option is missing, or has a value that the target would interpret differently.
    #[error("{option}: {reason}")]
    Option {
        /// The option, by the name of its method.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The document could not be written as text.
    #[error("the document cannot be written: {0}")]
    Unwritable(String),
}

impl ExportError {
    pub(crate) fn route(route: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Route { route: route.into(), reason: reason.into() }
    }

    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }
}
