//! The pages, the times and the limits, on a port of this machine where a port is needed.

use std::path::Path;
use std::time::{Duration, Instant};

use service_only_store::rotation::RotationSettings;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::publication::Health;
use super::*;

/// Long for each test, so that only the limit under test ends a connection.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(30);

const PATIENT: Limits =
    Limits { handshake: LONG, head: LONG, connection: LONG, drain: LONG, ..Limits::DEFAULT };

/// A folder with a configuration and a set.
struct Site {
    folder: TempDir,
    config: Config,
}

impl Site {
    fn new(issuer: &str, longest_refresh: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "issuer = \"{issuer}\"\n[key]\nfile = \"elsewhere.pem\"\nalgorithm = \"ES256\"\n\
             [rotation]\nlongest_refresh = \"{longest_refresh}\"\n"
        );
        let path = folder.path().join("service-token.toml");
        std::fs::write(&path, text).unwrap();
        let site = Self { config: Config::load(&path).unwrap(), folder };
        site.publish();
        site
    }

    fn set(&self) -> std::path::PathBuf {
        self.folder.path().join("jwks.json")
    }

    /// Writes a set of one new key.
    fn publish(&self) {
        let key = service_only::issue::SigningKey::generate(service_only::Algorithm::ES256).unwrap();
        let jwk = crate::public_jwk::public_half(&key).unwrap();
        std::fs::write(self.set(), serde_json::json!({ "keys": [jwk] }).to_string()).unwrap();
    }

    async fn publication(&self) -> Arc<Publication> {
        let timing = Timing::of(&self.config.rotation.settings);
        Arc::new(Publication::start(&self.config, None, timing).await.unwrap())
    }

    async fn pages(&self) -> Arc<Pages> {
        Arc::new(Pages::new(&self.config.issuer, self.publication().await, None, None))
    }

    /// Listens until the sender is dropped.
    async fn listen(&self, limits: Limits) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), Transport::Plain, limits).await.unwrap();
        let address = listener.url().strip_prefix("http://").unwrap().parse().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let pages = self.pages().await;
        let server = tokio::spawn(listener.run(pages.service(), async { drop(ended.await) }));
        (address, end, server)
    }
}

async fn get(pages: &Pages, path: &str, headers: &[(&str, &str)]) -> (u16, String, Vec<(String, String)>) {
    ask(pages, "GET", path, headers).await
}

async fn ask(
    pages: &Pages,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String, Vec<(String, String)>) {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = pages.answer(request.body(()).unwrap()).await.unwrap();
    let named = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = answer.headers().iter().map(named).collect();
    let status = answer.status().as_u16();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), headers)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

#[test]
fn times_follow_from_the_longest_refresh_of_the_rotation() {
    for (longest, refresh, max_age, healthy) in
        [(3_600_000, 5_000, 900, 30_000), (8_000, 2_000, 2, 4_000), (1_000, 250, 0, 500)]
    {
        let mut settings = RotationSettings::default();
        settings.longest_refresh = Duration::from_millis(longest);
        let timing = Timing::of(&settings);
        assert_eq!(timing.refresh, Duration::from_millis(refresh));
        assert_eq!(timing.max_age, Duration::from_secs(max_age));
        assert_eq!(timing.healthy, Duration::from_millis(healthy));
        assert_eq!(timing.keep, settings.longest_refresh);
        // A verifier that fetches when its copy expires knows a new key in time.
        assert!(timing.refresh + timing.max_age <= settings.longest_refresh);
    }
}

