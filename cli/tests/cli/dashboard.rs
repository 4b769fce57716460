//! `dashboard` as an operator and as an attacker use it, over HTTP to the built program.

mod browser;

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::audit_log::{copy_all, sealed, write_sealed};
use crate::sandbox::Sandbox;
use crate::store::{mint, with_store};

/// A running dashboard. It is killed with the value.
pub(crate) struct Dashboard {
    child: Child,
    address: String,
}

/// An answer: the status, the head in lower case, and the body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Dashboard {
    /// Starts one on a free port, and waits until it listens and has read the log.
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-token"))
            .args(["dashboard", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(sandbox.root())
            .env("NO_COLOR", "1")
            .env("USER", "ann")
            .env_remove("SUDO_USER")
            .env_remove("SERVICE_TOKEN_STORE")
            .env_remove("SERVICE_TOKEN_ENVIRONMENT")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(sandbox.path("dashboard.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("serving http://").unwrap_or_else(|| {
            panic!("`{line}`: {}", sandbox.read("dashboard.log"));
        });
        Self { child, address: address.to_owned() }
    }

    /// Waits until the log was read.
    fn ready(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let dashboard = Self::start(sandbox, arguments);
        dashboard.until("/", |overview| overview["complete"] == true);
        dashboard
    }

    /// Waits until the JSON of a page meets a condition.
    fn until(&self, path: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json(path);
            if is_met(&value) {
                return value;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: unchunked(head, body) }
    }

    fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"))
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get_with(path, "accept: application/json\r\n");
        assert!(answer.head.contains("content-type: application/json"), "{path}: {}", answer.head);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn post(&self, path: &str, form: &str, headers: &str) -> Answer {
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{headers}\r\n{form}",
            form.len()
        ))
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer, also of one in chunks.
fn unchunked(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut text, mut rest) = (String::new(), body);
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text += &after[..length];
        rest = after[length..].strip_prefix("\r\n").unwrap();
    }
    text
}

/// The id of the refusal in the log.
const REFUSED: &str = "019b76da-0000-7000-8000-000000000099";

fn record(number: u32, hour: u32, decision: &str, service: &str) -> String {
    format!(
        r#"{{"id":"019b76da-0000-7000-8000-{number:012}","time":"2026-01-01T{hour:02}:00:{:02}.000000Z","decision":{decision},"endpoint":"stock::reserve","service":"{service}","jti":"jti-{service}","kid":"k1","issuer":"bakery-auth","client.address":"10.0.0.7","duration_us":50}}"#,
        number % 60
    ) + "\n"
}

/// Ten hours with a call of `orders` in each, and a refusal of `billing`.
fn log() -> String {
    let calls = (0..10).map(|hour| record(hour, hour, r#""allow","status":200"#, "orders"));
    let refused = r#""deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `billing`, allowed: orders""#;
    calls.collect::<String>() + &record(99, 9, refused, "billing")
}

const TABLE: &str = r#"{"service":"stock","routes":[
  {"methods":["POST"],"path":"/reserve","handler":{"endpoint":"stock::reserve","line":4},
   "access":{"service_only":{"services":["orders","billing"],"scopes":["stock:write"]}}}]}"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("audit.jsonl", log());
    sandbox.write("stock.json", TABLE);
    sandbox
}

const PAGES: [&str; 9] = [
    "/",
    "/calls",
    "/service?name=orders",
    "/endpoint?name=stock%3A%3Areserve",
    "/tokens",
    "/token?issuer=bakery-auth&jti=jti-orders",
    "/decision?id=019b76da-0000-7000-8000-000000000099",
    "/findings",
    "/rotation",
];

