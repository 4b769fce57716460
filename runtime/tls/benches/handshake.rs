//! What a handshake costs against bare rustls with the same settings, and what the proof of a certificate adds to a warm
//! request: `cargo bench -p service-only-tls --bench handshake`. The contenders of a race take turns in one run, so a
//! ratio repeats where a time does not.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "no benchmark needs all of what they share")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

// The rest of what benchmarks share needs more crates.
#[path = "../../benches/common/race.rs"]
mod race;
#[path = "../../benches/common/report.rs"]
mod report;

use std::sync::Arc;

use race::Race;
use report::{Bound, Report};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    client::{Resumption, WebPkiServerVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use service_only::{Policy, audit::NoAudit};
use service_only_testkit::{TestAuthority, TestCa, TestCertificate};
use service_only_tls::TlsFiles;

fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn main() {
    let report = &mut Report::new("handshake");
    handshakes(report);
    proofs(report);
}

/// Both sides of one handshake in memory.
fn handshakes(report: &mut Report) {
    const OURS: &str = "service-only-tls";
    let ca = TestCa::new("bakery.example");
    let certificate = ca.leaf().spiffe_id("spiffe://bakery.example/orders").issue();
    let folder = tempfile::tempdir().unwrap();
    certificate.write_cert_manager(folder.path(), &ca).unwrap();
    let tls = TlsFiles::cert_manager(folder.path()).open().unwrap();
    let (bare_client, bare_server) = (bare_client(&ca, &certificate), bare_server(&ca, &certificate));
    let (client, server) = (tls.client_config(), tls.server_config());
    let outcome = Race::new("A handshake of TLS 1.3 with certificates on both sides")
        .with("rustls with the same settings", |_| shake(&bare_client, &bare_server))
        .with(OURS, |_| shake(&client, &server))
        .warm("", 4)
        .report(report);
    report.budget("handshake, against rustls", "times", outcome.ratio(OURS), Bound::AtMost(1.03));
}

/// A cached token, as a bearer token and bound to the certificate of its connection.
fn proofs(report: &mut Report) {
    const PROVEN: &str = "bound to the certificate of the connection";
    let ca = TestCa::new("bakery.example");
    let authority = TestAuthority::new();
    let certificate = ca.leaf().valid_around(authority.clock().now()).issue();
    let verifier = authority.verifier_builder().audit(NoAudit).build().unwrap();
    let (peer, policy) = (certificate.peer(), Policy::any_service());
    let bearer = authority.service("orders").token();
    let bound = authority.service("orders").bound_to(&certificate).token();
    let outcome = Race::new("A warm request")
        .with("a bearer token", |_| verifier.verify_from(Some(&peer), &bearer, &policy).unwrap())
        .with(PROVEN, |_| verifier.verify_from(Some(&peer), &bound, &policy).unwrap())
        .warm("", 500)
        .report(report);
    report.budget("proof of a certificate, warm", "ns more", outcome.difference(PROVEN), Bound::AtMost(60.0));
}

fn parts(certificate: &TestCertificate) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = certificate.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
    (chain, PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap())
}

fn roots(ca: &TestCa) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

fn bare_server(ca: &TestCa, certificate: &TestCertificate) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots(ca), Arc::clone(&provider));
    let (chain, key) = parts(certificate);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(clients.clear_root_hint_subjects().build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn bare_client(ca: &TestCa, certificate: &TestCertificate) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let servers = WebPkiServerVerifier::builder_with_provider(roots(ca), Arc::clone(&provider));
    let (chain, key) = parts(certificate);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_webpki_verifier(servers.build().unwrap())
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> (ClientConnection, ServerConnection) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        let mut unread = &there[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        let mut unread = &back[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    (client, server)
}
