//! Callers whose certificate alone names them: X.509-SVIDs of a SPIFFE trust domain, without a token.
//!
//! The TLS handshake has proved that the peer has the key, and has checked what the certificate is: one URI SAN, a leaf,
//! its key usage, its path to a root of its trust domain. This module compares the name and the times. It is pure.

use std::sync::Arc;

use super::subject::{Foreign, Names, workload};
use crate::{
    bearer::missing_token,
    claims::{Scopes, ServiceClaims},
    denial::{Code, Denial},
    peer::{Invalidity, PeerCertificate},
    times::Moment,
};

/// A trust domain whose workloads need no token.
#[derive(Debug)]
pub(crate) struct TrustDomain {
    pub(crate) name: String,
    pub(crate) names: Names,
}

impl TrustDomain {
    /// The kind of the credential, as the audit log prints it.
    pub(crate) const PROFILE: &'static str = "spiffe_x509";

    /// The claims of the workload that the certificate names. A certificate grants no scopes and no roles. It was issued
    /// when its validity began: only a revocation and the age that a policy allows use that.
    fn claims(&self, peer: &PeerCertificate, workload: &Foreign<'_>) -> Result<ServiceClaims, Denial> {
        Ok(ServiceClaims {
            service: workload.name(&self.names)?,
            sub: workload.subject.clone().into_owned(),
            user_id: None,
            role: None,
            roles: Vec::new(),
            email: None,
            issuer: self.name.clone(),
            aud: Vec::new(),
            // The last second of a certificate is part of its validity (RFC 5280 section 4.1.2.5), and that of `exp` is not.
            exp: peer.not_after().unix().saturating_add(1),
            iat: Some(peer.not_before().unix()),
            nbf: Some(peer.not_before().unix()),
            jti: None,
            scope: Scopes::default(),
            // A certificate names no actor: its owner calls itself.
            actor: None,
        })
    }
}

/// Accepts a certificate as the credential of a request without a token.
///
/// # Errors
/// When no trust domain is trusted without a token, or the certificate is not an X.509-SVID of one, or not valid now.
pub(crate) fn accept(
    domains: &[Arc<TrustDomain>],
    peer: &PeerCertificate,
    at: Moment,
) -> Result<(ServiceClaims, Arc<TrustDomain>), Denial> {
    if domains.is_empty() {
        return Err(missing_token());
    }
    let Some(id) = peer.spiffe_id() else {
        return Err(Denial::new(
            Code::MissingToken,
            "the request has no `Authorization` header, and the certificate of its connection has no SPIFFE ID",
        ));
    };
    check_validity(peer, at)?;
    let mut other_domain = None;
    for domain in domains {
        match workload(id, &domain.name, "the SPIFFE ID of the certificate") {
            Ok(workload) => return Ok((domain.claims(peer, &workload)?, Arc::clone(domain))),
            Err(denial) if denial.code() == Code::WrongIssuer => other_domain = Some(denial),
            Err(denial) => return Err(denial),
        }
    }
    Err(other_domain.unwrap_or_else(|| Denial::new(Code::WrongIssuer, "no trust domain is trusted")))
}

/// Checks the times and the roots of a certificate for one request: its connection is older.
///
/// # Errors
/// When the certificate is not valid now.
pub(crate) fn check_validity(peer: &PeerCertificate, at: Moment) -> Result<(), Denial> {
    let now = at.now;
    peer.validity_at(now).map_err(|invalidity| match invalidity {
        Invalidity::Expired => Denial::new(
            Code::Expired,
            format!("the certificate expired at {}, and it is {now}", peer.not_after()),
        ),
        Invalidity::NotYetValid => Denial::new(
            Code::NotYetValid,
            format!("the certificate is valid from {} on, and it is {now}", peer.not_before()),
        ),
        Invalidity::Untrusted => Denial::new(
            Code::BadSignature,
            "the roots of the trust domain do not verify the certificate any more",
        ),
    })
}

#[cfg(test)]
mod tests;
