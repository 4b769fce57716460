//! What the sender of a request gives besides its token, as evidence that it has a key.

use crate::{dpop::PresentedProof, peer::PeerCertificate};

/// What the sender of a request gives besides its token, as evidence that it has a key. It comes from the connection or
/// from the request; whether it proves anything is decided with the token.
#[derive(Copy, Clone, Default)]
pub(crate) struct Evidence<'r> {
    /// The certificate of the connection.
    pub(crate) peer: Option<&'r PeerCertificate>,
    /// The proof of a request that sends its token with a scheme for it.
    pub(crate) dpop: Option<&'r PresentedProof<'r>>,
}

impl<'r> From<Option<&'r PeerCertificate>> for Evidence<'r> {
    fn from(peer: Option<&'r PeerCertificate>) -> Self {
        Self { peer, dpop: None }
    }
}
