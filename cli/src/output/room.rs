//! How wide a table may be, and whether the output has colours.

use std::io::{IsTerminal as _, stderr, stdout};

use terminal_size::{Width, terminal_size_of};

/// When text has colours.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always, also with NO_COLOR and in a pipe
    Always,
    /// Never
    Never,
}

impl Color {
    /// Applies to everything that the program writes from now on.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// The stream that a table is written to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Result,
    Aside,
}

/// The number of columns of the stream: those of its terminal, else those of the variable COLUMNS, as for the
/// help. `None` means as many as needed, so that a script reads whole ids and instants.
pub(crate) fn columns(stream: Stream) -> Option<usize> {
    let size = match stream {
        Stream::Result if stdout().is_terminal() => terminal_size_of(stdout()),
        Stream::Aside if stderr().is_terminal() => terminal_size_of(stderr()),
        _ => None,
    };
    let width = size.map(|(Width(width), _)| usize::from(width)).filter(|width| *width > 0);
    width.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0))
}
