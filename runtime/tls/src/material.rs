//! One set of certificate chain, key and roots. A value exists only if the whole set is valid.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs::sign::any_supported_type},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use service_only::clock::Timestamp;
use zeroize::Zeroizing;

use crate::{
    error::{TlsError, TlsErrorKind},
    names::{SpiffeId, TrustDomain},
    roots::{Roots, parsed},
    rules::{Leaf, Refusal, RefusalCode, Role},
};

/// See [`TlsFiles::MAX_CHAIN`](crate::TlsFiles::MAX_CHAIN).
pub(crate) const MAX_CHAIN: usize = 10;

/// See [`TlsFiles::MAX_ROOTS`](crate::TlsFiles::MAX_ROOTS).
pub(crate) const MAX_ROOTS: usize = 1_000;

/// What this service presents, and the roots with which it verifies its peers.
pub(crate) struct Material {
    pub(crate) revision: u64,
    pub(crate) own: Arc<CertifiedKey>,
    pub(crate) leaf: Leaf,
    /// The roots of certificates without a SPIFFE ID, or of the own trust domain.
    roots: Option<Roots>,
    federated: HashMap<TrustDomain, Roots>,
}

/// The content of one file, and its path for messages.
pub(crate) struct Source<'s> {
    pub(crate) path: &'s dyn std::fmt::Display,
    pub(crate) bytes: &'s [u8],
}

/// The contents of all files of a set.
pub(crate) struct Sources<'s> {
    pub(crate) chain: Source<'s>,
    pub(crate) key: Source<'s>,
    pub(crate) roots: Option<Source<'s>>,
    pub(crate) federated: Vec<(&'s TrustDomain, Source<'s>)>,
    /// Whether a root for development is accepted.
    pub(crate) for_development: bool,
}

impl Material {
    /// Reads a set and checks it as one, in the order in which an operator would look for the mistake.
    pub(crate) fn read(
        sources: &Sources<'_>,
        roles: &[Role],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let chain = sources.chain.certificates(MAX_CHAIN)?;
        let (own_der, intermediates) = chain
            .split_first()
            .ok_or_else(|| sources.chain.error(TlsErrorKind::Pem, "it has no certificate"))?;
        let leaf = Leaf::read(own_der).map_err(|refusal| sources.chain.refused(&refusal))?;
        for role in roles {
            leaf.check_role(*role).map_err(|refusal| sources.chain.refused(&refusal))?;
        }
        let own = sources.key.key_of(chain.clone())?;
        leaf.check_time(now).map_err(|refusal| sources.chain.refused(&refusal))?;
        let roots = match &sources.roots {
            None => None,
            Some(source) => {
                let roots = source.roots(provider, now, sources.for_development)?;
                for role in roles {
                    roots.verify(own_der, intermediates, *role, now).map_err(|refusal| {
                        let why = format!("the roots of {} do not verify the chain: {refusal}", source.path);
                        match refusal.code {
                            RefusalCode::Path | RefusalCode::NoRoots => {
                                sources.chain.error(TlsErrorKind::Path, &why)
                            }
                            _ => sources.chain.refused(&Refusal { reason: why.into(), ..refusal }),
                        }
                    })?;
                }
                Some(roots)
            }
        };
        let federated = sources.federated.iter().map(|(domain, source)| {
            if leaf.spiffe_id.as_ref().is_some_and(|id| id.trust_domain() == *domain) {
                let why = match &sources.roots {
                    Some(own) => {
                        format!("`{domain}` is the own trust domain, whose roots are in {}", own.path)
                    }
                    None => format!("`{domain}` is the own trust domain"),
                };
                return Err(source.error(TlsErrorKind::Configuration, &why));
            }
            Ok(((*domain).clone(), source.roots(provider, now, sources.for_development)?))
        });
        let federated = federated.collect::<Result<_, _>>()?;
        Ok(Self { revision: 0, own, leaf, roots, federated })
    }

    pub(crate) fn numbered(self, revision: u64) -> Self {
        Self { revision, ..self }
    }

    /// Checks the certificate of a peer: its rules, its time, and its path to the roots of its trust domain.
    pub(crate) fn verify_peer(
        &self,
        peer: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
        at: Timestamp,
    ) -> Result<Leaf, Refusal> {
        let (leaf, roots) = self.checked(peer, role, at)?;
        roots.verify(peer, intermediates, role, at)?;
        Ok(leaf)
    }

