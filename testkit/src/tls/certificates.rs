//! The certificates of an attack over TLS: the one of the caller, and those that are signed for the attack.

use std::{fmt, sync::Arc};

use rcgen::{KeyPair, SanType};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    InvalidCertificates, LeafDraft, TestCa, TestCertificate, certificates, connection::Trust, key, names_of,
};

/// The certificates of an attack over TLS. [`Attack::certificates`](crate::Attack::certificates) uses them.
///
/// The service must accept the certificate of the caller. With the key of its authority, the attack also signs
/// certificates with one defect each. Without it, the report lists these classes as not sent.
///
/// ```
/// use service_only_testkit::{TestCa, tls::Certificates};
///
/// let ca = TestCa::new("bakery.example");
/// let caller = ca.leaf().spiffe_id("spiffe://bakery.example/orders").issue();
/// let certificates = Certificates::of(&caller, &ca);
///
/// // Without the key of the authority, from PEM files:
/// let few = Certificates::trusting(ca.pem())?.presenting(&caller.chain_pem(), caller.key_pem())?;
/// # drop((certificates, few));
/// # Ok::<(), service_only_testkit::tls::InvalidCertificates>(())
/// ```
#[derive(Clone)]
pub struct Certificates {
    /// The roots of the service, in DER.
    roots: Vec<Vec<u8>>,
    own: Option<TestCertificate>,
    ca: Option<TestCa>,
    binds: bool,
    optional: bool,
    changing: Option<(TestCa, Trust)>,
}

impl Certificates {
    /// Presents this certificate of a test's own authority, which also signs the certificate of the service.
    pub fn of(certificate: &TestCertificate, ca: &TestCa) -> Self {
        let roots = certificates(ca.pem()).unwrap_or_default();
        let own = Some(certificate.clone());
        Self { roots, own, ca: Some(ca.clone()), binds: true, optional: false, changing: None }
    }

    /// Verifies the service with these roots in PEM, and presents no certificate.
    ///
    /// # Errors
    /// When the text has no certificate.
    pub fn trusting(roots: &str) -> Result<Self, InvalidCertificates> {
        let roots = certificates(roots).ok_or(InvalidCertificates("the roots"))?;
        Ok(Self { roots, own: None, ca: None, binds: true, optional: false, changing: None })
    }

    /// Presents this certificate chain, whose leaf comes first, with its private key. Both are PEM.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn presenting(self, chain: &str, key: &str) -> Result<Self, InvalidCertificates> {
        Ok(Self { own: Some(TestCertificate::from_pem(chain, key)?), ..self })
    }

    /// Signs certificates for the attack with the key of this authority, whose clients the service accepts.
    pub fn signed_by(self, ca: TestCa) -> Self {
        Self { ca: Some(ca), ..self }
    }

    /// Sends tokens that are not bound to a certificate, for a service that knows no bound tokens. The classes about
    /// bound tokens are then not sent.
    pub fn without_binding(self) -> Self {
        Self { binds: false, ..self }
    }

    /// Declares that the service accepts clients without a certificate by design.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Names a root that the service trusts at the start, and how to change that: `trust(false)` withdraws it, and
    /// `trust(true)` restores it. The call must return after the service has applied the change. The attack then tests
    /// whether a session outlives its root.
    pub fn changing_roots(self, root: &TestCa, trust: impl Fn(bool) + Send + Sync + 'static) -> Self {
        Self { changing: Some((root.clone(), Arc::new(trust))), ..self }
    }

    pub(crate) fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    /// The certificate of the caller.
    pub(crate) fn own(&self) -> Option<&TestCertificate> {
        self.own.as_ref()
    }

    pub(crate) fn binds(&self) -> bool {
        self.binds
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.optional
    }

    pub(crate) fn can_sign(&self) -> bool {
        self.ca.is_some()
    }

    pub(crate) fn ca(&self) -> Option<&TestCa> {
        self.ca.as_ref()
    }

    /// The root that the service can withdraw, and how.
    pub(crate) fn changing(&self) -> Option<(&TestCa, &Trust)> {
        self.changing.as_ref().map(|(root, trust)| (root, trust))
    }

    /// The names of the caller's certificate.
    fn names(&self) -> Option<Vec<SanType>> {
        let (_, leaf) = X509Certificate::from_der(self.own.as_ref()?.der()).ok()?;
        Some(names_of(&leaf))
    }

    /// A certificate of this authority that names the caller.
    pub(crate) fn named_like_own<'c>(&self, ca: &'c TestCa) -> Option<LeafDraft<'c>> {
        Some(ca.leaf().names(self.names()?))
    }

    /// A certificate of the trusted authority that names the caller.
    pub(crate) fn leaf(&self) -> Option<LeafDraft<'_>> {
        self.named_like_own(self.ca.as_ref()?)
    }

    /// The trust domain and the path of the caller's SPIFFE ID.
    pub(crate) fn id(&self) -> Option<(&str, &str)> {
        self.own.as_ref()?.spiffe_id.as_deref()?.strip_prefix("spiffe://")?.split_once('/')
    }

    /// A certificate of the trusted authority with these URIs in place of the caller's SPIFFE ID.
    pub(crate) fn identified<const N: usize>(&self, uris: [String; N]) -> Option<LeafDraft<'_>> {
        self.id()?;
        let others = self.names()?.into_iter().filter(|name| !matches!(name, SanType::URI(_)));
        let leaf = self.ca.as_ref()?.leaf().names(others);
        Some(uris.iter().fold(leaf, |leaf, uri| leaf.spiffe_id(uri)))
    }

    /// A certificate of another service: of the trusted authority if it can sign, else one that signs itself.
    pub(crate) fn other(&self) -> Option<TestCertificate> {
        self.own.as_ref()?;
        let other = self.id().map(|(domain, _)| format!("spiffe://{domain}/some-other-service"));
        let stranger;
        let ca = match &self.ca {
            Some(ca) => ca,
            None => {
                stranger = TestCa::new("some-other-authority");
                &stranger
            }
        };
        let leaf = ca.leaf();
        Some(match other {
            Some(id) => leaf.spiffe_id(&id).issue(),
            None => leaf.without_names().dns("some-other-service").issue(),
        })
    }

    /// The key of the caller; `None` if it is of a kind that cannot sign certificates here.
    pub(crate) fn own_key(&self) -> Option<KeyPair> {
        KeyPair::from_pem(self.own.as_ref()?.key_pem()).ok()
    }

    /// An authority that signs with the caller's own key, as if a leaf were allowed to.
    pub(crate) fn own_as_authority(&self) -> Option<TestCa> {
        let own = self.own.as_ref()?;
        TestCa::named_like(own.der(), self.own_key()?, own.chain().to_vec())
    }

    /// An authority with the name and the key id of the trusted one, and another key.
    pub(crate) fn namesake(&self) -> Option<TestCa> {
        TestCa::named_like(self.roots.first()?, key(), Vec::new())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("roots", &self.roots.len())
            .field("own", &self.own)
            .field("can_sign", &self.can_sign())
            .finish_non_exhaustive()
    }
}
