//! The parts as processes: flags, environment, signals, exit codes, and what they print.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use service_only::Algorithm;
use service_only::issue::SigningKey;
use service_only_testkit::TestCertificate;
use tempfile::TempDir;
use tenant_deletion::authority::{AUDIENCE, Authority, ISSUER};
use tenant_deletion::catalogue::{self, ORCHESTRATOR, SERVICES};
use tenant_deletion::gateway::GATEWAY;
use tenant_deletion::tenant::{LEAVING, STAYING};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::raw::Raw;
use crate::town::{GATEWAY_ISSUER, Parts, https, preview_path};

const PATIENCE: Duration = Duration::from_secs(60);

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-deletion"));
    command.kill_on_drop(true).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

async fn output(command: &mut Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("the process ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server process that has said where it listens.
struct Server {
    child: Child,
    address: String,
    log: BufReader<tokio::process::ChildStderr>,
}

impl Server {
    async fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = tokio::time::timeout(PATIENCE, listening(&mut log)).await.expect("the server starts");
        Self { child, address, log }
    }

    #[cfg(unix)]
    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    async fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        tokio::time::timeout(PATIENCE, self.log.read_to_string(&mut log))
            .await
            .expect("the log ends")
            .unwrap();
        (self.child.wait().await.unwrap().code(), log)
    }
}

async fn listening(log: &mut BufReader<tokio::process::ChildStderr>) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).await.unwrap(), 0, "the server ended: {seen}");
        let entry: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON log line: {line}"));
        if entry["fields"]["message"] == "listening" {
            return entry["fields"]["address"].as_str().unwrap().to_owned();
        }
        seen.push_str(&line);
    }
}

/// The files that the processes are configured with.
pub(crate) struct Files {
    directory: TempDir,
    authority: Authority,
    parts: Parts,
}

impl Files {
    pub(crate) fn new() -> Self {
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
        let parts = Parts::issue(directory.path().join("tls"));
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let own = serde_json::json!({ "keys": [key.public_jwk().unwrap()] });
        let write =
            |name: &str, content: &[u8]| std::fs::write(directory.path().join(name), content).unwrap();
        write("jwks.json", authority.jwks().unwrap().as_bytes());
        write("gateway-jwks.json", own.to_string().as_bytes());
        write("gateway.key", &key.to_secret_bytes().unwrap());
        let files = Self { directory, authority, parts };
        std::fs::write(files.path("token"), files.token() + "\n").unwrap();
        files
    }

    /// The orchestrator's token.
    fn token(&self) -> String {
        let certificate: &TestCertificate = self.parts.certificate(ORCHESTRATOR);
        self.authority.service(ORCHESTRATOR, certificate).unwrap()
    }

