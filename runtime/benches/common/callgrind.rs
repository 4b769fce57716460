//! Instructions of one operation, counted by callgrind and compared with those that are recorded.

use std::{
    collections::BTreeMap,
    hint::black_box,
    process::{Command, ExitCode},
};

/// Over this many times what is recorded, the check fails. Compilers and libraries change counts by a few
/// per cent; a mistake on the way of every request costs more.
const GENEROUS: f64 = 1.5;

/// And this many more: whether a writer thread sleeps when a record comes is chance.
const CHANCE: f64 = 500.0;

/// Operations that are counted together, so that what happens now and then is spread.
pub const COUNT: usize = 200;

/// The function whose instructions are counted, and how often the operation is done in it.
pub const MEASURED: (&str, usize) = ("*callgrind::measured*", COUNT);

pub type Counts = BTreeMap<&'static str, u64>;

/// What a benchmark counts.
pub struct Suite {
    pub cases: &'static [&'static str],
    /// What must not grow.
    pub checked: &'static [&'static str],
    /// The file with the recorded counts.
    pub recorded: &'static str,
    /// Does the operations of one case.
    pub run: fn(&str),
    /// As [`MEASURED`], for one case.
    pub counted: fn(&str) -> (&'static str, usize),
    /// Adds what follows from the counts, and reports all.
    pub finish: fn(&mut Counts),
}

/// Starts this program again for each case, under callgrind. With `--check` it compares the counts with the
/// recorded ones, and with `--record` it writes them.
pub fn main(suite: &Suite) -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let is_said = |argument: &str| arguments.iter().any(|said| said == argument);
    if let Some(name) = suite.cases.iter().find(|name| is_said(name)) {
        (suite.run)(name);
        return ExitCode::SUCCESS;
    }
    if !super::measuring() {
        suite.cases.iter().for_each(|name| (suite.run)(name));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not to be had");
        return ExitCode::SUCCESS;
    }
    let mut counts = suite.cases.iter().map(|name| (*name, suite.count(name))).collect();
    (suite.finish)(&mut counts);
    if is_said("--record") {
        let kept: BTreeMap<_, _> = suite.checked(&counts).collect();
        std::fs::write(suite.recorded, serde_json::to_string_pretty(&kept).unwrap() + "\n").unwrap();
    }
    if is_said("--check") && !suite.is_within_bounds(&counts) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

impl Suite {
    fn checked(&self, counts: &Counts) -> impl Iterator<Item = (&'static str, u64)> {
        self.checked.iter().map(|name| (*name, counts[name]))
    }

    fn is_within_bounds(&self, counts: &Counts) -> bool {
        let recorded = std::fs::read_to_string(self.recorded).unwrap();
        let recorded: BTreeMap<String, u64> = serde_json::from_str(&recorded).unwrap();
        let mut fine = true;
        for (name, now) in self.checked(counts) {
            let (now, then) = (now as f64, recorded[name] as f64);
            if now > then * GENEROUS + CHANCE {
                eprintln!("{name}: {now} instructions, far over the {then} that are recorded");
                fine = false;
            } else if now * GENEROUS + CHANCE < then {
                println!(
                    "{name}: {now} instructions, far below the {then} that are recorded; record them anew"
                );
            }
        }
        fine
    }

    /// The instructions of one operation.
    fn count(&self, case: &str) -> u64 {
        let (function, times) = (self.counted)(case);
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
            .arg(format!("--toggle-collect={function}"))
            .arg(std::env::current_exe().unwrap())
            .arg(case)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let collected = told.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
        let collected: u64 = collected.and_then(|count| count.trim().parse().ok()).unwrap_or_default();
        assert!(output.status.success() && collected > 0, "callgrind counted nothing of `{case}`: {told}");
        collected / times as u64
    }
}

/// What callgrind counts: its name is the switch.
#[inline(never)]
pub fn measured<T>(items: impl IntoIterator<Item = T>, work: impl Fn(T)) {
    for item in items {
        work(black_box(item));
    }
}
