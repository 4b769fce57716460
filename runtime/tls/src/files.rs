//! The files of a set: their paths, how they are read as one, and how they are reported.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::CryptoProvider;
use service_only::{
    __satellite::{Contents, MAX_READ, read_regular},
    clock::{Clock, Timestamp},
};
use zeroize::Zeroizing;

#[cfg(feature = "spiffe")]
use crate::workload::Workload;
use crate::{
    error::{TlsError, TlsErrorKind},
    material::{Material, Source, Sources},
    names::TrustDomain,
    parts::{joined, split},
    rules::{RefusalCode, Role},
};

/// See [`TlsFiles::MAX_FILE_BYTES`](crate::TlsFiles::MAX_FILE_BYTES).
pub(crate) const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// How often a set is read again because a link on its way was swapped meanwhile.
const MAX_SWAPS: usize = 3;

/// The files of a service itself.
#[derive(Debug)]
pub(crate) struct OwnFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// `None` for a server whose clients present no certificate.
    pub(crate) roots: Option<PathBuf>,
}

/// The files of a set, in the order in which they are read.
pub(crate) struct FileSet {
    pub(crate) chain: PathBuf,
    /// Key, roots, and the roots of each further trust domain.
    pub(crate) companions: Vec<PathBuf>,
    /// Whether the roots are among them.
    has_roots: bool,
    pub(crate) domains: Vec<TrustDomain>,
    pub(crate) roles: Vec<Role>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Observer,
    /// Delivers the parts in place of files.
    #[cfg(feature = "spiffe")]
    pub(crate) workload: Option<Workload>,
    applied: Mutex<Applied>,
}

/// An event of the certificates and roots of a service, for metrics and alerts.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsEvent<'e> {
    /// A new set of files is in use.
    #[non_exhaustive]
    Applied {
        /// The number of the set. It begins at 1 and grows with each set.
        revision: u64,
        /// The last second in which the certificate is valid.
        not_after: Timestamp,
    },
    /// The files cannot be used. The last valid set stays in use.
    SetRefused(&'e TlsError),
    /// The certificate of a peer was refused, so its handshake failed.
    #[non_exhaustive]
    PeerRefused {
        /// The role of the peer.
        role: Role,
        /// The rule that refused.
        code: RefusalCode,
        /// The rule and the compared values.
        reason: &'e str,
    },
}

/// Receives the events.
#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<dyn Fn(&TlsEvent<'_>) + Send + Sync>);

#[derive(Default)]
struct Applied {
    digest: Option<Vec<u8>>,
    revision: u64,
}

impl FileSet {
    pub(crate) fn new(
        files: OwnFiles,
        federated: Vec<(TrustDomain, PathBuf)>,
        roles: Vec<Role>,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
        observer: Observer,
    ) -> Self {
        let OwnFiles { chain, key, roots } = files;
        let (domains, further): (Vec<_>, Vec<_>) = federated.into_iter().unzip();
        let has_roots = roots.is_some();
        let companions = [key].into_iter().chain(roots).chain(further).collect();
        Self {
            chain,
            companions,
            has_roots,
            domains,
            roles,
            provider,
            clock,
            observer,
            #[cfg(feature = "spiffe")]
            workload: None,
            applied: Mutex::default(),
        }
    }

    /// A set that the Workload API delivers, without files.
    #[cfg(feature = "spiffe")]
    pub(crate) fn delivered_by(self, socket: PathBuf, workload: Workload) -> Self {
        Self { chain: socket, companions: Vec::new(), workload: Some(workload), ..self }
    }

    /// The parts of a delivery: the names of further trust domains, chain, key, roots, and the roots of those domains.
    #[cfg(feature = "spiffe")]
    fn parse_delivery(&self, bytes: &[u8]) -> Result<Material, TlsError> {
        let missing = || self.error(TlsErrorKind::WorkloadApi, "a part is missing");
        let mut parts = split(bytes);
        let names = parts.next().and_then(|names| std::str::from_utf8(names).ok()).ok_or_else(missing)?;
        let domains = names.lines().map(|name| {
            let unusable = |error| format!("`{name}` is not a trust domain: {error}");
            name.parse().map_err(|error| self.error(TlsErrorKind::WorkloadApi, &unusable(error)))
        });
        let domains: Vec<TrustDomain> = domains.collect::<Result<_, _>>()?;
        let path = self.chain.display();
        let mut next = || parts.next().map(|bytes| Source { path: &path, bytes }).ok_or_else(missing);
        let (chain, key, roots) = (next()?, next()?, Some(next()?));
        let federated =
            domains.iter().map(|domain| Ok((domain, next()?))).collect::<Result<_, TlsError>>()?;
        self.read_material(
            &Sources { chain, key, roots, federated, for_development: cfg!(debug_assertions) },
            bytes,
        )
    }

