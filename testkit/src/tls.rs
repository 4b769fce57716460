//! Certificates for tests: an authority of the test's own, leaf certificates, and what can be wrong with them.

mod certificates;
mod connection;

use std::{error::Error, fmt, fs, io, path::Path, sync::Arc};

pub use rcgen;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use service_only::{
    __satellite::{PeerFacts, peer_certificate},
    PeerCertificate,
    clock::{Clock, SystemClock, Timestamp},
};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

pub use self::certificates::Certificates;
pub(crate) use self::connection::{Connection, First, Kept, Session, Sessions, Trust};

use crate::trust::AlwaysTrusted;

/// A certificate authority whose key exists only in this test.
///
/// ```
/// use service_only_testkit::TestCa;
///
/// let ca = TestCa::new("bakery.example");
/// let folder = tempfile::tempdir()?;
/// ca.leaf().spiffe_id("spiffe://bakery.example/orders").issue().write_cert_manager(folder.path(), &ca)?;
/// assert!(folder.path().join("tls.key").exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TestCa {
    issuer: Arc<Issuer<'static, KeyPair>>,
    pem: String,
    /// The certificates between this authority and the root.
    intermediates: Vec<Vec<u8>>,
}

impl TestCa {
    /// Creates a root that is valid from an hour ago for ten years.
    pub fn new(name: &str) -> Self {
        Self::valid_from(name, now() - HOUR, 10 * 365 * 24 * HOUR)
    }

    /// Creates a root with another validity period: the Unix time of its start, and its length in seconds.
    pub fn valid_from(name: &str, start: i64, seconds: i64) -> Self {
        let mut params = authority(name);
        (params.not_before, params.not_after) = period(start, start + seconds);
        let key = key();
        let root = made(params.self_signed(&key));
        Self { pem: root.pem(), issuer: Arc::new(Issuer::new(params, key)), intermediates: Vec::new() }
    }

    /// Reads the certificate and the key of an existing authority, such as the one of `service-token ca`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, InvalidCertificates> {
        let key = KeyPair::from_pem(key).map_err(|_| InvalidCertificates("the key of the authority"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key)
            .map_err(|_| InvalidCertificates("the certificate of the authority"))?;
        Ok(Self { pem: certificate.to_owned(), issuer: Arc::new(issuer), intermediates: Vec::new() })
    }

    /// An authority with the name of a certificate and its own key. `chain` is what its leaf certificates bring along.
    fn named_like(der: &[u8], key: KeyPair, chain: Vec<Vec<u8>>) -> Option<Self> {
        let issuer = Issuer::from_ca_cert_der(&der.into(), key).ok()?;
        Some(Self { pem: String::new(), issuer: Arc::new(issuer), intermediates: chain })
    }

    /// Creates an intermediate authority, whose leaf certificates bring its certificate in their chain.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| ())
    }

    /// Creates an intermediate authority that may sign only DNS names below `domain` (RFC 5280 section 4.2.1.10).
    #[must_use]
    pub fn limited_to(&self, name: &str, domain: &str) -> Self {
        let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
        let limits = NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() };
        self.intermediate_with(name, |params| params.name_constraints = Some(limits))
    }

    /// Creates an intermediate authority, and changes its certificate before it is signed.
    #[must_use]
    pub fn intermediate_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = key();
        let certificate = made(params.signed_by(&key, &self.issuer));
        let intermediates = [&[certificate.der().to_vec()], &self.intermediates[..]].concat();
        Self { pem: self.pem.clone(), issuer: Arc::new(Issuer::new(params, key)), intermediates }
    }

    /// The root in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The root in DER.
    pub(crate) fn der(&self) -> Option<Vec<u8>> {
        certificates(&self.pem)?.into_iter().next()
    }

    /// Begins a leaf certificate for `localhost`, valid from an hour ago for a day, for both roles.
    pub fn leaf(&self) -> LeafDraft<'_> {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = period(now() - HOUR, now() + 24 * HOUR);
        params.distinguished_name.push(DnType::CommonName, "leaf");
        // As SPIRE does.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        LeafDraft { ca: self, params }.dns("localhost").ip([127, 0, 0, 1])
    }
}

impl fmt::Debug for TestCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCa").finish_non_exhaustive()
    }
}

/// A leaf certificate before it is signed.
#[must_use = "`issue` signs it"]
pub struct LeafDraft<'c> {
    ca: &'c TestCa,
    params: CertificateParams,
}

