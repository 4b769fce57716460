//! The report as text: the message of a failed test, and the output in a terminal.

use std::fmt;

use super::{
    judge::Outcome,
    report::{AttackReport, EndpointReport, Finding},
    summary::{Cause, counted},
};

/// The width of a common terminal, and the default. Longer lines are wrapped between words.
const COLUMNS: usize = 80;

/// A row of the report: the text follows its start, and is wrapped.
struct Row {
    start: String,
    text: String,
}

impl fmt::Display for AttackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = f.width().unwrap_or(COLUMNS);
        let mut lines = vec![self.verdict(), self.requests_line()];
        for (title, rows) in [
            ("Inconclusive", self.inconclusive_rows()),
            ("Causes", self.cause_rows()),
            ("Families that fail completely", self.family_rows()),
            ("Findings", self.finding_rows()),
            ("No conclusion", self.undecided_rows()),
            ("Not sent", self.not_sent_rows()),
            ("Not attacked", self.not_attacked_rows()),
        ] {
            if !rows.is_empty() {
                lines.extend([String::new(), title.to_owned()]);
                lines.extend(rows.iter().map(|row| row.wrapped(columns)));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

impl AttackReport {
    fn requests_line(&self) -> String {
        let to = match self.endpoints() {
            [endpoint] => endpoint.name(),
            endpoints => counted(endpoints.len(), "endpoint"),
        };
        let were = if self.requests() == 1 { "was" } else { "were" };
        format!("{} {were} sent to {to}", counted(self.requests(), "request"))
    }

    fn inconclusive_rows(&self) -> Vec<Row> {
        let row = |(endpoint, why): (&EndpointReport, &str)| {
            indented(format!("{} proves nothing: {why}", endpoint.name()))
        };
        self.inconclusive().map(row).collect()
    }

    fn cause_rows(&self) -> Vec<Row> {
        let row = |cause: &Cause<'_>| {
            let at = match self.endpoints() {
                [_] => String::new(),
                _ => format!(", at {}", counted(cause.endpoints(), "endpoint")),
            };
            counted_row(cause.findings.len(), format!("{}{at}", cause.sentence))
        };
        self.causes().iter().map(row).collect()
    }

    fn family_rows(&self) -> Vec<Row> {
        let of_endpoint = |endpoint: &EndpointReport| {
            let failing = endpoint.failing_families();
            let failing: Vec<_> =
                failing.iter().map(|(family, count)| format!("all {count} of `{family}`")).collect();
            let row = format!("{}: {}", endpoint.name(), failing.join(", "));
            (!failing.is_empty()).then(|| indented(row))
        };
        self.endpoints().iter().filter_map(of_endpoint).collect()
    }

    fn finding_rows(&self) -> Vec<Row> {
        let row = |finding: &Finding| {
            let title = match finding.outcome() {
                Outcome::GotIn(_) => "got in",
                Outcome::Broke(_) => "broke the service",
                Outcome::Refused(_) if self.exact => "was refused by another check",
                _ => return None,
            };
            Some(indented(format!("{title}: {finding}")))
        };
        let mut rows = Vec::new();
        for endpoint in self.endpoints() {
            let findings: Vec<_> = endpoint.findings().iter().filter_map(row).collect();
            if !findings.is_empty() {
                rows.push(Row { start: String::new(), text: endpoint.name() });
                rows.extend(findings);
            }
        }
        rows
    }

    fn undecided_rows(&self) -> Vec<Row> {
        let row = |(endpoint, finding): (&EndpointReport, &Finding)| {
            let (defect, name, outcome) = (finding.defect(), endpoint.name(), finding.outcome());
            indented(format!("no conclusion: {defect} at {name} ({outcome})"))
        };
        self.undecided().map(row).collect()
    }

    fn not_sent_rows(&self) -> Vec<Row> {
        self.not_sent().into_iter().map(|(reason, count)| counted_row(count, reason)).collect()
    }

    fn not_attacked_rows(&self) -> Vec<Row> {
        let row = |(path, reason): &(String, String)| indented(format!("{path}: {reason}"));
        self.not_attacked().iter().map(row).collect()
    }
}

impl EndpointReport {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method(), self.target())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (defect, outcome) = (self.defect(), self.outcome());
        write!(f, "{defect} ({outcome}): {} [{}]", defect.attack(), defect.source())
    }
}

fn indented(text: String) -> Row {
    Row { start: "  ".to_owned(), text }
}

/// A row of a table: a count in the first column, then the text.
fn counted_row(count: usize, text: impl Into<String>) -> Row {
    Row { start: format!("{count:>5}  "), text: text.into() }
}

impl Row {
    /// Wraps the text between words. Later lines are indented by two columns more than the text.
    fn wrapped(&self, columns: usize) -> String {
        let indent = " ".repeat(self.start.len() + 2);
        let (mut lines, mut line) = (Vec::new(), self.start.clone());
        let mut is_first = true;
        for word in self.text.split_whitespace() {
            if !is_first && line.chars().count() + 1 + word.chars().count() > columns {
                lines.push(std::mem::replace(&mut line, indent.clone()));
                is_first = true;
            }
            if !std::mem::take(&mut is_first) {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_wrapped_between_words() {
        assert_eq!(counted_row(12, "`aud` is not compared").wrapped(80), "   12  `aud` is not compared");
        for columns in [60, 80, 120] {
            let long = indented("word ".repeat(30)).wrapped(columns);
            assert!(long.lines().all(|line| line.len() <= columns), "{long}");
            assert!(long.lines().any(|line| line.len() > columns - 5), "{long}");
            assert!(long.lines().nth(1).unwrap().starts_with("    word"), "{long}");
        }
        // A word that is longer than a line stays whole, so that a path can be copied.
        let path = "x".repeat(100);
        assert_eq!(indented(path.clone()).wrapped(80), format!("  {path}"));
    }
}
