//! The rules for the certificate of a peer, beyond the path to a root: rustls checks signatures, and these rules
//! check what the certificate is. They follow X509-SVID sections 2 to 5 and RFC 5280 section 4.2.

use std::{borrow::Cow, fmt, net::IpAddr};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::{CertificateError, OtherError, pki_types::CertificateDer};
use service_only::clock::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension},
    prelude::FromDer,
    x509::X509Version,
};

use crate::names::SpiffeId;

/// See [`TlsFiles::DEVELOPMENT_PREFIX`](crate::TlsFiles::DEVELOPMENT_PREFIX).
pub(crate) const DEVELOPMENT_PREFIX: &str = "dev-only.";

/// The number of names in a certificate. A certificate of a large web host has about 100.
const MAX_NAMES: usize = 1_000;

/// What a leaf certificate says about its owner. The signature of its issuer is not checked yet.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// The first name other than a SPIFFE ID, for logs.
    pub(crate) name: Option<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) thumbprint: [u8; 32],
    serves: bool,
    calls: bool,
}

/// The role of a certificate in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It authenticates the server.
    Server,
    /// It authenticates the client.
    Client,
}

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) reason: Cow<'static, str>,
}

/// The rule that refused the certificate of a peer. The names are stable, so you can count them in a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// The certificate cannot be read, is not version 3, or has an extension twice.
    Malformed,
    /// The certificate belongs to a certificate authority: its key may sign other certificates.
    CertificateAuthority,
    /// The key usage does not allow signatures, or the extended key usage does not allow this role.
    Usage,
    /// The certificate names its owner in a way that is not allowed: without a SAN, with two SPIFFE IDs, with a wrong
    /// one, or without one although it is required.
    Names,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// No roots are configured for the trust domain of the certificate.
    NoRoots,
    /// The roots do not verify the chain.
    Path,
    /// The certificate belongs to another server than the one that was called.
    WrongServer,
}

impl RefusalCode {
    /// The code as logs and metrics show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::CertificateAuthority => "certificate_authority",
            Self::Usage => "usage",
            Self::Names => "names",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NoRoots => "no_roots",
            Self::Path => "path",
            Self::WrongServer => "wrong_server",
        }
    }
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// A failed check of rustls.
    pub(crate) fn path(error: &rustls::Error) -> Self {
        use rustls::Error::InvalidCertificate;
        let code = match error {
            InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                RefusalCode::Expired
            }
            InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => RefusalCode::NotYetValid,
            InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            ) => RefusalCode::Usage,
            InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => RefusalCode::WrongServer,
            _ => RefusalCode::Path,
        };
        Self::new(code, error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

/// The alert that the peer receives tells the kind, and the local error tells the reason.
impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(match refusal.code {
            RefusalCode::Malformed => CertificateError::BadEncoding,
            RefusalCode::Expired => CertificateError::Expired,
            RefusalCode::NotYetValid => CertificateError::NotValidYet,
            RefusalCode::Usage | RefusalCode::CertificateAuthority => CertificateError::InvalidPurpose,
            RefusalCode::NoRoots | RefusalCode::Path => CertificateError::UnknownIssuer,
            RefusalCode::WrongServer => CertificateError::NotValidForName,
            RefusalCode::Names => CertificateError::Other(OtherError(std::sync::Arc::new(refusal))),
        })
    }
}

