//! Attacks on services that this test serves itself: one that is open, and one that verifies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use service_only::{Algorithm, Dpop, KeySet, Policy, Proof, Verifier, VerifyingKey, audit::NoAudit};

use crate::sandbox::Sandbox;

const POLICY: Policy<'static> = Policy::any_service().services(&["orders"]).scopes(&["orders:read"]);

/// Answers each connection with what `status` says about its request head, until the test ends.
pub(crate) fn serve(status: impl Fn(&[String]) -> u16 + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &status);
        }
    });
    address
}

fn answer(mut stream: TcpStream, status: &impl Fn(&[String]) -> u16) {
    // Bytes that are no text arrive as a mark that no token has.
    let lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
    let lines = lines.map_while(Result::ok).map(|line| String::from_utf8_lossy(&line).trim().to_owned());
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let _ = write!(stream, "HTTP/1.1 {} -\r\nContent-Length: 0\r\n\r\n", status(&head));
}

/// The guard of a small service: one path, one header, one verifier.
pub(crate) fn guarded(sandbox: &Sandbox) -> SocketAddr {
    guarded_with(sandbox, &["Bearer "])
}

/// A guard that takes a token after any of these schemes.
pub(crate) fn guarded_with(sandbox: &Sandbox, schemes: &'static [&str]) -> SocketAddr {
    sandbox.write("jwks.json", sandbox.run(&["jwks"]).done().stdout);
    guarded_by(KeySet::from_jwks_file(sandbox.path("jwks.json")).unwrap(), schemes)
}

fn guarded_by(keys: KeySet, schemes: &'static [&str]) -> SocketAddr {
    let verifier = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit).build().unwrap();
    serve(move |head| {
        let value = |line: &'_ String| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
        };
        let values: Vec<_> = head.iter().filter_map(value).collect();
        match (head.first().map(String::as_str), values.as_slice()) {
            (Some("GET /stock HTTP/1.1" | "GET /stock?access_token HTTP/1.1"), [value]) => {
                let token = schemes.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or_default();
                verifier.verify_with(token, &POLICY).map_or_else(|denial| denial.status(), |_| 200)
            }
            (_, [_, _, ..]) => 400,
            _ => 401,
        }
    })
}

pub(crate) fn attack<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let endpoint = ["--service", "orders", "--scope", "orders:read", "--endpoint", "GET /stock"];
    [&["attack", "--url", url], endpoint.as_slice(), more].concat()
}

#[test]
fn nothing_gets_into_a_service_that_verifies() {
    let sandbox = Sandbox::configured();
    let url = format!("http://{}", guarded(&sandbox));
    let ran = sandbox.run(&attack(&url, &[]));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with("0 of 4"), "{}", ran.stdout);
}

/// A P-256 key pair of RFC 7515 appendix A.3, and its public half.
const PRIVATE: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]}"#;

#[test]
fn a_private_jwk_set_signs_the_attack() {
    let sandbox = Sandbox::new();
    sandbox.write("private.json", PRIVATE);
    let public = PRIVATE.replace(r#""d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#, r#""alg":"ES256""#);
    let keys = KeySet::from_jwks(public.as_bytes()).unwrap();
    let url = format!("http://{}", guarded_by(keys, &["Bearer "]));
    let signed = ["--jwks-private", "private.json", "--issuer", "bakery-auth"];
    let ran = sandbox.run(&attack(&url, &signed));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);

    // Two keys: which one signs is to be said, and a name must be one of them.
    let two = PRIVATE.replace(
        "]}",
        r#",{"kty":"oct","alg":"HS256","kid":"b","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]}"#,
    );
    sandbox.write("private.json", &two);
    for (more, code) in [(&[][..], 2), (&["--jwks-kid", "c"], 9), (&["--jwks-kid", "a"], 0)] {
        let ran = sandbox.run(&attack(&url, &[&signed[..], more].concat()));
        assert_eq!(ran.code, code, "{more:?} {}{}", ran.stdout, ran.stderr);
    }
    // A public set signs nothing, and no secret is quoted.
    sandbox.write("private.json", &public);
    let ran = sandbox.run(&attack(&url, &signed));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("has no `d`"), "{}", ran.stderr);
}

#[test]
fn secret_without_a_key_id_accepts_any_kid_without_a_finding() {
    let sandbox = Sandbox::new();
    let secret = b"thirty-two bytes, and one more..";
    sandbox.write("secret", secret);
    let url = format!(
        "http://{}",
        guarded_by(VerifyingKey::hmac(Algorithm::HS256, secret).unwrap().into(), &["Bearer "])
    );
    let signed =
        ["--key", "secret", "--algorithm", "HS256", "--secret-encoding", "raw", "--issuer", "bakery-auth"];
    let ran = sandbox.run(&attack(&url, &signed));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("no conclusion: right_key_other_name"), "{}", ran.stdout);

    let ran = sandbox.run(&attack(&url, &[&signed[..], &["--named-keys"]].concat()));
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("got in: right_key_other_name"), "{}", ran.stdout);
}