#[test]
fn each_page_is_there_as_html_and_as_json_with_strict_headers() {
    let sandbox = sandbox();
    sandbox.write(
        "report.json",
        r#"{"clean":true,"got_in":0,"requests":9,"causes":[],"not_sent":[],"endpoints":[]}"#,
    );
    let dashboard = Dashboard::ready(
        &sandbox,
        &["audit.jsonl", "--endpoints", "stock.json", "--attack-report", "report.json"],
    );
    for path in PAGES.into_iter().chain(["/attacks"]) {
        let page = dashboard.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{path}: {}", page.head);
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; ",
        ] {
            assert!(page.head.contains(header), "{path}: {header}\n{}", page.head);
        }
        assert!(!page.head.contains("unsafe") && !page.head.contains("set-cookie"), "{}", page.head);
        // The policy forbids inline scripts and styles, and everything from elsewhere.
        for forbidden in ["<style", " style=", " onclick=", "<script>", "src=\"http", "href=\"http", "//cdn"]
        {
            assert!(!page.body.contains(forbidden), "{path}: {forbidden}");
        }
        let joined =
            if path.contains('?') { format!("{path}&format=json") } else { format!("{path}?format=json") };
        assert_eq!(
            dashboard.get(&joined).body,
            dashboard.get_with(path, "accept: application/json\r\n").body
        );
        assert!(dashboard.json(path).is_object(), "{path}");
    }
    let missing = dashboard.get("/nowhere");
    assert_eq!(missing.status, 404);
    assert!(missing.head.contains("content-security-policy"), "{}", missing.head);
    for asset in ["/static/dashboard.css", "/static/live.js", "/static/icon.svg"] {
        assert_eq!(dashboard.get(asset).status, 200, "{asset}");
    }
}

#[test]
fn pages_have_the_numbers_of_the_commands() {
    let sandbox = sandbox();
    let dashboard =
        Dashboard::ready(&sandbox, &["audit.jsonl", "--endpoints", "stock.json", "--window", "10h"]);
    let of = |arguments: &[&str]| sandbox.run(&[arguments, &["--format", "json"]].concat()).json();
    let usage = of(&["usage", "audit.jsonl"]);
    assert_eq!(dashboard.json("/calls")["usage"], usage["usage"]);
    assert_eq!(dashboard.json("/calls")["read"], usage["read"]);
    assert_eq!(dashboard.json("/")["refusals"], of(&["usage", "--by", "code", "audit.jsonl"])["usage"]);
    let token = dashboard.json("/token?issuer=bakery-auth&jti=jti-orders");
    let tokens = of(&["usage", "--by", "token", "audit.jsonl"])["usage"].clone();
    assert!(tokens.as_array().unwrap().contains(&token["usage"]), "{token}");
    let anomalies = of(&["anomalies", "audit.jsonl"]);
    assert_eq!(dashboard.json("/findings")["anomalies"]["findings"], anomalies["findings"]);
    let window = ["--window", "10h", "--until", "2026-01-01T09:00:39Z"];
    let unused = of(&[&["unused", "audit.jsonl", "--endpoints", "stock.json"], &window[..]].concat());
    assert_eq!(dashboard.json("/findings")["unused"]["findings"], unused["findings"]);
    assert!(!unused["findings"].as_array().unwrap().is_empty());
    let explained = of(&["explain", REFUSED, "--audit", "audit.jsonl", "--endpoints", "stock.json"]);
    assert_eq!(dashboard.json(&format!("/decision?id=urn:uuid:{REFUSED}")), explained);
    let page = dashboard.get(&format!("/decision?id={REFUSED}")).body;
    assert!(page.contains("was refused by <code>stock::reserve</code>"), "{page}");
}

#[test]
fn pages_of_keys_tokens_and_attacks_have_the_numbers_of_the_commands() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (_, jti) = mint(&sandbox, &["orders", "--lifetime", "1h"]);
    let (_, revoked) = mint(&sandbox, &["inventory", "--lifetime", "1h"]);
    sandbox.run(&["rotate"]).done();
    sandbox.run(&["revoke", &revoked, "--reason", "leaked"]).done();
    let report = r#"{"clean":false,"got_in":1,"requests":9,"causes":[{"cause":"the signature is not checked","attacks":1}],
        "endpoints":[{"method":"GET","target":"/stock","control":200,"findings":[{"class":"alg_none","outcome":"got_in"}]}]}"#;
    sandbox.write("report.json", report);
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl", "--attack-report", "report.json"]);
    // What depends on the second in which it was read.
    let stable = |list: &Value, order: &str| {
        let mut list = list.as_array().unwrap().clone();
        for entry in list.iter_mut().filter_map(Value::as_object_mut) {
            entry.retain(|name, _| !["age_s", "known_tokens", "counted_all"].contains(&name.as_str()));
        }
        list.sort_by_key(|entry| entry[order].to_string());
        Value::from(list)
    };
    let of = |arguments: &[&str]| sandbox.run(&[arguments, &["--format", "json"]].concat()).done().json();

    let rotation = dashboard.json("/rotation");
    assert_eq!(stable(&rotation["keys"], "kid"), stable(&of(&["keys"]), "kid"));
    assert!(!rotation["keys"].as_array().unwrap().is_empty(), "{rotation}");
    let by_key = of(&["usage", "--by", "key", "audit.jsonl"])["usage"].clone();
    assert_eq!(stable(&rotation["usage"], "kid"), stable(&by_key, "kid"));

    let tokens = dashboard.json("/tokens");
    let by_token = of(&["usage", "--by", "token", "audit.jsonl"])["usage"].clone();
    assert_eq!(stable(&tokens["used"], "jti"), stable(&by_token, "jti"));
    assert_eq!(tokens["used_in_total"], 2);
    let listed = of(&["list", "--active"]);
    assert_eq!(stable(&tokens["expiring"], "jti"), stable(&listed, "jti"));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["jti"]), (1, &jti.into()));
    assert_eq!(stable(&tokens["revocations"], "number"), stable(&of(&["revocations"]), "number"));
    let page = dashboard.get("/tokens").body;
    assert!(page.contains("jti-orders") && page.contains("leaked"), "{page}");

    let attacks = dashboard.json("/attacks");
    assert_eq!(attacks["reports"][0]["report"], serde_json::from_str::<Value>(report).unwrap());
    let page = dashboard.get("/attacks").body;
    assert!(page.contains("the signature is not checked") && page.contains("alg_none"), "{page}");
}

