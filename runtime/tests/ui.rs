//! What compiles and what does not, with the compiler's own words. Each folder of `ui` is a kind of mistake;
//! `pass` is what must work.
//!
//! Messages differ from compiler to compiler, so they are compared only under the one that they were recorded
//! with. `TRYBUILD=overwrite cargo test -p service-only --test ui` records them anew.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::process::Command;

/// The compiler that the messages are of.
const RECORDED: &str = "rustc 1.95.";

/// Those first whose messages show a guard's type. It has a number that is made of the case's crate, and so of
/// the case's place among all.
const MISTAKES: [&str; 7] = ["proof", "state", "keys", "values", "item", "order", "contradiction"];

#[test]
fn the_attribute_is_at_home_in_the_language_and_mistakes_are_told() {
    let cases = trybuild::TestCases::new();
    let compiler = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let compiler = String::from_utf8(compiler).unwrap();
    if !compiler.starts_with(RECORDED) {
        eprintln!("skipped: the messages are those of {RECORDED}*, this is {}", compiler.trim());
        return cases.pass("tests/ui/pass/*.rs");
    }
    for mistake in MISTAKES {
        cases.compile_fail(format!("tests/ui/{mistake}/*.rs"));
    }
    cases.pass("tests/ui/pass/*.rs");
}
