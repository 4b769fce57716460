//! The facts that the acceptance of a credential depends on, besides its claims. The caller stores them, so that a job
//! or a stream that stores the caller does not trust a key for longer than the verifier does.

use std::sync::Arc;

use super::{
    expectations::check_proof,
    issuer::{Signed, Trusted},
    svid::{TrustDomain, check_validity},
};
use crate::{
    claims::Confirmation,
    denial::{Code, Denial, quoted},
    evidence::Evidence,
    keys::KeyId,
    peer::PeerCertificate,
    proof::Proof,
    times::{Moment, Times},
};

/// The credential that was accepted, and what trusts it. It holds no verifier, so a verifier that caches its callers is
/// not kept alive by them.
pub(crate) enum Acceptance {
    /// The issuer that accepted a token, and its keys at that time.
    Token { issuer: Arc<Trusted>, signed: Signed, confirmation: Confirmation },
    /// The certificate of a caller without a token.
    Certificate { domain: Arc<TrustDomain>, peer: PeerCertificate },
}

impl Acceptance {
    /// The proof that the sender gave, as the audit log prints it.
    #[inline]
    pub(crate) fn proof(&self) -> Option<Proof> {
        match self {
            Self::Token { confirmation: Confirmation::Certificate(_), .. } | Self::Certificate { .. } => {
                Some(Proof::Mtls)
            }
            Self::Token { confirmation: Confirmation::Key(_), .. } => Some(Proof::Dpop),
            #[cfg(feature = "experimental-wimse")]
            Self::Token { confirmation: Confirmation::Workload(_), .. } => Some(Proof::Wpt),
            Self::Token { confirmation: Confirmation::None | Confirmation::Unsupported, .. } => None,
        }
    }

    /// Whether the credential is a certificate, without a token.
    pub(crate) fn is_by_certificate(&self) -> bool {
        matches!(self, Self::Certificate { .. })
    }

    /// The thumbprint of the key that the token is bound to, if it is bound to one.
    pub(crate) fn bound_key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Token { confirmation: Confirmation::Key(key), .. } => Some(*key),
            #[cfg(feature = "experimental-wimse")]
            Self::Token { confirmation: Confirmation::Workload(key), .. } => Some(*key),
            _ => None,
        }
    }

    /// Whether a request without a token has the same certificate. A token is compared by its header.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_of_connection(&self, other: Option<&PeerCertificate>) -> bool {
        match self {
            Self::Token { .. } => true,
            Self::Certificate { peer, .. } => {
                other.is_some_and(|other| other.thumbprint() == peer.thumbprint())
            }
        }
    }

    /// Checks the proof again, for another request with the same credential.
    #[inline]
    pub(crate) fn check_proof(&self, evidence: Evidence<'_>, at: Moment) -> Result<(), Denial> {
        match self {
            // Nearly every token.
            Self::Token { confirmation: Confirmation::None, .. } => Ok(()),
            Self::Token { confirmation, .. } => check_proof(*confirmation, evidence, at),
            Self::Certificate { peer, .. } => {
                check_proof(Confirmation::Certificate(*peer.thumbprint()), evidence, at)
            }
        }
    }

    /// The name of the issuer, or of the trust domain.
    pub(crate) fn issuer(&self) -> &str {
        match self {
            Self::Token { issuer, .. } => issuer.name(),
            Self::Certificate { domain, .. } => &domain.name,
        }
    }

    /// The name of the key that signed the token, if it has one.
    pub(crate) fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Token { signed, .. } => signed.key_id.as_ref(),
            Self::Certificate { .. } => None,
        }
    }

    /// The kind of the credential, as the audit log prints it.
    pub(crate) fn profile(&self) -> &'static str {
        match self {
            Self::Token { issuer, .. } => issuer.kind.as_str(),
            Self::Certificate { .. } => TrustDomain::PROFILE,
        }
    }

    /// Checks that the verifier would still select the same key for the token, see [`Signed::check_key`]. The roots of a
    /// certificate are checked with its times.
    pub(crate) fn check_key(&self) -> Result<(), Denial> {
        match self {
            Self::Token { issuer, signed, .. } => signed.check_key(issuer),
            Self::Certificate { .. } => Ok(()),
        }
    }

    /// Checks that the token, or the certificate, is valid at this time.
    pub(crate) fn check_times(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        match self {
            Self::Token { issuer, .. } => issuer.expectations.check_again(times, at),
            Self::Certificate { peer, .. } => check_validity(peer, at),
        }
    }
}

impl Signed {
    /// Checks that the verifier would still select the same key for the token. Reloaded keys are compared by their
    /// material: a new key with the old name did not sign this token.
    ///
    /// It fails as the token itself would fail if it arrived again.
    fn check_key(&self, issuer: &Trusted) -> Result<(), Denial> {
        let Self { keys, algorithm, kid, .. } = self;
        if issuer.keys.is_current(keys) {
            return Ok(());
        }
        let now = issuer.keys_now()?;
        if !issuer.accepted(&now).contains(*algorithm) {
            let reason =
                format!("the token was signed with {algorithm}, and no key has that algorithm any more");
            return Err(Denial::new(Code::AlgNotAllowed, reason));
        }
        let kid = kid.as_ref().map(KeyId::as_str);
        let key = now.key_for(*algorithm, kid)?;
        // Compare in this direction: what the new key verifies beyond the old one proves nothing about this token.
        if key.is_same_for(*algorithm, keys.key_for(*algorithm, kid)?) {
            return Ok(());
        }
        let name = kid.map_or_else(|| "the key".to_owned(), |kid| format!("the key `{}`", quoted(kid)));
        Err(Denial::new(Code::BadSignature, format!("{name} has changed since it verified the token")))
    }
}

#[cfg(test)]
mod tests;
