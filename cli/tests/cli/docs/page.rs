//! An operations page of the guide: its headings, its commands, and the output that it shows for them.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/operations")
}

/// Every page of the guide, with its path.
pub(super) fn all() -> Vec<(PathBuf, String)> {
    let (mut folders, mut pages) = (vec![folder().join("..")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages
}

pub(super) fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// A block marked `sh`, and the block marked `text` that follows it under the same heading.
pub(super) struct Step {
    pub(super) heading: String,
    pub(super) script: String,
    pub(super) shown: Option<String>,
}

/// The steps of a page, in order, without the indentation of the lists that they stand in.
pub(super) fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for Block { heading, language, text } in blocks(text) {
        match (language.as_str(), steps.last_mut()) {
            ("sh", _) => steps.push(Step { heading, script: text, shown: None }),
            ("text", Some(last)) if last.heading == heading && last.shown.is_none() => {
                last.shown = Some(text)
            }
            _ => {}
        }
    }
    steps
}

struct Block {
    heading: String,
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut heading) = (Vec::new(), String::new());
    let mut open: Option<(usize, Block)> = None;
    for line in page.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim()) {
            (Some(_), "```") => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), _) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, fence) if fence.starts_with("```") => {
                let language = fence.trim_start_matches('`').to_owned();
                open = Some((indent, Block { heading: heading.clone(), language, text: String::new() }));
            }
            (None, title) if line.starts_with('#') => {
                heading = title.trim_start_matches('#').trim().trim_matches('`').to_owned();
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// Each line that a page shows is there, in this order; `…` stands for anything.
pub(super) fn assert_shown(shown: &str, output: &str) {
    let mut lines = output.lines();
    for wanted in shown.lines() {
        assert!(lines.any(|line| fits(wanted.trim_end(), line.trim_end())), "no `{wanted}` in\n{output}");
    }
}

fn fits(wanted: &str, line: &str) -> bool {
    let Some((before, after)) = wanted.split_once('…') else { return wanted == line };
    line.strip_prefix(before).is_some_and(|rest| {
        let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        ends.any(|at| fits(after, &rest[at..]))
    })
}

#[test]
fn ellipsis_matches_any_text_and_other_text_matches_itself() {
    for (wanted, line) in
        [("a", "a"), ("a…", "abc"), ("…c", "abc"), ("a…c…e", "abcdce"), ("…", ""), ("…c", "cc")]
    {
        assert!(fits(wanted, line), "{wanted} {line}");
    }
    for (wanted, line) in [("a", "ab"), ("a", "ba"), ("…c", "abcd"), ("a…d", "abc"), ("", "a")] {
        assert!(!fits(wanted, line), "{wanted} {line}");
    }
}