impl LeafDraft<'_> {
    /// Adds a SPIFFE ID, or any other URI.
    pub fn spiffe_id(self, uri: &str) -> Self {
        self.name(SanType::URI(made(uri.to_owned().try_into())))
    }

    /// Adds a DNS name.
    pub fn dns(self, name: &str) -> Self {
        self.name(SanType::DnsName(made(name.to_owned().try_into())))
    }

    /// Adds an IP address.
    pub fn ip(self, address: impl Into<std::net::IpAddr>) -> Self {
        self.name(SanType::IpAddress(address.into()))
    }

    /// Removes all names that were added so far.
    pub fn without_names(mut self) -> Self {
        self.params.subject_alt_names.clear();
        self
    }

    pub(crate) fn names(mut self, names: impl IntoIterator<Item = SanType>) -> Self {
        self.params.subject_alt_names = names.into_iter().collect();
        self
    }

    fn name(mut self, name: SanType) -> Self {
        self.params.subject_alt_names.push(name);
        self
    }

    /// Sets the validity period in Unix time.
    pub fn valid(mut self, from: i64, until: i64) -> Self {
        (self.params.not_before, self.params.not_after) = period(from, until);
        self
    }

    /// Is valid from an hour before `time` until a day after it. Use it with the clock of a
    /// [`TestAuthority`](crate::TestAuthority), which does not show the current time.
    pub fn valid_around(self, time: Timestamp) -> Self {
        self.valid(time.unix() - HOUR, time.unix() + 24 * HOUR)
    }

    /// An hour of validity that ended an hour ago.
    pub fn expired(self) -> Self {
        let now = now();
        self.valid(now - 2 * HOUR, now - HOUR)
    }

    /// An hour of validity that begins in an hour.
    pub fn not_yet_valid(self) -> Self {
        let now = now();
        self.valid(now + HOUR, now + 2 * HOUR)
    }

    /// Makes it the certificate of an authority.
    pub fn as_authority(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        self
    }

    /// Sets the key usage; an empty one leaves the extension out.
    pub fn key_usage(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.params.key_usages = usages.to_vec();
        self
    }

    /// Sets the extended key usage; an empty one leaves the extension out.
    pub fn extended_key_usage(mut self, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        self.params.extended_key_usages = usages.to_vec();
        self
    }

    /// Changes anything else.
    pub fn with(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    /// Signs the certificate of a new key.
    pub fn issue(self) -> TestCertificate {
        self.issue_for(&key())
    }

    /// Signs the certificate of this key.
    pub(crate) fn issue_for(self, key: &KeyPair) -> TestCertificate {
        let leaf = made(self.params.signed_by(key, &self.ca.issuer));
        let chain = [&[leaf.der().to_vec()], &self.ca.intermediates[..]].concat();
        self.certificate(chain, key)
    }

    /// Signs the certificate of a new key with the same key.
    pub(crate) fn self_signed(self) -> TestCertificate {
        let key = key();
        let leaf = made(self.params.self_signed(&key));
        self.certificate(vec![leaf.der().to_vec()], &key)
    }

    fn certificate(self, chain: Vec<Vec<u8>>, key: &KeyPair) -> TestCertificate {
        let spiffe_id = self.params.subject_alt_names.iter().find_map(|name| match name {
            SanType::URI(uri) => Some(uri.to_string()),
            _ => None,
        });
        let dns_name = self.params.subject_alt_names.iter().find_map(|name| match name {
            SanType::DnsName(name) => Some(name.to_string()),
            _ => None,
        });
        TestCertificate {
            chain,
            key_pem: key.serialize_pem(),
            spiffe_id,
            dns_name,
            not_before: Timestamp::from_unix(self.params.not_before.unix_timestamp()),
            not_after: Timestamp::from_unix(self.params.not_after.unix_timestamp()),
        }
    }
}

impl fmt::Debug for LeafDraft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafDraft").field("names", &self.params.subject_alt_names).finish_non_exhaustive()
    }
}

