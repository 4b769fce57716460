//! How fast the reports read a large log, and how much memory they need. It takes minutes, so it runs on demand; see
//! CONTRIBUTING.md.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write as _},
    path::Path,
    time::Instant,
};

use service_only_evidence::{
    anomalies::AnomalyRules,
    read::{self, Place, Record},
    survey::Survey,
    unused::{Grants, Window},
};

/// The size of the log, in bytes.
const BYTES: &str = "SERVICE_ONLY_EVIDENCE_BYTES";

const SERVICES: u64 = 12;
const ENDPOINTS: u64 = 48;
const TOKENS: u64 = 300;

/// The most memory that may be used, in KiB: 480 pairs and 300 tokens, whatever the size of the log.
const MAX_MEMORY: u64 = 64 * 1024;

/// Records as the guard of an axum service writes them, over thirty days.
fn write_log(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut written, mut number) = (0, 0_u64);
    let records = bytes / 470;
    while written < bytes {
        let micros = 1_767_225_600_000_000 + number * (30 * 86_400_000_000 / records.max(1));
        let time =
            jiff::Timestamp::from_microsecond(micros.try_into().unwrap_or(i64::MAX)).unwrap_or_default();
        let (service, endpoint, token) = (number % SERVICES, number * 31 % ENDPOINTS, number * 7 % TOKENS);
        let decision = match number % 500 {
            0 => {
                r#""deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `orders`, allowed: tenant-deletion-orchestrator""#
            }
            _ => r#""allow","status":200"#,
        };
        let line = format!(
            r#"{{"id":"019b76da-0000-7a52-8b6e-{number:012x}","time":"{time}","decision":{decision},"endpoint":"program::handler_{endpoint}","policy_digest":"72d0f212a3ddc38a","http.request.method":"POST","http.route":"/tenants/{{tenant}}/{endpoint}","url.path":"/tenants/{token}/{endpoint}","service":"service-{service}","jti":"{token:08x}-446e-4842-932c-231cd329f030","kid":"1UF6Jn9CZp0rQ2m4","issuer":"bakery-auth","profile":"compatible","client.address":"10.0.{service}.10","trace_id":"4bf92f3577b34da6{number:016x}","duration_us":{}}}"#,
            20 + number % 60
        ) + "\n";
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
    }
    file.flush()
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut packed = flate2::write::GzEncoder::new(File::create(to)?, flate2::Compression::fast());
    io::copy(&mut BufReader::with_capacity(1 << 20, File::open(from)?), &mut packed)?;
    packed.finish().map(drop)
}

/// The processor time of this process in seconds: other programs do not count. The time that passed where it is not known.
fn processor_time(begun: Instant) -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> =
        after_name.split(' ').skip(12).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => (user + system) / 100.0,
        _ => begun.elapsed().as_secs_f64(),
    }
}

/// The most memory that this process has used, in KiB; 0 where it is not known.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

#[test]
#[ignore = "it takes minutes"]
fn reports_read_a_gigabyte_in_a_minute_and_need_little_memory() {
    let bytes: u64 = std::env::var(BYTES).map_or(1_000_000_000, |bytes| bytes.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1.gz"));
    write_log(&plain, bytes).unwrap();
    compress(&plain, &packed).unwrap();
    let begun = Instant::now();
    let timed = |name: &str, file: &Path, report: &dyn Fn(&Path) -> usize| {
        let before = processor_time(begun);
        assert!(report(file) > 0, "{name}");
        let seconds = processor_time(begun) - before;
        let (speed, memory) = (bytes as f64 * 60.0 / seconds / 1e9, peak_memory() / 1024);
        let kind = file.extension().unwrap_or_default().display();
        println!("{name:<10} {kind:<6} {speed:5.1} GB a minute, peak {memory} MiB");
        assert!(cfg!(debug_assertions) || speed >= 1.0, "{name} of {kind}: {speed} GB a minute");
    };
    let surveyed = |file: &Path| {
        let mut survey = Survey::new();
        assert!(read::files([file], &mut survey).unwrap().trouble().is_empty());
        survey
    };
    for file in [&plain, &packed] {
        timed("usage", file, &|file| surveyed(file).usage().len());
        timed("anomalies", file, &|file| surveyed(file).anomalies(&AnomalyRules::default()).since.len());
        timed("unused", file, &|file| {
            let survey = surveyed(file);
            let (_, end) = survey.span().unwrap();
            let window = Window { end, length: 30 * 86_400_000_000, min_coverage: 0.9 };
            survey.unused(&Grants { tables: Vec::new(), tokens: Vec::new() }, window).coverage.covered
                as usize
        });
        timed("search", file, &|file| {
            let mut found = 0;
            let mut visitor = |_: Place<'_>, record: &Record<'_>| {
                found += usize::from(record.code.as_deref() == Some("service_not_allowed"));
            };
            read::files([file], &mut visitor).unwrap();
            found
        });
    }
    let memory = peak_memory();
    assert!(memory <= MAX_MEMORY, "{memory} KiB");
}
