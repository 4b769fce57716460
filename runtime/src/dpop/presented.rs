//! The proof of one request, verified when the decision about its token needs it.

use std::cell::OnceCell;

use super::{AboutRequest, Proofs, VerifiedProof};
use crate::{
    denial::{Code, Denial},
    times::Moment,
};

/// The `DPoP` headers of a request.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum ProofHeader<'r> {
    None,
    One(&'r [u8]),
    Several,
}

impl<'r> ProofHeader<'r> {
    pub(crate) fn of(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

/// The proof of one request. It is verified at most once in a decision, and only if a token is bound to a key: the token
/// is checked first, so a request without a valid token costs one signature check.
pub(crate) struct PresentedProof<'r> {
    proofs: &'r Proofs,
    header: ProofHeader<'r>,
    about: AboutRequest<'r>,
    verified: OnceCell<Result<VerifiedProof, Denial>>,
}

impl<'r> PresentedProof<'r> {
    pub(crate) fn new(proofs: &'r Proofs, header: ProofHeader<'r>, about: AboutRequest<'r>) -> Self {
        Self { proofs, header, about, verified: OnceCell::new() }
    }

    /// An earlier decision about the same request has accepted the proof, and recorded it.
    #[must_use]
    pub(crate) fn accepted_before(self, key: [u8; 32]) -> Self {
        Self { verified: OnceCell::from(Ok(VerifiedProof { key, spend: None })), ..self }
    }

    /// The thumbprint of the key that signed the proof, which is about this request.
    pub(crate) fn key(&self, at: Moment) -> Result<[u8; 32], Denial> {
        let verified = self.verified.get_or_init(|| match self.header {
            ProofHeader::One(proof) => self.proofs.verify(proof, self.about, at),
            ProofHeader::None => {
                Err(Denial::new(Code::ProofMissing, "the request has no `DPoP` header with a proof"))
            }
            ProofHeader::Several => {
                Err(Denial::new(Code::ProofMismatch, "the request has more than one `DPoP` header"))
            }
        });
        verified.as_ref().map(|verified| verified.key).map_err(Denial::clone)
    }

    /// Records the verified proof. Call it once, when the request is accepted: otherwise a sender without a valid token
    /// could fill the memory.
    pub(crate) fn spend(&self, at: Moment) -> Result<(), Denial> {
        self.key(at)?;
        match self.verified.get() {
            Some(Ok(VerifiedProof { spend: Some(proof), .. })) => self.proofs.spend(proof, at),
            _ => Ok(()),
        }
    }
}
