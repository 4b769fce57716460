//! The certificate of the server: checked when it is loaded, and read again when its files change.
//!
//! A pair that does not fit together, as between the two writes of a renewal, changes nothing: the server continues with
//! the last good pair, and reports it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::key_file;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};

/// The certificate that the server presents now.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

struct State {
    pair: Arc<CertifiedKey>,
    /// The hash of the files that were read last, usable or not.
    read: Option<Digest>,
    /// Since when the files cannot be used, and why.
    problem: Option<(Instant, String)>,
}

impl Certificate {
    pub(crate) fn load(cert: PathBuf, key: PathBuf) -> Outcome<Arc<Self>> {
        let provider = Arc::new(default_provider());
        let (read, pair) = pair(&cert, &key, &provider)?;
        key_file::warn_if_others_can_read(&key);
        let state = State { pair: Arc::new(pair?), read: Some(read), problem: None };
        Ok(Arc::new(Self { cert, key, provider, state: Mutex::new(state) }))
    }

    /// Reads the files again. Each problem is reported once.
    pub(crate) fn refresh(&self) {
        let loaded = pair(&self.cert, &self.key, &self.provider);
        let mut state = self.state();
        let problem = match loaded {
            Ok((read, _)) if state.read.as_ref().is_some_and(|last| last.as_ref() == read.as_ref()) => return,
            Ok((read, Ok(pair))) => {
                state.pair = Arc::new(pair);
                state.read = Some(read);
                state.problem = None;
                output::note(&format!("loaded a new certificate from `{}`", self.cert.display()));
                return;
            }
            Ok((read, Err(problem))) => {
                state.read = Some(read);
                problem
            }
            Err(problem) => {
                state.read = None;
                problem
            }
        };
        let text = problem.to_string();
        if state.problem.as_ref().is_none_or(|(_, reported)| *reported != text) {
            output::warning(&format!("{text}; the server continues with the last good certificate"));
        }
        let since = state.problem.take().map_or_else(Instant::now, |(since, _)| since);
        state.problem = Some((since, text));
    }

    /// Since when the files cannot be used.
    pub(crate) fn broken_since(&self) -> Option<Instant> {
        self.state().problem.as_ref().map(|(since, _)| *since)
    }

    /// TLS 1.2 and 1.3 with the defaults of rustls, for HTTP/1.1.
    pub(crate) fn server(self: &Arc<Self>) -> Outcome<ServerConfig> {
        let unusable = |error| Problem::new(ProblemCode::BadConfig, format!("TLS cannot start: {error}"));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let resolver = Arc::clone(self) as Arc<dyn ResolvesServerCert>;
        let server = builder
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(server)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state().pair))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// Reads both files: their hash, and the pair if it is usable.
fn pair(
    cert: &std::path::Path,
    key: &std::path::Path,
    provider: &CryptoProvider,
) -> Outcome<(Digest, Outcome<CertifiedKey>)> {
    let (chain, secret) = (key_file::read(cert)?, key_file::read(key)?);
    let mut hash = Context::new(&SHA256);
    hash.update(&chain);
    hash.update(&secret);
    let bad = |place: &std::path::Path, why: String| {
        Problem::new(ProblemCode::BadKey, format!("`{}`: {why}", place.display()))
    };
    let usable = || {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
        let certificates = certificates.map_err(|error| bad(cert, error.to_string()))?;
        if certificates.is_empty() {
            return Err(bad(cert, "it contains no certificate in PEM".to_owned())
                .help("name the certificate chain of the server, its own certificate first"));
        }
        // The message of the parser never quotes the file.
        let private = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| {
            bad(key, "it contains no private key in PEM".to_owned())
                .help("name the private key of the certificate, not encrypted: PKCS#8, PKCS#1 or SEC1")
        })?;
        CertifiedKey::from_der(certificates, private, provider)
            .map_err(|error| bad(cert, format!("it does not fit the key in `{}`: {error}", key.display())))
    };
    Ok((hash.finish(), usable()))
}
