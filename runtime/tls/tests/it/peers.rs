//! Programs that others wrote, as clients and as servers: openssl, curl, Python, Node, Go and nginx. A test prints
//! `skipped` if its program is missing.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use service_only_testkit::TestCa;
use service_only_tls::{Tls, TlsServer};
use tokio::task::spawn_blocking;

use crate::{
    fleet::{DOMAIN, Member, id, write},
    servers::{Running, client, router},
};

/// A service of this crate, and the files of a program that meets it.
struct Scene {
    ca: TestCa,
    orders: Tls,
    theirs: Member,
    _ours: Member,
}

impl Scene {
    fn new() -> Self {
        let ca = TestCa::new(DOMAIN);
        let ours = Member::of(&ca, "orders");
        Self { orders: ours.open(), theirs: Member::of(&ca, "stranger"), _ours: ours, ca }
    }

    fn files(&self) -> [PathBuf; 3] {
        ["tls.crt", "tls.key", "ca.crt"].map(|name| self.theirs.path(name))
    }

    async fn serve(&self) -> Running {
        Running::start(TlsServer::new(self.orders.clone()), router()).await
    }

    /// A certificate of another authority in the same place.
    fn become_unknown(&self) {
        let leaf = TestCa::new(DOMAIN).leaf().spiffe_id(&id("stranger")).issue();
        leaf.write_cert_manager(self.theirs.folder.path(), &self.ca).unwrap();
    }
}

/// Whether a program is installed.
fn has(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: `{program}` is not installed");
    }
    found
}

