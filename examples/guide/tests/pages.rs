//! The pages of the guide in `docs/src`: their code is compiled, and their structure is complete.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

/// Each page with its text, without the summary.
fn pages() -> Vec<(String, String)> {
    let folder = root().join("docs/src");
    let mut found = Vec::new();
    files(&folder, "md", &mut found);
    let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
    let pages = found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap()));
    pages.filter(|(name, _)| name != "SUMMARY.md").collect()
}

/// The targets of the links outside of code blocks.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The blocks whose language starts with `rust`, with the language.
fn rust_blocks(text: &str) -> Vec<(&str, &str)> {
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.filter(|(language, _)| language.starts_with("rust")).collect()
}

#[test]
fn rust_code_of_the_guide_is_in_a_program_that_is_compiled() {
    let mut sources = vec![root().join("cli/tests/cli/configuration.rs")];
    for example in fs::read_dir(root().join("examples")).unwrap() {
        files(&example.unwrap().path().join("src"), "rs", &mut sources);
    }
    let sources: Vec<_> = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut count = 0;
    for (name, text) in pages() {
        for (language, block) in rust_blocks(&text) {
            assert_eq!(language, "rust", "{name}: a block that no compiler reads");
            // A block may join items that are apart in the program.
            for item in items(block) {
                let known = sources.iter().any(|source| source.contains(&item));
                assert!(known, "{name}: no example contains\n{item}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} items were found");
}

/// The top-level items of a block: a blank line before an unindented line separates them.
fn items(block: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    for part in block.split("\n\n") {
        let last = items.last_mut().unwrap();
        if !last.is_empty() && part.starts_with([' ', '}']) {
            last.push_str("\n\n");
            last.push_str(part);
        } else {
            items.push(part.to_owned());
        }
    }
    items.into_iter().filter(|item| !item.trim().is_empty()).collect()
}

#[test]
fn items_of_a_block_keep_their_blank_lines() {
    assert_eq!(
        items("fn a() {\n    1;\n\n    2;\n}\n\nfn b() {}\n"),
        ["fn a() {\n    1;\n\n    2;\n}", "fn b() {}\n"]
    );
}

#[test]
fn summary_lists_each_page_once() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let listed: Vec<_> = links(&summary).map(str::to_owned).collect();
    let names: BTreeSet<_> = pages().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed.len(), names.len(), "a page is missing, or is listed twice");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
}

/// A link out of the book works in the repository and not in the book. The quick start's tests follow all links.
#[test]
fn links_of_the_guide_stay_in_the_book() {
    let book = fs::canonicalize(root().join("docs/src")).unwrap();
    let mut count = 0;
    for (name, text) in pages() {
        for link in links(&text).filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            let page = book.join(&name);
            let target = if file.is_empty() { page } else { page.parent().unwrap().join(file) };
            let target = fs::canonicalize(&target);
            assert!(target.is_ok_and(|target| target.starts_with(&book)), "{name}: {link}");
            count += 1;
        }
    }
    assert!(count > 40, "only {count} links were found");
}

#[test]
fn paths_that_the_guide_names_exist() {
    let folders = ["cli/", "docs/", "examples/", "macros/", "runtime/", "testkit/"];
    let mut count = 0;
    for (name, text) in pages() {
        let prose: String = text.split("```").step_by(2).collect();
        let code = prose.split('`').skip(1).step_by(2);
        for path in code.filter(|code| folders.iter().any(|folder| code.starts_with(folder))) {
            assert!(root().join(path).exists(), "{name}: {path}");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} paths were found");
}
