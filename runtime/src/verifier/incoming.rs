//! A request, as far as it proves who sends its token.

use std::sync::Arc;

use crate::{dpop::ProofHeader, peer::PeerCertificate, recorder::Recorder};

/// A request whose token is decided about. Only requests with the scheme DPoP are asked for more than the certificate.
pub(crate) trait Incoming {
    /// The certificate of the client of the connection.
    fn peer(&self) -> Option<&PeerCertificate>;

    fn method(&self) -> &str;

    /// The path as the client sent it.
    fn path(&self) -> &str;

    /// The `DPoP` header.
    fn proof(&self) -> ProofHeader<'_>;

    /// The key of the proof, if this verifier has accepted the same token with the same proof in an earlier decision
    /// about this request. A layer, a guard and an argument may each decide, and a proof is accepted once.
    fn accepted_before(&self, by: &Arc<Recorder>) -> Option<[u8; 32]>;
}
