//! Charts as SVG. The browser stretches the bars to the width of the page; labels are HTML, so that they keep their size.
//! Each chart has a text for people who do not see it.

use maud::{Markup, html};
use service_only::clock::Timestamp;
use service_only_evidence::findings;
use service_only_evidence::survey::Decisions;

use super::html::{compact, number, rows, short_id, shown, time};
use crate::commands::keys::Listed;
use crate::members;

const HEIGHT: f64 = 100.0;

/// How many times are labelled below a chart.
const LABELS: usize = 4;

/// Admitted and refused calls over time, as stacked bars.
pub(super) fn decisions(spans: &[Decisions], summary: &str) -> Markup {
    let highest = spans.iter().map(|span| span.allowed + span.refused).max().unwrap_or_default();
    let top = rounded(highest);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let height = |count: u64| match count {
        0 => 0.0,
        // One refusal among thousands is visible.
        count => (count as f64 / top as f64 * HEIGHT).max(1.2),
    };
    let step = spans.len().div_ceil(LABELS).max(1);
    html! {
        div.chart {
            div.scale aria-hidden="true" { span { (compact(top)) } span { (compact(top / 2)) } span { "0" } }
            svg role="img" aria-label=(summary) preserveAspectRatio="none"
                viewBox={ "0 0 " (spans.len() * 10) " " (HEIGHT) } {
                line.grid x1="0" x2="100%" y1="0" y2="0" {}
                line.grid x1="0" x2="100%" y1="50" y2="50" {}
                @for (place, span) in spans.iter().enumerate() {
                    @let (allowed, refused) = (height(span.allowed), height(span.refused));
                    @if span.allowed + span.refused > 0 {
                        g {
                            title {
                                (findings::instant(span.start)) ": " (number(span.allowed)) " admitted, "
                                (number(span.refused)) " refused"
                            }
                            @if span.allowed > 0 {
                                path.allow d=(bar(place, allowed, 0.0)) {}
                            }
                            @if span.refused > 0 {
                                path.deny d=(bar(place, refused, allowed)) {}
                            }
                        }
                    }
                }
            }
            div.times aria-hidden="true" {
                @for span in spans.iter().step_by(step) { (time(&findings::instant(span.start))) }
            }
        }
        p.legend { span.key.allow {} "admitted " span.key.deny {} "refused" }
    }
}

/// The outline of a bar that is stacked on others.
fn bar(place: usize, height: f64, below: f64) -> String {
    let bottom = (HEIGHT - below).max(0.0);
    format!("M{} {}h8v-{}h-8", place * 10 + 1, short(bottom), short(height.min(bottom)))
}

fn short(number: f64) -> String {
    format!("{number:.1}").trim_end_matches(".0").to_owned()
}

