//! The rules of X509-SVID for a client certificate, beyond its path, written by hand.

use rustls::{
    Error,
    pki_types::{CertificateDer, UnixTime},
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints},
    prelude::FromDer,
};

pub(super) const DOMAIN: &str = "bakery.example";

/// Why a certificate is refused.
pub(super) enum Refusal {
    Path(Error),
    Rule(&'static str),
}

/// What a hole looks at.
pub(super) struct Presented<'p> {
    pub(super) leaf: X509Certificate<'p>,
    /// The rest of the chain.
    pub(super) issuers: Vec<X509Certificate<'p>>,
    pub(super) refusal: &'p Refusal,
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) now: i64,
}

fn read<'p>(der: &'p CertificateDer<'_>) -> X509Certificate<'p> {
    X509Certificate::from_der(der).unwrap().1
}

fn rule(holds: bool, why: &'static str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Rule(why)) }
}

impl<'p> Presented<'p> {
    pub(super) fn with(
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        refusal: &Refusal,
        roots: Vec<Vec<u8>>,
        now: UnixTime,
        accepts: fn(&Presented<'_>) -> bool,
    ) -> bool {
        let issuers = intermediates.iter().map(read).collect();
        let now = i64::try_from(now.as_secs()).unwrap();
        accepts(&Presented { leaf: read(leaf), issuers, refusal, roots, now })
    }

    /// The rules that webpki does not know.
    pub(super) fn check(
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Refusal> {
        for issuer in intermediates.iter().map(read) {
            // A stranger's leaf in the chain is unused.
            let may_sign = usage_of(&issuer).is_none_or(KeyUsage::key_cert_sign);
            rule(may_sign || !issuer.is_ca(), "an issuer may not sign certificates")?;
        }
        let leaf = read(leaf);
        rule(!leaf.is_ca(), "the leaf is an authority")?;
        let usage = usage_of(&leaf);
        rule(usage.is_some_and(KeyUsage::digital_signature), "no signatures")?;
        rule(
            usage.is_none_or(|usage| !usage.key_cert_sign() && !usage.crl_sign()),
            "it may sign certificates",
        )?;
        rule(extended(&leaf).is_none_or(|usage| usage.client_auth), "not for clients")?;
        let [uri] = uris(&leaf)[..] else { return Err(Refusal::Rule("not one URI")) };
        let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(DOMAIN));
        let path = path.and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        let is_plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        rule(path.split('/').all(is_plain), "not an ID of the trust domain")
    }

    pub(super) fn usage(&self) -> Option<&KeyUsage> {
        usage_of(&self.leaf)
    }

    pub(super) fn extended(&self) -> Option<&ExtendedKeyUsage<'_>> {
        extended(&self.leaf)
    }

    pub(super) fn uris(&self) -> Vec<&str> {
        uris(&self.leaf)
    }

    /// The only URI, without its scheme.
    pub(super) fn id(&self) -> &str {
        match self.uris()[..] {
            [uri] => uri.strip_prefix("spiffe://").unwrap_or_default(),
            _ => "",
        }
    }

    pub(super) fn has_names(&self) -> bool {
        self.leaf.subject_alternative_name().is_ok_and(|names| names.is_some())
    }

    /// Whether the refusal is one of the path.
    pub(super) fn has_no_path(&self) -> bool {
        matches!(self.refusal, Refusal::Path(_))
    }

    /// The certificate of the chain that issued the leaf.
    pub(super) fn issuer(&self) -> Option<&X509Certificate<'p>> {
        self.issuers.iter().find(|issuer| issuer.subject() == self.leaf.issuer())
    }

    pub(super) fn constraints(&self) -> Option<&NameConstraints<'_>> {
        self.issuer()?.name_constraints().ok().flatten().map(|limits| limits.value)
    }

    pub(super) fn roots_named(&self, issuer: &X509Certificate<'_>) -> bool {
        self.roots.iter().any(|root| X509Certificate::from_der(root).unwrap().1.subject() == issuer.issuer())
    }
}

pub(super) fn usage_of<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c KeyUsage> {
    certificate.key_usage().ok().flatten().map(|usage| usage.value)
}

fn extended<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c ExtendedKeyUsage<'c>> {
    certificate.extended_key_usage().ok().flatten().map(|usage| usage.value)
}

fn uris<'c>(certificate: &'c X509Certificate<'_>) -> Vec<&'c str> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let uri = |name: &'c GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}
