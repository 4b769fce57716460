//! What lies between a verifier and its issuer: proxies, compression, missing authorities, and which of two
//! URLs it was.

use std::{process::Command, sync::Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::revocation::Lines;

/// A server that answers each request with the same bytes, and keeps the heads.
async fn answering(answer: impl Into<Vec<u8>>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (answer, heads) = (answer.into(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            let length = connection.read(&mut head).await.unwrap_or(0);
            seen.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            let _ = connection.write_all(&answer).await;
            let _ = connection.shutdown().await;
        }
    });
    (port, heads)
}

fn response(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn at(port: u16) -> RemoteJwksBuilder {
    RemoteJwks::url(format!("http://127.0.0.1:{port}/jwks?key=s3cr3t")).dangerously_allow_http()
}

#[tokio::test]
async fn a_compressed_answer_is_not_asked_for_and_not_unpacked() {
    let good = key();
    for (headers, says) in [
        ("content-encoding: gzip\r\n", Some("encoded as `gzip`")),
        ("content-encoding: identity, br\r\n", Some("encoded as `identity, br`")),
        ("content-encoding: identity\r\n", None),
        ("", None),
    ] {
        let (port, heads) = answering(response(headers, jwks(&[&good]).as_bytes())).await;
        match (at(port).start().await, says) {
            (Ok(keys), None) => assert!(keys.snapshot().unwrap().has(good.kid().as_str())),
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (other, _) => panic!("{headers}: {other:?}"),
        }
        assert!(heads.lock().unwrap()[0].contains("accept-encoding: identity\r\n"));
    }
}

#[tokio::test]
async fn an_error_names_the_url_that_it_is_about_and_not_its_query() {
    let (port, _) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let error = at(port).start().await.unwrap_err();
    let url = format!("http://127.0.0.1:{port}/jwks");
    assert_eq!((error.kind(), error.url()), (&RemoteErrorKind::Status(401), Some(&*url)));
    assert_eq!(
        error.to_string(),
        format!("{url}: the status is 401, expected 200; `.bearer_token_file(…)` sends a token")
    );

    let server = JwksServer::start(Answer::status(401)).await;
    let discover = || RemoteJwks::discover(server.url("")).dangerously_allow_http();
    let document = server.url("/.well-known/openid-configuration");
    server.document("no JSON".to_owned());
    assert_eq!(discover().start().await.unwrap_err().url(), Some(&*document));
    let jwks_uri = server.url("/jwks");
    server.document(format!(r#"{{"issuer":"{}","jwks_uri":"{jwks_uri}"}}"#, server.url("")));
    let error = discover().start().await.unwrap_err();
    assert_eq!((error.kind(), error.url()), (&RemoteErrorKind::Status(401), Some(&*jwks_uri)));
    server.answer(Answer::Stuck);
    let error = discover().timeout(Duration::from_millis(200)).start().await.unwrap_err();
    assert_eq!(error.to_string(), format!("{jwks_uri}: no response within 200ms"));
    let lazy = discover().timeout(Duration::from_millis(200)).start_lazily().unwrap();
    eventually("the report", || lazy.last_error().is_some()).await;
    let reason = lazy.snapshot().unwrap_err().to_string();
    assert!(reason.contains(&jwks_uri), "{reason}");
}

#[tokio::test]
async fn a_failed_fetch_is_logged_with_its_url_and_not_its_query() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::ERROR);
    // A thread of its own fetches, so only the subscriber of the process sees the line.
    tracing::subscriber::set_global_default(subscriber.with_writer(move || writer.clone()).finish()).unwrap();
    let (port, _) = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://127.0.0.1:{port}/jwks");
    let keys = at(port).start_lazily().unwrap();
    eventually("the line", || lines.text().contains(&url)).await;
    let text = lines.text();
    let line = text.lines().find(|line| line.contains(&url)).unwrap();
    assert!(line.contains("ERROR") && line.contains("keys cannot be fetched"), "{line}");
    assert!(line.contains("the status is 401") && line.contains("failures=1"), "{line}");
    assert!(!text.contains("s3cr3t"), "{text}");
    drop(keys);
}

#[tokio::test]
async fn a_configured_proxy_is_used() {
    let good = key();
    let (port, heads) = answering(response("", jwks(&[&good]).as_bytes())).await;
    let keys = RemoteJwks::url("http://issuer.invalid/jwks").dangerously_allow_http();
    let keys = keys.proxy(format!("http://127.0.0.1:{port}")).start().await.unwrap();
    assert!(keys.snapshot().unwrap().has(good.kid().as_str()));
    assert!(heads.lock().unwrap()[0].starts_with("GET http://issuer.invalid/jwks "));

    let (port, heads) = answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let keys = RemoteJwks::url("https://issuer.invalid/jwks").proxy(format!("http://127.0.0.1:{port}"));
    assert!(keys.start().await.is_err());
    assert!(heads.lock().unwrap()[0].starts_with("CONNECT issuer.invalid:443 "), "HTTPS passes a tunnel");
}

/// Runs one test of this file again in a process with another environment.
fn again(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("keys_remote::transport::{test}"), "--nocapture"])
        .env("SERVICE_ONLY_AGAIN", test);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn is_again(test: &str) -> bool {
    std::env::var("SERVICE_ONLY_AGAIN").is_ok_and(|again| again == test)
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used_and_named_in_the_error() {
    const TEST: &str = "a_proxy_of_the_environment_is_not_used_and_named_in_the_error";
    if !is_again(TEST) {
        let (port, heads) = answering("HTTP/1.1 500 Proxied\r\ncontent-length: 0\r\n\r\n").await;
        let proxy = format!("http://user:s3cr3t@127.0.0.1:{port}");
        let variables = ["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, proxy.as_str()));
        tokio::task::spawn_blocking({
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            move || {
                let variables: Vec<_> =
                    variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
                again(TEST, &variables);
            }
        })
        .await
        .unwrap();
        assert!(heads.lock().unwrap().is_empty(), "the proxy was asked");
        return;
    }
    let good = key();
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    assert!(remote(&server, &ManualClock::new()).start().await.is_ok());
    let unreachable = RemoteJwks::url("http://127.0.0.1:1/jwks").dangerously_allow_http();
    let error = unreachable.start().await.unwrap_err().to_string();
    assert!(error.contains("`https_proxy` is set and ignored") && !error.contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn plain_http_needs_no_certificate_authority_and_https_reports_a_missing_one() {
    const TEST: &str = "plain_http_needs_no_certificate_authority_and_https_reports_a_missing_one";
    if !is_again(TEST) {
        let empty = tempfile::tempdir().unwrap();
        let (file, folder) = (empty.path().join("none.pem"), empty.path().join("none"));
        let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
        again(TEST, &[("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folder)]);
        return;
    }
    let good = key();
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let keys = remote(&server, &ManualClock::new()).start().await.unwrap();
    assert!(keys.snapshot().unwrap().has(good.kid().as_str()));

    let error = RemoteJwks::url("https://127.0.0.1:1/jwks").start().await.unwrap_err();
    assert!(matches!(error.kind(), RemoteErrorKind::Configuration(_)), "{error:?}");
    assert!(error.to_string().contains("ca-certificates"), "{error}");

    server.document(format!(r#"{{"issuer":"{}","jwks_uri":"https://127.0.0.1:1/jwks"}}"#, server.url("")));
    let discover = RemoteJwks::discover(server.url("")).dangerously_allow_http();
    let error = discover.start().await.unwrap_err();
    assert_eq!(error.url(), Some("https://127.0.0.1:1/jwks"));
    assert!(error.to_string().contains("ca-certificates"), "{error}");
}
