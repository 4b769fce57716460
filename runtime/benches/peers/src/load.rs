//! The guarded request under load: each server alone on one core, asked from the other one by wrk, in
//! turns. Throughput and latency are compared with the same framework's unguarded route.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use service_only::Algorithm;

use crate::{
    common::{
        race::median,
        report::{Bound, Report},
        tokens::{self, ALGORITHMS},
    },
    keys::Keys,
    servers::{EXPLAINING, JSON_LINES, NO_AUDIT, OAUTH, OPEN, OURS, PATH, SERVERS},
};

/// Connections at once: the server always has the next request.
const CONNECTIONS: &str = "32";

/// A turn is short, so that a round sees one state of the machine.
const SECONDS: &str = "1s";

pub fn run() {
    if Command::new("wrk").arg("-v").output().is_err() {
        println!("skipped: wrk is not to be had");
        return;
    }
    let report = &mut Report::new("load");
    for algorithm in ALGORITHMS {
        // The other algorithms show the order of the contenders, not the last per cent.
        under_load(algorithm, if algorithm == Algorithm::HS256 { 15 } else { 3 }, report);
    }
}

struct Server {
    name: &'static str,
    base: &'static str,
    port: u16,
    process: Child,
    audit: tempfile::NamedTempFile,
    seen: Vec<Round>,
}

#[derive(Copy, Clone)]
struct Round {
    throughput: f64,
    /// Microseconds.
    p99: f64,
}

fn under_load(algorithm: Algorithm, rounds: usize, report: &mut Report) {
    let key = tokens::signing_key(algorithm);
    let keys = Keys::new(&key);
    let token = tokens::token(&tokens::issuer(key), tokens::SERVICE);
    let fits = |name| match keys.is_secret() {
        true => name != OAUTH,
        false => !EXPLAINING.contains(&name),
    };
    let fitting = SERVERS.into_iter().filter(|&(name, _)| fits(name));
    let mut servers: Vec<Server> = fitting.map(|(name, base)| Server::start(name, base, &keys)).collect();
    for server in &servers {
        server.must_answer(&token);
    }
    // The first round warms up.
    for round in 0..=rounds {
        let count = servers.len();
        for turn in 0..count {
            let server = &mut servers[(round + turn) % count];
            let seen = server.load(&token);
            if round > 0 {
                server.seen.push(seen);
            }
        }
    }
    let idle = if algorithm == Algorithm::HS256 { unloaded(&servers, &token) } else { BTreeMap::new() };
    tell(algorithm, &servers, &idle, report);
}

fn tell(algorithm: Algorithm, servers: &[Server], idle: &BTreeMap<String, (f64, f64)>, report: &mut Report) {
    let mut throughput: BTreeMap<&str, f64> = BTreeMap::new();
    for server in servers {
        let base = server.base(servers);
        let ratio = median(server.seen.iter().zip(&base.seen).map(|(a, b)| a.throughput / b.throughput));
        let rate = median(server.seen.iter().map(|round| round.throughput));
        throughput.insert(server.name, ratio);
        report.row(&format!("Throughput on one core, {algorithm}"), server.name, "req/s", rate, ratio, None);
    }
    let mut slowest: BTreeMap<&str, f64> = BTreeMap::new();
    for server in servers {
        let base = server.base(servers);
        let ratio = median(server.seen.iter().zip(&base.seen).map(|(a, b)| a.p99 / b.p99));
        slowest.insert(server.name, ratio);
        let p99 = median(server.seen.iter().map(|round| round.p99));
        report.row(&format!("Loaded p99, {algorithm}"), server.name, "us", p99, ratio, None);
    }
    for server in servers {
        if let Some(&(p50, ratio)) = idle.get(server.name) {
            report.row(&format!("Unloaded p50, {algorithm}"), server.name, "us", p50, ratio, None);
        }
    }
    let ours = throughput[JSON_LINES];
    let peers = servers.iter().filter(|server| server.is_peer()).map(|server| throughput[server.name]);
    let ahead = ours / peers.fold(0.0, f64::max);
    let what = |what: &str| format!("{algorithm}, {what}");
    report.budget(&what("throughput against the best peer's"), "times", ahead, Bound::AtLeast(1.0));
    if algorithm != Algorithm::HS256 {
        return;
    }
    report.budget(
        &what("throughput guarded and audited, against unguarded"),
        "times",
        ours,
        Bound::AtLeast(0.95),
    );
    let bare = throughput[NO_AUDIT];
    report.budget(
        &what("throughput guarded without audit, against unguarded"),
        "times",
        bare,
        Bound::AtLeast(0.98),
    );
    report.budget(&what("loaded p99, against unguarded"), "times", slowest[JSON_LINES], Bound::AtMost(1.1));
    if let Some(&(_, ratio)) = idle.get(JSON_LINES) {
        report.budget(&what("unloaded p50, against unguarded"), "times", ratio, Bound::AtMost(1.03));
    }
}

