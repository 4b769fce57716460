//! The tables of the guide that are part of the manual.

const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const EXIT_CODES: &str = include_str!("../../docs/exit-codes.md");

/// A row of a table.
pub(super) struct Row(Vec<String>);

impl Row {
    pub(super) fn name(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The cell between name and meaning: the default.
    pub(super) fn middle(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }

    pub(super) fn meaning(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }
}

/// The exit codes of the program.
pub(super) fn exit_codes() -> impl Iterator<Item = Row> {
    rows(EXIT_CODES, "code")
}

/// The variables that the program reads.
pub(super) fn variables() -> impl Iterator<Item = Row> {
    rows(CONFIGURATION, "variable")
}

/// Which of several settings counts.
pub(super) fn precedence() -> impl Iterator<Item = String> {
    let section = CONFIGURATION.split("\n## Precedence\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rules = section.split("\n- ").skip(1);
    rules.map(|rule| plain(rule.split("\n\n").next().unwrap_or_default()))
}

/// The tables of keys: the title of the table, and its rows.
pub(super) fn keys() -> impl Iterator<Item = (String, Vec<Row>)> {
    let section = CONFIGURATION.split("\n## The file\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let titles = section.lines().filter_map(|line| line.strip_prefix("| key")?.split_once(" |"));
    titles.map(|(of, _)| {
        let title = match of.trim().strip_prefix("of ") {
            Some(part) => format!("Keys of {}", part.replace('`', "")),
            None => "Keys".to_owned(),
        };
        (title, rows(section, &format!("key{of}")).collect())
    })
}

/// The text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// The rows of the table with this first heading.
fn rows(text: &'static str, heading: &str) -> impl Iterator<Item = Row> + use<> {
    let table = text.split(&format!("\n| {heading} |")).nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_start_matches("| ").trim_end_matches(" |").split(" | ");
        Row(cells.map(plain).collect())
    })
}

/// Text without links: a manual page has only their words.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        match link.split_once("](").and_then(|(words, after)| Some((words, after.split_once(')')?.1))) {
            Some((words, after)) if !words.contains('`') && !words.contains(']') => {
                plain.push_str(words);
                rest = after;
            }
            _ => {
                plain.push('[');
                rest = link;
            }
        }
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_their_words() {
        assert_eq!(
            plain("see [the store](store.md#x), `[key]` and\n  [a] b"),
            "see the store, `[key]` and [a] b"
        );
    }

    #[test]
    fn tables_of_the_guide_are_found() {
        assert!(exit_codes().count() >= 7 && variables().count() > 10 && precedence().count() >= 5);
        let titles: Vec<_> = keys().map(|(title, rows)| (title, rows.is_empty())).collect();
        for title in ["Keys", "Keys of [key]", "Keys of [rotation]", "Keys of a service in [services]"] {
            assert!(titles.contains(&(title.to_owned(), false)), "{titles:?}");
        }
    }
}