/// A leaf certificate with the rest of its chain, and its key.
#[derive(Clone)]
pub struct TestCertificate {
    chain: Vec<Vec<u8>>,
    key_pem: String,
    spiffe_id: Option<String>,
    dns_name: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl TestCertificate {
    /// The chain in PEM, with the leaf first.
    pub fn chain_pem(&self) -> String {
        let pems = self.chain.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone())));
        pems.collect()
    }

    /// Reads a chain with the leaf first, and the private key of the leaf.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, InvalidCertificates> {
        let chain = certificates(chain).ok_or(InvalidCertificates("the certificate chain"))?;
        let (_, leaf) = chain
            .first()
            .and_then(|der| X509Certificate::from_der(der).ok())
            .ok_or(InvalidCertificates("the first certificate of the chain"))?;
        let validity = leaf.validity();
        let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let names = names_of(&leaf);
        let spiffe_id = names.iter().find_map(|name| match name {
            SanType::URI(uri) => Some(uri.to_string()),
            _ => None,
        });
        let dns_name = names.iter().find_map(|name| match name {
            SanType::DnsName(name) => Some(name.to_string()),
            _ => None,
        });
        if !key.contains("PRIVATE KEY-----") {
            return Err(InvalidCertificates("the private key"));
        }
        Ok(Self {
            chain: chain.clone(),
            key_pem: key.to_owned(),
            spiffe_id,
            dns_name,
            not_before: Timestamp::from_unix(from),
            not_after: Timestamp::from_unix(until),
        })
    }

    /// The same certificate with the key of another one, as a thief has it who knows only the certificate.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self { key_pem: other.key_pem.clone(), ..self.clone() }
    }

    /// The same leaf with further certificates in its chain.
    pub(crate) fn with_chain(&self, further: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut certificate = self.clone();
        certificate.chain.extend(further);
        certificate
    }

    /// The SPIFFE ID.
    #[cfg(feature = "workload-api")]
    pub(crate) fn spiffe_id(&self) -> Option<&str> {
        self.spiffe_id.as_deref()
    }

    /// The private key in DER.
    #[cfg(feature = "workload-api")]
    pub(crate) fn key_der(&self) -> Vec<u8> {
        pem::parse(&self.key_pem).map(pem::Pem::into_contents).unwrap_or_default()
    }

    /// The private key in PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificates in DER, with the leaf first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The leaf in DER.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// SHA-256 of the leaf, as `x5t#S256` contains it (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.der());
        made(digest.as_ref().try_into().map_err(|_| "a digest of another length"))
    }

    /// The certificate as a request has it after a handshake, for a test without a connection. No root is checked. A
    /// verifier compares the times of the certificate with its own clock, see [`LeafDraft::valid_around`].
    pub fn peer(&self) -> PeerCertificate {
        let facts = PeerFacts {
            thumbprint: self.thumbprint(),
            spiffe_id: self.spiffe_id.clone(),
            name: self.dns_name.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            forwarded_by: None,
        };
        peer_certificate(facts, AlwaysTrusted)
    }

    /// Writes `tls.crt`, `tls.key` and `ca.crt`, as a secret of cert-manager contains them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_cert_manager(&self, folder: &Path, roots: &TestCa) -> io::Result<()> {
        self.write(folder, ["tls.crt", "tls.key", "ca.crt"], roots)
    }

    /// Writes `svid.pem`, `svid_key.pem` and `svid_bundle.pem`, as the SPIFFE helper does.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_spire(&self, folder: &Path, roots: &TestCa) -> io::Result<()> {
        self.write(folder, ["svid.pem", "svid_key.pem", "svid_bundle.pem"], roots)
    }

    fn write(&self, folder: &Path, [chain, key, roots]: [&str; 3], ca: &TestCa) -> io::Result<()> {
        fs::write(folder.join(chain), self.chain_pem())?;
        fs::write(folder.join(key), &self.key_pem)?;
        fs::write(folder.join(roots), ca.pem())
    }
}

impl fmt::Debug for TestCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCertificate").finish_non_exhaustive()
    }
}

/// A certificate or a key that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCertificates(&'static str);

impl fmt::Display for InvalidCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: expected PEM, and a key that is not encrypted", self.0)
    }
}

impl Error for InvalidCertificates {}

/// The certificates of a PEM text in DER; `None` if it has none.
fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let blocks = pem::parse_many(text).ok()?;
    let ders: Vec<_> = blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect();
    (!ders.is_empty()).then_some(ders)
}

/// The names of a certificate that an attack gives to its own ones.
fn names_of(certificate: &X509Certificate<'_>) -> Vec<SanType> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let copied = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(SanType::URI((*uri).to_owned().try_into().ok()?)),
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).to_owned().try_into().ok()?)),
        GeneralName::IPAddress(bytes) => Some(SanType::IpAddress(match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok()?.into(),
            _ => <[u8; 16]>::try_from(*bytes).ok()?.into(),
        })),
        _ => None,
    });
    copied.collect()
}

const HOUR: i64 = 3_600;

fn now() -> i64 {
    Clock::now(&SystemClock).unix()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = period(now() - HOUR, now() + 10 * 365 * 24 * HOUR);
    params
}

fn key() -> KeyPair {
    made(KeyPair::generate())
}

/// A validity period in the type of rcgen.
fn period(from: i64, until: i64) -> (OffsetDateTime, OffsetDateTime) {
    let instant = |unix: i64| OffsetDateTime::from_unix_timestamp(unix);
    (made(instant(from)), made(instant(until)))
}

#[expect(clippy::panic, reason = "a test fails")]
fn made<T, E: fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the certificate cannot be made: {error}"),
    }
}