    fn tls(&self, part: &str) -> PathBuf {
        self.path("tls").join(part)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn service(&self, name: &str) -> Command {
        let mut command = binary();
        command
            .args(["service", name, "--listen", "127.0.0.1:0", "--issuer", GATEWAY_ISSUER, "--demo-data"])
            .arg("--jwks")
            .arg(self.path("gateway-jwks.json"))
            .arg("--database")
            .arg(self.path(&format!("{name}.db")))
            .arg("--tls")
            .arg(self.tls(name));
        command
    }

    /// Configured by environment alone, as in the cluster.
    fn gateway(&self, upstreams: &str) -> Command {
        let mut command = binary();
        command
            .arg("gateway")
            .env("LISTEN", "127.0.0.1:0")
            .env("TOKEN_ISSUER", ISSUER)
            .env("TOKEN_AUDIENCE", AUDIENCE)
            .env("JWKS_FILE", self.path("jwks.json"))
            .env("GATEWAY_ISSUER", GATEWAY_ISSUER)
            .env("SIGNING_KEY_FILE", self.path("gateway.key"))
            .env("TLS_DIR", self.tls(GATEWAY))
            .env("AUDIT_LOG", self.path("gateway.jsonl"))
            .env("UPSTREAMS", upstreams);
        command
    }

    fn orchestrate(&self, gateway: &str) -> Command {
        let mut command = binary();
        command
            .args(["orchestrate", &LEAVING.id.to_string(), "--gateway", &format!("https://{gateway}")])
            .args(["--pause", "1ms", "--attempts", "2", "--token-file"])
            .arg(self.path("token"))
            .arg("--tls")
            .arg(self.tls(ORCHESTRATOR));
        command
    }
}

#[tokio::test]
async fn demonstration_succeeds_without_a_terminal_and_prints_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let ended = output(binary().arg("--state-dir").arg(directory.path())).await;
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert_eq!(err, "");
    assert!(!out.contains("eyJ"), "a token was printed");
    assert!(!out.contains('\u{1b}'), "colours without a terminal");
    for name in catalogue::names() {
        assert!(out.contains(name), "{name} is missing in\n{out}");
    }
    for word in
        ["no token", "tenant-deletion-orchestrator", "bad_signature", "audit.jsonl", "--serve", "curl -H @"]
    {
        assert!(out.contains(word), "{word} is missing in\n{out}");
    }
    let state = directory.path().join("demo");
    assert_private(&state.join("orchestrator.token"));
    assert_private(&state.join("orchestrator.header"));
    assert_private(&state.join("gateway.key"));

    let all = output(binary().arg("audit").arg("--all").arg(state.join("audit.jsonl"))).await;
    assert_eq!(all.status.code(), Some(0));
    let rows = text(&all.stdout).matches(" µs").count();
    assert_eq!(rows, std::fs::read_to_string(state.join("audit.jsonl")).unwrap().lines().count());
}

