//! README.md and the guide's first page show exactly the code that is compiled and tested here. The documents of the
//! project name tests and files that exist.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeSet;

const README: &str = include_str!("../../../README.md");

/// The code blocks of a page in one language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line) {
            (None, line) if line.strip_prefix("```") == Some(language) => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn quick_start_is_this_crate() {
    let main = include_str!("../src/main.rs");
    let test = include_str!("../src/tests.rs");
    let first_page = include_str!("../../../docs/src/getting-started.md");
    // The first line of the file is its documentation.
    let main = main.split_once("\n\n").unwrap().1;
    assert_eq!(blocks(README, "rust"), [main]);
    assert_eq!(blocks(first_page, "rust"), [main, test]);
    assert_eq!(blocks(README, "toml"), blocks(first_page, "toml"));
    assert!(main.lines().count() <= 40, "the quick start has at most forty lines");
}

#[test]
fn readme_has_at_most_150_lines_and_both_commands() {
    assert!(README.lines().count() <= 150);
    assert!(README.contains("\ncargo run -p tenant-deletion\ncargo test --workspace\n"));
}

/// The rows of the table with this heading: the first cell, and the last.
fn rows<'p>(page: &'p str, heading: &str) -> Vec<(&'p str, &'p str)> {
    let table = page.split_once(heading).unwrap().1.trim_start();
    let rows = table.lines().skip_while(|line| line.starts_with("| --") || line.starts_with("| |"));
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| line.trim_matches('|'));
    rows.map(|row| (row.split('|').next().unwrap().trim(), row.rsplit('|').next().unwrap().trim())).collect()
}

#[test]
fn figures_of_the_comparison_are_those_of_the_benchmark_and_of_the_test_kit() {
    let results =
        rows(include_str!("../../../runtime/benches/RESULTS.md"), "## Throughput on one core, HS256\n");
    let shown = rows(README, "| | share of the unguarded throughput |\n");
    assert_eq!(shown.len(), 5);
    for row in shown {
        assert!(results.contains(&row), "{row:?} is not in {results:?}");
    }
    let attacks = include_str!("../../../testkit/README.md");
    let (count, _) = attacks.split_once(" classes in ").unwrap();
    let classes = format!("{} classes", count.rsplit(' ').next().unwrap());
    for page in [README, include_str!("../../../docs/src/testing.md")] {
        assert!(page.contains(&classes), "{classes}");
    }
    let (_, attacks) = attacks.split_once("Of 277 attacks on one endpoint:\n\n").unwrap();
    let cells = |line: &'static str| line.trim_matches('|').split('|').skip(1).map(str::trim);
    let mut lines = attacks.lines();
    let names = cells(lines.next().unwrap());
    let counts = cells(lines.nth(1).unwrap());
    let shown = rows(README, "| libraries of the service | accepted attacks |\n");
    assert_eq!(shown, names.zip(counts).collect::<Vec<_>>());
}

#[test]
fn audit_record_of_the_guide_is_json_with_the_names_that_are_written() {
    let record = blocks(include_str!("../../../docs/src/audit.md"), "json").swap_remove(0);
    for name in ["id", "time", "decision", "status", "code", "stage", "reason", "endpoint", "duration_us"] {
        assert!(record.contains(&format!("\"{name}\":")), "{name}");
    }
}

#[test]
fn table_of_the_fields_of_a_record_has_all_members_and_no_other() {
    let page = include_str!("../../../docs/src/audit.md");
    let (_, section) = page.split_once("## Fields of a record").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let listed: BTreeSet<&str> = names.collect();
    let source = include_str!("../../../runtime/src/audit/record.rs");
    let (_, fields) = source.split_once("pub struct AuditRecord {").unwrap();
    let (mut members, mut name) = (BTreeSet::new(), None);
    for line in fields.split("\n}").next().unwrap().lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("rename = \"") {
            name = rest.split('"').next();
        } else if line == "#[serde(skip)]" {
            name = Some("");
        } else if let Some(field) = line.strip_prefix("pub ") {
            members.insert(name.take().unwrap_or(field.split(':').next().unwrap()));
        }
    }
    members.remove("");
    assert!(members.len() > 20, "{members:?}");
    assert_eq!(listed, members);
}

