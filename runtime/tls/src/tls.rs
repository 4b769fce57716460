//! The configurations of rustls that live as long as the process, and the material that they read.

mod handshake;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ServerConfig, ServerConnection, SupportedProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use service_only::{
    __satellite::{MIN_POLL_INTERVAL, WatchedFile, WeakHandle},
    PeerCertificate,
    clock::{Clock, SystemClock, Timestamp},
    keys::FileKeys,
};

use self::handshake::{Ours, Peers, Time};
#[cfg(feature = "spiffe")]
use crate::workload;
use crate::{
    error::{TlsError, TlsErrorKind},
    files::{FileSet, MAX_FILE_BYTES, Observer, OwnFiles, TlsEvent},
    material::{MAX_CHAIN, MAX_ROOTS, Material, Source, Sources},
    names::{SpiffeId, TrustDomain},
    peer::Chain,
    rules::{DEVELOPMENT_PREFIX, Role},
};

/// Certificate, key and roots of this service, reloaded from files when they change. Cheap to clone; all clones share
/// one state.
///
/// Use [`server_config`](Self::server_config) and [`client_config`](Self::client_config) wherever a framework accepts
/// a configuration of rustls. They stay the same for the life of the process, and every handshake uses the current
/// material.
///
/// A set of files is checked as a whole before it is used:
///
/// - the key belongs to the leaf certificate,
/// - the leaf does not belong to a certificate authority, and its usages allow its roles,
/// - the leaf is valid now,
/// - the roots verify the chain, if there are roots.
///
/// If the files are broken, half written or missing later, the last valid set stays in use. The log,
/// [`status`](Self::status) and the [observer](TlsFiles::observe) then report the error. The swap of a mounted Kubernetes
/// secret is detected like any other change. The threads that watch the files end with the last clone and the last
/// configuration.
///
/// ```no_run
/// use service_only_tls::TlsFiles;
///
/// let tls = TlsFiles::cert_manager("/var/run/tls").open()?;
/// let server: std::sync::Arc<rustls::ServerConfig> = tls.server_config();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: WatchedFile<FileSet>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// What is in use, for a health check or a page for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsStatus {
    /// The files: chain, key, roots, and the roots of further trust domains; or the socket of the Workload API.
    pub source: Vec<PathBuf>,
    /// The number of the set in use. It begins at 1 and grows with each set.
    pub revision: u64,
    /// When the set in use was loaded.
    pub applied_at: Timestamp,
    /// The SPIFFE ID of the certificate in use.
    pub spiffe_id: Option<SpiffeId>,
    /// SHA-256 of the certificate in use, as `x5t#S256` contains it (RFC 8705 section 3.1).
    pub thumbprint: [u8; 32],
    /// The last second in which the certificate in use is valid.
    pub not_after: Timestamp,
    /// Why the current files cannot be used; `None` if they are in use.
    pub error: Option<TlsError>,
}

impl Tls {
    /// The configuration of a server. Its clients need a certificate, unless
    /// [`TlsFiles::allow_clients_without_certificate`] is set.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.server)
    }

    /// The configuration of a client. It presents the certificate of this service.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.client)
    }

    /// What is in use, and why the current files are not.
    pub fn status(&self) -> TlsStatus {
        TlsStatus::of(&self.0.files)
    }

    /// Returns a function that returns the [status](Self::status), for metrics. The function does not keep the
    /// certificates in memory: it returns `None` after the last clone and the last configuration were dropped.
    pub fn status_while_used(&self) -> impl Fn() -> Option<TlsStatus> + Clone + Send + Sync + 'static {
        let files = self.0.files.weak();
        move || files().map(|files| TlsStatus::of(&files))
    }

    /// The certificate that the client of a connection presented; `None` if it presented none, or if the current roots
    /// do not verify it. [`TlsServer`](crate::TlsServer) calls it for you. In a server of your own, call it after the
    /// handshake with a connection of [`server_config`](Self::server_config), and insert the result into the extensions
    /// of each request.
    pub fn client_certificate(&self, connection: &ServerConnection) -> Option<PeerCertificate> {
        // Only a complete handshake proves that the client has the key.
        if connection.is_handshaking() {
            return None;
        }
        Chain::new(self.0.files.clone(), connection.peer_certificates()?)?.proven(None)
    }

    #[cfg(feature = "server")]
    pub(crate) fn files(&self) -> &WatchedFile<FileSet> {
        &self.0.files
    }

    #[cfg(feature = "server")]
    pub(crate) fn now(&self) -> Timestamp {
        self.0.files.contents().clock.now()
    }
}

