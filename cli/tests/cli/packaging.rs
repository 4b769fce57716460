//! The files in `cli/packaging`: CronJobs, systemd units, the Debian package and the image. Each is checked by the program
//! that reads it, where that is installed, and its commands run with the built `service-token`.

mod cluster;
mod container;
mod debian;
mod kubernetes;
mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use serde_norway as yaml;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The output of a program, or `None` if it is not installed.
fn output_of(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {}: {error}", command.get_program().display());
            None
        }
    }
}

/// Both streams of a program that succeeded, or `None` if it is not installed.
fn succeeded(command: &mut Command) -> Option<String> {
    let output = output_of(command)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{command:?}: {said}");
    Some(said)
}

/// The folder of the built program, before the rest of `PATH`.
fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_service-token"));
    format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap())
}
