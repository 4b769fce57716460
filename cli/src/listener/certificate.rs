//! The certificate of a server, which follows its files, and since when they cannot be used.
//!
//! `service-only-tls` checks the files and reads them again. A pair that does not fit together, as between the two writes
//! of a renewal, changes nothing: the server continues with the last good pair. This module reports it to the operator.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use service_only_tls::{Tls, TlsEvent, TlsFiles};

use crate::key_file;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store;

/// The certificate that the server presents.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    tls: Tls,
    /// Since when the files cannot be used.
    broken_since: Arc<Mutex<Option<Instant>>>,
}

impl Certificate {
    /// A certificate for clients that present none. TLS 1.2 is for clients that have no TLS 1.3.
    pub(crate) fn of_server(chain: &Path, key: &Path) -> Outcome<Self> {
        Self::open(TlsFiles::server_certificate(chain, key).allow_tls12(), chain, key)
    }

    /// A certificate, and roots that verify the certificates of clients.
    #[cfg(feature = "dashboard")]
    pub(crate) fn with_roots(chain: &Path, key: &Path, roots: &Path) -> Outcome<Self> {
        let files = TlsFiles::new(chain, key, roots).server_only();
        Self::open(files, chain, key)
            .map_err(|problem| problem.help("`--tls-roots` also has to verify the certificate of the server"))
    }

    fn open(files: TlsFiles, chain: &Path, key: &Path) -> Outcome<Self> {
        let broken_since = Arc::new(Mutex::new(None));
        let observed = Arc::clone(&broken_since);
        let chain = chain.display().to_string();
        let observer = move |event: &TlsEvent<'_>| match event {
            TlsEvent::SetRefused(error) => {
                observed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                output::warning(&format!("{error}; the server continues with the last good certificate"));
            }
            TlsEvent::Applied { .. } => {
                *observed.lock().unwrap_or_else(PoisonError::into_inner) = None;
                output::note(&format!("loaded a new certificate from `{chain}`"));
            }
            _ => {}
        };
        let tls = files
            .observe(observer)
            .open()
            .map_err(|error| Problem::new(ProblemCode::BadKey, error.to_string()))?;
        key_file::warn_if_others_can_read(key);
        Ok(Self { tls, broken_since })
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Since when the files cannot be used.
    pub(crate) fn broken_since(&self) -> Option<Instant> {
        let mut since = self.broken_since.lock().unwrap_or_else(PoisonError::into_inner);
        // Unchanged files cause no event, and the event of an error comes before its status.
        match self.tls.status().error {
            None => *since = None,
            Some(_) => drop(since.get_or_insert_with(Instant::now)),
        }
        *since
    }

    /// Whether clients refuse it, because it was not renewed in time.
    pub(crate) fn has_expired(&self) -> bool {
        self.tls.status().not_after < store::now()
    }
}