#[test]
fn sums_of_each_range_are_those_of_the_log() {
    let sandbox = sandbox();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let sum = |range: &str, name: &str| -> u64 {
        let overview = dashboard.json(&format!("/?range={range}"));
        assert_eq!(overview["range"], range);
        overview["decisions"].as_array().unwrap().iter().map(|span| span[name].as_u64().unwrap()).sum()
    };
    for range in ["24h", "7d", "90d"] {
        assert_eq!((sum(range, "allowed"), sum(range, "refused")), (10, 1), "{range}");
    }
    assert_eq!((sum("1h", "allowed"), sum("1h", "refused")), (1, 1));
}

#[test]
fn find_leads_to_the_page_of_each_kind() {
    let sandbox = sandbox();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    for (wanted, page) in [
        ("orders", "/service?name=orders"),
        ("reserve", "/endpoint?name=stock%3A%3Areserve"),
        ("jti-bil", "/token?issuer=bakery-auth&jti=jti-billing"),
        (REFUSED, &format!("/decision?id={REFUSED}")),
        ("", "/"),
    ] {
        let answer = dashboard.get(&format!("/find?q={wanted}"));
        assert_eq!(answer.status, 303, "{wanted}");
        assert!(
            answer.head.contains(&format!("location: {}\r\n", page.to_ascii_lowercase())),
            "{}",
            answer.head
        );
    }
    assert_eq!(dashboard.get("/decision?id=nothing").status, 404);
    assert_eq!(dashboard.get("/service?name=nothing").status, 404);
}

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\\\"'&";

/// A dashboard of a log and an attack report with hostile texts in every field.
fn hostile(sandbox: &Sandbox) -> Dashboard {
    let hostile_id = |number| hostile_line(number, &hostile_text(number));
    let lines: String = (0..2_000).map(hostile_id).collect();
    // A decision has a page only under an id in lower case.
    sandbox.write("audit.jsonl", lines + &hostile_line(2_000, REFUSED));
    sandbox.write("hostile.json", format!(r#"{{"clean":false,"got_in":1,"requests":1,"causes":[{{"cause":"{HOSTILE}","attacks":1}}],
        "endpoints":[{{"method":"{HOSTILE}","target":"{HOSTILE}","control":null,"proves_nothing":"{HOSTILE}","findings":[{{"class":"{HOSTILE}","outcome":"got_in"}}]}}]}}"#));
    Dashboard::ready(sandbox, &["audit.jsonl", "--attack-report", "hostile.json"])
}

fn hostile_text(number: u32) -> String {
    format!("{HOSTILE}\\u202e\\u0000{number}{}", "W".repeat(300))
}