    /// The same for a server, with its leaf as rustls has parsed it, so that its names are compared without parsing it
    /// again.
    pub(crate) fn verify_server<'c>(
        &self,
        server: &'c CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: Timestamp,
    ) -> Result<(Leaf, ParsedCertificate<'c>), Refusal> {
        let (leaf, roots) = self.checked(server, Role::Server, at)?;
        let parsed = parsed(server)?;
        roots.verify_server(&parsed, intermediates, at)?;
        Ok((leaf, parsed))
    }

    /// The checks that need no roots, and the roots that must verify the chain.
    fn checked(
        &self,
        peer: &CertificateDer<'_>,
        role: Role,
        at: Timestamp,
    ) -> Result<(Leaf, &Roots), Refusal> {
        let leaf = Leaf::read(peer)?;
        leaf.check_time(at)?;
        leaf.check_role(role)?;
        let roots = self.roots_of(leaf.spiffe_id.as_ref())?;
        Ok((leaf, roots))
    }

    /// Selects the roots by the trust domain of the leaf, so that the roots of one domain never verify a name of
    /// another (X509-SVID section 5.2).
    fn roots_of(&self, id: Option<&SpiffeId>) -> Result<&Roots, Refusal> {
        let own = || {
            let why = "no roots are configured, because this is the certificate of a server alone";
            self.roots.as_ref().ok_or_else(|| Refusal::new(RefusalCode::NoRoots, why))
        };
        let own_domain = self.leaf.spiffe_id.as_ref().map(SpiffeId::trust_domain);
        match (id.map(SpiffeId::trust_domain), own_domain) {
            (Some(domain), Some(same)) if same == domain => own(),
            (Some(domain), _) => self.federated.get(domain).ok_or_else(|| {
                Refusal::new(
                    RefusalCode::NoRoots,
                    format!("no roots are configured for the trust domain `{domain}`"),
                )
            }),
            (None, None) => own(),
            (None, Some(_)) => Err(Refusal::new(
                RefusalCode::Names,
                "the certificate has no SPIFFE ID, which every peer of a certificate with a SPIFFE ID needs",
            )),
        }
    }
}

impl Source<'_> {
    fn error(&self, kind: TlsErrorKind, why: &str) -> TlsError {
        TlsError::new(kind, format!("{}: {why}", self.path))
    }

    fn refused(&self, refusal: &Refusal) -> TlsError {
        let kind = match refusal.code {
            RefusalCode::Expired => TlsErrorKind::Expired,
            RefusalCode::NotYetValid => TlsErrorKind::NotYetValid,
            _ => TlsErrorKind::Leaf,
        };
        self.error(kind, &refusal.reason)
    }

    fn certificates(&self, most: usize) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(self.bytes).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| self.not_pem("certificates", &error))?;
        match certificates.len() {
            0 => {
                Err(self
                    .error(TlsErrorKind::Pem, "it has no certificate, expected PEM with `BEGIN CERTIFICATE`"))
            }
            count if count > most => {
                Err(self.error(TlsErrorKind::Pem, &format!("it has {count} certificates, more than {most}")))
            }
            _ => Ok(certificates),
        }
    }

    /// The parser's own message quotes the content of the file, which may be a key.
    fn not_pem(&self, what: &str, error: &rustls::pki_types::pem::Error) -> TlsError {
        use rustls::pki_types::pem::Error;
        let why = match error {
            Error::MissingSectionEnd { .. } => "a section has no end, so the file may be half written",
            Error::IllegalSectionStart { .. } => "a section begins in a wrong way",
            Error::Base64Decode(_) => "a section is not base64",
            Error::NoItemsFound => "it has no such section",
            _ => "it cannot be parsed",
        };
        self.error(TlsErrorKind::Pem, &format!("it is not PEM with {what}: {why}"))
    }

    fn key_of(&self, chain: Vec<CertificateDer<'static>>) -> Result<Arc<CertifiedKey>, TlsError> {
        let mut keys = PrivateKeyDer::pem_slice_iter(self.bytes);
        let key = match (keys.next(), keys.next()) {
            (Some(Ok(key)), None) => Zeroizing::new(key),
            (Some(Err(error)), _) | (_, Some(Err(error))) => {
                return Err(self.not_pem("a private key", &error));
            }
            (None, _) => {
                let why = "it has no private key, expected one in PEM, and not encrypted";
                return Err(self.error(TlsErrorKind::Pem, why));
            }
            (Some(Ok(_)), Some(Ok(_))) => {
                return Err(self.error(TlsErrorKind::Pem, "it has more than one private key"));
            }
        };
        let signing = any_supported_type(&key).map_err(|_| {
            self.error(TlsErrorKind::Pem, "the private key is of a kind that TLS does not use")
        })?;
        let own = CertifiedKey::new(chain, signing);
        // An unknown public key is a mismatch too: nothing is published that was not checked.
        own.keys_match().map_err(|_| {
            self.error(TlsErrorKind::KeyMismatch, "the private key is not the one of the leaf certificate")
        })?;
        Ok(Arc::new(own))
    }

    fn roots(
        &self,
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
        for_development: bool,
    ) -> Result<Roots, TlsError> {
        let certificates = self.certificates(MAX_ROOTS)?;
        let roots = Roots::new(certificates, provider, now, for_development)
            .map_err(|why| self.error(TlsErrorKind::Roots, &why))?;
        if !roots.has_valid() {
            return Err(self.error(TlsErrorKind::Path, "no root is valid now"));
        }
        Ok(roots)
    }
}
