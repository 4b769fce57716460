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
                .args(["--exact", "revocations::fleet::process_of_the_fleet", "--ignored", "--nocapture"])
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
async fn three_processes_refuse_what_is_revoked() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let token = mint("orders");
        let fleet = Fleet::start(&database.url, &token);
        fleet.all_say("@ready");
        store.revoke(&revocation(&token)).await.unwrap();
        fleet.all_say("@refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_whose_notifications_never_arrive_refuse_what_is_revoked() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = wire::server_of(&database.url) else { return };
    let store = Store::create(&database.url).await.unwrap();
    let wire = wire::Wire::deaf(server).await;
    let token = mint("orders");
    let fleet = Fleet::start(&wire.url(&database.url), &token);
    fleet.all_say("@ready");
    store.revoke(&revocation(&token)).await.unwrap();
    fleet.all_say("@refused");
}

/// How a revocation gets to the fleet.
#[derive(Copy, Clone, PartialEq)]
enum Way {
    Poll,
    Notification,
    /// The connections that listen are ended first, and are opened again only seconds later.
    NotificationLost,
}

/// `cargo test -p service-only-store --release --test it -- --ignored --nocapture measure`
#[tokio::test]
#[ignore = "a measurement, of some minutes"]
async fn measure_the_fleet_at_a_hundred_thousand_revocations() {
    const ROUNDS: usize = 20;
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let expires_at = Timestamp::from_unix(4_102_444_800);
        let many: Vec<_> = (0..100_000)
            .map(|_| NewRevocation::token(ISSUER, uuid::Uuid::new_v4().to_string(), expires_at))
            .collect();
        for some in many.chunks(1000) {
            store.revoke_all(some).await.unwrap();
        }
        let ways: &[_] = if database.url.starts_with("sqlite:") {
            &[(Way::Poll, "SQLite, by poll")]
        } else {
            &[
                (Way::Notification, "PostgreSQL, by NOTIFY"),
                (Way::NotificationLost, "PostgreSQL, NOTIFY lost"),
            ]
        };
        for (way, name) in ways {
            let (mut times, mut bytes) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let token = mint("orders");
                let fleet = Fleet::start(&database.url, &token);
                bytes.extend(fleet.all_say("@ready").iter().map(|line| bytes_each(line)));
                if *way == Way::NotificationLost {
                    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
                    database.execute(end).await;
                }
                let start = Instant::now();
                store.revoke(&revocation(&token)).await.unwrap();
                fleet.all_say("@refused");
                times.push(start.elapsed());
            }
            times.sort();
            bytes.sort();
            println!(
                "{name}: last refusal after {:?} (median), {:?} (worst of {ROUNDS}); {} to {} bytes a revocation",
                times[ROUNDS / 2],
                times[ROUNDS - 1],
                bytes[0],
                bytes[bytes.len() - 1],
            );
        }
    }
}

/// By how much the process has grown for each revocation, from `@ready REVOCATIONS KIB`.
fn bytes_each(line: &str) -> u64 {
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers[1] * 1024 / numbers[0]
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
