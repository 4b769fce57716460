//! What compiles and what does not, with the compiler's own words. Each folder of `ui` is a kind of mistake;
//! `pass` is what must work.
//!
//! Messages differ from compiler to compiler, so they are compared only under the version that recorded them.
//! `TRYBUILD=overwrite cargo test -p service-only --test ui` records them again.
//!
//! They differ by installed components too: with `rust-src`, rustc quotes lines of the standard library. The
//! cases are therefore always compiled against a copy of the sysroot that has no sources.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The compiler that recorded the messages.
const RECORDED: &str = "rustc 1.95.";

/// The folders whose messages show a guard's type come first. The type contains a number that is made of the
/// case's crate, and so of the case's position among all cases.
const MISTAKES: [&str; 10] =
    ["proof", "state", "order", "keys", "values", "constants", "item", "rewritten", "contradiction", "users"];

/// Cargo prefers the flags in this variable to those that trybuild passes with `--config`.
const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";

#[test]
fn valid_uses_compile_and_mistakes_get_the_expected_errors() {
    let version = rustc(&["--version"]);
    if !version.starts_with(RECORDED) {
        eprintln!("skipped: the messages are those of {RECORDED}*, this is {version}");
        return trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
    }
    let flags = flags(&sysroot_without_sources(&version));
    if env::var(FLAGS).is_ok_and(|set| set == flags) {
        compare();
    } else {
        // A variable of this process cannot be set safely, so the test runs itself again.
        let again = Command::new(env::current_exe().unwrap())
            .args(env::args_os().skip(1))
            .env(FLAGS, flags)
            // Trybuild has a profile of its own. Debug information would take gigabytes.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .status();
        assert!(again.unwrap().success(), "the output above names the cases");
    }
}

fn compare() {
    let cases = trybuild::TestCases::new();
    for mistake in MISTAKES {
        cases.compile_fail(format!("tests/ui/{mistake}/*.rs"));
    }
    cases.pass("tests/ui/pass/*.rs");
}

/// Those of trybuild, which this replaces, and the sysroot.
fn flags(sysroot: &Path) -> String {
    let sysroot = format!("--sysroot={}", sysroot.display());
    ["--cfg", "trybuild", "--verbose", "-A", "dead_code", "--diagnostic-width=140", &sysroot].join("\u{1f}")
}

/// The compiled libraries of the toolchain, as hard links where the file system allows it, without `src` and
/// `rustc-src`.
fn sysroot_without_sources(version: &str) -> PathBuf {
    let installed = PathBuf::from(rustc(&["--print", "sysroot"])).join("lib/rustlib");
    let copy =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(version.replace(|c: char| !c.is_alphanumeric(), "-"));
    for entry in fs::read_dir(installed).unwrap() {
        let entry = entry.unwrap();
        // Only the folder of a target has one. The linker beside it is found in the toolchain.
        let libraries = entry.path().join("lib");
        if libraries.is_dir() {
            mirror(&libraries, &copy.join("lib/rustlib").join(entry.file_name()).join("lib"));
        }
    }
    copy
}

fn mirror(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            mirror(&from, &to);
        } else if !to.exists() {
            let file = from.canonicalize().unwrap();
            fs::hard_link(&file, &to).or_else(|_| fs::copy(&file, &to).map(drop)).unwrap();
        }
    }
}

fn rustc(arguments: &[&str]) -> String {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