/// A record with this id, and a hostile text in every other field.
fn hostile_line(number: u32, id: &str) -> String {
    let hostile = hostile_text(number);
    let members = [
        "endpoint",
        "http.request.method",
        "http.route",
        "url.path",
        "service",
        "jti",
        "kid",
        "issuer",
        "client.address",
        "trace_id",
        "unverified.service",
        "user.id",
        "actor",
        "peer",
        "proof",
        "policy_digest",
        "reason",
        "code",
        "stage",
        "profile",
    ];
    let members: Vec<_> = members.iter().map(|name| format!(r#""{name}":"{hostile}""#)).collect();
    let (day, hour) = (number / 24 % 28 + 1, number % 24);
    let members = members.join(",");
    format!(
        r#"{{"id":"{id}","time":"2026-01-{day:02}T{hour:02}:00:00Z","decision":"deny","status":403,{members},"duration_us":1}}"#
    ) + "\n"
}

/// Every page about the hostile texts.
fn hostile_paths(dashboard: &Dashboard) -> Vec<String> {
    let usage = dashboard.json("/calls")["usage"].clone();
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let first = |name: &str| encoded(usage[0][name].as_str().unwrap());
    let tokens = dashboard.json("/tokens");
    let token = |name: &str| encoded(tokens["used"][0][name].as_str().unwrap());
    vec![
        "/".to_owned(),
        "/?range=90d".to_owned(),
        "/?range=7d".to_owned(),
        "/calls".to_owned(),
        format!("/calls?caller={}", first("service")),
        format!("/service?name={}", first("service")),
        format!("/endpoint?name={}", first("endpoint")),
        "/tokens".to_owned(),
        format!("/token?issuer={}&jti={}", token("issuer"), token("jti")),
        format!("/decision?id={}", encoded(tokens["used"][0]["jti"].as_str().unwrap())),
        format!("/decision?id={REFUSED}"),
        "/findings".to_owned(),
        "/rotation".to_owned(),
        "/attacks".to_owned(),
        format!("/find?q={}", encoded(HOSTILE)),
        format!("/service?name={}", encoded(HOSTILE)),
    ]
}

#[test]
fn hostile_texts_of_every_field_are_escaped_and_pages_stay_small() {
    let sandbox = Sandbox::new();
    let dashboard = hostile(&sandbox);
    let assets: usize = ["/static/dashboard.css", "/static/live.js", "/static/icon.svg"]
        .map(|asset| dashboard.get(asset).body.len())
        .iter()
        .sum();
    for path in hostile_paths(&dashboard) {
        let page = dashboard.get(&path);
        assert!(!page.body.contains("<script>") && !page.body.contains("<img"), "{path}: {}", page.body);
        assert!(!page.body.contains('\u{202e}') && !page.body.contains('\0'), "{path}");
        assert!(!page.head.contains("<img"), "{path}: {}", page.head);
        let size = page.body.len() + assets;
        assert!(size <= 60 * 1024, "{path}: {size} bytes");
        let json = dashboard.get_with(&path, "accept: application/json\r\n");
        assert!(!json.body.contains('\u{202e}'), "{path}");
    }
    assert_eq!(dashboard.get(&format!("/decision?id={REFUSED}")).status, 200);
    let overview = dashboard.get("/").body;
    assert!(overview.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{overview}");
    assert!(overview.contains("\\u202e"), "{overview}");
}

/// CONTRIBUTING.md names the command. The time counts only in a release build.
#[test]
#[ignore = "it takes minutes in a debug build"]
fn first_page_over_a_million_records_is_there_within_100_ms_and_small() {
    let sandbox = Sandbox::new();
    let mut file = std::io::BufWriter::new(std::fs::File::create(sandbox.path("audit.jsonl")).unwrap());
    for number in 0..1_000_000_u64 {
        let time = jiff::Timestamp::from_second(1_767_225_600 + (number * 5 / 2).cast_signed()).unwrap();
        let decision = match number % 500 {
            0 => {
                r#""deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `orders`, allowed: billing""#
            }
            _ => r#""allow","status":200"#,
        };
        let (service, endpoint, token) = (number % 12, number * 31 % 48, number * 7 % 300);
        writeln!(
            file,
            r#"{{"id":"019b76da-0000-7000-8000-{number:012}","time":"{time}","decision":{decision},"endpoint":"program::handler_{endpoint}","service":"service-{service}","jti":"{token:08x}","kid":"k1","issuer":"bakery-auth","client.address":"10.0.{service}.10","duration_us":{}}}"#,
            20 + number % 60
        )
        .unwrap();
    }
    file.into_inner().unwrap();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let assets: usize = ["/static/dashboard.css", "/static/live.js", "/static/icon.svg"]
        .map(|asset| dashboard.get(asset).body.len())
        .iter()
        .sum();
    for path in ["/", "/?range=90d", "/calls", "/tokens", "/findings"] {
        let mut slowest = std::time::Duration::ZERO;
        let mut size = 0;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            size = dashboard.get(path).body.len() + assets;
            slowest = slowest.max(start.elapsed());
        }
        eprintln!("{path:<12} at most {slowest:?}, {size} bytes");
        assert!(size <= 60 * 1024, "{path}: {size} bytes");
        assert!(cfg!(debug_assertions) || slowest.as_millis() <= 100, "{path}: {slowest:?}");
    }
}

#[test]
fn foreign_names_in_the_host_header_are_refused() {
    let sandbox = sandbox();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl", "--host", "audit.example"]);
    let asked = |host: &str| {
        let answer = dashboard.send(&format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
        assert!(answer.status == 200 || !answer.body.contains("orders"), "{}", answer.body);
        assert!(answer.head.contains("content-security-policy"), "{}", answer.head);
        answer.status
    };
    for own in ["localhost", "127.0.0.1:9400", "[::1]", "AUDIT.example:1"] {
        assert_eq!(asked(own), 200, "{own}");
    }
    for foreign in ["evil.example", "127.0.0.1.evil.example", "user@localhost", "10.0.0.1"] {
        assert_eq!(asked(foreign), 421, "{foreign}");
    }
    assert_eq!(dashboard.send("GET / HTTP/1.0\r\n\r\n").status, 421);
}

#[test]
fn address_of_other_machines_needs_a_certificate_or_a_token() {
    let sandbox = sandbox();
    let refused = |more: &[&str]| {
        sandbox.run(&[&["dashboard", "audit.jsonl", "--listen", "0.0.0.0:0"], more].concat()).refused()
    };
    let text = refused(&[]);
    assert!(text.contains("nothing protects the pages") && text.contains("--tls-roots"), "{text}");
    let text = refused(&["--dangerously-allow-http"]);
    assert!(text.contains("nothing protects the pages"), "{text}");
    let text = refused(&["--tls-cert", "a", "--tls-key", "b"]);
    assert!(text.contains("nothing protects the pages"), "{text}");
    let text = refused(&["--allow-service", "orders"]);
    assert!(text.contains("without TLS"), "{text}");
    refused(&["--tls-roots", "ca.crt"]);
    refused(&["--allow-client", "spiffe://a/b"]);
    assert!(sandbox.run(&["dashboard", "absent.jsonl"]).refused().contains("`absent.jsonl`"));
    let text = sandbox.run(&["dashboard", "audit.jsonl", "--allow-revoke"]).refused();
    assert!(text.contains("needs a store"), "{text}");
}

#[test]
fn guard_admits_the_named_service_and_no_other() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (orders, _) = mint(&sandbox, &["orders"]);
    let (inventory, _) = mint(&sandbox, &["inventory"]);
    let dashboard =
        Dashboard::start(&sandbox, &["audit.jsonl", "--allow-service", "orders", "--allow-revoke"]);
    let with = |token: &str| dashboard.get_with("/", &format!("authorization: Bearer {token}\r\n"));
    let anonymous = dashboard.get("/");
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.head.contains("www-authenticate: bearer"), "{}", anonymous.head);
    assert!(anonymous.head.contains("content-security-policy"), "{}", anonymous.head);
    for path in ["/calls", "/live", "/static/live.js", "/nowhere", "/find?q=orders"] {
        assert_eq!(dashboard.get(path).status, 401, "{path}");
    }
    assert_eq!(dashboard.post("/revoke", "jti=a", "").status, 401);
    assert_eq!(with(&inventory).status, 403);
    assert_eq!(with(&format!("{orders}x")).status, 401);
    let page = with(&orders);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Signed in as <strong>orders</strong>"), "{}", page.body);
    // Each decision of the guard is recorded, some milliseconds later.
    let mut records = String::new();
    while !(records.contains(r#""code":"service_not_allowed""#) && records.contains(r#""decision":"allow""#))
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
        records = sandbox.read("dashboard.log");
    }
    assert!(records.contains("::dashboard"), "{records}");
    assert!(!records.contains(&orders), "{records}");
}

#[test]
fn client_certificate_is_required_with_roots() {
    let sandbox = sandbox();
    let files = |name: &str| {
        let issued = sandbox.run(&["cert", name, "--dir", "state", "--dns", "localhost", "--format", "json"]);
        issued.done().json()["directory"].as_str().unwrap().to_owned()
    };
    let (server, ann, bob) = (files("audit"), files("ann"), files("bob"));
    let [cert, key, roots] = ["tls.crt", "tls.key", "ca.crt"].map(|file| format!("{server}/{file}"));
    let allowed = "spiffe://dev-only.internal/ann";
    let tls = [
        "audit.jsonl",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-roots",
        &roots,
        "--allow-client",
        allowed,
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_service-token"))
        .args(["dashboard", "--listen", "127.0.0.1:0"])
        .args(tls)
        .current_dir(sandbox.root())
        .env_remove("SERVICE_TOKEN_STORE")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    let dashboard = Dashboard { child, address: format!("127.0.0.1:{port}") };
    let root = reqwest::Certificate::from_pem(&std::fs::read(&roots).unwrap()).unwrap();
    let ask = |folder: Option<&str>| {
        let mut client = reqwest::Client::builder()
            .tls_certs_only([root.clone()])
            .resolve("localhost", std::net::SocketAddr::from(([127, 0, 0, 1], port)))
            .no_proxy();
        if let Some(folder) = folder {
            let read = |file: &str| std::fs::read(format!("{folder}/{file}")).unwrap();
            let identity = reqwest::Identity::from_pem(&[read("tls.key"), read("tls.crt")].concat()).unwrap();
            client = client.identity(identity);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer =
                client.build().unwrap().get(format!("https://localhost:{port}/")).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.unwrap()))
        })
    };
    assert!(ask(None).is_none(), "the handshake fails");
    assert_eq!(ask(Some(&bob)).unwrap().0, 403);
    let (status, body) = ask(Some(&ann)).unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(allowed), "{body}");
    drop(dashboard);
}

