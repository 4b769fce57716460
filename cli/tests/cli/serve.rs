//! `serve` as a fleet uses it: replicas of one store, clients of other projects, and its end.

mod clients;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rotate::aged;
use crate::sandbox::Sandbox;
use crate::store::{new_store, with_store};

const SET: &str = "/.well-known/jwks.json";

/// A running server. It is killed with the value.
pub(crate) struct Server {
    child: Child,
    /// Such as `http://127.0.0.1:40123`.
    pub(crate) url: String,
}

impl Server {
    /// Starts one in the folder of a sandbox, and waits until it listens.
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-token"))
            .arg("serve")
            .args(arguments)
            .current_dir(sandbox.root())
            .env("NO_COLOR", "1")
            .env_remove("SERVICE_TOKEN_STORE")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(sandbox.path("serve.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("serving ").unwrap_or_else(|| {
            panic!("`{line}`: {}", sandbox.read("serve.log"));
        });
        Self { child, url: url.to_owned() }
    }

    /// On a free port of this machine, without TLS.
    fn plain(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::start(sandbox, &[&["--listen", "127.0.0.1:0"], arguments].concat())
    }

    /// The status, the head and the body of an answer.
    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    fn kids(&self) -> Vec<String> {
        let (status, _, body) = self.get(SET);
        assert_eq!(status, 200, "{body}");
        let set: Value = serde_json::from_str(&body).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the set is of these keys.
    fn publishes(&self, kids: &[&str]) {
        while self.kids() != kids {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A machine without the key and without a set: it has the configuration alone.
fn replica_of(sandbox: &Sandbox) -> Sandbox {
    let replica = Sandbox::new();
    let address = crate::store::url(sandbox);
    let config = sandbox.read("service-token.toml");
    let rest = config.split_once('\n').unwrap().1;
    replica.write("service-token.toml", format!("store = \"{address}\"\n{rest}"));
    replica
}

/// A sandbox of each database, whose verifiers learn a key within four seconds.
fn rotating() -> Vec<Sandbox> {
    let urls = ["sqlite:tokens.db".to_owned()].into_iter().chain(new_store());
    let with_rotation = |url: String| {
        let sandbox = with_store(&url);
        let config = sandbox.read("service-token.toml");
        let rotation = "[rotation]\nlongest_refresh = \"4s\"\n[services]";
        sandbox.write("service-token.toml", config.replace("[services]", rotation));
        sandbox
    };
    urls.map(with_rotation).collect()
}

#[test]
fn replicas_without_a_key_publish_the_same_bytes_and_follow_a_rotation() {
    for sandbox in rotating() {
        let first = aged(&sandbox, 60 * 24 * 3600);
        let replicas = [replica_of(&sandbox), replica_of(&sandbox)];
        let servers = replicas.each_ref().map(|replica| Server::plain(replica, &[]));
        for server in &servers {
            server.publishes(&[&first]);
        }
        // Half of the key's life is over, so the next key is prepared.
        let ran = sandbox.run(&["rotate"]).done();
        let next = ran.stdout.lines().find_map(|line| line.strip_prefix("prepared ")).unwrap();
        for server in &servers {
            server.publishes(&[&first, next]);
        }
        let [one, other] = servers.each_ref().map(|server| server.get(SET));
        assert_eq!(one.2, other.2, "the same bytes");
        assert_eq!(one.2, sandbox.read("jwks.json"), "and those of the file that `rotate` writes");
        let tag = |head: &str| head.lines().find(|line| line.starts_with("etag")).unwrap().to_owned();
        assert_eq!(tag(&one.1), tag(&other.1));
        assert!(one.1.contains("cache-control: public, max-age=1, must-revalidate"), "{}", one.1);
        // A leaked key is withdrawn everywhere.
        sandbox.run(&["rotate", &format!("--emergency={first}"), "--keep-prepared"]).done();
        for server in &servers {
            server.publishes(&[next]);
        }
        assert!(replicas[0].read("serve.log").contains(&format!("withdrew `{first}`")));
    }
}

#[test]
fn store_that_goes_away_is_reported_and_its_last_set_is_published() {
    let sandbox = rotating().remove(0);
    sandbox.run(&["rotate"]).done();
    let replica = replica_of(&sandbox);
    let server = Server::plain(&replica, &["--metrics"]);
    let kids = server.kids();
    std::fs::rename(sandbox.path("tokens.db"), sandbox.path("moved.db")).unwrap();
    while server.get("/healthz").0 == 200 {
        assert_eq!(server.get("/readyz").0, 200);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let log = replica.read("serve.log");
    assert_eq!(log.matches("warning: ").count(), 1, "a problem is reported once: {log}");
    assert!(log.contains("tokens.db") && log.contains("at most 4s"), "{log}");
    std::fs::rename(sandbox.path("moved.db"), sandbox.path("tokens.db")).unwrap();
    while server.get("/healthz").0 != 200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(server.kids(), kids);
    assert!(replica.read("serve.log").contains("note: the published set can be read again"));
    let metrics = server.get("/metrics").2;
    let failed = "service_only_serve_failed_reads_total{issuer=\"bakery-auth\"} ";
    let failed = metrics.lines().find_map(|line| line.strip_prefix(failed)).unwrap();
    assert!(failed.parse::<u64>().unwrap() > 0);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let server = Server::plain(&sandbox, &[]);
    for path in [SET, "/healthz", "/nowhere"] {
        let (get, head) = (server.get(path), server.ask("HEAD", path));
        let without_date = |head: &str| {
            head.lines().filter(|line| !line.starts_with("date")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((get.0, without_date(&get.1)), (head.0, without_date(&head.1)), "{path}");
        assert!(get.1.contains(&format!("content-length: {}", get.2.len())) && head.2.is_empty());
    }
}

#[test]
fn metrics_are_those_of_the_registry_and_only_on_request() {
    for sandbox in rotating() {
        sandbox.run(&["rotate"]).done();
        sandbox.run(&["generate", "--all"]).done();
        assert_eq!(Server::plain(&sandbox, &[]).get("/metrics").0, 404);
        let server = Server::plain(&sandbox, &["--metrics"]);
        let (status, head, text) = server.get("/metrics");
        assert_eq!(status, 200);
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let printed = sandbox.run(&["expiring", "--format", "prometheus"]).done().stdout;
        let printed = printed.lines().filter(|line| line.contains("service_only_registry_tokens{"));
        assert!(printed.clone().count() > 0);
        for line in printed {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for line in ["keys{issuer=\"bakery-auth\"} 1", "registry_readable{issuer=\"bakery-auth\"} 1"] {
            assert!(text.contains(&format!("\nservice_only_serve_{line}\n")), "{text}");
        }
    }
}

#[test]
fn server_that_others_can_reach_needs_a_certificate_or_a_dangerous_option() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8443"] {
        let message = sandbox.run(&["serve", "--listen", address]).refused();
        assert!(message.contains("--tls-cert FILE --tls-key FILE"), "{message}");
    }
    drop(Server::start(&sandbox, &["--listen", "0.0.0.0:0", "--dangerously-allow-http"]));
    drop(Server::plain(&sandbox, &[]));
}

#[test]
fn server_without_anything_to_publish_does_not_start() {
    let sandbox = Sandbox::configured();
    let message = sandbox.run(&["serve", "--listen", "127.0.0.1:0"]).refused();
    assert!(message.contains("no set to publish") && message.contains("service-token rotate"), "{message}");
    sandbox.write("jwks.json", "{");
    let message = sandbox.run(&["serve", "--listen", "127.0.0.1:0"]).refused();
    assert!(message.contains("is not a JWK set"), "{message}");
    std::fs::remove_file(sandbox.path("jwks.json")).unwrap();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let missing =
        sandbox.run(&["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:none.db"]).unavailable();
    assert!(missing.contains("none.db"), "{missing}");
    let pair = ["--tls-cert", "none.crt", "--tls-key", "none.key"];
    let message = sandbox.run(&[&["serve", "--listen", "127.0.0.1:0"], &pair[..]].concat()).refused();
    assert!(message.contains("none.crt"), "{message}");
    assert!(Sandbox::new().run(&["serve"]).refused().contains("--config FILE"));
}

#[cfg(unix)]
#[test]
fn server_ends_with_code_0_on_sigterm() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let mut server = Server::plain(&sandbox, &[]);
    assert_eq!(server.get(SET).0, 200);
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