impl Leaf {
    /// Reads a leaf certificate, and refuses one that no peer may use at any time.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Result<Self, Refusal> {
        let malformed = |why: &dyn fmt::Display| {
            Refusal::new(RefusalCode::Malformed, format!("the certificate cannot be read: {why}"))
        };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        if !rest.is_empty() {
            return Err(malformed(&"it has bytes after its end"));
        }
        if certificate.version() != X509Version::V3 {
            return Err(malformed(&"it is not version 3"));
        }
        // Two readers could use different ones of two extensions (RFC 5280 section 4.2).
        certificate.extensions_map().map_err(|error| malformed(&error))?;
        let broken = certificate
            .iter_extensions()
            .any(|extension| matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }));
        if broken {
            return Err(malformed(&"one of its extensions has a wrong encoding"));
        }
        let extensions = Extensions::of(&certificate).map_err(|error| malformed(&error))?;
        extensions.check_is_leaf()?;
        let spiffe_id = extensions.spiffe_id()?;
        extensions.check_signs(spiffe_id.is_some())?;
        let validity = certificate.validity();
        let thumbprint = digest(&SHA256, der);
        Ok(Self {
            name: extensions.name(),
            spiffe_id,
            not_before: Timestamp::from_unix(validity.not_before.timestamp()),
            not_after: Timestamp::from_unix(validity.not_after.timestamp()),
            thumbprint: thumbprint
                .as_ref()
                .try_into()
                .map_err(|_| malformed(&"its digest has a wrong length"))?,
            serves: extensions.allows(Role::Server),
            calls: extensions.allows(Role::Client),
        })
    }

    /// Checks the validity period. RFC 5280 section 4.1.2.5: both ends are part of it.
    pub(crate) fn check_time(&self, at: Timestamp) -> Result<(), Refusal> {
        if at.unix() < self.not_before.unix() {
            let reason = format!("the certificate is valid from {}, and it is {at}", self.not_before);
            return Err(Refusal::new(RefusalCode::NotYetValid, reason));
        }
        if at.unix() > self.not_after.unix() {
            let reason = format!("the certificate expired at {}, and it is {at}", self.not_after);
            return Err(Refusal::new(RefusalCode::Expired, reason));
        }
        Ok(())
    }

    /// Checks the extended key usage. A certificate without one allows both roles.
    pub(crate) fn check_role(&self, role: Role) -> Result<(), Refusal> {
        let (allowed, name) = match role {
            Role::Server => (self.serves, "serverAuth"),
            Role::Client => (self.calls, "clientAuth"),
        };
        if allowed {
            return Ok(());
        }
        let reason = format!("the extended key usage of the certificate lacks `{name}`");
        Err(Refusal::new(RefusalCode::Usage, reason))
    }
}

/// The extensions of a certificate that these rules use.
struct Extensions<'c> {
    is_ca: bool,
    key_usage: Option<&'c KeyUsage>,
    extended: Option<&'c ExtendedKeyUsage<'c>>,
    names: &'c [GeneralName<'c>],
}

impl<'c> Extensions<'c> {
    fn of(certificate: &'c X509Certificate<'c>) -> Result<Self, x509_parser::error::X509Error> {
        let names = certificate.subject_alternative_name()?;
        Ok(Self {
            is_ca: certificate.basic_constraints()?.is_some_and(|constraints| constraints.value.ca),
            key_usage: certificate.key_usage()?.map(|usage| usage.value),
            extended: certificate.extended_key_usage()?.map(|usage| usage.value),
            names: names.map_or(&[], |names| &names.value.general_names),
        })
    }