async fn run(mut command: Command, input: &'static str) -> Output {
    spawn_blocking(move || {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Calls a server as soon as it listens.
async fn page(tls: &Tls, port: u16) -> Result<String, reqwest::Error> {
    let url = format!("https://localhost:{port}/");
    let start = std::time::Instant::now();
    loop {
        assert!(start.elapsed().as_secs() < 30, "the program does not listen on port {port}");
        match client(tls).get(&url).send().await {
            Ok(response) => return response.text().await,
            Err(error) if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() => {
                // It listens now, so the next answer counts.
                drop(error);
                return client(tls).get(&url).send().await?.text().await;
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test]
async fn openssl_connects_and_resumes_no_session() {
    if !has("openssl", "version") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let connect = |version: &str| {
        let [chain, key, roots] = scene.files();
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-reconnect",
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
            version,
        ]);
        command.arg("-connect").arg(format!("localhost:{}", server.address.port()));
        command.arg("-cert").arg(chain).arg("-key").arg(key).arg("-CAfile").arg(roots);
        command
    };
    let output = said(&run(connect("-tls1_3"), "").await);
    assert!(output.contains("Verify return code: 0 (ok)"), "{output}");
    assert!(output.matches("New, TLSv1.3").count() >= 2 && !output.contains("Reused"), "{output}");
    let output = run(connect("-tls1_2"), "").await;
    assert!(!output.status.success(), "TLS 1.2 is off: {}", said(&output));
}

#[tokio::test]
async fn openssl_resumes_no_session_with_tls_1_2_either() {
    if !has("openssl", "version") {
        return;
    }
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders");
    let tls = tls.files().allow_tls12().open().unwrap();
    let server = Running::start(TlsServer::new(tls), router()).await;
    let theirs = Member::of(&ca, "stranger");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-reconnect", "-verify_return_error", "-tls1_2"]);
    command.arg("-connect").arg(format!("localhost:{}", server.address.port()));
    command.arg("-cert").arg(theirs.path("tls.crt")).arg("-key").arg(theirs.path("tls.key"));
    command.arg("-CAfile").arg(theirs.path("ca.crt"));
    let output = said(&run(command, "").await);
    assert!(output.matches("New, TLSv1.2").count() >= 2 && !output.contains("Reused"), "{output}");
}

#[tokio::test]
async fn a_server_of_openssl_is_called_and_its_sessions_are_not_resumed() {
    if !has("openssl", "version") {
        return;
    }
    let scene = Scene::new();
    let [chain, key, roots] = scene.files();
    let port = port();
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-www", "-Verify", "2", "-verify_return_error", "-accept"])
        .arg(port.to_string());
    command.arg("-cert").arg(chain).arg("-key").arg(key).arg("-CAfile").arg(roots);
    let _server =
        Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..3 {
        let page = page(&scene.orders, port).await.unwrap();
        assert!(page.contains("New, TLSv1.3") && !page.contains("Reused"), "{page}");
    }
    let stranger = Member::of(&TestCa::new(DOMAIN), "orders").open();
    assert!(page(&stranger, port).await.is_err(), "its roots do not verify the server");
}

#[tokio::test]
async fn curl_needs_a_certificate_of_the_right_authority() {
    if !has("curl", "--version") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let [chain, key, roots] = scene.files();
    let curl = || {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--noproxy", "*"])
            .arg("--cacert")
            .arg(&roots)
            .arg(server.url("/"));
        command
    };
    let mut with = curl();
    with.arg("--cert").arg(&chain).arg("--key").arg(&key);
    let output = run(with, "").await;
    assert!(said(&output).starts_with(&id("stranger")), "{}", said(&output));
    assert!(!run(curl(), "").await.status.success(), "without a certificate");
    scene.become_unknown();
    let mut unknown = curl();
    unknown.arg("--cert").arg(&chain).arg("--key").arg(&key);
    assert!(!run(unknown, "").await.status.success(), "of another authority");
}

const PYTHON: &str = r#"
import socket, ssl, sys
chain, key, roots, port = sys.argv[1:]
context = ssl.create_default_context(cafile=roots)
context.load_cert_chain(chain, key)
session = None
for _ in range(2):
    with socket.create_connection(("localhost", int(port))) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n")
            answer = b""
            while True:
                part = tls.recv(4096)
                if not part:
                    break
                answer += part
            assert answer.startswith(b"HTTP/1.0 200"), answer
            assert not tls.session_reused
            assert not (tls.session and tls.session.has_ticket)
            session = tls.session if tls.session and tls.session.id else None
            print(tls.version(), answer.rsplit(b"\r\n", 1)[-1].decode())
"#;

#[tokio::test]
async fn python_connects_and_resumes_no_session() {
    if !has("python3", "--version") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let script = scene.theirs.path("client.py");
    fs::write(&script, PYTHON).unwrap();
    let python = || {
        let mut command = Command::new("python3");
        command.arg(&script).args(scene.files()).arg(server.address.port().to_string());
        command
    };
    let output = run(python(), "").await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches(&format!("TLSv1.3 {}", id("stranger"))).count(), 2, "{}", said(&output));
    scene.become_unknown();
    assert!(!run(python(), "").await.status.success(), "of another authority");
}

const PYTHON_SERVER: &str = r#"
import http.server, ssl, sys
chain, key, roots, port = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=roots)
context.load_cert_chain(chain, key)
context.verify_mode = ssl.CERT_REQUIRED

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        names = dict(self.connection.getpeercert()["subjectAltName"])
        page = f"{self.connection.session_reused} {self.connection.version()} {names['URI']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass

# One thread for each connection, and its handshake: a probe of the port sends nothing.
class Server(http.server.ThreadingHTTPServer):
    def finish_request(self, plain, address):
        with context.wrap_socket(plain, server_side=True) as tls:
            self.RequestHandlerClass(tls, address, self)

    def handle_error(self, *_):
        pass

Server(("127.0.0.1", int(port)), Page).serve_forever()
"#;

#[tokio::test]
async fn a_server_of_python_is_called() {
    if !has("python3", "--version") {
        return;
    }
    let scene = Scene::new();
    let script = scene.theirs.path("server.py");
    fs::write(&script, PYTHON_SERVER).unwrap();
    let port = port();
    let mut command = Command::new("python3");
    command.arg(&script).args(scene.files()).arg(port.to_string());
    let _server = Server(command.stdin(Stdio::null()).spawn().unwrap());
    for _ in 0..3 {
        let page = page(&scene.orders, port).await.unwrap();
        assert_eq!(page, format!("False TLSv1.3 {}", id("orders")));
    }
    let stranger = Member::of(&TestCa::new(DOMAIN), "orders").open();
    assert!(page(&stranger, port).await.is_err(), "its roots do not verify the server");
    // The server refuses a client of another authority, whose roots verify the server.
    let unknown = Member::of(&TestCa::new(DOMAIN), "orders");
    write(
        unknown.path("ca.crt"),
        format!("{}{}", fs::read_to_string(unknown.path("ca.crt")).unwrap(), scene.ca.pem()),
    );
    assert!(page(&unknown.open(), port).await.is_err(), "a client of another authority");
}

const NODE_CLIENT: &str = r#"
const https = require('https'), fs = require('fs');
const [chain, key, roots, port] = process.argv.slice(2);
const agent = new https.Agent({ cert: fs.readFileSync(chain), key: fs.readFileSync(key), ca: fs.readFileSync(roots) });
const get = () => new Promise((resolve, reject) => {
  https.get({ host: 'localhost', port, path: '/', agent, headers: { connection: 'close' } }, (response) => {
    const reused = response.socket.isSessionReused();
    let text = '';
    response.on('data', (part) => text += part).on('end', () => resolve([reused, response.socket.getProtocol?.(), text]));
  }).on('error', reject);
});
(async () => {
  for (let i = 0; i < 2; i++) {
    const [reused, , text] = await get();
    console.log(reused ? 'reused' : 'new', text);
  }
})().catch((error) => { console.error(error); process.exit(1); });
"#;

const NODE_SERVER: &str = r#"
const https = require('https'), fs = require('fs');
const [chain, key, ca] = process.argv.slice(2, 5).map((file) => fs.readFileSync(file));
https.createServer({ cert: chain, key, ca, requestCert: true, rejectUnauthorized: true }, (request, response) => {
  response.end((request.socket.isSessionReused() ? 'reused ' : 'new ') + request.socket.getPeerCertificate().subjectaltname);
}).listen(Number(process.argv[5]), '127.0.0.1');
"#;

#[tokio::test]
async fn node_connects_and_resumes_no_session() {
    if !has("node", "--version") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let script = scene.theirs.path("client.cjs");
    fs::write(&script, NODE_CLIENT).unwrap();
    let mut command = Command::new("node");
    command.arg(&script).args(scene.files()).arg(server.address.port().to_string());
    let output = run(command, "").await;
    assert_eq!(said(&output).matches(&format!("new {}", id("stranger"))).count(), 2, "{}", said(&output));
}

#[tokio::test]
async fn a_server_of_node_is_called_and_sees_the_spiffe_id() {
    if !has("node", "--version") {
        return;
    }
    let scene = Scene::new();
    let script = scene.theirs.path("server.cjs");
    fs::write(&script, NODE_SERVER).unwrap();
    let port = port();
    let mut command = Command::new("node");
    command.arg(&script).args(scene.files()).arg(port.to_string());
    let _server = Server(command.stdin(Stdio::null()).spawn().unwrap());
    for _ in 0..2 {
        let page = page(&scene.orders, port).await.unwrap();
        assert!(page.starts_with("new ") && page.contains(&id("orders")), "{page}");
    }
}

#[tokio::test]
async fn nginx_is_a_proxy_between_two_services() {
    if !has("nginx", "-v") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let port = port();
    let folder = scene.theirs.folder.path().display();
    let configuration = format!(
        "daemon off; master_process off; pid '{folder}/nginx.pid'; error_log stderr;
         events {{ worker_connections 64; }}
         http {{
           access_log off; client_body_temp_path '{folder}/b'; proxy_temp_path '{folder}/p';
           fastcgi_temp_path '{folder}/f'; uwsgi_temp_path '{folder}/u'; scgi_temp_path '{folder}/s';
           server {{
             listen 127.0.0.1:{port} ssl;
             ssl_certificate '{folder}/tls.crt'; ssl_certificate_key '{folder}/tls.key';
             ssl_client_certificate '{folder}/ca.crt'; ssl_verify_client on; ssl_protocols TLSv1.3;
             location / {{
               proxy_pass https://localhost:{}; proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on;
               proxy_ssl_trusted_certificate '{folder}/ca.crt'; proxy_ssl_name localhost;
               proxy_ssl_certificate '{folder}/tls.crt'; proxy_ssl_certificate_key '{folder}/tls.key';
             }}
           }}
         }}",
        server.address.port()
    );
    let file = scene.theirs.path("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("nginx");
    let command = command.arg("-e").arg("stderr").arg("-c").arg(file).stdin(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    for _ in 0..2 {
        let page = page(&scene.orders, port).await.unwrap();
        assert!(page.starts_with(&id("stranger")), "nginx presents its own certificate: {page}");
    }
}

/// A program of Go, compiled in the folder of the scene; `None` without a compiler.
async fn go(scene: &Scene, source: &'static str) -> Option<PathBuf> {
    if !has("go", "version") {
        return None;
    }
    let folder = scene.theirs.folder.path();
    let (file, program) = (folder.join("main.go"), folder.join("program"));
    fs::write(&file, source).unwrap();
    let mut command = Command::new("go");
    command.arg("build").arg("-o").arg(&program).arg(&file);
    command.env("GO111MODULE", "off").env("GOPATH", folder.join("go")).env("GOCACHE", folder.join("cache"));
    command.env("GOFLAGS", "-trimpath").env("CGO_ENABLED", "0");
    let output = run(command, "").await;
    assert!(output.status.success(), "{}", said(&output));
    Some(program)
}

#[tokio::test]
async fn go_connects_and_resumes_no_session() {
    let scene = Scene::new();
    let Some(program) = go(&scene, include_str!("peer_client.go")).await else { return };
    let server = scene.serve().await;
    let call = || {
        let mut command = Command::new(&program);
        command.args(scene.files()).arg(server.url("/")).env("NO_PROXY", "*");
        command
    };
    let output = said(&run(call(), "").await);
    assert_eq!(output.matches(&format!("false true {}", id("stranger"))).count(), 2, "{output}");
    scene.become_unknown();
    let refused = run(call(), "").await;
    assert!(!refused.status.success() && said(&refused).contains("error:"), "{}", said(&refused));
}

#[tokio::test]
async fn a_server_of_go_is_called_and_its_sessions_are_not_resumed() {
    let scene = Scene::new();
    let Some(program) = go(&scene, include_str!("peer_server.go")).await else { return };
    let port = port();
    let mut command = Command::new(program);
    command.args(scene.files()).arg(format!("127.0.0.1:{port}")).stdin(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    for _ in 0..3 {
        let page = page(&scene.orders, port).await.unwrap();
        assert_eq!(page.trim(), format!("false {}", id("orders")));
    }
    let stranger = Member::of(&TestCa::new(DOMAIN), "orders").open();
    assert!(page(&stranger, port).await.is_err(), "its roots do not verify the server");
}

/// nginx as a client of a service: it presents its certificate to the service, and a plain client calls nginx.
#[tokio::test]
async fn nginx_as_a_client_needs_a_certificate_of_the_right_authority() {
    if !has("nginx", "-v") {
        return;
    }
    let scene = Scene::new();
    let server = scene.serve().await;
    let folder = scene.theirs.folder.path().display();
    let (port, upstream) = (port(), server.address.port());
    let configuration = format!(
        "daemon off; master_process off; pid '{folder}/nginx.pid'; error_log stderr;
         events {{ worker_connections 64; }}
         http {{
           access_log off; client_body_temp_path '{folder}/b'; proxy_temp_path '{folder}/p';
           fastcgi_temp_path '{folder}/f'; uwsgi_temp_path '{folder}/u'; scgi_temp_path '{folder}/s';
           proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_session_reuse on;
           proxy_ssl_trusted_certificate '{folder}/ca.crt';
           server {{
             listen 127.0.0.1:{port};
             location /with {{
               proxy_pass https://localhost:{upstream}/;
               proxy_ssl_certificate '{folder}/tls.crt'; proxy_ssl_certificate_key '{folder}/tls.key';
             }}
             location /without {{ proxy_pass https://localhost:{upstream}/; }}
           }}
         }}"
    );
    let file = scene.theirs.path("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("nginx");
    let command = command.arg("-e").arg("stderr").arg("-c").arg(file).stdin(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| {
        let start = std::time::Instant::now();
        loop {
            match plain.get(format!("http://127.0.0.1:{port}{path}")).send().await {
                Ok(response) => return (response.status().as_u16(), response.text().await.unwrap()),
                Err(error) => assert!(start.elapsed().as_secs() < 30, "nginx does not listen: {error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    for _ in 0..2 {
        let (status, page) = get("/with").await;
        assert!(status == 200 && page.starts_with(&id("stranger")), "{status} {page}");
    }
    assert_eq!(get("/without").await.0, 502, "the service refuses nginx without a certificate");
}