fn assert_private(file: &Path) {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn demonstration_serves_until_a_signal_and_its_curl_line_works() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = binary()
        .arg("--serve")
        .arg("--state-dir")
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    let line = loop {
        let read =
            tokio::time::timeout(PATIENCE, out.read_line(&mut seen)).await.expect("it serves").unwrap();
        assert_ne!(read, 0, "it ended: {seen}");
        if let Some(line) = seen.lines().find(|line| line.trim_start().starts_with("curl ")) {
            break line.trim_start().to_owned();
        }
    };
    match Command::new("sh").args(["-c", &format!("{line} --silent --noproxy '*'")]).output().await {
        Ok(curl) if curl.status.code() != Some(127) => {
            let records: Value =
                serde_json::from_slice(&curl.stdout).unwrap_or_else(|_| panic!("{line}: {curl:?}"));
            assert_eq!(records["service"], "orders");
            assert!(records["total"].as_u64().unwrap() > 0);
        }
        _ => eprintln!("skipped: curl is not installed"),
    }
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn parts_work_as_processes_and_end_on_a_signal() {
    let files = Files::new();
    let (orders, sales) =
        (Server::start(&mut files.service("orders")).await, Server::start(&mut files.service("sales")).await);
    let upstreams = format!("orders=https://{},sales=https://{}", orders.address, sales.address);
    let gateway = Server::start(&mut files.gateway(&upstreams)).await;
    let at = [("orders", &orders.address), (GATEWAY, &gateway.address)]
        .map(|(name, at)| (name, at.parse().unwrap()));
    let http = https(files.parts.tls(ORCHESTRATOR), &at);
    for path in ["/healthz", "/readyz"] {
        for (name, address) in &at {
            let url = format!("https://{name}:{}{path}", address.port());
            assert_eq!(http.get(url).send().await.unwrap().status(), 200);
        }
    }

    // Ten of the twelve are not there: the run says so, does the rest, and does not exit with 0.
    let stopped = output(files.orchestrate(&gateway.address).arg("--yes")).await;
    assert_eq!(stopped.status.code(), Some(1));
    assert!(text(&stopped.stderr).contains("nothing was deleted, because a preview failed"));
    assert!(
        text(&stopped.stdout).contains("failed: 404 Not Found") && text(&stopped.stdout).contains("\ntrace ")
    );
    let yes = ["--yes", "--partial", "--format", "json"];
    let run = output(files.orchestrate(&gateway.address).args(yes)).await;
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["complete"], false);
    let lines = report["services"].as_array().unwrap();
    assert_eq!(lines.len(), SERVICES.len());
    for line in lines {
        let there = ["orders", "sales"].contains(&line["service"].as_str().unwrap());
        assert_eq!(line["state"], if there { "deleted" } else { "failed" }, "{line}");
    }
    assert!(text(&run.stderr).contains("not done: inventory, recipes"));

    // An idle connection does not hold the process up.
    let _idle = Raw::connect(files.parts.tls(ORCHESTRATOR), gateway.address.parse().unwrap()).await;
    let left = preview_path("orders", STAYING.id);
    let url = format!("https://{}{left}", gateway.address);
    assert_eq!(http.get(url).bearer_auth(files.token()).send().await.unwrap().status(), 200);
    for server in [gateway, orders, sales] {
        server.terminate();
        let (code, log) = server.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(r#""message":"stopped""#), "{log}");
        assert!(!log.contains("eyJ"), "a token was logged");
    }
    // The audit log was flushed on the way out: 12 previews twice, 2 deletions, one preview by hand.
    let audit = std::fs::read_to_string(files.path("gateway.jsonl")).unwrap();
    assert_eq!(audit.lines().count(), 2 * 12 + 2 + 1);
}

#[tokio::test]
async fn orchestrator_exits_with_1_when_the_gateway_is_down() {
    let files = Files::new();
    let (_closed, address) = crate::town::ClosedPort::new();
    let run = output(files.orchestrate(&address.to_string()).arg("--preview-only")).await;
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(text(&run.stdout).matches("failed: gateway unreachable").count(), 12, "{}", text(&run.stdout));
}

#[tokio::test]
async fn orchestrator_does_not_delete_without_a_confirmation() {
    let files = Files::new();
    let (_closed, address) = crate::town::ClosedPort::new();
    let run = output(&mut files.orchestrate(&address.to_string())).await;
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(text(&run.stdout), "");
    assert!(text(&run.stderr).contains("pass `--yes`"), "{}", text(&run.stderr));
}

#[tokio::test]
async fn configuration_that_cannot_work_is_exit_code_2_and_names_the_file() {
    let files = Files::new();
    std::fs::write(files.path("broken.json"), "{").unwrap();
    std::fs::write(files.path("empty"), "\n").unwrap();
    let jwks = files.path("broken.json");
    let mut broken = binary();
    broken
        .args(["service", "orders", "--issuer", ISSUER, "--database"])
        .arg(files.path("x.db"))
        .arg("--tls")
        .arg(files.tls("orders"))
        .arg("--jwks")
        .arg(&jwks);
    refused(&mut broken, "broken.json").await;
    assert!(!files.path("x.db").exists(), "nothing may be written");

    let mut empty = binary();
    empty
        .args([
            "orchestrate",
            &LEAVING.id.to_string(),
            "--yes",
            "--gateway",
            "https://127.0.0.1:1",
            "--token-file",
        ])
        .arg(files.path("empty"))
        .arg("--tls")
        .arg(files.tls(ORCHESTRATOR));
    refused(&mut empty, "is empty").await;

    refused(&mut files.gateway("payroll=https://x"), "unknown service `payroll`").await;
    refused(files.gateway("orders=https://x").arg("--unknown"), "unexpected argument").await;
    refused(binary().args(["service", "payroll"]), "unknown service `payroll`").await;
    refused(binary().args(["orchestrate", "not-a-uuid"]), "not-a-uuid").await;
}

async fn refused(command: &mut Command, reason: &str) {
    let ended = output(command).await;
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{err}");
    assert!(err.contains(reason), "`{reason}` is missing in: {err}");
}