#[test]
fn accepted_attack_gives_exit_code_1_and_is_reported_in_every_format() {
    let sandbox = Sandbox::configured();
    let url = format!("http://{}", serve(|_| 200));
    let text = sandbox.run(&attack(&url, &[]));
    assert_eq!(text.code, 1, "{}", text.stderr);
    assert!(text.stdout.contains("got in: wrong_key (200 OK): An attacker's key signs"), "{}", text.stdout);

    let json = sandbox.run(&attack(&url, &["--format", "json"])).json();
    assert_eq!((&json["clean"], &json["endpoints"][0]["control"]), (&false.into(), &200.into()));
    assert!(json["got_in"].as_u64().unwrap() > 200);
    assert_eq!(json["causes"][0]["cause"], "nothing is checked: the endpoint has no guard");
    assert_eq!(json["causes"][0]["attacks"], json["got_in"]);
    assert!(json["not_sent"][0]["reason"].is_string());

    let page = sandbox.run(&attack(&url, &["--format", "html"])).stdout;
    assert!(page.starts_with("<!doctype html>") && page.contains(&url));
    let matrix = sandbox.run(&attack(&url, &["--format", "matrix"])).stdout;
    assert!(matrix.contains("wrong_key                            !200"), "{matrix}");
    for output in [text.stdout, page, matrix, json.to_string()] {
        assert!(!output.contains("eyJ"), "a token was printed");
    }
}

#[test]
fn refusal_of_the_valid_token_proves_nothing() {
    let sandbox = Sandbox::configured();
    let url = format!("http://{}", serve(|_| 401));
    let ran = sandbox.run(&attack(&url, &[]));
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("proves nothing: the valid token is refused with 401"), "{}", ran.stdout);
}

#[service_only::service_only(services("orders"), scopes("orders:read"))]
async fn stock() -> &'static str {
    "12 loaves"
}

/// A service with mutual TLS, a development certificate and a verifier; and the options of its caller.
fn serve_tls(sandbox: &Sandbox) -> (String, [String; 4]) {
    let directory =
        |name: &str| sandbox.run(&["cert", name, "--dir", "authority"]).done().stdout.trim().to_owned();
    let (own, caller) = (directory("stock"), directory("orders"));
    let tls = service_only_tls::TlsFiles::cert_manager(&own).open().unwrap();
    sandbox.write("jwks.json", sandbox.run(&["jwks"]).done().stdout);
    let keys = KeySet::from_jwks_file(sandbox.path("jwks.json")).unwrap();
    let verifier = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit).build().unwrap();
    let router = axum::Router::new().route("/stock", axum::routing::get(stock)).with_state(verifier);
    let (sender, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap().port()).unwrap();
            let server = service_only_tls::TlsServer::new(tls);
            server.serve(listener, router, std::future::pending()).await.unwrap();
        });
    });
    let url = format!("https://localhost:{}", started.recv().unwrap());
    let ca_key = sandbox.path("authority/development-ca.key").to_str().unwrap().to_owned();
    let files =
        [format!("{caller}/tls.crt"), format!("{caller}/tls.key"), format!("{caller}/ca.crt"), ca_key];
    (url, files)
}

#[test]
fn service_with_mutual_tls_is_attacked_with_certificates() {
    let sandbox = Sandbox::configured();
    let (url, [cert, key, roots, ca_key]) = serve_tls(&sandbox);
    let with = ["--cert", &cert, "--cert-key", &key, "--cacert", &roots];
    let ran = sandbox.run(&attack(&url, &[&with[..], &["--cakey", &ca_key]].concat()));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("the attack has no"), "{}", ran.stdout);
    // Only the certificates of the trusted authority need its key.
    let ran = sandbox.run(&attack(&url, &with));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("  the attack has no key of the authority"), "{}", ran.stdout);
    // Without a certificate there is no connection.
    let ran = sandbox.run(&attack(&url, &["--cacert", &roots]));
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("proves nothing: the valid token gets no answer"), "{}", ran.stdout);
    // A plain service gets the same report without these classes.
    let plain = format!("http://{}", guarded(&sandbox));
    let ran = sandbox.run(&attack(&plain, &[]));
    assert!(ran.stdout.contains("  the attack has no certificates"), "{}", ran.stdout);
}