/// The value of a hidden field of a form.
fn field(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no `{name}` in {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn token_is_revoked_only_with_the_form_of_its_page() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (_, jti) = mint(&sandbox, &["orders"]);
    let (_, other) = mint(&sandbox, &["inventory"]);
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl", "--allow-revoke"]);
    let state = |jti: &str| sandbox.run(&["show", jti, "--format", "json"]).done().json()["state"].clone();
    let page = dashboard.get(&format!("/token?issuer=bakery-auth&jti={jti}")).body;
    assert!(page.contains("Revoke this token"), "{page}");
    let confirm = dashboard.get(&format!("/revoke?issuer=bakery-auth&jti={jti}"));
    assert_eq!(confirm.status, 200, "{}", confirm.body);
    let csrf = field(&confirm.body, "csrf");
    let form = |jti: &str, csrf: &str, reason: &str| {
        format!("csrf={csrf}&jti={jti}&issuer=bakery-auth&reason={reason}")
    };
    for (form, headers) in [
        (format!("jti={jti}&issuer=bakery-auth&reason=leaked"), ""),
        (form(&jti, "", "leaked"), ""),
        (form(&jti, "AAAA", "leaked"), ""),
        // The form of one token does not revoke another.
        (form(&other, &csrf, "leaked"), ""),
        (form(&jti, &csrf, "leaked"), "sec-fetch-site: cross-site\r\n"),
        ("not a form".to_owned(), ""),
    ] {
        let answer = dashboard.post("/revoke", &form, headers);
        assert_eq!(answer.status, 403, "{form}: {}", answer.body);
    }
    assert_eq!(dashboard.post("/revoke", &form(&jti, &csrf, "++"), "").status, 409, "no reason");
    let large = form(&jti, &csrf, &"x".repeat(20_000));
    assert!([403, 413].contains(&dashboard.post("/revoke", &large, "").status));
    assert_eq!((state(&jti), state(&other)), ("active".into(), "active".into()), "nothing was revoked");

    let answer =
        dashboard.post("/revoke", &form(&jti, &csrf, "seen+in+a+log"), "sec-fetch-site: same-origin\r\n");
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(answer.head.contains(&format!("jti={jti}&revoked=1")), "{}", answer.head);
    assert_eq!((state(&jti), state(&other)), ("revoked".into(), "active".into()));
    let recorded = sandbox.run(&["revocations", "--format", "json"]).done().json();
    assert_eq!(
        (&recorded[0]["reason"], &recorded[0]["revoked_by"]),
        (&"seen in a log".into(), &"ann".into())
    );
    let page = dashboard.get(&format!("/token?issuer=bakery-auth&jti={jti}")).body;
    assert!(!page.contains("Revoke this token") && page.contains("revoked"), "{page}");
    let listed = dashboard
        .until("/tokens", |tokens| tokens["revocations"].as_array().is_some_and(|all| !all.is_empty()));
    assert_eq!(listed["revocations"][0]["name"], *jti);
}

#[test]
fn service_is_revoked_up_to_the_instant_that_the_page_shows() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (_, jti) = mint(&sandbox, &["orders"]);
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl", "--allow-revoke", "--by", "bob"]);
    let confirm = dashboard.get("/revoke?service=orders").body;
    let (csrf, before) = (field(&confirm, "csrf"), field(&confirm, "before"));
    let later = before.parse::<i64>().unwrap() + 1;
    let form = |before: &str| format!("csrf={csrf}&service=orders&before={before}&reason=leak");
    assert_eq!(dashboard.post("/revoke", &form(&later.to_string()), "").status, 403);
    assert_eq!(dashboard.post("/revoke", &form(&before), "").status, 303);
    let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
    assert_eq!((&shown["state"], &shown["revoked"]), (&"revoked".into(), &"service".into()));
    let recorded = sandbox.run(&["revocations", "--format", "json"]).done().json();
    assert_eq!(recorded[0]["revoked_by"], "bob");
}

