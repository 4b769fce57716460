//! A leaf certificate in a file, for a program that binds tokens to it.

use std::fmt;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use service_only::clock::Timestamp;

use crate::{
    error::{TlsError, TlsErrorKind},
    names::SpiffeId,
    rules::Leaf,
};

/// The certificate of a service, without its key. Its issuer is not checked.
///
/// ```no_run
/// # fn mint(issuer: &service_only::issue::Issuer) -> Result<(), Box<dyn std::error::Error>> {
/// use service_only_tls::Certificate;
///
/// let certificate = Certificate::from_pem(&std::fs::read("orders.crt")?)?;
/// let token = issuer.token_for("orders").bind_certificate(*certificate.thumbprint()).mint()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Certificate(Leaf);

impl Certificate {
    /// Reads the first certificate of a PEM text: the leaf, if the text is a chain.
    ///
    /// # Errors
    /// When the text has no certificate, or the first one is not one that a service may use as a leaf.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        let mut certificates = CertificateDer::pem_slice_iter(pem);
        match certificates.next() {
            Some(Ok(der)) => Self::from_der(&der),
            Some(Err(_)) | None => {
                let why = "it has no certificate, expected PEM with `BEGIN CERTIFICATE`";
                Err(TlsError::new(TlsErrorKind::Pem, why))
            }
        }
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is not one that a service may use as a leaf.
    pub fn from_der(der: &[u8]) -> Result<Self, TlsError> {
        let leaf = Leaf::read(&CertificateDer::from(der));
        leaf.map(Self).map_err(|refusal| TlsError::new(TlsErrorKind::Leaf, refusal.reason))
    }

    /// SHA-256 of the DER encoding, as `x5t#S256` contains it (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.0.thumbprint
    }

    /// The SPIFFE ID.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.0.spiffe_id.as_ref()
    }

    /// The first instant at which the certificate is valid.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last second in which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("spiffe_id", &self.spiffe_id())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}
