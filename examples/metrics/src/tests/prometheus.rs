//! Runs each query of the dashboard against a Prometheus server that has an hour of scrapes.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    fmt::Write,
    io::{BufRead, BufReader, ErrorKind},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{files::read, *};

/// The end of the hour. The tokens and keys of the registry are from the hour before.
const END: u64 = 3_600;

/// A Prometheus server for this test only; it has no scrape targets.
struct Prometheus {
    process: Child,
    url: String,
}

impl Prometheus {
    /// `None` if Prometheus is not installed.
    fn start(data: &Path) -> Option<Self> {
        // If another program takes the port in the meantime, the start fails, and the test fails with it.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(data.join("prometheus.yml"), "").unwrap();
        let started = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=.", "--log.level=info"])
            .args(["--storage.tsdb.retention.time=100y", &format!("--web.listen-address=127.0.0.1:{port}")])
            .current_dir(data)
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("skipped: there is no prometheus");
                return None;
            }
            started => started.unwrap(),
        };
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let own = Self { process, url: format!("http://127.0.0.1:{port}") };
        assert!(log.any(|line| line.contains("Server is ready")), "it ended before it was ready");
        std::thread::spawn(move || log.for_each(drop));
        Some(own)
    }

    fn ask(&self, question: &str) -> String {
        let time = format!("--time={END}");
        let output = Command::new("promtool").args(["query", "instant", &time, &self.url, question]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{question}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// An hour of scrapes, one per minute, as if every count grew steadily: OpenMetrics, with times.
fn hour(scrape: &str, job: &str) -> String {
    let mut text = String::new();
    let samples: BTreeSet<_> = scrape.lines().filter(|line| !line.starts_with('#')).collect();
    for sample in samples {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap().trim_end_matches(',');
        let comma = if labels.is_empty() { "" } else { "," };
        let value: f64 = value.parse().unwrap();
        let grows = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
        for minute in 0..=END / 60 {
            let value = if grows { value * (minute + 1) as f64 } else { value };
            let labels = format!("{labels}{comma}instance=\"one\",job=\"{job}\"");
            writeln!(text, "{name}{{{labels}}} {value} {}", minute * 60).unwrap();
        }
    }
    text
}

/// The queries of a dashboard, as Grafana sends them with all jobs selected.
fn questions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().unwrap().replace("$job", ".*")))
    });
    targets.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_the_dashboard_returns_data() {
    let folder = tempfile::tempdir().unwrap();
    let text = hour(&every_kind_of_service().await, "stock")
        + &hour(&registry().await, "node")
        + &hour(&anomalies(), "node")
        + "# EOF\n";
    std::fs::write(folder.path().join("scrapes"), text).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "scrapes", "."])
        .current_dir(folder.path())
        .output();
    let made = match made {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return eprintln!("skipped: there is no promtool");
        }
        made => made.unwrap(),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let Some(prometheus) = Prometheus::start(folder.path()) else { return };
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    for (panel, question) in questions(&dashboard) {
        assert!(!question.contains('$'), "{panel}: a variable that nobody filled in: {question}");
        assert!(!prometheus.ask(&question).trim().is_empty(), "{panel}: nothing answers {question}");
    }
    // A server that answers every query would answer this one too.
    assert_eq!(prometheus.ask("service_only_of_nobody").trim(), "");
}
