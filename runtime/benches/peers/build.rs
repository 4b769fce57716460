//! Writes programs with one and with ten thousand guarded handlers. A macro cannot: what it expands to
//! stands in one place, and handlers are told apart by where they stand.

use std::{fmt::Write, path::Path};

/// Handlers in a module.
const AREA: usize = 100;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let directory = std::env::var("OUT_DIR").unwrap();
    for (name, count) in [("few.rs", 1), ("many.rs", 10_000)] {
        std::fs::write(Path::new(&directory).join(name), handlers(count)).unwrap();
    }
}

fn handlers(count: usize) -> String {
    let mut text = format!("pub const COUNT: usize = {count};\n");
    for number in 0..count {
        if number % AREA == 0 {
            write!(text, "pub mod area_{} {{\nuse service_only::service_only;\n", number / AREA).unwrap();
        }
        write!(
            text,
            "#[service_only(services(\"tenant-deletion-orchestrator\"), scopes(\"tenants:delete\"))]\n\
             pub async fn handler_{number}() {{}}\n"
        )
        .unwrap();
        if number % AREA == AREA - 1 || number == count - 1 {
            text.push_str("}\n");
        }
    }
    text
}
