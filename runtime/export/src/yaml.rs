//! Writes YAML with comments next to the values that they explain.
//!
//! No library is used, because readers differ: Kubernetes reads YAML 1.1, where a plain `on` or `1:30` is not
//! a string, and the available libraries write YAML 1.2. This module writes a value without quotes only if
//! both versions read it as the same string.

use std::fmt::Write as _;

use serde_json::Value;

/// A document to which lines are appended.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Writes one line of comment. A YAML 1.1 line break or a control character would end the comment.
    pub(crate) fn comment(&mut self, indent: usize, text: &str) {
        self.line(indent, &format!("# {}", one_line(text)));
    }

    /// Writes one line without a change.
    pub(crate) fn line(&mut self, indent: usize, text: &str) {
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Writes a value at this indentation.
    pub(crate) fn value(&mut self, indent: usize, value: &Value) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, value)| self.member(indent, name, value));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().for_each(|item| self.item(indent, item));
            }
            single => self.line(indent, &scalar(single)),
        }
    }

    fn member(&mut self, indent: usize, name: &str, value: &Value) {
        let name = text(name);
        match value {
            Value::Object(members) if !members.is_empty() => {
                self.line(indent, &format!("{name}:"));
                self.value(indent + 2, value);
            }
            Value::Array(items) if !items.is_empty() => {
                self.line(indent, &format!("{name}:"));
                self.value(indent, value);
            }
            single => self.line(indent, &format!("{name}: {}", scalar(single))),
        }
    }

    /// Writes the lines of a list item two columns further right, with a dash before the first.
    fn item(&mut self, indent: usize, item: &Value) {
        let mut own = Self::default();
        own.value(indent + 2, item);
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str("- ");
        self.0.push_str(own.0.get(indent + 2..).unwrap_or_default());
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        // Numbers, `true` and `false`, `[]` and `{}` are the same in JSON.
        other => other.to_string(),
    }
}

/// A string, in quotes unless every reader reads it as a string without them.
pub(crate) fn text(text: &str) -> String {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let inner = |c: char| c.is_ascii_alphanumeric() || "/_.-:@[]{}*".contains(c);
    if first && text.chars().all(inner) && !text.ends_with(':') && !is_word(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            c if is_visible(c) => write!(quoted, "{c}"),
            c => write!(quoted, "\\U{:08x}", u32::from(c)),
        };
    }
    quoted.push('"');
    quoted
}

/// The words that YAML 1.1 does not read as strings: <https://yaml.org/type/bool.html>, `null.html`.
fn is_word(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// `text` with escapes for control characters, line breaks and characters that change its direction.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_visible(c) {
            line.push(c);
        } else {
            line.extend(c.escape_unicode());
        }
    }
    line
}

fn is_visible(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    /// Strings that YAML 1.1 or YAML 1.2 reads as another type when they have no quotes.
    const TRAPS: [&str; 62] = [
        "",
        " ",
        "no",
        "No",
        "NO",
        "on",
        "Off",
        "y",
        "Y",
        "n",
        "yes",
        "TRUE",
        "null",
        "Null",
        "~",
        ".inf",
        "-.INF",
        ".nan",
        "1",
        "+1",
        "-1",
        "0",
        "007",
        "08",
        "0o7",
        "0x1F",
        "0b10",
        "1_000",
        "1e3",
        "1E3",
        "6.02e23",
        ".5",
        "1.",
        "1:30",
        "190:20:30",
        "2026-11-29",
        "2026-11-29T10:00:00Z",
        "2026-11-29 10:00:00 +02:00",
        "=",
        "<<",
        "-",
        "- a",
        "?",
        ": a",
        "a: b",
        "a:",
        "a #b",
        "#a",
        "[a",
        "{a}",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "@a",
        "`a",
        "%a",
        "'a",
        "\"a\\",
        "a\nb\t\u{85}\u{2028}\u{feff}c",
        "---",
    ];

    #[test]
    fn every_text_is_the_same_text_for_readers_of_yaml_1_1_and_1_2() {
        let mut page = Page::default();
        page.value(0, &Value::from(TRAPS.map(|trap| serde_json::json!({ trap: trap })).to_vec()));
        let document = page.finish();
        let expected: Vec<Value> = TRAPS.map(|trap| serde_json::json!({ trap: trap })).to_vec();
        let read: Vec<Value> = serde_norway::from_str(&document).unwrap();
        assert_eq!(read, expected, "{document}");

        let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin.buffer)))";
        let child = Command::new(python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return };
        child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("No module named") {
            return;
        }
        assert!(output.status.success(), "{said}");
        let read: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(read, expected, "{document}");
    }

    #[test]
    fn unambiguous_names_are_not_quoted() {
        for name in
            ["bakery", "orders-service-token", "security.istio.io/v1", "/api/*", "cluster.local/ns/a/sa/b"]
        {
            assert_eq!(text(name), name);
        }
    }
}