#[test]
fn dashboard_without_permission_revokes_nothing() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (_, jti) = mint(&sandbox, &["orders"]);
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    assert!(
        !dashboard.get(&format!("/token?issuer=bakery-auth&jti={jti}")).body.contains("Revoke this token")
    );
    assert_eq!(dashboard.get(&format!("/revoke?issuer=bakery-auth&jti={jti}")).status, 403);
    assert_eq!(
        dashboard.post("/revoke", &format!("jti={jti}&issuer=bakery-auth&reason=a&csrf=a"), "").status,
        403
    );
    assert_eq!(sandbox.run(&["show", &jti, "--format", "json"]).done().json()["state"], "active");
}

#[test]
fn new_record_arrives_live_and_after_a_rotation() {
    let sandbox = sandbox();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let mut stream = TcpStream::connect(&dashboard.address).unwrap();
    stream.write_all(b"GET /live?service=mail HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
    let append = |text: &str| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(sandbox.path("audit.jsonl"))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    };
    let allow = r#""allow","status":200"#;
    append(&(record(100, 10, allow, "orders") + &record(101, 10, allow, "mail")));
    let mut next = || -> Value {
        let line = lines.by_ref().find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let first = next();
    assert_eq!((&first["caller"], &first["decision"]), (&"mail".into(), &"allow".into()));
    assert_eq!(first["url"], "/decision?id=019b76da-0000-7000-8000-000000000101");
    std::fs::rename(sandbox.path("audit.jsonl"), sandbox.path("audit.jsonl.1")).unwrap();
    append(&record(102, 11, allow, "mail"));
    assert_eq!(next()["url"], "/decision?id=019b76da-0000-7000-8000-000000000102");
    let calls = dashboard.until("/service?name=mail", |service| service["usage"][0]["allowed"] == 2);
    assert_eq!(calls["recent"][0]["id"], "019b76da-0000-7000-8000-000000000102");
    // Both records are found, also the one of the renamed file.
    for id in ["101", "102"] {
        assert_eq!(dashboard.get(&format!("/decision?id=019b76da-0000-7000-8000-000000000{id}")).status, 200);
    }
}

#[test]
fn unavailable_store_is_told_on_every_page_and_the_log_is_shown() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.write("audit.jsonl", log());
    let (_, jti) = mint(&sandbox, &["orders"]);
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl", "--allow-revoke"]);
    assert_eq!(dashboard.json("/")["store"]["active_tokens"], 1);
    std::fs::rename(sandbox.path("tokens.db"), sandbox.path("moved.db")).unwrap();
    let overview = dashboard.until("/", |overview| !overview["store"]["problem"].is_null());
    assert!(overview["store"]["problem"].as_str().unwrap().contains("tokens.db"), "{overview}");
    assert_eq!(overview["store"]["active_tokens"], 1, "as it was last read");
    for path in ["/", "/tokens", "/rotation", "/calls"] {
        let page = dashboard.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains("The store cannot be read."), "{path}: {}", page.body);
    }
    let token = dashboard.get(&format!("/token?issuer=bakery-auth&jti={jti}"));
    assert_eq!(token.status, 200);
    assert!(token.body.contains("The store cannot be asked."), "{}", token.body);
    assert_eq!(dashboard.get(&format!("/revoke?issuer=bakery-auth&jti={jti}")).status, 503);
    let log = sandbox.read("dashboard.log");
    assert_eq!(log.matches("the store cannot be read").count(), 1, "{log}");
    std::fs::rename(sandbox.path("moved.db"), sandbox.path("tokens.db")).unwrap();
    dashboard.until("/", |overview| overview["store"]["problem"].is_null());
}