#[test]
fn service_that_accepts_bound_tokens_is_attacked_with_proofs() {
    let sandbox = Sandbox::configured();
    sandbox.write("jwks.json", sandbox.run(&["jwks"]).done().stdout);
    let keys = KeySet::from_jwks_file(sandbox.path("jwks.json")).unwrap();
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit);
    let dpop = Dpop::new("https://stock.internal").require_nonce();
    let verifier = builder.dpop(dpop).require_proof(Proof::Dpop).build().unwrap();
    let router = axum::Router::new().route("/stock", axum::routing::get(stock)).with_state(verifier);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    let ran = sandbox.run(&attack(&url, &["--dpop", "https://stock.internal"]));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("not bound to a key"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1  the attack has no stale nonce of the service"), "{}", ran.stdout);
    let with_nonce = ["--dpop", "https://stock.internal", "--stale-nonce", "AAAA"];
    let ran = sandbox.run(&attack(&url, &with_nonce));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("stale nonce"), "{}", ran.stdout);
    // The verifier knows the service by another URL.
    let ran = sandbox.run(&attack(&url, &["--dpop", &url]));
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let refused = sandbox.run(&attack(&url, &["--dpop", "stock.internal"])).refused();
    assert!(refused.contains("`stock.internal` is not an `http` or `https` URL"), "{refused}");
}

#[test]
fn limit_of_requests_is_respected() {
    let sandbox = Sandbox::configured();
    let url = format!("http://{}", guarded(&sandbox));
    let ran = sandbox.run(&attack(&url, &["--max-requests", "5"]));
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("\n5 requests were sent to GET /stock\n"), "{}", ran.stdout);
}

#[test]
fn routes_come_from_a_table() {
    let sandbox = Sandbox::configured();
    let url = format!("http://{}", guarded(&sandbox));
    sandbox.write(
        "orders.json",
        r#"{"service":"stock","routes":[
          {"methods":["GET"],"path":"/{what}",
           "access":{"service_only":{"services":["orders"],"scopes":["orders:read"]}}},
          {"methods":["GET"],"path":"/healthz","access":{"public":{"reason":"no token"}}}]}"#,
    );
    let table = ["--routes", "orders.json", "--parameter", "what=stock"];
    let ran = sandbox.run(&[&["attack", "--url", &url, "--service", "any"], table.as_slice()].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("\nNot attacked\n  /healthz: it is public: no token\n"), "{}", ran.stdout);
}

#[test]
fn host_that_is_not_this_machine_must_be_named() {
    let sandbox = Sandbox::configured();
    let refused = sandbox.run(&attack("http://orders.invalid:8000", &[])).refused();
    assert!(refused.contains("`orders.invalid` is not this machine"), "{refused}");
    let named = sandbox.run(&attack("http://orders.invalid:8000", &["--allow-host", "orders.invalid"]));
    // The host is allowed, and its name is not to be resolved.
    assert_eq!(named.code, 4);
    assert!(named.stdout.contains("proves nothing"), "{}", named.stdout);
}

#[test]
fn service_that_is_down_is_unavailable_and_named() {
    let sandbox = Sandbox::configured();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let ran = sandbox.run(&attack(&url, &[]));
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&format!("`{url}` cannot be reached: ")), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("0 of 0 attacks got in"), "{}", ran.stdout);
    let json = sandbox.run(&attack(&url, &["--format", "json"]));
    assert!(json.stderr.contains(r#""code":"unavailable","exit":4"#), "{}", json.stderr);
}

#[test]
fn target_that_cannot_be_attacked_is_a_usage_error() {
    let sandbox = Sandbox::configured();
    let refused = sandbox.run(&attack("ftp://127.0.0.1", &[])).refused();
    assert!(refused.contains("must begin with `http://` or `https://`"), "{refused}");
    let refused = sandbox.run(&attack("https://127.0.0.1", &[])).refused();
    assert!(refused.contains("`--cacert`"), "{refused}");
    sandbox.write("ca.crt", "no certificate");
    let refused = sandbox.run(&attack("http://127.0.0.1:1", &["--cacert", "ca.crt"])).refused();
    assert!(refused.contains("needs an `https` URL"), "{refused}");
    let refused = sandbox.run(&attack("https://127.0.0.1:1", &["--cacert", "ca.crt"])).refused();
    assert!(refused.contains("ca.crt") && refused.contains("cannot be read"), "{refused}");
    let odd = ["--endpoint", "GET /a\r\nX-Injected: 1"];
    let refused = sandbox.run(&attack("http://127.0.0.1:1", &odd));
    assert_eq!(refused.code, 2);
    let refused = sandbox.run(&attack("http://127.0.0.1:1", &["--profile", "strict"])).refused();
    assert!(refused.contains("a strict token needs an audience"), "{refused}");
    let empty = Sandbox::new();
    assert!(empty.run(&attack("http://127.0.0.1:1", &[])).refused().contains("no signing key"));
}
