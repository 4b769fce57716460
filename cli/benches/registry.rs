//! How the commands grow with the registry: time, CPU time and peak memory of each, from a thousand to ten million tokens.
//!
//!     cargo bench -p service-token --bench registry -- 1000 1000000
//!
//! It fills a SQLite file, and the PostgreSQL that `DATABASE_URL` names, with generated rows, and runs the built program
//! as an operator does. CPU time is that of the program and of all processes of PostgreSQL. It and peak memory
//! (`VmHWM`) come from `/proc`, so they are shown on Linux alone. Ten million tokens take
//! some minutes and 7 GB of disk for each database.
//!
//! It fails if a command exceeds its limit of time or memory. On a busy machine, `--no-limits` only measures.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// Services that have tokens; the configuration names ten of them.
const SERVICES: u64 = 1_000;

/// The largest peak memory of a command.
const MOST_MIB: u64 = 64;

/// The commands with limits.
const COMMANDS: [(&str, &str); 20] = [
    ("list", "list"),
    (EVERY_TOKEN, EVERY_TOKEN),
    ("list --service", "list --service s7"),
    ("list --active", "list --active"),
    ("list --revoked", "list --revoked"),
    ("show", "show JTI"),
    ("expiring", "expiring --within 30d"),
    ("expiring --format prometheus", "expiring --format prometheus"),
    ("list --reverse", "list --reverse"),
    ("list --sort state", "list --sort state"),
    ("renew", "renew --out-dir tokens"),
    ("revoke JTI", "revoke JTI"),
    ("revoke --service", "revoke --service s8 --before now"),
    ("revoke --key", "revoke --key old-key"),
    ("rotate --plan", "rotate --plan"),
    (EMERGENCY, "rotate --emergency=KID"),
    ("list --active, after", "list --active"),
    ("list --revoked, after", "list --revoked"),
    ("expiring, after", "expiring --within 30d"),
    ("expiring --format prometheus, after", "expiring --format prometheus"),
];

/// Prints every token, so its time grows with the registry, and its memory does not.
const EVERY_TOKEN: &str = "list --format json";

const EMERGENCY: &str = "rotate --emergency";

/// How long a command may take; `None` means any time.
fn longest(name: &str) -> Option<Duration> {
    match name {
        EVERY_TOKEN => None,
        EMERGENCY => Some(Duration::from_secs(10)),
        _ => Some(Duration::from_secs(1)),
    }
}

/// Whether a command that exceeds its limit ends the benchmark.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Limits {
    Checked,
    Off,
}

impl Limits {
    fn check(self, database: &str, count: u64, name: &str, run: &Run) {
        if self == Self::Off {
            return;
        }
        let place = format!("`{name}` on {database} with {count} tokens");
        let mib = run.peak_kib / 1024;
        assert!(mib < MOST_MIB, "{place} used {mib} MiB, and may use {MOST_MIB}");
        let longest = longest(name).unwrap_or(Duration::MAX);
        assert!(run.took < longest, "{place} took {:?}, and may take {longest:?}", run.took);
    }
}

/// One run of a command.
struct Run {
    took: Duration,
    /// In hundredths of a second.
    cpu: u64,
    peak_kib: u64,
}

/// A folder with a configuration, its key and a store.
struct Site {
    folder: TempDir,
    url: String,
}

impl Site {
    fn new(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("sqlite:{}", folder.path().join("tokens.db").display());
        let url = url.map_or(file, str::to_owned);
        let services: String = (0..10).map(|number| format!("s{number} = {{}}\n")).collect();
        let config = format!(
            "issuer = \"bakery-auth\"\nstore = \"{url}\"\n[key]\nfile = \"signing.pem\"\nalgorithm = \"ES256\"\n\
             [services]\n{services}"
        );
        std::fs::write(folder.path().join("service-token.toml"), config).unwrap();
        let site = Self { folder, url };
        site.run("keygen", &[0]);
        site.run("store init", &[0]);
        site.run("rotate", &[0]);
        site
    }

    /// Runs a command, and reads its peak memory until it ends.
    fn run(&self, command: &str, codes: &[i32]) -> Run {
        let (begun, database) = (Instant::now(), cpu_of_postgres());
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-token"))
            .args(command.split(' '))
            .current_dir(self.folder.path())
            .env_remove("SERVICE_TOKEN_STORE")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let stat = format!("/proc/{}/stat", child.id());
        let (mut peak_kib, mut cpu) = (0, 0);
        let exit = loop {
            cpu = cpu_of(&stat).max(cpu);
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            peak_kib = number.unwrap_or(0).max(peak_kib);
            match child.try_wait().unwrap() {
                Some(exit) => break exit,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let took = begun.elapsed();
        let code = exit.code().unwrap_or(-1);
        let stderr = std::fs::read_to_string(self.folder.path().join("stderr")).unwrap();
        assert!(codes.contains(&code), "`{command}`: {code}: {stderr}");
        Run { took, cpu: cpu + cpu_of_postgres().saturating_sub(database), peak_kib }
    }

    fn active_kid(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_service-token"))
            .arg("jwks")
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let set: Value = serde_json::from_slice(&output.stdout).unwrap();
        set["keys"][0]["kid"].as_str().unwrap().to_owned()
    }
}

/// The CPU time of a process, with that of its children that have ended, in hundredths of a second.
fn cpu_of(stat: &str) -> u64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    // The name, in parentheses, may contain spaces.
    let times = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(4);
    times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn cpu_of_postgres() -> u64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_postgres = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "postgres")
    };
    processes.filter(is_postgres).map(|path| cpu_of(&path.join("stat").display().to_string())).sum()
}