#[test]
fn tampered_log_is_told_on_the_overview() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("audit.jsonl.tree")).unwrap();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let overview = dashboard.until("/", |overview| !overview["integrity"][0]["verdict"].is_null());
    assert_eq!(overview["integrity"][0]["verdict"], "undecided");
    let verified = sandbox.run(&["audit", "verify", "audit.jsonl", "--format", "json"]).json();
    assert_eq!(overview["integrity"][0]["reason"], verified["reason"]);
    assert!(dashboard.get("/").body.contains("undecided"));
    assert!(sandbox.read("dashboard.log").contains("is undecided"));
}

#[test]
fn checkpoints_of_the_store_reveal_on_the_overview_that_a_log_was_set_back() {
    let sandbox = with_store("sqlite:tokens.db");
    let url = format!("sqlite:{}", sandbox.path("tokens.db").display());
    sealed(&sandbox);
    copy_all(&sandbox.path("sealed.jsonl.tree"), &sandbox.path("old.tree"));
    let old = sandbox.read("sealed.jsonl");
    write_sealed(&sandbox, service_only_store::CheckpointWriter::of(&url).start().unwrap().receiver());
    let verified = |more: &[&str]| {
        let arguments = [&["sealed.jsonl", "--key", "audit.key.pub"], more].concat();
        let dashboard = Dashboard::start(&sandbox, &arguments);
        let overview = dashboard.until("/", |overview| !overview["integrity"][0]["verdict"].is_null());
        (overview["integrity"][0].clone(), dashboard.get("/").body)
    };
    let (intact, page) = verified(&[]);
    assert_eq!(intact["verdict"], "intact", "{intact}");
    // The first is replaced by the last if the writer has not stored it by then.
    let text = match intact["stored_checkpoints"].as_u64().unwrap() {
        1 => "1 checkpoint of the store was compared",
        2 => "2 checkpoints of the store were compared",
        other => panic!("{other} checkpoints: {intact}"),
    };
    assert!(page.contains(text), "{page}");

    std::fs::remove_dir_all(sandbox.path("sealed.jsonl.tree")).unwrap();
    copy_all(&sandbox.path("old.tree"), &sandbox.path("sealed.jsonl.tree"));
    sandbox.write("sealed.jsonl", old);
    let (found, page) = verified(&[]);
    assert_eq!(found["tampering"]["change"], "rolled_back", "{found}");
    assert!(page.contains("tampered"), "{page}");
    // A store that cannot be read leaves the question open.
    let (unknown, page) = verified(&["--store", "sqlite:absent.db"]);
    assert_eq!(unknown["verdict"], "undecided", "{unknown}");
    assert!(unknown["reason"].as_str().unwrap().contains("absent.db"), "{unknown}");
    assert!(page.contains("undecided"), "{page}");
}

