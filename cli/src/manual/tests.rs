//! The pages, and what programs that read them say.

use std::collections::BTreeSet;
use std::process::Command as Program;

use super::*;
use crate::arguments::Cli;
use crate::exit::Exit;

fn pages() -> Vec<Manual> {
    all(&Cli::described())
}

#[test]
fn each_command_has_a_page_with_all_sections() {
    let pages = pages();
    let names: BTreeSet<_> = pages.iter().map(|page| page.file.as_str()).collect();
    assert_eq!(names.len(), pages.len());
    for name in
        ["service-token.1", "service-token-verify.1", "service-token-store-init.1", "service-token.toml.5"]
    {
        assert!(names.contains(name), "{names:?}");
    }
    for Manual { file, content } in &pages {
        let wanted: &[&str] = match file.as_str() {
            "service-token.toml.5" => &["NAME", "DESCRIPTION", "KEYS", "FILES", "EXAMPLES", "SEE ALSO"],
            "service-token.1" => &[
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "COMMANDS",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
            ],
            _ => &[
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXIT STATUS",
                "ENVIRONMENT",
                "EXAMPLES",
                "SEE ALSO",
            ],
        };
        // A command below another may leave its examples to that one.
        let is_nested = |title: &str| title == "EXAMPLES" && content.matches("(1),").count() > 1;
        for title in wanted.iter().filter(|title| !is_nested(title)) {
            let heading =
                if title.contains(' ') { format!(".SH \"{title}\"\n") } else { format!(".SH {title}\n") };
            assert!(content.contains(&heading), "{file}: {title}");
        }
    }
}

#[test]
fn page_of_a_command_has_its_files_and_variables_only() {
    let page = |name: &str| pages().into_iter().find(|page| page.file == name).unwrap().content;
    let (list, inspect) = (page("service-token-list.1"), page("service-token-inspect.1"));
    for text in ["SERVICE_TOKEN_STORE", "PGPASSWORD", "service\\-token.db"] {
        assert!(list.contains(text) && !inspect.contains(text), "{text}");
    }
    assert!(page("service-token-generate.1").contains("NAME.token"));
    assert!(page("service-token-dev.1").contains("XDG_STATE_HOME") && !list.contains("XDG_STATE_HOME"));
}

#[test]
fn table_of_exit_codes_is_that_of_the_program() {
    let shown: Vec<String> = guide::exit_codes().map(|row| row.name().to_owned()).collect();
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| exit.code().to_string()).collect();
    assert_eq!(shown, codes);
}

/// Writes the pages into a folder, and runs a program for each.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn complaints(program: &str, arguments: &[&str]) -> Option<Vec<String>> {
    if Program::new(program).arg("-V").output().is_err() {
        eprintln!("skipped: no `{program}`");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Vec::new();
    for Manual { file, content } in pages() {
        let path = folder.path().join(&file);
        std::fs::write(&path, content).unwrap();
        let output = Program::new(program)
            .args(arguments)
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        let printed = if program == "man" { output.stderr } else { [output.stdout, output.stderr].concat() };
        complaints.extend(String::from_utf8_lossy(&printed).lines().map(|line| format!("{file}: {line}")));
    }
    Some(complaints)
}

#[test]
fn mandoc_finds_nothing_wrong_with_the_pages() {
    if let Some(found) = complaints("mandoc", &["-Tlint"]) {
        // A page of another package is unknown to this machine, and these pages are not installed.
        let found: Vec<_> =
            found.iter().filter(|line| !line.contains("referenced manual not found")).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn man_formats_the_pages_without_a_warning() {
    if let Some(found) = complaints("man", &["--warnings", "-E", "UTF-8", "-l"]) {
        assert!(found.is_empty(), "{found:#?}");
    }
}