impl TlsStatus {
    fn of(files: &WatchedFile<FileSet>) -> Self {
        let current = files.current();
        Self {
            source: files.contents().paths().map(Path::to_owned).collect(),
            revision: current.content.revision,
            applied_at: current.at,
            spiffe_id: current.content.leaf.spiffe_id.clone(),
            thumbprint: current.content.leaf.thumbprint,
            not_after: current.content.leaf.not_after,
            error: files.last_error(),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// How long `open` waits for the first SVID of the Workload API.
#[cfg(feature = "spiffe")]
const FIRST_SVID: Duration = Duration::from_secs(10);

static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];
static WITH_TLS12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The files of [`Tls`] and their settings; [`TlsFiles::open`] loads them.
#[must_use = "nothing is loaded until `open` is called"]
pub struct TlsFiles {
    files: OwnFiles,
    federated: Vec<(String, PathBuf)>,
    servers: Vec<(String, String)>,
    roles: Vec<Role>,
    versions: &'static [&'static SupportedProtocolVersion],
    mandatory: bool,
    interval: Duration,
    patience: Duration,
    clock: Arc<dyn Clock>,
    observer: Observer,
    #[cfg(feature = "spiffe")]
    socket: Option<PathBuf>,
}

impl TlsFiles {
    /// The maximum size of one file, in bytes: more than a bundle with 1,000 roots.
    pub const MAX_FILE_BYTES: usize = MAX_FILE_BYTES;

    /// The maximum number of certificates in a chain, with the leaf. A usual chain has two or three.
    pub const MAX_CHAIN: usize = MAX_CHAIN;

    /// The maximum number of roots of one trust domain. The roots of a browser are about 150.
    pub const MAX_ROOTS: usize = MAX_ROOTS;

    /// The beginning of the name of the authority that `service-token ca` creates. A release build refuses every root
    /// whose common name begins like this.
    pub const DEVELOPMENT_PREFIX: &str = DEVELOPMENT_PREFIX;

    /// Uses a certificate chain with the leaf first, its private key, and roots. The roots verify the peers and also
    /// the chain itself. All files are PEM.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>, roots: impl Into<PathBuf>) -> Self {
        Self {
            files: OwnFiles { chain: chain.into(), key: key.into(), roots: Some(roots.into()) },
            federated: Vec::new(),
            servers: Vec::new(),
            roles: vec![Role::Server, Role::Client],
            versions: ONLY_TLS13,
            mandatory: true,
            interval: FileKeys::DEFAULT_POLL_INTERVAL,
            patience: Duration::ZERO,
            clock: Arc::new(SystemClock),
            observer: Observer(Arc::new(|_| ())),
            #[cfg(feature = "spiffe")]
            socket: None,
        }
    }

