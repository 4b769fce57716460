//! Makes text from tokens, files and arguments safe for a terminal.
//!
//! A stranger may have written a token. Printed raw, its claims could move the cursor, recolour the screen,
//! reorder the text (the "Trojan Source" trick) or end a log line early. So every character that is not
//! plainly visible is printed as `\u001b`, in text and in JSON alike. In JSON this is only another spelling
//! of the same string.

use std::fmt::Write as _;

use serde::Serialize;

/// `text` on one line, with an escape for every invisible or reordering character.
pub(crate) fn one_line(text: &str) -> String {
    escape(text, |c| c.is_ascii_control() || deceives(c))
}

/// `text` with its line breaks, and with an escape for every other invisible character.
pub(crate) fn lines(text: &str) -> String {
    escape(text, |c| c != '\n' && (c.is_ascii_control() || deceives(c)))
}

/// Metrics in the text format of Prometheus, safe like [`lines`]. Its label values have no `\u`, and a reader refuses the
/// whole file if one has, so the backslash is escaped too.
pub(crate) fn metrics(text: &str) -> String {
    escape_with("\\\\", text, |c| c != '\n' && (c.is_ascii_control() || deceives(c)))
}

/// `value` as JSON on one line.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    // serde_json has already escaped ASCII control characters; the others can only occur inside strings.
    serde_json::to_string(value).map(|text| escape(&text, deceives))
}

/// `value` as JSON for people, over several lines.
pub(crate) fn pretty_json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| escape(&text, deceives))
}

/// Control characters beyond ASCII's: DEL, C1, line separators, and the format characters that are invisible
/// or change the reading direction (UAX 9, UTS 39).
fn deceives(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

fn escape(text: &str, must: impl Fn(char) -> bool) -> String {
    escape_with("\\", text, must)
}

fn escape_with(backslash: &str, text: &str, must: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if must(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "{backslash}u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_are_spelled_out() {
        assert_eq!(one_line("a\u{1b}[31mb\r\nc\u{9b}2J"), "a\\u001b[31mb\\u000d\\u000ac\\u009b2J");
    }

    #[test]
    fn reordering_and_invisible_characters_are_spelled_out() {
        assert_eq!(one_line("\u{202e}x\u{2066}\u{feff}\u{2028}"), "\\u202ex\\u2066\\ufeff\\u2028");
    }

    #[test]
    fn label_of_a_metric_has_no_escape_that_prometheus_refuses() {
        let text = "a{b=\"c\\\\u\u{202e}\u{1b}\u{e0001}\"} 1\n";
        assert_eq!(metrics(text), "a{b=\"c\\\\u\\\\u202e\\\\u001b\\\\udb40\\\\udc01\"} 1\n");
    }

    #[test]
    fn letters_of_any_script_stay() {
        assert_eq!(one_line("Bäckerei 焼き 🥐"), "Bäckerei 焼き 🥐");
    }

    #[test]
    fn json_keeps_its_meaning_and_its_line_breaks() {
        let value = serde_json::json!({ "a": "\u{202e}\u{85}\u{e0041}\u{1b}" });
        let text = json(&value).unwrap();
        assert_eq!(text, r#"{"a":"\u202e\u0085\udb40\udc41\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(pretty_json(&serde_json::json!({ "a": 1 })).unwrap(), "{\n  \"a\": 1\n}");
    }
}
