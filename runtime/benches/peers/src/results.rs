//! Turns what the benchmarks found into `RESULTS.md` and its plot.

use std::{fmt::Write, path::Path, process::Command};

use serde::Deserialize;

use crate::{common::report, plot};

/// The reports in the order in which they are told.
const REPORTS: [&str; 10] = [
    "load",
    "races",
    "caches",
    "verify",
    "audit",
    "growth",
    "endpoints",
    "memory",
    "instructions",
    "compile",
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Row(Row),
    Budget(Budget),
}

#[derive(Deserialize)]
pub struct Row {
    pub table: String,
    pub name: String,
    pub unit: String,
    pub value: f64,
    pub ratio: f64,
}

#[derive(Deserialize)]
struct Budget {
    budget: String,
    unit: String,
    measured: f64,
    sense: String,
    limit: f64,
    reached: bool,
}

pub fn write() {
    let (mut rows, mut budgets, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for name in REPORTS {
        match std::fs::read_to_string(report::directory().join(format!("{name}.jsonl"))) {
            Ok(text) => {
                for line in text.lines() {
                    match serde_json::from_str(line).unwrap() {
                        Line::Row(row) => rows.push(row),
                        Line::Budget(budget) => budgets.push(budget),
                    }
                }
            }
            Err(_) => left_out.push(name),
        }
    }
    let text = page(&rows, &budgets, &left_out);
    let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::write(benches.join("RESULTS.md"), text).unwrap();
    std::fs::write(benches.join("results.svg"), plot::draw(&rows)).unwrap();
    println!("\nwritten: {}", benches.join("RESULTS.md").display());
}

fn page(rows: &[Row], budgets: &[Budget], left_out: &[&str]) -> String {
    let mut text = String::from(
        "# Results\n\n\
         Written by `cargo bench -p service-only`; do not edit. Every ratio is the median of the ratios of\n\
         single rounds, in which all contenders had their turn, to the first line of its table. Times are\n\
         medians of this machine and mean little elsewhere; ratios travel better, instructions best.\n\n",
    );
    writeln!(text, "{}\n", machine()).unwrap();
    text.push_str("![Throughput of a guarded route on one core](results.svg)\n");
    if !left_out.is_empty() {
        writeln!(text, "\nNot in this run: {}.", left_out.join(", ")).unwrap();
    }
    text.push_str("\n## Budgets\n\n| what | measured | budget | |\n| --- | ---: | ---: | --- |\n");
    for Budget { budget, unit, measured, sense, limit, reached } in budgets {
        let reached = if *reached { "reached" } else { "**missed**" };
        let unit = if unit == "times" { String::new() } else { format!(" {unit}") };
        writeln!(text, "| {budget} | {}{unit} | {sense} {limit}{unit} | {reached} |", figures(*measured))
            .unwrap();
    }
    let mut table = "";
    for row in rows {
        if row.table != table {
            table = &row.table;
            writeln!(text, "\n## {table}\n\n| | {} | ratio |\n| --- | ---: | ---: |", row.unit).unwrap();
        }
        writeln!(text, "| {} | {} | {} |", row.name, figures(row.value), figures(row.ratio)).unwrap();
    }
    text
}

/// The date, and what kind of machine this is: nothing that names it.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}; {model}, {cores} cores; {} {}; {}.",
        told("date", &["-u", "+%Y-%m-%d"]),
        std::env::consts::OS,
        std::env::consts::ARCH,
        told("rustc", &["--version"])
    )
}

fn told(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// As many figures as mean something.
fn figures(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