    fn read_material(&self, sources: &Sources<'_>, bytes: &[u8]) -> Result<Material, TlsError> {
        let material = Material::read(sources, &self.roles, &self.provider, self.clock.now())?;
        Ok(material.numbered(self.revision(bytes)))
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.chain].into_iter().chain(&self.companions).map(PathBuf::as_path)
    }

    fn targets(&self) -> Vec<Option<PathBuf>> {
        self.paths().map(|path| fs::canonicalize(path).ok()).collect()
    }

    fn read_once(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        let parts = self.paths().map(|path| {
            let error = |why: &dyn std::fmt::Display| {
                TlsError::new(TlsErrorKind::Unreadable, format!("{}: {why}", path.display()))
            };
            let bytes = read_regular(path, MAX_FILE_BYTES).map_err(|cause| error(&cause))?;
            if bytes.len() > MAX_FILE_BYTES {
                return Err(error(&format_args!("the file is larger than {MAX_FILE_BYTES} bytes")));
            }
            Ok(bytes)
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(joined(&parts))
    }

    /// The number of a set. A set that is parsed again keeps its number.
    fn revision(&self, bytes: &[u8]) -> u64 {
        let digest = digest(&SHA256, bytes).as_ref().to_vec();
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.digest.as_ref() != Some(&digest) {
            applied.digest = Some(digest);
            applied.revision += 1;
        }
        applied.revision
    }

    fn error(&self, kind: TlsErrorKind, why: &str) -> TlsError {
        TlsError::new(kind, format!("{}: {why}", self.chain.display()))
    }
}

impl Contents for FileSet {
    type Content = Material;
    type Error = TlsError;

    const THREAD: &'static str = "tls-files";

    fn path(&self) -> &Path {
        &self.chain
    }

    fn companions(&self) -> &[PathBuf] {
        &self.companions
    }

    #[cfg(feature = "spiffe")]
    fn is_renewed(&self) -> bool {
        self.workload.as_ref().is_some_and(Workload::is_renewed)
    }

    /// Reads all files of one mount. Kubernetes swaps a link from the old folder to the new one, which may happen
    /// between two reads.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        #[cfg(feature = "spiffe")]
        if let Some(workload) = &self.workload {
            return workload.read();
        }
        let mut before = self.targets();
        let mut swaps = 0;
        loop {
            let bytes = self.read_once();
            let after = self.targets();
            if before == after || swaps == MAX_SWAPS {
                return bytes;
            }
            (before, swaps) = (after, swaps + 1);
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Material, TlsError> {
        #[cfg(feature = "spiffe")]
        if self.workload.is_some() {
            return self.parse_delivery(bytes);
        }
        let paths: Vec<_> = self.paths().map(Path::display).collect();
        let mut sources = paths.iter().zip(split(bytes)).map(|(path, bytes)| Source { path, bytes });
        let mut next =
            || sources.next().ok_or_else(|| self.error(TlsErrorKind::Unreadable, "a file is missing"));
        let (chain, key) = (next()?, next()?);
        let roots = self.has_roots.then(&mut next).transpose()?;
        let federated =
            self.domains.iter().map(|domain| Ok((domain, next()?))).collect::<Result<_, TlsError>>()?;
        self.read_material(
            &Sources { chain, key, roots, federated, for_development: cfg!(debug_assertions) },
            bytes,
        )
    }

    fn may_become_valid(&self, error: &TlsError) -> bool {
        error.kind().depends_on_time()
    }

    fn no_thread(&self, error: io::Error) -> TlsError {
        self.error(TlsErrorKind::NoThread, &format!("no thread can be started: {error}"))
    }

    fn hangs(&self) -> TlsError {
        self.error(
            TlsErrorKind::Timeout,
            &format!("not read within {MAX_READ:?}: does its file system hang?"),
        )
    }

    fn tell_loaded(&self, material: &Material) {
        let Material { revision, leaf, .. } = material;
        let (path, not_after) = (self.chain.display(), leaf.not_after);
        tracing::info!(target: "service_only", %path, revision, %not_after, "new TLS material is in use");
        (self.observer.0)(&TlsEvent::Applied { revision: *revision, not_after });
    }

    fn tell_refused(&self, error: &TlsError) {
        let kind = error.kind().as_str();
        tracing::error!(target: "service_only", %error, kind, "the TLS files cannot be used, the last valid set stays in use");
        (self.observer.0)(&TlsEvent::SetRefused(error));
    }
}