/// All Rust code of the workspace, for looking up names of tests.
fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::new();
    sources(&root, &mut code);
    let page = include_str!("../../../SECURITY.md");
    // The last column of the table of attacks.
    let rows =
        page.lines().filter(|line| line.starts_with('|')).filter(|line| line.matches('|').count() == 4);
    let names: Vec<&str> = rows
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_'))
        .collect();
    assert!(names.len() > 50, "only {} tests are named", names.len());
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "there is no test `{name}`");
    }
}

/// All documents of the project.
fn documents(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            documents(&path, found);
        // A symbolic link packages a page with a crate; its relative links are those of the page.
        } else if name.ends_with(".md") && !path.is_symlink() {
            found.push(path);
        }
    }
}

/// The text outside of blocks of code.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2);
    outside.collect()
}

/// The anchors that GitHub gives to headings: lower case, `-` for a space, no other punctuation.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|kept| kept.is_alphanumeric() || matches!(kept, ' ' | '-' | '_'));
        kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut pages, mut links) = (Vec::new(), 0);
    documents(&root, &mut pages);
    for page in pages {
        let text = prose(&std::fs::read_to_string(&page).unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let there = anchors(&prose(&std::fs::read_to_string(&target).unwrap()));
                assert!(there.iter().any(|own| own == anchor), "{}: {link}", page.display());
            }
        }
    }
    assert!(links > 40, "only {links} links were found");
}

/// The manifests of the crates that are published.
fn published(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
            published(&path, found);
        } else if name == "Cargo.toml" {
            let manifest = std::fs::read_to_string(&path).unwrap();
            let package = manifest.lines().any(|line| line == "[package]");
            if package && !manifest.lines().any(|line| line == "publish = false") {
                found.push(path);
            }
        }
    }
}

/// The features of a manifest, each as the first cell of its row: `` `axum` (default) ``.
fn features(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let table: Vec<_> = lines.take_while(|line| !line.starts_with('[')).collect();
    let named = |name: &str| table.iter().find_map(|line| line.strip_prefix(&format!("{name} = ")));
    let default = named("default").unwrap_or_default();
    let names = table.iter().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let own = names.filter(|name| !name.starts_with('#') && *name != "default");
    let cell = |name: &str| match default.contains(&format!("\"{name}\"")) {
        true => format!("`{name}` (default)"),
        false => format!("`{name}`"),
    };
    own.map(cell).collect()
}

#[test]
fn front_page_of_each_crate_lists_its_features_and_defaults() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut manifests, mut tables) = (Vec::new(), 0);
    published(&root, &mut manifests);
    for manifest in manifests {
        let mut expected = features(&std::fs::read_to_string(&manifest).unwrap());
        let folder = manifest.parent().unwrap();
        // A program has no documentation of its own, so its README is the front page.
        let library = folder.join("src/lib.rs");
        let page = if library.exists() { library } else { folder.join("README.md") };
        let text = std::fs::read_to_string(&page).unwrap();
        let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
        let rows = lines.skip_while(|line| !line.starts_with("| feature |")).skip(2);
        let mut listed: Vec<_> = rows
            .take_while(|line| line.starts_with('|'))
            .filter_map(|row| row.split('|').nth(1))
            .map(|cell| cell.trim().to_owned())
            .collect();
        tables += usize::from(!listed.is_empty());
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected, "{}", page.display());
    }
    assert!(tables >= 2, "only {tables} tables of features were found");
}

/// The log is flushed when `main` returns, so SIGTERM must not end the program at once. actix handles the signal itself.
#[test]
fn each_example_with_an_audit_log_handles_sigterm() {
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    let mut checked = 0;
    for example in examples {
        let main = example.unwrap().path().join("src/main.rs");
        let Ok(program) = std::fs::read_to_string(&main) else { continue };
        if program.contains("JsonLinesAudit") {
            checked += 1;
            let handles = program.contains("shutdown_signal()") || program.contains("HttpServer::new");
            assert!(handles, "{}", main.display());
        }
    }
    assert!(checked >= 10, "{checked} examples");
}