    /// The one SPIFFE ID. X509-SVID section 2: a certificate with a SPIFFE ID has exactly one URI SAN.
    fn spiffe_id(&self) -> Result<Option<SpiffeId>, Refusal> {
        let names = |reason: String| Refusal::new(RefusalCode::Names, reason);
        if self.names.is_empty() {
            return Err(names(
                "the certificate has no subject alternative name, so it names no owner".to_owned(),
            ));
        }
        if self.names.len() > MAX_NAMES {
            return Err(names(format!(
                "the certificate has {} names, more than {MAX_NAMES}",
                self.names.len()
            )));
        }
        if self.names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
            return Err(names("a subject alternative name has a wrong encoding".to_owned()));
        }
        let mut uris = self.names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let is_spiffe = |uri: &str| uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
        if !uris.clone().any(is_spiffe) {
            return Ok(None);
        }
        match (uris.next(), uris.next()) {
            (Some(uri), None) => match uri.parse() {
                Ok(id) => Ok(Some(id)),
                Err(error) => Err(names(format!("the URI SAN is not a SPIFFE ID of a workload: {error}"))),
            },
            _ => Err(names(
                "the certificate has a SPIFFE ID and another URI SAN, expected only the SPIFFE ID".to_owned(),
            )),
        }
    }

    /// The first DNS name, or else the first other name that a log can show.
    fn name(&self) -> Option<String> {
        let dns = self.names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        let other = || {
            self.names.iter().find_map(|name| match name {
                GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => ip_address(bytes).map(|address| address.to_string()),
                _ => None,
            })
        };
        dns.or_else(other)
    }

    /// A leaf signs no certificates and no revocation lists (X509-SVID section 4.3).
    fn check_is_leaf(&self) -> Result<(), Refusal> {
        let authority = |reason: &'static str| Err(Refusal::new(RefusalCode::CertificateAuthority, reason));
        match self.key_usage {
            _ if self.is_ca => {
                authority("the certificate is one of a certificate authority, expected a leaf")
            }
            Some(usage) if usage.key_cert_sign() => authority("the key usage allows `keyCertSign`"),
            Some(usage) if usage.crl_sign() => authority("the key usage allows `cRLSign`"),
            _ => Ok(()),
        }
    }

    /// A leaf signs handshakes. Without the extension every usage is allowed (RFC 5280), but a certificate with a SPIFFE
    /// ID needs it (X509-SVID section 4.3).
    fn check_signs(&self, is_svid: bool) -> Result<(), Refusal> {
        match self.key_usage {
            Some(usage) if usage.digital_signature() => Ok(()),
            Some(_) => Err(Refusal::new(RefusalCode::Usage, "the key usage lacks `digitalSignature`")),
            None if is_svid => Err(Refusal::new(
                RefusalCode::Usage,
                "the certificate has a SPIFFE ID and no key usage, expected `digitalSignature`",
            )),
            None => Ok(()),
        }
    }

    /// X509-SVID section 4.4. `anyExtendedKeyUsage` allows neither role: it must be named.
    fn allows(&self, role: Role) -> bool {
        self.extended.is_none_or(|usage| match role {
            Role::Server => usage.server_auth,
            Role::Client => usage.client_auth,
        })
    }
}

/// The four or sixteen bytes of an address (RFC 5280 section 4.2.1.6).
fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Checks the authorities in the chain of a peer. webpki checks the path, and ignores their key usage.
pub(crate) fn check_issuers(intermediates: &[CertificateDer<'_>]) -> Result<(), Refusal> {
    for der in intermediates {
        let unreadable = |why: &dyn fmt::Display| {
            let reason = format!("a certificate of the chain cannot be read: {why}");
            Refusal::new(RefusalCode::Malformed, reason)
        };
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        let usage = certificate.key_usage().map_err(|error| unreadable(&error))?;
        // A certificate that is not one of an authority is on no path, so it decides nothing.
        if certificate.is_ca() && usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            let reason = "the key usage of an authority in the chain lacks `keyCertSign`";
            return Err(Refusal::new(RefusalCode::Path, reason));
        }
    }
    Ok(())
}

/// Reads the validity period of a root, and refuses a certificate that is not one of a certificate authority.
pub(crate) fn root_validity(
    der: &CertificateDer<'_>,
    development_build: bool,
) -> Result<(Timestamp, Timestamp), Cow<'static, str>> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("it cannot be read: {error}"))?;
    let may_sign = certificate.key_usage().ok().flatten().is_none_or(|usage| usage.value.key_cert_sign());
    // A version 1 root has no extensions.
    let is_ca = certificate.version() != X509Version::V3 || certificate.is_ca();
    if !is_ca || !may_sign {
        return Err(Cow::Borrowed("it is not one of a certificate authority"));
    }
    let mut names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    if !development_build && names.any(|name| name.starts_with(DEVELOPMENT_PREFIX)) {
        return Err(Cow::Borrowed("it is for development, and this is a release build"));
    }
    let validity = certificate.validity();
    Ok((
        Timestamp::from_unix(validity.not_before.timestamp()),
        Timestamp::from_unix(validity.not_after.timestamp()),
    ))
}
