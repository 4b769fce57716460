//! Everything against other crates, by the crate `benches/peers`, and then `RESULTS.md`, from what it and
//! the other benchmarks found; cargo runs those first, in the order of their names.
//! `cargo bench -p service-only --bench versus -- races` runs one part (`races`, `caches`, `endpoints`, `load`,
//! `compile`, `results`).

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if !common::measuring() {
        println!("skipped: a crate of its own, `benches/peers`");
        return ExitCode::SUCCESS;
    }
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts = if parts.is_empty() { vec!["all".to_owned()] } else { parts };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/Cargo.toml");
    // Without its lock file, versions would be compared that nobody chose.
    let built = cargo(&["build", "--release", "--locked", "--manifest-path", manifest]).status().unwrap();
    let ran = |part: &String| {
        let arguments = ["run", "-q", "--release", "--locked", "--manifest-path", manifest, "--bin", "peers"];
        let mut command = cargo(&arguments);
        command.args(["--", "--bench", part]).env("SERVICE_ONLY_BENCHES", common::report::directory());
        command.status().unwrap().success()
    };
    if built.success() && parts.iter().all(ran) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What this cargo told its benchmark is not meant for the other crate: its flags would be the wrong ones,
/// and where a build script reads a name or a version, all would be built anew.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let foreign = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
        let name = name.to_string_lossy().into_owned();
        if foreign.iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command.args(arguments).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}
