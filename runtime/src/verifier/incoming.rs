//! A request, as far as it proves who sends its token.

use std::sync::Arc;

#[cfg(feature = "experimental-wimse")]
use crate::dpop::NamedHeaders;
use crate::{bearer::OnlyHeader, peer::PeerCertificate, recorder::Recorder};

/// A request whose token is decided about. Only requests with a scheme for a proof are asked for more than the certificate.
pub(crate) trait Incoming {
    /// The certificate of the client of the connection.
    fn peer(&self) -> Option<&PeerCertificate>;

    fn method(&self) -> &str;

    /// The path as the client sent it.
    fn path(&self) -> &str;

    /// The header that accompanies the `Authorization` header.
    fn companion(&self, companion: Companion) -> OnlyHeader<'_>;

    /// All headers, for a proof that is about some of them.
    #[cfg(feature = "experimental-wimse")]
    fn named_headers(&self) -> &dyn NamedHeaders;

    /// The key of the proof, if this verifier has accepted the same token with the same proof in an earlier decision
    /// about this request. A layer, a guard and an argument may each decide, and a proof is accepted once.
    fn accepted_before(&self, by: &Arc<Recorder>) -> Option<[u8; 32]>;
}

/// A header that accompanies the `Authorization` header of a request with a proof.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Companion {
    /// `DPoP`: the proof (RFC 9449 section 4.1).
    Proof,
    /// `Workload-Identity-Token`: the token (draft-ietf-wimse-workload-creds-02 section 5.1.1).
    #[cfg(feature = "experimental-wimse")]
    IdentityToken,
}
