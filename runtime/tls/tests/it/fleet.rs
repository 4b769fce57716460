//! What the tests share: files of a service, handshakes in memory, and waiting for a reload.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection, pki_types::ServerName};
use service_only::clock::{Clock, SystemClock};
use service_only_testkit::{ManualClock, TestCa, TestCertificate};
use service_only_tls::{Tls, TlsFiles};
use tempfile::TempDir;

pub(crate) const DOMAIN: &str = "bakery.example";

pub(crate) fn id(service: &str) -> String {
    format!("spiffe://{DOMAIN}/{service}")
}

/// The files of one service.
pub(crate) struct Member {
    pub(crate) folder: TempDir,
}

impl Member {
    pub(crate) fn new(certificate: &TestCertificate, roots: &TestCa) -> Self {
        let member = Self { folder: tempfile::tempdir().unwrap() };
        certificate.write_cert_manager(member.folder.path(), roots).unwrap();
        member
    }

    /// A service with a SPIFFE ID, and the usual names of a test.
    pub(crate) fn of(ca: &TestCa, service: &str) -> Self {
        Self::new(&ca.leaf().spiffe_id(&id(service)).issue(), ca)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles::cert_manager(self.folder.path()).poll_every(Duration::from_millis(10))
    }

    pub(crate) fn open(&self) -> Tls {
        self.files().open().unwrap()
    }
}

pub(crate) fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
}

/// Waits for the watcher, which polls every ten milliseconds.
pub(crate) fn eventually(what: &str, met: impl Fn() -> bool) {
    let started = Instant::now();
    while !met() {
        assert!(started.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn applied(tls: &Tls, revision: u64) {
    eventually("the new set is in use", || tls.status().revision == revision && tls.status().error.is_none());
}

/// Which side refused, and why.
#[derive(Debug)]
pub(crate) enum Failed {
    Client(Error),
    Server(Error),
}

/// A complete handshake in memory.
pub(crate) fn shake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    called: &str,
) -> Result<(ClientConnection, ServerConnection), Failed> {
    let name = ServerName::try_from(called.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut unread = &bytes[..];
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().map_err(Failed::Server)?;
        }
        let mut back = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        let mut unread = &back[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().map_err(Failed::Client)?;
        }
        if bytes.is_empty() && back.is_empty() {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok((client, server));
        }
    }
}

/// A handshake between two services.
pub(crate) fn meet(client: &Tls, server: &Tls) -> Result<(ClientConnection, ServerConnection), Failed> {
    shake(client.client_config(), server.server_config(), "localhost")
}

/// A clock that starts with the time of the certificates.
pub(crate) fn wall_clock() -> ManualClock {
    ManualClock::at(SystemClock.now())
}

/// The lines that the process has logged with this text. The watchers log on threads of their own, so the subscriber is
/// one of the process.
pub(crate) fn logged(text: &str) -> Vec<String> {
    static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static START: Once = Once::new();

    struct Log;

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LOG.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    START.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init());
    let log = LOG.lock().unwrap();
    String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}
