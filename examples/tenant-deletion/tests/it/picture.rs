//! The picture of the demonstration in README.md and in the guide, drawn from what the binary prints on a terminal.
//! After a change of the output: `UPDATE_PICTURE=1 cargo test -p tenant-deletion --test it picture`.

use std::fmt::Write as _;
use std::path::Path;

use crate::terminal::on_terminal;

/// The headings of the parts that are drawn. The audit table is left out: the order of its rows varies.
const FROM: &str = "Refused";
const TO: &str = "Audit";

const CELL: f32 = 8.4;
const LINE: usize = 19;
const MARGIN: usize = 20;

#[tokio::test]
async fn picture_of_the_demonstration_is_what_it_prints() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("--state-dir '{}'", directory.path().display());
    let Some((code, seen)) = on_terminal(&arguments, "", false).await else { return };
    assert_eq!(code, 0, "{seen}");
    let drawn = draw(&lines(&seen));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/demo.svg");
    if std::env::var_os("UPDATE_PICTURE").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(without_times(&kept), without_times(&drawn), "update the picture, as this file says");
}

/// A run takes another time each time.
fn without_times(svg: &str) -> Vec<&str> {
    svg.lines().filter(|line| !line.ends_with(" ms</text>")).collect()
}

/// The lines of the parts that are drawn, without those that a progress bar has erased.
fn lines(seen: &str) -> Vec<Vec<Span>> {
    let printed = seen.lines().map(|line| line.trim_end_matches('\r'));
    let left = printed.map(|line| line.rsplit("\u{1b}[2K").next().unwrap_or_default());
    let lines = left.map(spans).skip_while(|line| !is_heading(line, FROM));
    let mut lines: Vec<_> = lines.take_while(|line| !is_heading(line, TO)).collect();
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    assert!(lines.len() > 20, "{seen}");
    lines
}

fn is_heading(line: &[Span], text: &str) -> bool {
    line.first().is_some_and(|span| span.style == "bold" && span.text == text)
}

/// Text of one style.
struct Span {
    column: usize,
    text: String,
    style: &'static str,
}

/// Reads the "select graphic rendition" sequences of a line.
fn spans(line: &str) -> Vec<Span> {
    let (mut spans, mut column, mut style) = (Vec::new(), 0, "plain");
    for (number, part) in line.split("\u{1b}[").enumerate() {
        let text = match (number, part.split_once('m')) {
            (0, _) => part,
            (_, Some((code, text))) => {
                style = match code {
                    "0" | "39" => "plain",
                    "1" => "bold",
                    "2" => "dim",
                    "38;5;9" => "red",
                    "38;5;10" => "green",
                    other => panic!("no style is known for `{other}`"),
                };
                text
            }
            (_, None) => panic!("a sequence without its end: {part}"),
        };
        let length = text.chars().count();
        if !text.trim().is_empty() {
            spans.push(Span { column, text: text.to_owned(), style });
        }
        column += length;
    }
    spans
}

fn draw(lines: &[Vec<Span>]) -> String {
    let ends = lines.iter().flatten().map(|span| span.column + span.text.chars().count());
    // In steps of ten columns, so that the digits of a time do not change the width.
    let columns = ends.max().unwrap_or_default().next_multiple_of(10);
    let width = columns as f32 * CELL + 2.0 * MARGIN as f32;
    let height = lines.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height}\" width=\"{width:.0}\" \
         height=\"{height}\" role=\"img\" aria-label=\"Output of cargo run -p tenant-deletion\">\n\
         <style>text {{ font: 14px ui-monospace, Menlo, Consolas, monospace; white-space: pre; fill: #d0d7de }} \
         .bold {{ font-weight: bold; fill: #ffffff }} .dim {{ fill: #8b949e }} .red {{ fill: #ff7b72 }} \
         .green {{ fill: #7ee787 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row + 1) * LINE - 5;
        for Span { column, text, style } in line {
            let x = MARGIN as f32 + *column as f32 * CELL;
            let length = text.chars().count() as f32 * CELL;
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            writeln!(
                svg,
                "<text class=\"{style}\" x=\"{x:.1}\" y=\"{y}\" textLength=\"{length:.1}\" xml:space=\"preserve\">{text}</text>"
            )
            .unwrap();
        }
    }
    svg.push_str("</svg>\n");
    svg
}
