//! The report as one HTML page. It loads nothing and has no script, and everything is escaped, because a
//! report also quotes the answers of a service.

use std::fmt::Write as _;

use super::{
    judge::{Control, Outcome},
    matrix,
    report::AttackReport,
};
use crate::fixture::Defect;

impl AttackReport {
    /// The report as one self-contained HTML page.
    pub fn html(&self) -> String {
        page(self)
    }
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Attack report</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
table { border-collapse: collapse }
th, td { border: 1px solid #ccc; padding: .25rem .5rem; text-align: left; vertical-align: top }
td.met { background: #e3f4e3 } td.refused { background: #f4f1d8 }
td.in, .bad { background: #c00; color: #fff } td.broke { background: #e8890c } td.none { color: #888 }
</style>
</head>
<body>
<h1>Attack report</h1>
"#;

pub(crate) fn page(report: &AttackReport) -> String {
    let mut page = HEAD.to_owned();
    summary(&mut page, report);
    table(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

// Writing to a `String` cannot fail.
fn summary(page: &mut String, report: &AttackReport) {
    let (got_in, verdict) = (report.got_in().count(), if report.is_clean() { "clean" } else { "not clean" });
    let _ =
        writeln!(page, "<p>{got_in} attacks got in. {} requests. {verdict}.</p>\n<ol>", report.requests());
    for endpoint in report.endpoints() {
        let _ = write!(
            page,
            "<li><code>{} {}</code>",
            escaped(endpoint.method().as_str()),
            escaped(endpoint.target())
        );
        if let Control::ProvesNothing(why) = endpoint.control() {
            let _ = write!(page, " <span class=\"bad\">proves nothing: {}</span>", escaped(why));
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n");
    for (path, reason) in report.not_attacked() {
        let (path, reason) = (escaped(path), escaped(reason));
        let _ = writeln!(page, "<p><code>{path}</code> was not attacked, {reason}</p>");
    }
}

fn table(page: &mut String, report: &AttackReport) {
    page.push_str("<table>\n<tr><th>family<th>class<th>attack<th>source");
    for number in 1..=report.endpoints().len() {
        let _ = write!(page, "<th>{number}");
    }
    page.push_str("</tr>\n");
    for defect in Defect::ALL {
        let texts = [defect.family(), defect.name(), defect.attack(), defect.source()];
        page.push_str("<tr>");
        for text in texts {
            let _ = write!(page, "<td>{}", escaped(text));
        }
        for endpoint in report.endpoints() {
            let outcome = endpoint.outcome(*defect);
            let (class, said) =
                (class(outcome), outcome.map_or("not attacked".to_owned(), Outcome::to_string));
            let (said, cell) = (escaped(&said), escaped(&matrix::cell(outcome)));
            let _ = write!(page, "<td class=\"{class}\" title=\"{said}\">{cell}");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn class(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Met(_)) => "met",
        Some(Outcome::Refused(_)) => "refused",
        Some(Outcome::GotIn(_)) => "in",
        Some(Outcome::Broke(_)) => "broke",
        Some(Outcome::SaysNothing(_)) => "none",
        Some(Outcome::NotSent(_)) | None => "none",
    }
}

/// Text for an element or a quoted attribute; control characters become visible escapes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() => escaped.extend(character.escape_unicode()),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_quoted_becomes_markup() {
        assert_eq!(
            escaped("<b title='x' a=\"&\">\n"),
            "&lt;b title=&#39;x&#39; a=&quot;&amp;&quot;&gt;\\u{a}"
        );
    }
}