#[test]
fn rotated_file_of_a_sealed_log_is_verified_with_its_log() {
    let sandbox = Sandbox::new();
    sealed(&sandbox);
    sandbox.write("other.jsonl", log());
    std::fs::rename(sandbox.path("sealed.jsonl"), sandbox.path("sealed.jsonl.1")).unwrap();
    write_sealed(&sandbox, |_| ());
    let dashboard =
        Dashboard::start(&sandbox, &["sealed.jsonl.1", "sealed.jsonl", "other.jsonl", "sealed.jsonl"]);
    let is_read = |overview: &Value| !overview["integrity"][1]["verdict"].is_null();
    let logs = dashboard.until("/", is_read)["integrity"].clone();
    let logs: Vec<_> = logs.as_array().unwrap().iter().map(|log| (&log["file"], &log["verdict"])).collect();
    assert_eq!(logs, [(&"other.jsonl".into(), &Value::Null), (&"sealed.jsonl".into(), &"intact".into())]);
    assert!(dashboard.get("/").body.contains("nothing reveals a log that was set back"));
}

#[cfg(unix)]
#[test]
fn dashboard_ends_on_sigterm_with_a_page_that_is_open() {
    let sandbox = sandbox();
    let mut dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let mut stream = TcpStream::connect(&dashboard.address).unwrap();
    stream.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap();
    let killed = Command::new("kill").args(["-TERM", &dashboard.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(dashboard.child.wait().unwrap().success());
}
