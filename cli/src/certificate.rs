//! Certificate files that tokens are bound to (RFC 8705 section 3).

use std::path::Path;

use service_only::{
    __satellite::{PeerFacts, PeerTrust, peer_certificate},
    PeerCertificate,
};
use service_only_tls::{Certificate, SpiffeId};

use crate::bounded_file;
use crate::problem::{Outcome, Problem, ProblemCode};

/// Reads the leaf certificate of a PEM file.
pub(crate) fn read(path: &Path) -> Outcome<Certificate> {
    let pem = bounded_file::read(path)?;
    Certificate::from_pem(&pem).map_err(|error| {
        Problem::new(ProblemCode::BadKey, format!("`{}`: {error}", path.display()))
            .help("name the certificate file of the service, such as `tls.crt`")
    })
}

/// The certificate as a service gets it from a connection. The operator vouches for its chain.
pub(crate) fn presented(certificate: &Certificate) -> PeerCertificate {
    let facts = PeerFacts {
        thumbprint: *certificate.thumbprint(),
        spiffe_id: certificate.spiffe_id().map(SpiffeId::to_string),
        name: None,
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        forwarded_by: None,
    };
    peer_certificate(facts, Vouched)
}

struct Vouched;

impl PeerTrust for Vouched {
    fn is_trusted(&self) -> bool {
        true
    }
}
