//! Clients that find the set by the issuer's URL, over TLS with an authority of the test's own: ours, curl, node's jose
//! and Envoy.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use service_only::{RemoteJwks, TrustedIssuer, Verifier};

use super::Server;
use crate::sandbox::Sandbox;

/// An issuer at work: its server, and a token of its service `orders`.
struct Site {
    sandbox: Sandbox,
    _server: Server,
    issuer: String,
    port: u16,
    token: String,
}

impl Site {
    fn start(path: &str) -> Self {
        let sandbox = Sandbox::configured();
        // A port that is free now. The issuer's name must have it before the server listens.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let issuer = format!("https://localhost:{port}{path}");
        let config = sandbox.read("service-token.toml").replace("\"bakery-auth\"", &format!("\"{issuer}\""));
        sandbox.write("service-token.toml", config);
        sandbox.run(&["jwks", "--out", "jwks.json"]).done();
        certify(&sandbox);
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["--listen", &listen, "--tls-cert", "tls.crt", "--tls-key", "tls.key"];
        let server = Server::start(&sandbox, &arguments);
        assert!(server.url.starts_with("https://"));
        let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
        Self { sandbox, _server: server, issuer, port, token }
    }

    /// The same token with another signature.
    fn forged(&self) -> String {
        let (rest, signature) = self.token.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        format!("{rest}.{flipped}{}", &signature[1..])
    }
}

/// Writes an authority, and a certificate of it for `localhost`.
fn certify(sandbox: &Sandbox) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "bakery authority");
    sandbox.write("authority.crt", params.self_signed(&key).unwrap().pem());
    let authority = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    sandbox.write("tls.crt", params.signed_by(&own, &authority).unwrap().pem());
    sandbox.write("tls.key", own.serialize_pem());
}

#[test]
fn remote_jwks_discovers_the_keys_of_an_issuer_whose_name_is_exact() {
    for path in ["", "/tenant/1"] {
        let site = Site::start(path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let discover = |issuer: String| {
            let builder = RemoteJwks::discover(issuer).root_certificates(site.sandbox.read("authority.crt"));
            runtime.block_on(builder.start())
        };
        let keys = discover(site.issuer.clone()).unwrap();
        let verifier = Verifier::builder().trust(TrustedIssuer::compatible(&site.issuer).keys(keys)).build();
        assert_eq!(verifier.unwrap().verify(&site.token).unwrap().service(), "orders");
        // The same document under another name is another issuer.
        let error = discover(format!("{}/", site.issuer)).unwrap_err();
        assert!(error.to_string().contains("`issuer` is"), "{error}");
        assert!(discover(format!("https://127.0.0.1:{}", site.port)).is_err(), "not the certificate's name");
        assert!(discover(site.issuer.replace("https", "http")).is_err());
    }
}

#[test]
fn curl_gets_the_set_once_and_304_afterwards() {
    let site = Site::start("");
    let set = format!("{}/.well-known/jwks.json", site.issuer);
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--cacert", "authority.crt"]).args(arguments);
        command.current_dir(site.sandbox.root()).output()
    };
    let Ok(output) = curl(&["--etag-save", "etag", "-o", "set.json", &set]) else {
        eprintln!("skipped: `curl` does not start");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let got: Value = serde_json::from_str(&site.sandbox.read("set.json")).unwrap();
    assert_eq!(got, site.sandbox.run(&["jwks"]).done().json());
    let code = ["-o", "again.json", "-w", "%{http_code} %{http_version}"];
    let output = curl(&[&["--etag-compare", "etag", &set], &code[..]].concat()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "304 1.1");
    let output = curl(&[&["-I", &set], &["-o", "head.txt", "-w", "%{http_code}"][..]].concat()).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    // Older TLS than 1.2 is refused.
    let output = curl(&["--tls-max", "1.1", &set]).unwrap();
    assert!(!output.status.success());
}

#[test]
fn jose_verifies_a_token_with_the_set_that_it_discovers() {
    let site = Site::start("");
    let node = |token: &str| {
        let mut command = Command::new("node");
        command.args(["--input-type=module", "-e", include_str!("jose.mjs"), "--", &site.issuer, token]);
        command.env("NODE_EXTRA_CA_CERTS", site.sandbox.path("authority.crt")).output()
    };
    let folder = std::env::var("SERVICE_ONLY_JOSE_DIR").unwrap_or_else(|_| ".".to_owned());
    let mut probe = Command::new("node");
    probe.args(["-e", "require.resolve('jose', {paths: [process.argv[1]]})", "--", &folder]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: node does not find `jose`; set SERVICE_ONLY_JOSE_DIR to where it is installed");
        return;
    }
    let output = node(&site.token).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "orders\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!node(&site.forged()).unwrap().status.success());
}

#[test]
fn envoy_admits_a_token_by_the_set_that_it_fetches() {
    let envoy = std::env::var("SERVICE_ONLY_ENVOY").unwrap_or_else(|_| "envoy".to_owned());
    if !Command::new(&envoy).arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `{envoy}` does not start; set SERVICE_ONLY_ENVOY");
        return;
    }
    let site = Site::start("");
    let config = include_str!("envoy.yaml")
        .replace("ISSUER", &site.issuer)
        .replace("PORT", &site.port.to_string())
        .replace("AUTHORITY", &site.sandbox.path("authority.crt").display().to_string());
    site.sandbox.write("envoy.yaml", config);
    let mut child = Command::new(envoy)
        .args(["--config-path", "envoy.yaml", "--admin-address-path", "admin", "--use-dynamic-base-id"])
        .args(["--concurrency", "1", "--log-level", "error"])
        .current_dir(site.sandbox.root())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let statuses = runtime.block_on(async {
        let port = loop {
            assert!(child.try_wait().unwrap().is_none(), "Envoy ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let Ok(admin) = std::fs::read_to_string(site.sandbox.path("admin")) else { continue };
            let url = format!("http://{admin}/listeners?format=json");
            let Ok(answer) = client.get(url).send().await else { continue };
            let listeners: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
            let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
            if let Some(port) = port.as_u64() {
                break port;
            }
        };
        let mut statuses = Vec::new();
        for token in [Some(site.token.clone()), Some(site.forged()), None] {
            let request = client.get(format!("http://127.0.0.1:{port}/"));
            let request = match token {
                Some(token) => request.header("authorization", format!("Bearer {token}")),
                None => request,
            };
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        statuses
    });
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(statuses, [200, 401, 401]);
}
