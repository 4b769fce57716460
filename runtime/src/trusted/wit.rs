//! Workload Identity Tokens (draft-ietf-wimse-workload-creds-02): the issuer is a scheme and a trust domain, and each token
//! contains the key of its workload.

use super::{
    is_trust_domain,
    subject::{Foreign, of_domain},
};
use crate::{
    claims::Confirmation,
    denial::{Code, Denial, quoted},
    dpop::ConfirmedKey,
};

/// The schemes of workload identifiers (draft-ietf-wimse-identifier-03 section 4).
const SCHEMES: [&str; 2] = ["wimse://", "spiffe://"];

/// Splits the origin of workload identifiers, such as `wimse://bakery.example`, into scheme and trust domain.
fn split(origin: &str) -> Option<(&str, &str)> {
    SCHEMES.iter().find_map(|scheme| Some((*scheme, origin.strip_prefix(*scheme)?)))
}

/// Whether this is the origin of workload identifiers: a scheme and a trust domain, without a path.
pub(super) fn is_origin(name: &str) -> bool {
    split(name).is_some_and(|(_, domain)| !domain.is_empty() && is_trust_domain(domain))
}

/// Whether an identifier has this origin.
pub(super) fn has_origin(id: &str, origin: &str) -> bool {
    id.strip_prefix(origin).is_some_and(|path| path.is_empty() || path.starts_with('/'))
}

/// Reads the workload identifier of a token. The whole identifier is compared, so one of another scheme is another workload.
pub(super) fn workload_of<'c>(id: &'c str, origin: &str) -> Result<Foreign<'c>, Denial> {
    const PLACE: &str = "the token's `sub`";
    let (scheme, domain) = split(origin).unwrap_or_default();
    let rest = id.strip_prefix(scheme).ok_or_else(|| {
        let reason = format!("{PLACE} is `{}`, which does not begin with `{scheme}`", quoted(id));
        Denial::new(Code::WrongIssuer, reason)
    })?;
    of_domain(id, rest, domain, PLACE)
}

/// The key that the token is bound to. Every Workload Identity Token has one, with the algorithm of its proofs.
pub(super) fn confirmation(payload: &[u8]) -> Result<Confirmation, Denial> {
    let key = ConfirmedKey::of_payload(payload).map_err(|why| Denial::new(Code::BadClaimValue, why))?;
    Ok(Confirmation::Workload(key.key.thumbprint))
}

#[cfg(test)]
mod tests;