impl Server {
    fn is_unguarded(&self) -> bool {
        self.name == self.base
    }

    fn is_peer(&self) -> bool {
        !self.is_unguarded() && !OURS.contains(&self.name)
    }

    fn base<'s>(&self, servers: &'s [Server]) -> &'s Server {
        servers.iter().find(|server| server.name == self.base).unwrap()
    }

    fn start(name: &'static str, base: &'static str, keys: &Keys) -> Self {
        let audit = tempfile::NamedTempFile::new().unwrap();
        let mut process = on_core(0)
            .arg(std::env::current_exe().unwrap())
            .args(["serve", name, &keys.written()])
            .arg(audit.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().unwrap_or_else(|_| panic!("`{name}` did not start"));
        Self { name, base, port, process, audit, seen: Vec::new() }
    }

    /// A server that lets nobody in, or everybody, is no contender.
    fn must_answer(&self, token: &str) {
        let address = format!("127.0.0.1:{}", self.port);
        let status = |header: &str| crate::latency::status(&address, header);
        assert_eq!(status(&format!("authorization: Bearer {token}\r\n")), 200, "{}", self.name);
        let stranger = if self.is_unguarded() || self.name == OPEN { 200 } else { 401 };
        assert_eq!(status(""), stranger, "{}", self.name);
    }

    fn load(&self, token: &str) -> Round {
        let output = on_core(1)
            .args(["wrk", "-t1", "-c", CONNECTIONS, "-d", SECONDS, "--latency", "-H"])
            .arg(format!("Authorization: Bearer {token}"))
            .arg(format!("http://127.0.0.1:{}{PATH}", self.port))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !told.contains("Non-2xx"), "{}: {told}", self.name);
        // Bounded in space as well.
        self.audit.as_file().set_len(0).unwrap();
        let word = |start: &str| {
            let line = told.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
            line.unwrap_or_else(|| panic!("wrk says no `{start}`: {told}")).trim()
        };
        Round { throughput: word("Requests/sec:").parse().unwrap(), p99: microseconds(word("99%")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// wrk's own units.
fn microseconds(text: &str) -> f64 {
    let start = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(start);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => panic!("wrk says `{text}`"),
    };
    number.parse::<f64>().unwrap() * factor
}

/// One request at a time, from a process on the other core.
fn unloaded(servers: &[Server], token: &str) -> BTreeMap<String, (f64, f64)> {
    let ports = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
    let output = on_core(1)
        .arg(std::env::current_exe().unwrap())
        .args(["latency", token])
        .args(ports)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let rounds: Vec<Vec<f64>> =
        told.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    let index = |name: &str| servers.iter().position(|server| server.name == name).unwrap();
    let median_of = |server: &Server| {
        let (own, base) = (index(server.name), index(server.base(servers).name));
        let ratio = median(rounds.iter().map(|round| round[own] / round[base]));
        (server.name.to_owned(), (median(rounds.iter().map(|round| round[own])), ratio))
    };
    servers.iter().map(median_of).collect()
}

fn on_core(core: usize) -> Command {
    let mut command = Command::new("taskset");
    // Where there is only one core, all share it.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    command.args(["-c", &core.min(cores - 1).to_string()]);
    command
}