/// The next number of 1, 2 or 5 with zeros, at least 2 so that its half is a number too.
fn rounded(highest: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [2, 5, 10] {
            let top = unit.saturating_mul(factor);
            // Half of 5 is not a number of calls.
            if top >= highest && (top.is_multiple_of(2) || top == u64::MAX) {
                return top;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A share of a total, as a bar.
pub(super) fn share(part: u64, total: u64, class: &str) -> Markup {
    let percent = (part * 100).checked_div(total).unwrap_or_default().clamp(u64::from(part > 0), 100);
    html! {
        svg.share viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.rest width="100" height="8" {}
            rect class=(class) width=(percent) height="8" {}
        }
    }
}

/// How long decisions took: six bars, from up to 10 µs to longer than 100 ms.
pub(super) fn durations(counts: [u64; 6]) -> Markup {
    let most = counts.into_iter().max().unwrap_or_default();
    let names = ["≤10 µs", "≤100 µs", "≤1 ms", "≤10 ms", "≤100 ms", ">100 ms"];
    let text = names.iter().zip(counts).filter(|(_, count)| *count > 0);
    let text: Vec<_> = text.map(|(name, count)| format!("{name}: {count}")).collect();
    let bars = counts.into_iter().enumerate().map(|(place, count)| {
        let height = count.saturating_mul(15).checked_div(most).unwrap_or_default() + 1;
        format!("M{} 16h8v-{height}h-8", place * 10)
    });
    html! {
        svg.durations viewBox="0 0 60 16" role="img" aria-label=(text.join(", ")) {
            path.allow d=(bars.collect::<String>()) {}
        }
    }
}

/// The states of keys over time.
pub(super) fn rotation(keys: &[&Listed], now: Timestamp) -> Markup {
    let ends = keys.iter().filter_map(|listed| listed.ends);
    let first = keys.iter().map(|listed| listed.key.prepared_at).min().unwrap_or(now).min(now);
    let last = ends.max().unwrap_or(now).max(now);
    // A day more, so that the line of the present is within the chart.
    let (from, to) = (first.unix() - 3_600, last.unix() + 86_400);
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let x = |at: Timestamp| short((at.unix() - from) as f64 / (to - from) as f64 * 1_000.0);
    let lane = |listed: &&Listed| {
        html! { div.lane {
            span.name { code { (short_id(&listed.key.kid)) } }
            svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label=(story(listed)) {
                rect.rest width="1000" height="20" {}
                @for (class, start, end) in phases(listed, now) {
                    @let (start, end) = (x(start), x(end));
                    rect class=(class) x=(start) y="3" height="14" width=(width(&start, &end)) {}
                }
                line.now x1=(x(now)) x2=(x(now)) y1="0" y2="20" {}
            }
        } }
    };
    let labels = (0..LABELS as i64).map(|part| from + (to - from) * part / LABELS as i64);
    html! {
        div.rotation {
            (rows(14_000, keys.iter().map(lane)).markup)
            div.lane aria-hidden="true" {
                span.name {}
                div.times {
                    @for at in labels { (date(at)) }
                }
            }
        }
        p.legend {
            span.key.prepared {} "prepared " span.key.allow {} "active " span.key.planned {} "planned "
            span.key.retiring {} "retiring " span.key.deny {} "revoked"
        }
    }
}

fn date(unix: i64) -> Markup {
    let text = members::instant(Timestamp::from_unix(unix));
    html! { time datetime=(text) { (text.split('T').next().unwrap_or_default()) } }
}

fn width(start: &str, end: &str) -> String {
    let (start, end): (f64, f64) = (start.parse().unwrap_or_default(), end.parse().unwrap_or_default());
    short((end - start).max(3.0))
}

/// The phases of a key: class, start and end.
fn phases(listed: &Listed, now: Timestamp) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let key = &listed.key;
    let mut phases = Vec::new();
    let signs_until = key.retiring_at.or(key.retired_at);
    let prepared_until = key.active_at.or(signs_until).unwrap_or(now);
    phases.push(("prepared", key.prepared_at, prepared_until));
    if let Some(active_at) = key.active_at {
        let class = if listed.is_revoked { "deny" } else { "allow" };
        phases.push((class, active_at, signs_until.unwrap_or(now)));
    }
    if let Some(retiring_at) = key.retiring_at {
        phases.push(("retiring", retiring_at, key.retired_at.unwrap_or(now)));
    }
    if let Some(ends) = listed.ends.filter(|ends| *ends > now) {
        phases.push(("planned", now, ends));
    }
    phases
}

/// The phases in words.
fn story(listed: &Listed) -> String {
    let key = &listed.key;
    let mut story = format!("{}: prepared {}", shown(&key.kid), members::instant(key.prepared_at));
    let steps = [("active", key.active_at), ("retiring", key.retiring_at), ("retired", key.retired_at)];
    for (state, at) in steps {
        if let Some(at) = at {
            story.push_str(&format!(", {state} {}", members::instant(at)));
        }
    }
    if let Some(ends) = listed.ends {
        story.push_str(&format!(", planned to end {}", members::instant(ends)));
    }
    if listed.is_revoked {
        story.push_str(", revoked");
    }
    story
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_ends_at_a_round_even_number() {
        let tops = [0, 1, 2, 3, 10, 11, 21, 99, 450, u64::MAX].map(rounded);
        assert_eq!(tops[..9], [2, 2, 2, 10, 10, 20, 50, 100, 500]);
        assert_eq!(tops[9], u64::MAX);
    }

    #[test]
    fn bars_stand_on_each_other_and_stay_within_the_chart() {
        assert_eq!(bar(0, 25.0, 0.0), "M1 100h8v-25h-8");
        assert_eq!(bar(2, 50.0, 25.0), "M21 75h8v-50h-8");
        assert_eq!(bar(0, 1.2, 100.0), "M1 0h8v-0h-8");
    }

    #[test]
    fn small_shares_are_visible_and_none_is_empty() {
        assert!(share(1, 1_000_000, "deny").0.contains(r#"width="1""#));
        assert!(share(0, 10, "deny").0.contains(r#"width="0""#));
        assert!(share(0, 0, "deny").0.contains(r#"width="0""#));
    }
}
