//! The roots of one trust domain.

use std::{borrow::Cow, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use service_only::clock::Timestamp;

use crate::rules::{Refusal, RefusalCode, Role, check_issuers, root_validity};

/// Roots that verify peers while they are valid themselves. RFC 5280 section 6.1 leaves the validity of a root to the
/// application, and rustls does not check it.
pub(crate) struct Roots {
    anchors: Vec<Anchor>,
    provider: Arc<CryptoProvider>,
    /// The verifier of the time at which the roots were loaded.
    prepared: Option<Prepared>,
}

struct Anchor {
    anchor: TrustAnchor<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A verifier for the roots that are valid in a period.
#[derive(Clone)]
struct Prepared {
    store: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    from: i64,
    until: i64,
}

impl Roots {
    /// Reads the roots of a file.
    pub(crate) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
        development_build: bool,
    ) -> Result<Self, String> {
        let anchors = certificates.into_iter().enumerate().map(|(index, der)| {
            let unusable = |why: Cow<'static, str>| format!("certificate {} is not a root: {why}", index + 1);
            let (not_before, not_after) = root_validity(&der, development_build).map_err(unusable)?;
            let mut store = RootCertStore::empty();
            store.add(der).map_err(|error| unusable(error.to_string().into()))?;
            let anchor = store.roots.pop().ok_or_else(|| unusable("it was not added".into()))?;
            Ok(Anchor { anchor, not_before, not_after })
        });
        let mut roots = Self {
            anchors: anchors.collect::<Result<_, String>>()?,
            provider: Arc::clone(provider),
            prepared: None,
        };
        roots.prepared = roots.prepare(now);
        Ok(roots)
    }

    /// Whether a root is valid now.
    pub(crate) fn has_valid(&self) -> bool {
        self.prepared.is_some()
    }

    fn prepare(&self, now: Timestamp) -> Option<Prepared> {
        let now = now.unix();
        let mut store = RootCertStore::empty();
        let (mut from, mut until) = (i64::MIN, i64::MAX);
        for Anchor { anchor, not_before, not_after } in &self.anchors {
            if now < not_before.unix() {
                until = until.min(not_before.unix() - 1);
            } else if now > not_after.unix() {
                from = from.max(not_after.unix() + 1);
            } else {
                (from, until) = (from.max(not_before.unix()), until.min(not_after.unix()));
                store.roots.push(anchor.clone());
            }
        }
        let store = Arc::new(store);
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), Arc::clone(&self.provider));
        Some(Prepared { clients: clients.build().ok()?, store, from, until })
    }

    /// Checks that the roots verify a chain for a role at an instant.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        match role {
            Role::Client => {
                let prepared = self.prepared_for(intermediates, at)?;
                let verified = prepared.clients.verify_client_cert(leaf, intermediates, unix_time(at));
                verified.map(drop).map_err(|error| Refusal::path(&error))
            }
            Role::Server => self.verify_server(&parsed(leaf)?, intermediates, at),
        }
    }

    /// Checks that the roots verify the chain of a server, whose leaf rustls has parsed.
    pub(crate) fn verify_server(
        &self,
        leaf: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let prepared = self.prepared_for(intermediates, at)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            leaf,
            &prepared.store,
            intermediates,
            unix_time(at),
            self.provider.signature_verification_algorithms.all,
        )
        .map_err(|error| Refusal::path(&error))
    }

    /// The roots that are valid at an instant, for a chain whose authorities may sign certificates.
    fn prepared_for(
        &self,
        intermediates: &[CertificateDer<'_>],
        at: Timestamp,
    ) -> Result<Cow<'_, Prepared>, Refusal> {
        check_issuers(intermediates)?;
        let is_current = |prepared: &&Prepared| (prepared.from..=prepared.until).contains(&at.unix());
        Ok(match self.prepared.as_ref().filter(is_current) {
            Some(prepared) => Cow::Borrowed(prepared),
            // A root has expired or become valid since the load.
            None => Cow::Owned(self.prepare(at).ok_or_else(|| {
                Refusal::new(RefusalCode::NoRoots, "no root of the trust domain is valid now")
            })?),
        })
    }
}

/// A leaf in the form in which rustls verifies its path and its names.
pub(crate) fn parsed<'c>(leaf: &'c CertificateDer<'_>) -> Result<ParsedCertificate<'c>, Refusal> {
    ParsedCertificate::try_from(leaf).map_err(|error| Refusal::path(&error))
}

fn unix_time(at: Timestamp) -> UnixTime {
    let seconds = u64::try_from(at.unix()).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;
    use service_only::clock::{Clock, SystemClock};
    use service_only_testkit::TestCa;

    use super::*;

    #[test]
    fn a_release_build_refuses_the_authority_for_development_by_its_name() {
        let read = |name: &str, development_build| {
            let der = pem_of(&TestCa::new(name));
            Roots::new(vec![der], &Arc::new(default_provider()), SystemClock.now(), development_build).err()
        };
        assert_eq!(read("dev-only.service-only", true), None);
        assert!(read("dev-only.service-only", false).unwrap().contains("for development"));
        assert_eq!(read("bakery.example", false), None);
    }

    /// `cargo test --release --lib -- development` runs the other half.
    #[test]
    fn files_of_the_authority_for_development_open_only_in_a_development_build() {
        let ca = TestCa::new("dev-only.service-only");
        let folder = tempfile::tempdir().unwrap();
        let leaf = ca.leaf().spiffe_id("spiffe://dev-only.service-only/orders").issue();
        leaf.write_cert_manager(folder.path(), &ca).unwrap();
        let opened = crate::TlsFiles::cert_manager(folder.path()).open();
        if cfg!(debug_assertions) {
            opened.unwrap();
        } else {
            let error = opened.unwrap_err().to_string();
            assert!(error.contains("it is for development, and this is a release build"), "{error}");
        }
    }

    fn pem_of(ca: &TestCa) -> CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()
    }
}
