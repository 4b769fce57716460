//! An issuer over TLS whose certificate comes from an authority of the test's own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use service_only::{
    Algorithm, RemoteJwks,
    issue::SigningKey,
    keys::{KeySource, RemoteErrorKind, RemoteJwksBuilder},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use super::server::jwks;

struct TlsServer {
    port: u16,
    authority: String,
    requests: Arc<Mutex<Vec<String>>>,
    document: Arc<Mutex<String>>,
}

impl TlsServer {
    /// Answers each path with a text; one below `/to` with a redirect to `/jwks` of the host in it.
    async fn start(answers: HashMap<&'static str, String>) -> Self {
        let (authority, config) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let document = Arc::new(Mutex::new(String::new()));
        let (seen, discovery) = (Arc::clone(&requests), Arc::clone(&document));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // A client that does not trust the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(connection).await else { continue };
                let mut head = vec![0; 16 * 1024];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(head);
                let discovery = discovery.lock().unwrap().clone();
                let text = match path.as_str() {
                    "/.well-known/openid-configuration" => Some(&discovery),
                    path => answers.get(path),
                };
                let answer = match text {
                    Some(host) if path.starts_with("/to/") => {
                        format!(
                            "HTTP/1.1 302 Found\r\nlocation: https://{host}:{port}/jwks\r\ncontent-length: 0\r\n"
                        ) + "connection: close\r\n\r\n"
                    }
                    Some(text) => format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                        text.len()
                    ),
                    None => {
                        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
                    }
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { port, authority, requests, document }
    }

    fn at(&self, path: &str) -> RemoteJwksBuilder {
        RemoteJwks::url(format!("https://localhost:{}{path}", self.port))
            .root_certificates(self.authority.as_str())
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn certificates() -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (authority_pem, config)
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

#[tokio::test]
async fn only_certificates_of_the_configured_authority_are_accepted() {
    let good = key();
    let server = TlsServer::start(HashMap::from([("/jwks", jwks(&[&good]))])).await;
    let keys = server.at("/jwks").start().await.unwrap();
    assert!(keys.snapshot().unwrap().has(good.kid().as_str()));

    let other = certificates().0;
    let strangers = server.at("/jwks").root_certificates(other).start().await.unwrap_err();
    assert!(matches!(strangers.kind(), RemoteErrorKind::NoAnswer(_)), "{strangers:?}");
    let name = format!("https://[::ffff:127.0.0.1]:{}/jwks", server.port);
    let another =
        RemoteJwks::url(name).root_certificates(server.authority.as_str()).start().await.unwrap_err();
    assert!(matches!(another.kind(), RemoteErrorKind::NoAnswer(_)), "{another:?}");
}

#[tokio::test]
async fn a_bearer_token_is_sent_only_to_its_origin_and_read_for_each_fetch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = TlsServer::start(HashMap::from([("/jwks", jwks(&[&key()]))])).await;
    for token in ["first", "second"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        server.at("/jwks").bearer_token_file(&file).start().await.unwrap();
        let head = server.requests().pop().unwrap();
        assert!(head.contains(&format!("authorization: Bearer {token}\r\n")), "{head}");
    }
    for (content, says) in [("", "not exactly one"), ("two words", "not exactly one"), ("\u{feff}ok", "")] {
        std::fs::write(&file, content).unwrap();
        match server.at("/jwks").bearer_token_file(&file).start().await {
            Ok(_) => assert!(server.requests().pop().unwrap().contains("authorization: Bearer ok\r\n")),
            Err(error) => {
                assert!(matches!(error.kind(), RemoteErrorKind::BearerToken(_)), "{error:?}");
                assert!(error.to_string().contains(says) && error.to_string().contains("token: "), "{error}");
            }
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert!(server.at("/jwks").bearer_token_file(&file).start().await.is_err());
    assert!(server.requests().is_empty(), "without its token nothing is sent");
}

#[tokio::test]
async fn a_bearer_token_does_not_follow_a_discovery_document_to_another_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret-token").unwrap();
    let server = TlsServer::start(HashMap::from([("/jwks", jwks(&[&key()]))])).await;
    let issuer = format!("https://localhost:{}", server.port);
    // Another name of the same server is another origin.
    *server.document.lock().unwrap() =
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://127.0.0.1:{}/jwks"}}"#, server.port);
    let builder = RemoteJwks::discover(issuer).root_certificates(server.authority.as_str());
    builder.bearer_token_file(&file).start().await.unwrap();
    let heads = server.requests();
    assert!(heads[0].contains("openid-configuration") && heads[0].contains("Bearer secret-token"));
    assert!(heads[1].starts_with("GET /jwks") && !heads[1].contains("secret-token"), "{heads:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_only_if_enabled_and_only_to_the_same_origin() {
    let answers = HashMap::from([
        ("/jwks", jwks(&[&key()])),
        ("/to/self", "localhost".to_owned()),
        ("/to/other", "127.0.0.1".to_owned()),
    ]);
    let server = TlsServer::start(answers).await;
    let refused = server.at("/to/self").start().await.unwrap_err();
    assert_eq!(refused.kind(), &RemoteErrorKind::Status(302));
    assert!(server.at("/to/self").follow_redirects().start().await.is_ok());
    server.requests();
    let refused = server.at("/to/other").follow_redirects().start().await.unwrap_err();
    assert_eq!(refused.kind(), &RemoteErrorKind::Status(302));
    assert_eq!(server.requests().len(), 1, "the other origin was not asked");
}

/// A pipe that is not written to stands for a mount that hangs.
#[cfg(unix)]
#[tokio::test]
async fn an_unresponsive_bearer_token_file_blocks_one_thread_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("token");
    if !std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        return;
    }
    let server = TlsServer::start(HashMap::from([("/jwks", jwks(&[&key()]))])).await;
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let builder = server.at("/jwks").bearer_token_file(&pipe);
    let builder = builder.refresh_between(Duration::from_millis(10), Duration::from_millis(10));
    let keys = builder.start_lazily().unwrap();
    super::server::eventually("the first report", || keys.failures() > 0).await;
    let (before, failures) = (threads(), keys.failures());
    super::server::eventually("further reports", || keys.failures() > failures + 20).await;
    assert!(threads() <= before + 1, "{before} threads have become {}", threads());
    let error = keys.last_error().unwrap();
    assert!(matches!(error.kind(), RemoteErrorKind::BearerToken(_)), "{error:?}");
    assert!(error.to_string().contains("does its file system hang?") && server.requests().is_empty());
    // Lets the thread go.
    std::fs::write(&pipe, "token").unwrap();
}
