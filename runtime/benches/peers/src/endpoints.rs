//! A guarded request in a program with one guarded handler and in one with ten thousand. Handlers are
//! registered when a program is linked, so each number is a program of its own; they are asked in turns.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::common::{
    race::median,
    report::{Bound, Report},
};

const ROUNDS: usize = 300;

pub fn run() {
    const TABLE: &str = "A guarded request, HS256, by the number of guarded endpoints";
    let report = &mut Report::new("endpoints");
    let (mut few, mut many) = (Program::start("endpoints_few"), Program::start("endpoints_many"));
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (few.ask(), many.ask())).skip(20).collect();
    let ratio = median(rounds.iter().map(|(few, many)| many / few));
    report.row(TABLE, "1 endpoint", "ns", median(rounds.iter().map(|round| round.0)), 1.0, None);
    report.row(TABLE, "10000 endpoints", "ns", median(rounds.iter().map(|round| round.1)), ratio, None);
    report.budget("10000 guarded endpoints, against 1", "times", ratio, Bound::AtMost(1.1));
}

struct Program {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Program {
    fn start(name: &str) -> Self {
        let path = std::env::current_exe().unwrap().with_file_name(name);
        let mut process =
            Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(
                |error| panic!("{}: {error}; build all of this crate's programs", path.display()),
            );
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    fn ask(&mut self) -> f64 {
        self.questions.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends when nobody can ask any more.
        self.questions = None;
        let _ = self.process.wait();
    }
}
