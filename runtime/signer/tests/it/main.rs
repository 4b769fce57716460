//! Tests of the signers, with the real OpenSSL, a real SoftHSM and real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

mod command;
mod encrypted;
mod passphrase;
mod pkcs11;

use std::process::Command;

use service_only::issue::{Issuer, SigningKey};

/// The output of a shell command in a folder; `None` if it fails, with a message.
fn shell(folder: &std::path::Path, commands: &str) -> Option<Vec<u8>> {
    let output = Command::new("sh").args(["-ec", commands]).current_dir(folder).output().unwrap();
    if !output.status.success() {
        eprintln!("skipped: `{commands}`: {}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    Some(output.stdout)
}

fn mint(key: SigningKey) -> Result<String, String> {
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().map_err(|error| error.to_string())?;
    Ok(token.as_str().to_owned())
}
