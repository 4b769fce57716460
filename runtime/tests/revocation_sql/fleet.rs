//! Three programs of a fleet: this test started again, once for each. What they say goes over a pipe.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use super::*;

/// One verifier of the fleet. Not a test: it is started by those below, and ends when it has refused.
#[tokio::test]
#[ignore = "started by the tests of the fleet"]
async fn process_of_the_fleet() {
    let (Ok(url), Ok(token)) = (std::env::var("FLEET_URL"), std::env::var("FLEET_TOKEN")) else { return };
    let before = resident_kib();
    let revocations = follow(&url).await;
    let verifier = verifier(&revocations);
    assert!(verifier.verify(&token).is_ok());
    println!("\n@ready {} {}", revocations.len(), resident_kib().saturating_sub(before));
    while verifier.verify(&token).is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("\n@refused");
}

struct Fleet {
    children: Vec<Child>,
    said: mpsc::Receiver<String>,
}

impl Fleet {
    fn start(url: &str, token: &MintedToken) -> Self {
        let (sender, said) = mpsc::channel();
        let children = (0..3).map(|_| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "fleet::process_of_the_fleet", "--ignored", "--nocapture"])
                .env("FLEET_URL", url)
                .env("FLEET_TOKEN", token.as_str())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok).filter(|line| line.starts_with('@')) {
                    let _ = sender.send(line);
                }
            });
            child
        });
        let children = children.collect();
        Self { children, said }
    }

    /// Waits until all three have said so.
    fn all_say(&self, word: &str) -> Vec<String> {
        let lines: Vec<_> =
            (0..3).map(|_| self.said.recv_timeout(Duration::from_secs(120)).expect(word)).collect();
        assert!(lines.iter().all(|line| line.starts_with(word)), "{lines:?}");
        lines
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn three_processes_refuse_within_a_second() {
    for database in Database::all().await {
        let store = Store::connect(&database.url).await.unwrap();
        let token = mint("orders");
        let fleet = Fleet::start(&database.url, &token);
        fleet.all_say("@ready");
        let revoked = Instant::now();
        store.revoke(&revocation(&token)).await.unwrap();
        fleet.all_say("@refused");
        assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    }
}

/// `cargo test -p service-only --features sql --release --test revocation_sql -- --ignored --nocapture measure`
#[tokio::test]
#[ignore = "a measurement, of about a minute"]
async fn measure_the_fleet_at_a_hundred_thousand_revocations() {
    for (database, name) in Database::all().await.iter().zip(["SQLite", "PostgreSQL"]) {
        let store = Store::connect(&database.url).await.unwrap();
        let many: Vec<_> = (0..100_000)
            .map(|_| NewRevocation::token(ISSUER, uuid::Uuid::new_v4().to_string(), 4_102_444_800))
            .collect();
        for some in many.chunks(1000) {
            store.revoke_all(some).await.unwrap();
        }
        for lost in [false, true] {
            // Polls alone find what is written past the store, which notifies nobody.
            if lost && name == "SQLite" {
                continue;
            }
            let mut times = Vec::new();
            for _ in 0..10 {
                let token = mint("orders");
                let fleet = Fleet::start(&database.url, &token);
                let ready = fleet.all_say("@ready");
                if times.is_empty() {
                    println!("{name}: {ready:?} (revocations, KiB more than before)");
                }
                let start = Instant::now();
                if lost {
                    database.execute(&silent(&token)).await;
                } else {
                    store.revoke(&revocation(&token)).await.unwrap();
                }
                fleet.all_say("@refused");
                times.push(start.elapsed());
            }
            times.sort();
            let way = if lost { "notifications lost" } else { "as it is" };
            println!("{name}, {way}: last refusal after {:?} (median), {:?} (worst)", times[5], times[9]);
        }
    }
}

fn silent(token: &MintedToken) -> String {
    let (jti, exp) = (token.claims().jti.clone().unwrap(), token.claims().exp);
    format!(
        "UPDATE service_only_sequence SET value = value + 1; INSERT INTO service_only_revocations
         (sequence, kind, issuer, name, until, revoked_at)
         SELECT value, 'token', '{ISSUER}', '{jti}', {exp}, 0 FROM service_only_sequence"
    )
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
