//! The report as one HTML page. It loads nothing and has no script. Everything is escaped, because a report also
//! quotes routes and the answers of a service.

use std::fmt::Write as _;

use super::{
    judge::Outcome,
    matrix,
    report::{AttackReport, EndpointReport, Finding},
    summary::{Cause, counted},
};
use crate::fixture::Defect;

impl AttackReport {
    /// The report as one self-contained HTML page, for a browser, a phone or a printer.
    ///
    /// It begins with the verdict, the date in UTC and the version of this crate. The findings by cause follow,
    /// then the families that fail completely, and a table of all results. It contains no token.
    pub fn html(&self) -> String {
        page(self)
    }
}

const STYLE: &str = include_str!("report.css");

fn page(report: &AttackReport) -> String {
    let (class, verdict) = if report.is_clean() { ("good", "Clean") } else { ("bad", "Not clean") };
    let mut page = head(verdict);
    let said = escaped(&report.verdict());
    page += &format!("<header>\n<h1>Attack report</h1>\n<p class=\"verdict {class}\">");
    page += &format!("<strong>{verdict}:</strong> {said}</p>\n");
    page += &facts(report);
    page += "</header>\n<main>\n";
    page += &list("Inconclusive", report.inconclusive().map(|(endpoint, why)| inconclusive(endpoint, why)));
    page += "<h2>Findings by cause</h2>\n";
    page += &causes(&report.causes());
    page += &list("Families that fail completely", report.endpoints().iter().filter_map(failing));
    page += &list("No conclusion", report.undecided().map(undecided));
    page += &list("Not sent", report.not_sent().into_iter().map(not_sent));
    page += &list("Not attacked", report.not_attacked().iter().map(not_attacked));
    page += "<h2>All results</h2>\n";
    page += LEGEND;
    page += &table(report);
    page += "</main>\n</body>\n</html>\n";
    page
}

fn head(verdict: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Attack report: {verdict}</title>
<style>
{STYLE}</style>
</head>
<body>
"#
    )
}

