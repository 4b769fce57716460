//! A report for two readers: lines of text as it goes, and lines of JSON that become `RESULTS.md`.

use std::{fs::File, io::Write, path::PathBuf};

use serde_json::json;

/// What one benchmark found.
pub struct Report {
    lines: Option<File>,
    title: String,
}

/// What a budget allows.
#[derive(Copy, Clone)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    /// A report that replaces the last one of that name. A run that does not measure leaves none.
    pub fn new(name: &str) -> Self {
        let lines = super::measuring().then(|| {
            let directory = directory();
            std::fs::create_dir_all(&directory).unwrap();
            File::create(directory.join(format!("{name}.jsonl"))).unwrap()
        });
        Self { lines, title: String::new() }
    }

    /// One contender of a table, with its ratio to the table's first.
    pub fn row(
        &mut self,
        table: &str,
        name: &str,
        unit: &str,
        value: f64,
        ratio: f64,
        quartiles: Option<(f64, f64)>,
    ) {
        if self.title != table {
            println!("\n{table}");
            table.clone_into(&mut self.title);
        }
        let spread = quartiles.map(|(low, high)| format!("  ({low:.3} to {high:.3})")).unwrap_or_default();
        println!("{value:>14.1} {unit:<6} {ratio:>8.3}  {name}{spread}");
        let line = json!({ "table": table, "name": name, "unit": unit, "value": value, "ratio": ratio });
        self.line(&line);
    }

    /// A figure, and what it is allowed to be.
    pub fn budget(&mut self, what: &str, unit: &str, measured: f64, bound: Bound) {
        let (limit, sense) = match bound {
            Bound::AtMost(limit) => (limit, "at most"),
            Bound::AtLeast(limit) => (limit, "at least"),
        };
        let reached = match bound {
            Bound::AtMost(limit) => measured <= limit,
            Bound::AtLeast(limit) => measured >= limit,
        };
        let word = if reached { "reached" } else { "missed" };
        println!("  {word}: {what}: {measured:.3} {unit}, {sense} {limit}");
        self.line(&json!({ "budget": what, "unit": unit, "measured": measured, "sense": sense,
            "limit": limit, "reached": reached }));
    }

    fn line(&mut self, line: &serde_json::Value) {
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{line}").unwrap();
        }
    }
}

/// Where the lines lie: where `SERVICE_ONLY_BENCHES` says, else below the target directory.
pub fn directory() -> PathBuf {
    match std::env::var_os("SERVICE_ONLY_BENCHES") {
        Some(directory) => directory.into(),
        None => PathBuf::from(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("target/tmp")).join("benches"),
    }
}
