//! Prints the public API of a crate, one item per line, from the JSON that rustdoc writes.
//!
//! Blanket and automatic implementations are left out: they repeat the same lines for each type, and
//! cargo-semver-checks compares them.

use std::{env, error::Error, io, io::Write};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("name the JSON file of a crate")?;
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .sorted(true)
        .build()?;
    let mut output = io::stdout().lock();
    for item in api.items() {
        writeln!(output, "{item}")?;
    }
    Ok(())
}
