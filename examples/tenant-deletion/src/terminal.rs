//! Writes to standard output and, for questions, to standard error. Colours appear only on a terminal, and
//! never with `NO_COLOR`.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use console::{Style, Term};

/// An output for people.
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
pub struct Terminal {
    out: Box<dyn Write + Send>,
    coloured: bool,
}

impl Terminal {
    /// The process's standard output.
    pub fn stdout() -> Self {
        let coloured = console::colors_enabled() && Term::stdout().features().is_attended();
        Self { out: Box::new(io::stdout()), coloured }
    }

    /// The process's standard error, for output that is not the result.
    pub fn stderr() -> Self {
        let coloured = console::colors_enabled_stderr() && Term::stderr().features().is_attended();
        Self { out: Box::new(io::stderr()), coloured }
    }

    /// Prints a line.
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Prints a heading, with a blank line above it.
    pub fn heading(&mut self, title: impl Display, remark: impl Display) -> io::Result<()> {
        let bold = self.style(Style::new().bold());
        let dim = self.style(Style::new().dim());
        writeln!(self.out, "\n{}  {}", bold.apply_to(title), dim.apply_to(remark))
    }

    /// Creates a table with these columns; fill it and pass it to [`Terminal::print_table`].
    pub fn table(&self, columns: &[&str]) -> Table {
        let mut table = Table::new();
        // As wide as its content: columns squeezed into a narrow terminal are harder to read than cut ones.
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns);
        if self.coloured {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    /// Prints a table.
    pub fn print_table(&mut self, table: &Table) -> io::Result<()> {
        self.line(table)
    }

    fn style(&self, style: Style) -> Style {
        style.force_styling(self.coloured)
    }
}
