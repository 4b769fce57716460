//! The certificate of a request: the one of the connection, or one that a named gateway forwards (RFC 9440).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Request, header::GetAll};
use rustls::pki_types::CertificateDer;
use service_only::PeerCertificate;

use crate::{certificate_headers::forwards, material::MAX_CHAIN, names::SpiffeId, peer::Chain, tls::Tls};

/// The header of RFC 9440 with the leaf, as a structured byte sequence.
const LEAF: HeaderName = HeaderName::from_static("client-cert");

/// The header of RFC 9440 with the rest of the chain, as a structured list.
const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Settles which certificate a request has.
pub(super) struct Forwarded {
    tls: Tls,
    peer: Option<PeerCertificate>,
    /// The ID of the peer, if it may forward certificates.
    gateway: Option<String>,
}

impl Forwarded {
    pub(super) fn new(tls: Tls, forwarders: &[SpiffeId], peer: Option<PeerCertificate>) -> Self {
        let id = peer.as_ref().and_then(PeerCertificate::spiffe_id);
        let gateway = id.filter(|id| forwarders.iter().any(|forwarder| forwarder.as_str() == *id));
        Self { gateway: gateway.map(str::to_owned), tls, peer }
    }

    /// Stores the certificate in the request, and removes every header that claims one.
    pub(super) fn settle<B>(&self, request: &mut Request<B>) {
        let certificate = match &self.gateway {
            Some(gateway) if request.headers().contains_key(LEAF) => {
                self.forwarded(gateway, request.headers())
            }
            _ => self.peer.clone(),
        };
        strip(request.headers_mut());
        request.extensions_mut().remove::<PeerCertificate>();
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate);
        }
    }

    /// The certificate in the headers of a gateway. If they cannot be read, the request has none: the gateway speaks
    /// for another client than itself.
    fn forwarded(&self, gateway: &str, headers: &HeaderMap) -> Option<PeerCertificate> {
        let is_valid = self.peer.as_ref().is_some_and(|peer| peer.is_valid_at(self.tls.now()));
        if !is_valid {
            return None;
        }
        let mut leaves = headers.get_all(LEAF).into_iter();
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else { return None };
        let mut chain = vec![byte_sequence(leaf.to_str().ok()?)?];
        chain.extend(list(&headers.get_all(CHAIN))?);
        Chain::new(self.tls.files().clone(), &chain)?.proven(Some(gateway.to_owned()))
    }
}

/// RFC 9651 section 3.1: a list, which may be split into several header lines.
fn list(values: &GetAll<'_, http::HeaderValue>) -> Option<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for value in values {
        for item in value.to_str().ok()?.split(',') {
            if certificates.len() + 1 == MAX_CHAIN {
                return None;
            }
            certificates.push(byte_sequence(item)?);
        }
    }
    Some(certificates)
}

/// RFC 9651 section 3.3.5: base64 between colons, without parameters.
fn byte_sequence(text: &str) -> Option<CertificateDer<'static>> {
    let encoded = text.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(encoded).ok().map(CertificateDer::from)
}

/// Removes every header that is known to forward a client certificate.
fn strip(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| forwards(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_sequence_is_base64_between_colons() {
        assert_eq!(byte_sequence(":aGk=:").as_deref(), Some(&b"hi"[..]));
        assert_eq!(byte_sequence(" :aGk=: ").as_deref(), Some(&b"hi"[..]));
        for text in
            ["", ":", "aGk=", ":aGk=", "aGk=:", ":aGk:", ":a-k=:", ":aGk=:;a=1", ":aG k=:", "\"aGk=\""]
        {
            assert!(byte_sequence(text).is_none(), "{text:?}");
        }
    }
}
