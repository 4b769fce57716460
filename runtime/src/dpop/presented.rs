//! The proof of one request, verified when the decision about its token needs it.

use std::cell::OnceCell;

#[cfg(feature = "experimental-wimse")]
use super::wpt::NamedHeaders;
use super::{AboutRequest, Proofs, VerifiedProof};
use crate::{
    bearer::OnlyHeader,
    denial::{Code, Denial},
    times::Moment,
};

/// The proof of one request. It is verified at most once in a decision, and only if a token is bound to a key: the token
/// is checked first, so a request without a valid token costs one signature check.
pub(crate) struct PresentedProof<'r> {
    proofs: &'r Proofs,
    header: OnlyHeader<'r>,
    about: AboutRequest<'r>,
    /// The other headers of the request, if the proof is a Workload Proof Token.
    #[cfg(feature = "experimental-wimse")]
    others: Option<&'r dyn NamedHeaders>,
    verified: OnceCell<Result<VerifiedProof, Denial>>,
}

impl<'r> PresentedProof<'r> {
    /// A proof of DPoP.
    pub(crate) fn new(proofs: &'r Proofs, header: OnlyHeader<'r>, about: AboutRequest<'r>) -> Self {
        Self {
            proofs,
            header,
            about,
            #[cfg(feature = "experimental-wimse")]
            others: None,
            verified: OnceCell::new(),
        }
    }

    /// A Workload Proof Token, which may also be about other headers of the request.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) fn wpt(
        proofs: &'r Proofs,
        proof: &'r [u8],
        about: AboutRequest<'r>,
        others: &'r dyn NamedHeaders,
    ) -> Self {
        Self { others: Some(others), ..Self::new(proofs, OnlyHeader::One(proof), about) }
    }

    /// An earlier decision about the same request has accepted the proof, and recorded it.
    #[must_use]
    pub(crate) fn accepted_before(self, key: [u8; 32]) -> Self {
        Self { verified: OnceCell::from(Ok(VerifiedProof { key, spend: None })), ..self }
    }

    /// Whether it is a Workload Proof Token, which proves nothing about another kind of token.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) fn is_wpt(&self) -> bool {
        self.others.is_some()
    }

    /// The thumbprint of the key that signed the proof, which is about this request.
    pub(crate) fn key(&self, at: Moment) -> Result<[u8; 32], Denial> {
        let verified = self.verified.get_or_init(|| match self.header {
            OnlyHeader::One(proof) => self.verify(proof, at),
            OnlyHeader::None => {
                Err(Denial::new(Code::ProofMissing, "the request has no `DPoP` header with a proof"))
            }
            OnlyHeader::Several => {
                Err(Denial::new(Code::ProofMismatch, "the request has more than one `DPoP` header"))
            }
        });
        verified.as_ref().map(|verified| verified.key).map_err(Denial::clone)
    }

    fn verify(&self, proof: &[u8], at: Moment) -> Result<VerifiedProof, Denial> {
        #[cfg(feature = "experimental-wimse")]
        if let Some(others) = self.others {
            return self.proofs.verify_wpt(proof, self.about, others, at);
        }
        self.proofs.verify(proof, self.about, at)
    }

    /// Records the verified proof. Call it once, when the request is accepted: otherwise a sender without a valid token
    /// could fill the memory.
    pub(crate) fn spend(&self, at: Moment) -> Result<(), Denial> {
        match self.verified.get() {
            Some(Ok(VerifiedProof { spend: Some(proof), .. })) => self.proofs.spend(proof, at),
            Some(Ok(VerifiedProof { spend: None, .. })) => Ok(()),
            Some(Err(denial)) => Err(denial.clone()),
            // The decision did not compare its key, so the token is not bound to one.
            None => Err(Denial::new(
                Code::ProofMismatch,
                "the token is sent with a proof, and is not bound to a key of its sender",
            )),
        }
    }
}