    /// Uses a certificate chain with the leaf first and its private key, for a server whose clients present no
    /// certificate. All files are PEM. Without roots, the chain is not verified here: if it is not complete, only the
    /// clients notice. [`Tls::client_config`] refuses every server.
    ///
    /// ```no_run
    /// use service_only_tls::TlsFiles;
    ///
    /// let tls = TlsFiles::server_certificate("tls.crt", "tls.key").open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn server_certificate(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let mut files = Self::new(chain, key, "").server_only().allow_clients_without_certificate();
        files.files.roots = None;
        files
    }

    /// Uses the SPIFFE Workload API at a Unix socket in place of files. The API delivers the default SVID, the roots of
    /// its trust domain, and those of all federated trust domains. The path may begin with `unix:`, as in
    /// `SPIFFE_ENDPOINT_SOCKET`.
    ///
    /// [`open`](Self::open) waits up to ten seconds for the first SVID, and longer with
    /// [`wait_up_to`](Self::wait_up_to). If no SVID arrives, `open` fails. If the stream ends later, the last SVID
    /// stays in use, and peers refuse it after it has expired. The log, [`status`](Tls::status) and the
    /// [observer](Self::observe) report the end of the stream, and the stream is opened again.
    ///
    /// ```no_run
    /// use service_only_tls::TlsFiles;
    ///
    /// let tls = TlsFiles::workload_api("/run/spire/agent-sockets/spire-agent.sock").open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "spiffe")]
    pub fn workload_api(socket: impl Into<PathBuf>) -> Self {
        let socket = workload::socket_path(&socket.into());
        Self { socket: Some(socket), patience: FIRST_SVID, ..Self::new("", "", "") }
    }

    /// Uses the files of a secret of cert-manager: `tls.crt`, `tls.key` and `ca.crt`.
    pub fn cert_manager(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self::new(folder.join("tls.crt"), folder.join("tls.key"), folder.join("ca.crt"))
    }

    /// Uses the files that the SPIFFE helper writes by default: `svid.pem`, `svid_key.pem` and `svid_bundle.pem`.
    pub fn spire(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self::new(folder.join("svid.pem"), folder.join("svid_key.pem"), folder.join("svid_bundle.pem"))
    }

    /// Adds the roots of another SPIFFE trust domain, such as `partner.example`. They verify only certificates with
    /// an ID of that domain. Without this, peers of other trust domains are refused.
    pub fn trust_domain(mut self, domain: impl Into<String>, roots: impl Into<PathBuf>) -> Self {
        self.federated.push((domain.into(), roots.into()));
        self
    }

    /// Sets the SPIFFE ID that the server of a host must present when this service calls it. The DNS names in its
    /// certificate are then not compared. Without this setting, the certificate must contain the called host as a DNS
    /// name or an IP address.
    pub fn server_id(mut self, host: impl Into<String>, id: impl Into<String>) -> Self {
        self.servers.push((host.into(), id.into()));
        self
    }

    /// Uses the certificate for a server only. Its extended key usage then does not have to allow `clientAuth`, and
    /// [`Tls::client_config`] presents no certificate.
    pub fn server_only(self) -> Self {
        Self { roles: vec![Role::Server], ..self }
    }

    /// Uses the certificate for a client only. Its extended key usage then does not have to allow `serverAuth`, and
    /// every handshake of [`Tls::server_config`] fails.
    pub fn client_only(self) -> Self {
        Self { roles: vec![Role::Client], ..self }
    }

    /// Accepts clients without a certificate, such as health probes. Their requests have no
    /// [`PeerCertificate`](service_only::PeerCertificate), so a bound token is refused.
    pub fn allow_clients_without_certificate(self) -> Self {
        Self { mandatory: false, ..self }
    }

    /// Accepts TLS 1.2 too, for peers that have no TLS 1.3. The default is TLS 1.3 only.
    pub fn allow_tls12(self) -> Self {
        Self { versions: WITH_TLS12, ..self }
    }

    /// How often the files are checked, 10 ms or more. The default is one second.
    pub fn poll_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// How long [`open`](Self::open) waits for a first valid set that another container writes. By default it does
    /// not wait.
    pub fn wait_up_to(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The clock for every validity period. The default is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Calls a function for each event, for metrics. It is called on the thread of the handshake or of the watcher, so
    /// it must not block.
    pub fn observe(self, observer: impl Fn(&TlsEvent<'_>) + Send + Sync + 'static) -> Self {
        Self { observer: Observer(Arc::new(observer)), ..self }
    }

    /// Checks whether [`open`](Self::open) would accept these contents now. Use it before a program writes them to the
    /// files. It does not read the files, and it does not check further trust domains. A root for development is
    /// accepted in every build, because the program that uses the files may be a development build.
    ///
    /// # Errors
    /// When the contents are not a valid set.
    pub fn check_contents(&self, chain: &[u8], key: &[u8], roots: &[u8]) -> Result<(), TlsError> {
        let [own, secret] = [&self.files.chain, &self.files.key].map(|path| path.display());
        let trusted = self.files.roots.as_ref().map(|path| path.display());
        let sources = Sources {
            chain: Source { path: &own, bytes: chain },
            key: Source { path: &secret, bytes: key },
            roots: trusted.as_ref().map(|path| Source { path, bytes: roots }),
            federated: Vec::new(),
            for_development: true,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        Material::read(&sources, &self.roles, &provider, self.clock.now()).map(drop)
    }

    /// Loads and checks the files, and starts the threads that watch them. Blocks while it waits.
    ///
    /// # Errors
    /// When the files cannot be read within two seconds, or the Workload API delivers no SVID. When the set is not
    /// valid, a setting cannot be used, or no thread can be started.
    pub fn open(self) -> Result<Tls, TlsError> {
        let wrong = |why: String| TlsError::new(TlsErrorKind::Configuration, why);
        if self.interval < MIN_POLL_INTERVAL {
            return Err(wrong(format!(
                "the files would be read every {:?}; the minimum is {MIN_POLL_INTERVAL:?}",
                self.interval
            )));
        }
        let mut federated: Vec<(TrustDomain, PathBuf)> = Vec::new();
        for (name, roots) in self.federated {
            let domain =
                name.parse().map_err(|error| wrong(format!("`{name}` is not a trust domain: {error}")))?;
            if federated.iter().any(|(own, _)| *own == domain) {
                return Err(wrong(format!(
                    "the trust domain `{name}` has two files with roots, expected one"
                )));
            }
            federated.push((domain, roots));
        }
        let mut servers = HashMap::new();
        for (host, id) in self.servers {
            let id: SpiffeId =
                id.parse().map_err(|error| wrong(format!("`{id}` is not a SPIFFE ID: {error}")))?;
            if servers.insert(host.to_ascii_lowercase(), id).is_some() {
                return Err(wrong(format!("the server `{host}` has two SPIFFE IDs, expected one")));
            }
        }
        let is_server_alone = self.files.roots.is_none();
        if is_server_alone && (self.roles != [Role::Server] || !federated.is_empty() || !servers.is_empty()) {
            return Err(wrong(
                "a certificate without roots is for a server only, and no setting for peers applies to it; name roots with \
                 `TlsFiles::new`"
                    .to_owned(),
            ));
        }
        #[cfg(feature = "spiffe")]
        if self.socket.is_some() && !federated.is_empty() {
            return Err(wrong(
                "the SPIFFE Workload API delivers the roots of further trust domains".to_owned(),
            ));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (clock, roles) = (self.clock, self.roles);
        let set = FileSet::new(
            self.files,
            federated,
            roles.clone(),
            Arc::clone(&provider),
            Arc::clone(&clock),
            self.observer,
        );
        #[cfg(feature = "spiffe")]
        let set = match self.socket {
            None => set,
            Some(socket) => {
                let workload = workload::Workload::start(socket.clone()).map_err(|error| {
                    TlsError::new(TlsErrorKind::NoThread, format!("no thread can be started: {error}"))
                })?;
                set.delivered_by(socket, workload)
            }
        };
        let files =
            WatchedFile::open(set, self.interval, Box::new(Arc::clone(&clock)), self.patience, |_| ())?;
        #[cfg(feature = "spiffe")]
        if let Some(workload) = &files.contents().workload {
            let watcher = files.weak();
            workload.on_change(move || {
                if let Some(watcher) = watcher() {
                    watcher.wake();
                }
            });
        }
        let configured = Configured { provider, versions: self.versions, files: &files };
        let peers = Peers::new(files.clone(), Arc::clone(&configured.provider), servers, self.mandatory);
        let client = configured.client(Arc::new(peers), &roles).map_err(|error| wrong(error.to_string()))?;
        let peers = (!is_server_alone).then(|| {
            Peers::new(files.clone(), Arc::clone(&configured.provider), HashMap::new(), self.mandatory)
        });
        let server = configured.server(peers, &roles).map_err(|error| wrong(error.to_string()))?;
        Ok(Tls(Arc::new(Inner { server: Arc::new(server), client: Arc::new(client), files })))
    }
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles")
            .field("files", &self.files)
            .field("federated", &self.federated)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// What both configurations share.
struct Configured<'c> {
    provider: Arc<CryptoProvider>,
    versions: &'static [&'static SupportedProtocolVersion],
    files: &'c WatchedFile<FileSet>,
}

impl Configured<'_> {
    /// A resumed session skips the verification of certificates: it carries the verdict of an earlier handshake, under
    /// roots that may have been withdrawn since (compare CVE-2025-68121). So neither side resumes one. A full handshake
    /// costs about a millisecond, and connections between services are long.
    fn server(&self, peers: Option<Peers>, roles: &[Role]) -> Result<ServerConfig, rustls::Error> {
        let ours = Ours::new(self.files.clone(), roles.contains(&Role::Server));
        let time = Arc::new(Time(Arc::clone(&self.files.contents().clock)));
        let builder = ServerConfig::builder_with_details(Arc::clone(&self.provider), time);
        let builder = builder.with_protocol_versions(self.versions)?;
        let builder = match peers {
            Some(peers) => builder.with_client_cert_verifier(Arc::new(peers)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(ours));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn client(&self, peers: Arc<Peers>, roles: &[Role]) -> Result<ClientConfig, rustls::Error> {
        let ours = Ours::new(self.files.clone(), roles.contains(&Role::Client));
        let time = Arc::new(Time(Arc::clone(&self.files.contents().clock)));
        let builder = ClientConfig::builder_with_details(Arc::clone(&self.provider), time);
        let mut config = builder
            .with_protocol_versions(self.versions)?
            .dangerous()
            .with_custom_certificate_verifier(peers)
            .with_client_cert_resolver(Arc::new(ours));
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }
}
