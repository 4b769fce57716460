use http::{Method, StatusCode};
use service_only::clock::Timestamp;

use super::*;
use crate::attack::judge::Control;

#[test]
fn quoted_text_does_not_become_markup() {
    assert_eq!(escaped("<b title='x' a=\"&\">\n"), "&lt;b title=&#39;x&#39; a=&quot;&amp;&quot;&gt;\\u{a}");
    assert_eq!(prose("`<aud>` is `not` compared`"), "<code>&lt;aud&gt;</code> is <code>not</code> compared`");
}

/// Markup that leaves an element, an attribute, a comment and a style.
const HOSTILE: &str = "\"'`><script>alert(1)</script><!--</style><img src=x onerror=alert(1)>\u{202e}\0";

/// A report in which each text that a route or a service chooses is hostile.
fn hostile() -> AttackReport {
    let text = || HOSTILE.to_owned();
    let outcomes = [
        Outcome::GotIn(text()),
        Outcome::Broke(text()),
        Outcome::Refused(text()),
        Outcome::NoConclusion(text()),
        Outcome::NotSent(text()),
        Outcome::Met(StatusCode::UNAUTHORIZED),
    ];
    let findings = Defect::ALL.iter().zip(outcomes).map(|(defect, outcome)| Finding::new(*defect, outcome));
    let method = Method::from_bytes(b"GET'`").unwrap();
    let control = Control::ProvesNothing(text());
    AttackReport {
        endpoints: vec![
            EndpointReport::new(method.clone(), text(), control.clone(), findings.collect()),
            EndpointReport::without_attack(method, text(), control),
        ],
        not_attacked: vec![(text(), text())],
        sent: 7,
        exact: true,
        target: text(),
        created: Timestamp::from_unix(1_767_225_600),
    }
}

#[test]
fn hostile_routes_and_answers_are_escaped_everywhere() {
    let page = page(&hostile());
    for markup in ["<script", "<img", "<!--", "onerror=alert(1)>", "'`>", "\0"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    // Each section quotes it once or more, and none drops it.
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 20);
    // Every quote of an attribute is still closed: the tags have an even number of quotes.
    let tags = page.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    assert!(
        tags.into_iter()
            .skip_while(|tag| !tag.starts_with("/style"))
            .all(|tag| tag.matches('"').count() % 2 == 0)
    );
}

#[test]
fn page_begins_with_verdict_date_and_version() {
    let page = page(&hostile());
    let (before, _) = page.split_once("<h2>").unwrap();
    assert!(before.contains("<strong>Not clean:</strong> 1 of 5 attacks got in, 1 broke the service"));
    assert!(before.contains("<time datetime=\"2026-01-01T00:00:00Z\">2026-01-01 00:00:00 UTC</time>"));
    assert!(before.contains(concat!("service-only-testkit ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn page_loads_nothing_and_runs_nothing() {
    let page = page(&hostile());
    assert!(page.contains("default-src 'none'"));
    // The only links lead to the causes on the same page.
    let page = page.replace("<a href=\"#cause-", "");
    for resource in [" src=", " href=", "url(", "@import", "<link", "javascript:"] {
        // The hostile text contains ` src=`, after an escaped `<img`.
        assert!(!page.replace("&lt;img src=x", "").contains(resource), "{resource}");
    }
}

#[test]
fn every_mark_of_the_matrix_is_in_the_legend() {
    let report = hostile();
    for finding in report.findings() {
        let mark = mark(Some(finding.outcome()));
        let (class, _) = mark.split_once("\">").unwrap();
        assert!(LEGEND.contains(class), "{mark}");
    }
}