fn facts(report: &AttackReport) -> String {
    let time = report.created.to_string();
    // The microseconds say nothing to a reader.
    let second = time.split('.').next().unwrap_or_default();
    let date = format!("<time datetime=\"{second}Z\">{} UTC</time>", second.replace('T', " "));
    let version = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let mut facts = String::from("<dl class=\"facts\">\n");
    for (name, value) in [
        ("Date", date),
        ("Version", version.to_owned()),
        ("Target", escaped(&report.target)),
        ("Endpoints", report.endpoints().iter().map(name).collect::<Vec<_>>().join("<br>")),
        ("Requests", report.requests().to_string()),
    ] {
        facts += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    facts + "</dl>\n"
}

/// A section with a list; empty without rows.
fn list(title: &str, rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.map(|row| format!("<li>{row}</li>\n")).collect();
    if rows.is_empty() { rows } else { format!("<h2>{title}</h2>\n<ul>\n{rows}</ul>\n") }
}

fn inconclusive(endpoint: &EndpointReport, why: &str) -> String {
    format!("{} proves nothing: {}", name(endpoint), prose(why))
}

fn failing(endpoint: &EndpointReport) -> Option<String> {
    let families = endpoint.failing_families();
    let families: Vec<_> =
        families.iter().map(|(family, count)| format!("all {count} of <code>{family}</code>")).collect();
    (!families.is_empty()).then(|| format!("{}: {}", name(endpoint), families.join(", ")))
}

fn undecided((endpoint, finding): (&EndpointReport, &Finding)) -> String {
    let (defect, outcome) = (finding.defect(), prose(&finding.outcome().to_string()));
    format!("<code>{defect}</code> at {}: {outcome}", name(endpoint))
}

fn not_sent((reason, attacks): (&str, usize)) -> String {
    format!("{}: {}", counted(attacks, "attack"), prose(reason))
}

fn not_attacked((path, reason): &(String, String)) -> String {
    format!("<code>{}</code>: {}", escaped(path), prose(reason))
}

/// An overview, then each cause with its attacks.
fn causes(causes: &[Cause<'_>]) -> String {
    if causes.is_empty() {
        return "<p>The attack has no findings.</p>\n".to_owned();
    }
    let mut overview = String::from("<ul>\n");
    let mut sections = String::new();
    for (number, cause) in causes.iter().enumerate() {
        let (sentence, count) = (prose(&cause.sentence), counted(cause.findings.len(), "attack"));
        overview += &format!("<li><a href=\"#cause-{number}\">{sentence}</a>: {count}</li>\n");
        sections += &format!("<section class=\"cause\" id=\"cause-{number}\">\n");
        sections += &format!("<h3>{sentence} <span class=\"count\">({count})</span></h3>\n<ul>\n");
        sections.extend(cause.findings.iter().map(|(endpoint, finding)| row(endpoint, finding)));
        sections += "</ul>\n</section>\n";
    }
    overview + "</ul>\n" + &sections
}

fn row(endpoint: &EndpointReport, finding: &Finding) -> String {
    let (defect, outcome) = (finding.defect(), finding.outcome());
    format!(
        "<li>{} <code>{defect}</code> <span class=\"soft\">at {}: {}</span><br>{} <span class=\"source\">{}</span></li>\n",
        mark(Some(outcome)),
        name(endpoint),
        prose(&outcome.to_string()),
        prose(defect.attack()),
        escaped(defect.source()),
    )
}

/// The marks are those of the matrix, so that a reader needs no colours.
const LEGEND: &str = r#"<dl class="legend">
<dt><span class="mark met">401</span></dt><dd>green, a status alone: refused as required</dd>
<dt><span class="mark met">tls</span></dt><dd>green, <code>tls</code>: the connection was refused as required</dd>
<dt><span class="mark refused">~404</span></dt><dd>yellow, <code>~</code>: refused with another status or code</dd>
<dt><span class="mark in">!200</span></dt><dd>red, <code>!</code>: the attack got in</dd>
<dt><span class="mark broke">#500</span></dt><dd>orange, <code>#</code>: the attack broke the service</dd>
<dt><span class="mark none">?200</span></dt><dd>grey, <code>?</code>: the answer allows no conclusion about the guard</dd>
<dt><span class="mark none">-</span></dt><dd>grey, <code>-</code>: not sent</dd>
</dl>
"#;

fn table(report: &AttackReport) -> String {
    let mut table = String::from("<ol>\n");
    for endpoint in report.endpoints() {
        let _ = writeln!(table, "<li>{}</li>", name(endpoint));
    }
    table += "</ol>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All results\">\n";
    table += "<table>\n<thead><tr><th scope=\"col\">class</th>";
    for number in 1..=report.endpoints().len() {
        let _ = write!(table, "<th scope=\"col\">{number}</th>");
    }
    table += "<th scope=\"col\">family</th><th scope=\"col\">attack</th></tr></thead>\n<tbody>\n";
    for defect in Defect::ALL {
        // A name may be wrapped after an underscore: the column is narrow on a phone.
        let name = defect.name().replace('_', "_<wbr>");
        let _ = write!(table, "<tr><th scope=\"row\"><code>{name}</code></th>");
        for endpoint in report.endpoints() {
            let outcome = endpoint.outcome(*defect);
            let said = outcome.map_or("not attacked".to_owned(), Outcome::to_string);
            let (said, mark) = (escaped(&said), mark(outcome));
            let _ = write!(table, "<td class=\"result\" title=\"{said}\">{mark}</td>");
        }
        let (family, attack, source) = (defect.family(), prose(defect.attack()), escaped(defect.source()));
        let _ = write!(table, "<td>{family}</td><td class=\"attack\">{attack}");
        let _ = writeln!(table, " <span class=\"source\">{source}</span></td></tr>");
    }
    table + "</tbody>\n</table>\n</div>\n"
}

fn mark(outcome: Option<&Outcome>) -> String {
    let class = match outcome {
        Some(Outcome::Met(_) | Outcome::TurnedAway(_)) => "met",
        Some(Outcome::Refused(_)) => "refused",
        Some(Outcome::GotIn(_)) => "in",
        Some(Outcome::Broke(_)) => "broke",
        Some(Outcome::NoConclusion(_) | Outcome::NotSent(_)) | None => "none",
    };
    format!("<span class=\"mark {class}\">{}</span>", escaped(&matrix::cell(outcome)))
}

fn name(endpoint: &EndpointReport) -> String {
    format!("<code>{}</code>", escaped(&endpoint.name()))
}

/// A sentence with code between backticks. A backtick without a partner stays text.
fn prose(text: &str) -> String {
    let escaped = escaped(text);
    let mut parts = escaped.split('`');
    let mut prose = parts.next().unwrap_or_default().to_owned();
    while let Some(code) = parts.next() {
        match parts.next() {
            Some(text) => prose += &format!("<code>{code}</code>{text}"),
            None => prose += &format!("`{code}"),
        }
    }
    prose
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
mod tests;
