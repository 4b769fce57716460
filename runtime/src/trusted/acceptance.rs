//! The facts that the acceptance of a token depends on, besides its claims. The caller stores them, so that a job
//! or a stream that stores the caller does not trust a key for longer than the verifier does.

use std::sync::Arc;

use super::{Trusted, expectations::check_proof};
use crate::{
    claims::Confirmation,
    denial::{Code, Denial, quoted},
    evidence::Evidence,
    keys::{Algorithm, KeyId, KeySet},
    proof::Proof,
    times::{Moment, Times},
};

/// The issuer that accepted a token, and its keys at that time. It holds no verifier, so a verifier that
/// caches its callers is not kept alive by them.
pub(crate) struct Acceptance {
    issuer: Arc<Trusted>,
    signed: Signed,
    confirmation: Confirmation,
}

/// A valid signature: the keys, the algorithm, and the `kid` of the header.
pub(crate) struct Signed {
    pub(crate) keys: KeySet,
    pub(crate) algorithm: Algorithm,
    /// The `kid` of the header.
    pub(crate) kid: Option<KeyId>,
    /// The name of the key that verified the signature, if it has one.
    pub(crate) key_id: Option<KeyId>,
}

impl Acceptance {
    pub(crate) fn new(issuer: &Arc<Trusted>, signed: Signed, confirmation: Confirmation) -> Self {
        Self { issuer: Arc::clone(issuer), signed, confirmation }
    }

    /// The proof that the sender of the token gave, as the audit log prints it.
    pub(crate) fn proof(&self) -> Option<Proof> {
        match self.confirmation {
            Confirmation::Certificate(_) => Some(Proof::Mtls),
            Confirmation::Key(_) => Some(Proof::Dpop),
            Confirmation::None | Confirmation::Unsupported => None,
        }
    }

    /// Checks the proof again, for another request with the same token.
    pub(crate) fn check_proof(&self, evidence: Evidence<'_>, at: Moment) -> Result<(), Denial> {
        check_proof(self.confirmation, evidence, at)
    }

    /// The thumbprint of the key that the token is bound to, if it is bound to one.
    pub(crate) fn bound_key(&self) -> Option<[u8; 32]> {
        match self.confirmation {
            Confirmation::Key(key) => Some(key),
            _ => None,
        }
    }

    /// The name of the issuer.
    pub(crate) fn issuer(&self) -> &str {
        self.issuer.name()
    }

    /// The name of the key that signed the token, if it has one.
    pub(crate) fn key_id(&self) -> Option<&KeyId> {
        self.signed.key_id.as_ref()
    }

    /// The kind of the token, as the audit log prints it.
    pub(crate) fn profile(&self) -> &'static str {
        self.issuer.kind.as_str()
    }

    /// Checks that the verifier would still select the same key for the token. Reloaded keys are compared by their
    /// material: a new key with the old name did not sign this token.
    ///
    /// It fails as the token itself would fail if it arrived again.
    pub(crate) fn check_key(&self) -> Result<(), Denial> {
        let Signed { keys, algorithm, kid, .. } = &self.signed;
        if self.issuer.keys.is_current(keys) {
            return Ok(());
        }
        let now = self.issuer.keys_now()?;
        if !self.issuer.accepted(&now).contains(*algorithm) {
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

    /// Checks that the token is valid at this time.
    pub(crate) fn check_times(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        self.issuer.expectations.check_again(times, at)
    }
}

#[cfg(test)]
mod tests;