/// Nine of ten tokens are of the active key. Their ages are spread over a year, and a tenth has expired.
fn rows(count: u64, kid: &str, numbers: &str, jti: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    format!(
        "INSERT INTO service_only_tokens (issuer, jti, service, kid, issued_at, expires_at, minted_at)
        {numbers} SELECT 'bakery-auth', {jti}, 's' || (n % {SERVICES}),
        CASE WHEN n % 10 = 3 THEN 'old-key' ELSE '{kid}' END,
        {now} - 34560000 + n * 34560000 / {count}, {now} - 3024000 + n * 31536000 / {count}, {now}
        FROM numbers"
    )
}

const REVOCATIONS: &str = "
    INSERT INTO service_only_revocations (sequence, kind, issuer, name, until, revoked_at)
    SELECT ROW_NUMBER() OVER (ORDER BY jti), 'token', issuer, jti, expires_at, minted_at
    FROM (SELECT issuer, jti, expires_at, minted_at FROM service_only_tokens ORDER BY issuer, jti LIMIT 100) AS t";

const INDEXES: [&str; 4] = [
    "service_only_tokens_list",
    "service_only_tokens_service",
    "service_only_tokens_signed",
    "service_only_tokens_holder",
];

/// The statements that fill a store. The indexes are made afterwards, as the file of an older program gets them.
fn statements(fill: String) -> Vec<String> {
    let drop = INDEXES.map(|name| format!("DROP INDEX {name}"));
    let end = ["UPDATE service_only_sequence SET value = 100".to_owned()];
    drop.into_iter().chain([fill, REVOCATIONS.to_owned()]).chain(end).collect()
}

async fn fill_sqlite(path: &Path, count: u64, kid: &str) {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
    );
    let options = SqliteConnectOptions::new().filename(path).pragma("synchronous", "OFF");
    let pool = SqlitePool::connect_with(options).await.unwrap();
    for statement in statements(rows(count, kid, &numbers, "printf('%08x-0000-4000-8000-000000000000', n)")) {
        sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

async fn fill_postgres(url: &str, count: u64, kid: &str) {
    let numbers = format!("WITH numbers(n) AS (SELECT generate_series(CAST(0 AS BIGINT), {count} - 1))");
    let pool = PgPool::connect(url).await.unwrap();
    let jti = "lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000'";
    for statement in statements(rows(count, kid, &numbers, jti)) {
        sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

/// What the autovacuum of a server does in time.
async fn analyze(url: &str) {
    let pool = PgPool::connect(url).await.unwrap();
    sqlx::query("VACUUM ANALYZE service_only_tokens").execute(&pool).await.unwrap();
    sqlx::query("ANALYZE service_only_revocations").execute(&pool).await.unwrap();
    pool.close().await;
}

/// A schema for one size, which is dropped at the end.
async fn schema(server: &str, statement: &str) {
    let pool = PgPool::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
    pool.close().await;
}

fn measure(database: &str, count: u64, site: &Site, limits: Limits, fill: impl FnOnce(&str)) {
    let kid = site.active_kid();
    fill(&kid);
    let init = site.run("store init", &[0]);
    if site.url.starts_with("postgres") {
        block_on(analyze(&site.url));
    }
    print(database, count, "store init, for its indexes", &init);
    let jti = format!("{:08x}-0000-4000-8000-000000000000", count / 2 + 1);
    for (name, command) in COMMANDS {
        let run = site.run(&command.replace("JTI", &jti).replace("KID", &kid), &[0, 1]);
        print(database, count, name, &run);
        limits.check(database, count, name, &run);
    }
    let renew = site.run("renew --out-dir tokens", &[0]);
    print(database, count, "renew, after", &renew);
    limits.check(database, count, "renew, after", &renew);
    let prune = site.run("prune --expired-for 30d", &[0]);
    print(database, count, "prune", &prune);
}

fn print(database: &str, count: u64, name: &str, run: &Run) {
    let mib = run.peak_kib as f64 / 1024.0;
    let cpu = run.cpu as f64 / 100.0;
    println!("| {database} | {count} | {name} | {:.3} | {cpu:.2} | {mib:.0} |", run.took.as_secs_f64());
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn main() {
    // Cargo passes `--bench`.
    let sizes: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { (3..=7).map(|power| 10_u64.pow(power)).collect() } else { sizes };
    let limits = if std::env::args().any(|argument| argument == "--no-limits") {
        Limits::Off
    } else {
        Limits::Checked
    };
    println!(
        "| database | tokens | command | seconds | CPU seconds | MiB |\n| --- | ---: | --- | ---: | ---: | ---: |"
    );
    for count in sizes {
        let site = Site::new(None);
        let path = site.folder.path().join("tokens.db");
        measure("SQLite", count, &site, limits, |kid| block_on(fill_sqlite(&path, count, kid)));
        drop(site);
        let Ok(server) = std::env::var("DATABASE_URL") else { continue };
        let name = format!("growth_{}_{count}", std::process::id());
        block_on(schema(&server, &format!("CREATE SCHEMA {name}")));
        let site = Site::new(Some(&format!("{server}?options[search_path]={name}")));
        let url = site.url.clone();
        measure("PostgreSQL", count, &site, limits, |kid| block_on(fill_postgres(&url, count, kid)));
        block_on(schema(&server, &format!("DROP SCHEMA {name} CASCADE")));
    }
}
