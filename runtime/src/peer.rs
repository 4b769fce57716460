//! The certificate of the peer of a connection. A TLS handshake proved that the peer has its key.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::clock::Timestamp;

/// The certificate that the peer of this connection presented in its TLS handshake.
///
/// A program cannot create this value. `service-only-tls` creates it after the handshake and stores it in the
/// extensions of the request. It does not read the certificate from a header, unless the sender is a peer that you
/// configured to forward certificates.
#[derive(Clone)]
pub struct PeerCertificate(Arc<Peer>);

struct Peer {
    facts: PeerFacts,
    trust: Box<dyn PeerTrust>,
}

/// What a handshake proved about the peer.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "hidden")]
pub struct PeerFacts {
    /// SHA-256 of the DER encoding of the leaf certificate.
    pub thumbprint: [u8; 32],
    /// The SPIFFE ID of the leaf certificate. The certificate then obeys X509-SVID sections 2 to 5: the SPIFFE ID is its
    /// only URI SAN, it is a leaf, and its usages are those of a workload.
    pub spiffe_id: Option<String>,
    /// The first other name of the leaf certificate, such as a DNS name.
    pub name: Option<String>,
    /// The first instant at which the leaf certificate is valid.
    pub not_before: Timestamp,
    /// The last second in which the leaf certificate is valid.
    pub not_after: Timestamp,
    /// The SPIFFE ID of the peer that forwarded the certificate, if it is not the one of the connection.
    pub forwarded_by: Option<String>,
}

/// Whether the roots of today still verify the certificate: a connection may live longer than a root.
pub trait PeerTrust: Send + Sync + 'static {
    /// Is called for each decision about a request of the connection, so it must be fast.
    fn is_trusted(&self) -> bool;
}

/// Creates the proof. Only the code that completed the handshake may call it.
pub fn peer_certificate(facts: PeerFacts, trust: impl PeerTrust) -> PeerCertificate {
    PeerCertificate(Arc::new(Peer { facts, trust: Box::new(trust) }))
}

impl PeerCertificate {
    /// SHA-256 of the DER encoding of the certificate, as `x5t#S256` contains it (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.0.facts.thumbprint
    }

    /// The SPIFFE ID of the certificate, such as `spiffe://bakery.example/orders`.
    pub fn spiffe_id(&self) -> Option<&str> {
        self.0.facts.spiffe_id.as_deref()
    }

    /// The name of the peer in logs and records: the SPIFFE ID, or the first other name of the certificate, such as a DNS
    /// name.
    pub fn id(&self) -> Option<&str> {
        self.spiffe_id().or(self.0.facts.name.as_deref())
    }

    /// The first second in which the certificate is valid.
    pub fn not_before(&self) -> Timestamp {
        self.0.facts.not_before
    }

    /// The last second in which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.0.facts.not_after
    }

    /// The SPIFFE ID of the peer that forwarded the certificate; `None` if it is the certificate of the connection
    /// itself.
    pub fn forwarded_by(&self) -> Option<&str> {
        self.0.facts.forwarded_by.as_deref()
    }

    /// Whether the certificate is within its validity period, and the current roots verify it. A handshake is older
    /// than the requests of its connection, so check it for each request. The verifier does so for bound tokens, and for
    /// callers without a token.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.validity_at(at).is_ok()
    }

    /// As [`is_valid_at`](Self::is_valid_at), with the reason.
    pub(crate) fn validity_at(&self, at: Timestamp) -> Result<(), Invalidity> {
        match at.unix() {
            now if now < self.not_before().unix() => Err(Invalidity::NotYetValid),
            now if now > self.not_after().unix() => Err(Invalidity::Expired),
            _ if !self.0.trust.is_trusted() => Err(Invalidity::Untrusted),
            _ => Ok(()),
        }
    }
}

/// Why a certificate is not valid now, although it was at the handshake.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Invalidity {
    NotYetValid,
    Expired,
    /// The current roots do not verify it.
    Untrusted,
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("x5t#S256", &URL_SAFE_NO_PAD.encode(self.thumbprint()))
            .field("spiffe_id", &self.spiffe_id())
            .field("not_after", &self.not_after())
            .field("forwarded_by", &self.forwarded_by())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Trusted;

    impl PeerTrust for Trusted {
        fn is_trusted(&self) -> bool {
            true
        }
    }

    fn facts() -> PeerFacts {
        PeerFacts {
            thumbprint: [7; 32],
            spiffe_id: Some("spiffe://bakery.example/orders".to_owned()),
            name: Some("orders.internal".to_owned()),
            not_before: Timestamp::from_unix(1_000),
            not_after: Timestamp::from_unix(2_000),
            forwarded_by: None,
        }
    }

    #[test]
    fn a_forwarded_certificate_names_the_peer_that_forwarded_it() {
        assert_eq!(peer_certificate(facts(), Trusted).forwarded_by(), None);
        let gateway = "spiffe://bakery.example/gateway";
        let forwarded = PeerFacts { forwarded_by: Some(gateway.to_owned()), ..facts() };
        assert_eq!(peer_certificate(forwarded, Trusted).forwarded_by(), Some(gateway));
    }

    #[test]
    fn the_id_of_a_peer_is_its_spiffe_id_or_else_its_first_other_name() {
        assert_eq!(peer_certificate(facts(), Trusted).id(), Some("spiffe://bakery.example/orders"));
        let named = PeerFacts { spiffe_id: None, ..facts() };
        assert_eq!(peer_certificate(named, Trusted).id(), Some("orders.internal"));
    }

    #[test]
    fn debug_shows_the_thumbprint_and_the_names() {
        let debug = format!("{:?}", peer_certificate(facts(), Trusted));
        assert!(debug.contains("BwcHBwcH") && debug.contains("spiffe://bakery.example/orders"), "{debug}");
    }
}
