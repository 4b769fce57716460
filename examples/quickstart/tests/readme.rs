//! The README shows exactly the code that is compiled and tested here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

const README: &str = include_str!("../../../README.md");

/// The code blocks of the README in one language, in order.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in README.lines() {
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
fn the_quick_start_of_the_readme_is_this_crate() {
    let main = include_str!("../src/main.rs");
    let test = include_str!("../src/tests.rs");
    // The first line of the file is its documentation.
    let main = main.split_once("\n\n").unwrap().1;
    assert_eq!(blocks("rust")[..2], [main, test]);
    assert!(main.lines().count() <= 40, "the quick start has forty lines at most");
}

#[test]
fn the_rest_of_the_readme_is_code_that_is_tested_elsewhere() {
    let example = [
        include_str!("../../closed-world/src/main.rs"),
        include_str!("../../closed-world/src/tests.rs"),
        include_str!("../../../runtime/client/tests/it/reqwest.rs"),
    ];
    let shown = &blocks("rust")[2..];
    assert!(!shown.is_empty());
    for block in shown {
        assert!(example.iter().any(|file| file.contains(block)), "{block}");
    }
}

#[test]
fn the_audit_record_of_the_readme_is_json_with_the_names_that_are_written() {
    let record = blocks("json").swap_remove(0);
    for name in ["id", "time", "decision", "status", "code", "stage", "reason", "endpoint", "duration_us"] {
        assert!(record.contains(&format!("\"{name}\":")), "{name}");
    }
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
        } else if name.ends_with(".md") {
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
