//! The chain of a peer after its handshake, which each new set of roots verifies again.

use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::CertificateDer;
use service_only::{
    __satellite::{PeerFacts, PeerTrust, WatchedFile, peer_certificate},
    PeerCertificate,
    clock::Clock,
};

use crate::{
    files::FileSet,
    names::SpiffeId,
    rules::{Leaf, Role},
};

/// The chain of a client.
pub(crate) struct Chain {
    files: WatchedFile<FileSet>,
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    /// The set whose roots verified the chain last; zero for none.
    verified_by: AtomicU64,
}

impl Chain {
    pub(crate) fn new(files: WatchedFile<FileSet>, chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = Leaf::read(chain.first()?).ok()?;
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Some(Self { files, chain, leaf, verified_by: AtomicU64::new(0) })
    }

    /// The proof that the peer has the key of this certificate; `None` if the current roots do not verify it.
    pub(crate) fn proven(self, forwarded_by: Option<String>) -> Option<PeerCertificate> {
        if !self.is_trusted() {
            return None;
        }
        let Leaf { spiffe_id, name, not_before, not_after, thumbprint, .. } = self.leaf.clone();
        let spiffe_id = spiffe_id.as_ref().map(SpiffeId::to_string);
        let facts = PeerFacts { thumbprint, spiffe_id, name, not_before, not_after, forwarded_by };
        Some(peer_certificate(facts, self))
    }
}

impl PeerTrust for Chain {
    /// Compares one number while the material stays the same.
    fn is_trusted(&self) -> bool {
        let current = self.files.current();
        let material = &current.content;
        if self.verified_by.load(Ordering::Relaxed) == material.revision {
            return true;
        }
        let Some((leaf, intermediates)) = self.chain.split_first() else { return false };
        let at = self.files.contents().clock.now();
        let is_verified = material.verify_peer(leaf, intermediates, Role::Client, at).is_ok();
        if is_verified {
            self.verified_by.store(material.revision, Ordering::Relaxed);
        }
        is_verified
    }
}