#[tokio::test]
async fn client_that_has_the_set_gets_304_and_every_copy_expires() {
    let site = Site::new("bakery-auth", "1h");
    let pages = site.pages().await;
    let (status, body, headers) = get(&pages, "/.well-known/jwks.json?x=1", &[]).await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["keys"].as_array().unwrap().len(),
        1
    );
    assert_eq!(header(&headers, "content-type"), Some("application/jwk-set+json"));
    assert_eq!(header(&headers, "cache-control"), Some("public, max-age=900, must-revalidate"));
    let tag = header(&headers, "etag").unwrap();
    for (value, expected) in [
        (tag.to_owned(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        (tag.trim_matches('"').to_owned(), 200),
        (String::new(), 200),
    ] {
        let (status, body, headers) =
            get(&pages, "/.well-known/jwks.json", &[("if-none-match", &value)]).await;
        assert_eq!((status, body.is_empty()), (expected, expected == 304), "{value}");
        assert_eq!(header(&headers, "etag"), Some(tag));
        assert_eq!(header(&headers, "cache-control"), Some("public, max-age=900, must-revalidate"));
    }
}

#[tokio::test]
async fn other_methods_and_other_paths_are_refused() {
    let site = Site::new("bakery-auth", "1h");
    let pages = site.pages().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let (status, _, headers) = ask(&pages, method, "/.well-known/jwks.json", &[]).await;
        assert_eq!((status, header(&headers, "allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in [
        "/",
        "/jwks.json",
        "/.well-known/openid-configuration",
        "/metrics",
        "/.well-known/jwks.json/",
        "/healthz/x",
    ] {
        assert_eq!(get(&pages, path, &[]).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn discovery_is_below_an_https_issuer_and_has_only_what_is_true() {
    for (issuer, paths) in [
        (
            "https://auth.example",
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
        ),
        (
            "https://auth.example/",
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
        ),
        (
            "https://auth.example:8443/t/1",
            ["/t/1/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/t/1"],
        ),
    ] {
        let pages = Site::new(issuer, "1h").pages().await;
        for path in paths {
            let (status, body, headers) = get(&pages, path, &[]).await;
            assert_eq!((status, header(&headers, "content-type")), (200, Some("application/json")), "{path}");
            let base = issuer.strip_suffix('/').unwrap_or(issuer);
            let document: serde_json::Value = serde_json::from_str(&body).unwrap();
            let expected =
                serde_json::json!({ "issuer": issuer, "jwks_uri": format!("{base}/.well-known/jwks.json") });
            assert_eq!(document, expected);
            let uri: http::Uri = document["jwks_uri"].as_str().unwrap().parse().unwrap();
            assert_eq!(get(&pages, uri.path(), &[]).await.0, 200);
        }
    }
    for issuer in [
        "bakery-auth",
        "http://auth.example",
        "https://auth.example/?t=1",
        "https://me@auth.example",
        "https://a/#b",
    ] {
        assert!(!Site::new(issuer, "1h").pages().await.has_discovery(), "{issuer}");
    }
}

#[tokio::test]
async fn set_that_cannot_be_read_is_kept_for_the_longest_refresh_and_reported() {
    let site = Site::new("bakery-auth", "1h");
    let publication = site.publication().await;
    let good = publication.snapshot().set.tag.clone();
    std::fs::write(site.set(), "{").unwrap();
    publication.refresh().await;
    let begun = Instant::now();
    let at = |seconds: u64| publication.snapshot_at(begun + Duration::from_secs(seconds));
    let expected = [
        (0, Health::Fresh, 900),
        (29, Health::Fresh, 900),
        (31, Health::Stale, 900),
        // No copy outlives the set.
        (3_500, Health::Stale, 99),
        (3_601, Health::Gone, 0),
    ];
    for (seconds, health, max_age) in expected {
        let snapshot = at(seconds);
        assert_eq!(snapshot.health, health, "after {seconds} s");
        assert!(snapshot.max_age <= Duration::from_secs(max_age + 1), "{:?}", snapshot.max_age);
        assert!(snapshot.max_age >= Duration::from_secs(max_age.saturating_sub(1)), "{:?}", snapshot.max_age);
        assert_eq!((&snapshot.set.tag, snapshot.failures), (&good, 1));
    }
    site.publish();
    publication.refresh().await;
    let snapshot = publication.snapshot();
    assert!(snapshot.health == Health::Fresh && snapshot.set.tag != good);
}

#[tokio::test]
async fn server_without_a_fresh_set_is_unhealthy_and_without_any_set_unready() {
    let site = Site::new("bakery-auth", "2s");
    let pages = site.pages().await;
    let pair = async || {
        let (health, ready) = (get(&pages, "/healthz", &[]).await, get(&pages, "/readyz", &[]).await);
        assert_eq!(header(&health.2, "cache-control"), Some("no-store"));
        (health.0, ready.0, get(&pages, "/.well-known/jwks.json", &[]).await.0)
    };
    assert_eq!(pair().await, (200, 200, 200));
    std::fs::remove_file(site.set()).unwrap();
    // Nothing is read again here: the time alone passes.
    let mut seen = vec![(200, 200, 200)];
    while seen.last() != Some(&(503, 503, 503)) {
        tokio::time::sleep(SHORT).await;
        let now = pair().await;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert!(
        seen.iter().all(|one| [(200, 200, 200), (503, 200, 200), (503, 503, 503)].contains(one)),
        "{seen:?}"
    );
}

#[tokio::test]
async fn set_with_a_secret_or_without_a_usable_key_is_never_published() {
    let site = Site::new("bakery-auth", "1h");
    for set in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","kid":"a"}]}"#,
        "",
    ] {
        std::fs::write(site.set(), set).unwrap();
        let timing = Timing::of(&site.config.rotation.settings);
        assert!(Publication::start(&site.config, None, timing).await.is_err(), "{set}");
    }
}

/// Sends these bytes, and reads until the server ends the connection.
async fn sent(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse the head before it is complete.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(extra: &str) -> Vec<u8> {
    format!("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{extra}\r\n").into_bytes()
}

#[tokio::test]
async fn head_of_a_request_has_a_largest_size_and_a_largest_number_of_headers() {
    let site = Site::new("bakery-auth", "1h");
    let (address, _end, _server) = site.listen(PATIENT).await;
    let many = |count: usize| (0..count).map(|number| format!("x{number}: 1\r\n")).collect::<String>();
    let long = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    for (extra, status) in [
        (many(60), 200),
        (many(65), 431),
        (long(15 * 1024), 200),
        (long(17 * 1024), 431),
        (long(100_000), 431),
    ] {
        let answer = sent(address, &request(&extra)).await;
        // A refusal may be lost when the client is still writing: then the connection is reset.
        let refused = status != 200 && answer.is_empty() && extra.len() > 16 * 1024;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) || refused, "{}: {answer}", extra.len());
    }
}

#[tokio::test]
async fn connection_that_sends_nothing_or_half_a_request_ends() {
    let site = Site::new("bakery-auth", "1h");
    let (address, _end, _server) = site.listen(Limits { head: SHORT, ..PATIENT }).await;
    for bytes in [&b""[..], b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: "] {
        assert!(!sent(address, bytes).await.starts_with("HTTP/1.1 200"));
    }
    // An idle connection after a request ends too.
    let kept = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    assert!(sent(address, kept).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connection_ends_after_its_time_whatever_happens_on_it() {
    let site = Site::new("bakery-auth", "1h");
    let (address, _end, _server) = site.listen(Limits { connection: SHORT, ..PATIENT }).await;
    assert_eq!(sent(address, b"GET /").await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let site = Site::new("bakery-auth", "1h");
    let (address, _end, _server) = site.listen(Limits { connections: 1, ..PATIENT }).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(&request("")).await.unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..3 {
        first.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(first.read(&mut buffer).await.unwrap() > 0);
        let waits = second.try_read(&mut buffer).unwrap_err();
        assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(first);
    assert!(second.read(&mut buffer).await.unwrap() > 0);
}

#[tokio::test]
async fn server_that_is_asked_to_end_closes_its_port_and_its_idle_connections() {
    let site = Site::new("bakery-auth", "1h");
    let (address, end, server) = site.listen(PATIENT).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut buffer = [0; 4096];
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    drop(end);
    server.await.unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

/// Writes a certificate and its key.
fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

/// Listens with TLS until the sender is dropped.
async fn listen_with_tls(
    site: &Site,
    limits: Limits,
) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    certify(site.folder.path());
    let (cert, key) = (site.folder.path().join("tls.crt"), site.folder.path().join("tls.key"));
    let certificate = Certificate::of_server(&cert, &key).unwrap();
    let listener =
        Listener::bind("127.0.0.1:0".parse().unwrap(), Transport::Tls(certificate), limits).await.unwrap();
    let address = listener.url().strip_prefix("https://").unwrap().parse().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(listener.run(site.pages().await.service(), async { drop(ended.await) }));
    (address, end, server)
}

#[tokio::test]
async fn handshake_has_a_time_limit() {
    let site = Site::new("bakery-auth", "1h");
    let (address, _end, _server) = listen_with_tls(&site, Limits { handshake: SHORT, ..PATIENT }).await;
    assert_eq!(sent(address, b"").await, "");
}

#[tokio::test]
async fn server_that_is_asked_to_end_ends_although_a_client_never_finishes() {
    let site = Site::new("bakery-auth", "1h");
    let (address, end, server) = listen_with_tls(&site, Limits { drain: SHORT, ..PATIENT }).await;
    let _handshake = TcpStream::connect(address).await.unwrap();
    drop(end);
    server.await.unwrap();
}

/// Waits for the watcher of the files.
fn eventually(what: &str, is_met: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_met() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn certificate_is_replaced_when_both_files_fit_and_kept_otherwise() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    assert!(Certificate::of_server(&cert, &key).is_err());
    certify(folder.path());
    certify(other.path());
    let certificate = Certificate::of_server(&cert, &key).unwrap();
    assert!(certificate.broken_since().is_none() && !certificate.has_expired());
    // Half of a renewal.
    std::fs::copy(other.path().join("tls.crt"), &cert).unwrap();
    eventually("half of a renewal is broken", || certificate.broken_since().is_some());
    let since = certificate.broken_since();
    std::fs::remove_file(&key).unwrap();
    let is_read =
        || certificate.tls().status().error.is_some_and(|error| error.to_string().contains("tls.key"));
    eventually("the key is missing", is_read);
    assert_eq!(certificate.broken_since(), since, "since the first problem");
    assert_eq!(certificate.tls().status().revision, 1);
    std::fs::copy(other.path().join("tls.key"), &key).unwrap();
    eventually("the pair is whole", || certificate.broken_since().is_none());
    assert_eq!(certificate.tls().status().revision, 2);
    for broken in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&cert, broken).unwrap();
        assert!(Certificate::of_server(&cert, &key).is_err(), "{broken}");
    }
}
