//! Servers with one hole that only one class finds.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls::{CertificateError, Error};
use serde_json::Value;
use service_only_testkit::Defect;
use x509_parser::{
    extensions::{KeyUsage, ParsedExtension, X509Extension},
    prelude::FromDer,
};

use super::{
    rules::{DOMAIN, Presented, Refusal, usage_of},
    server::{Seen, sha256},
};

pub(super) struct Hole {
    /// The one class that finds it.
    pub(super) class: Defect,
    pub(super) kind: Kind,
}

/// Where the hole is. The rest of the server is right.
#[derive(Debug, Copy, Clone)]
pub(super) enum Kind {
    /// Clients without a certificate are admitted.
    NeedsNone,
    /// A refused certificate is accepted nevertheless.
    Accepts(fn(&Presented<'_>) -> bool),
    /// The signature of the handshake is not verified.
    Signature12,
    Signature13,
    /// Sessions are resumed.
    Resumes12,
    Resumes13,
    /// The roots are asked once for a connection.
    KeepsConnections,
    /// A token that was accepted once is accepted from any sender.
    Remembers,
    /// The binding of a token is proven in another way, too.
    Binding(fn(&Seen<'_>) -> bool),
}

impl Kind {
    /// By a hole, or by design.
    pub(super) fn needs_no_certificate(self) -> bool {
        matches!(self, Self::NeedsNone)
            || matches!(self, Self::Binding(accepts) if std::ptr::fn_addr_eq(accepts, UNBOUND))
    }
}

/// A bound token of a client without a certificate.
pub(super) const UNBOUND: fn(&Seen<'_>) -> bool = |seen| seen.chain.is_empty();

macro_rules! holes {
    ($($class:ident: $kind:ident $(($code:expr))?;)*) => {
        pub(super) static HOLES: [Hole; [$(stringify!($class)),*].len()] =
            [$(Hole { class: Defect::$class, kind: Kind::$kind $(($code))? }),*];
    };
}

holes! {
    NoClientCertificate: NeedsNone;
    BoundTokenWithoutCertificate: Binding(UNBOUND);
    StrangerInChain: Binding(|seen| {
        let is_leaf = |der: &&Vec<u8>| !x509_parser::certificate::X509Certificate::from_der(der).unwrap().1.is_ca();
        seen.chain.iter().skip(1).filter(is_leaf).any(|der| seen.bound_to() == Some(&sha256(der)))
    });

    // The path.
    SelfSignedCertificate: Accepts(|seen| seen.issuers.is_empty() && seen.leaf.subject() == seen.leaf.issuer());
    CertificateOfOtherAuthority: Accepts(|seen| {
        let is_alone = seen.issuers.is_empty() && seen.leaf.subject() != seen.leaf.issuer();
        // An authority that the server knew once is not the same as an unknown one.
        let was_known = seen.leaf.issuer().to_string().contains("withdrawn");
        is_alone && !was_known && !seen.roots_named(&seen.leaf)
    });
    CertificateOfNamesake: Accepts(|seen| {
        let is_forged = matches!(seen.refusal, Refusal::Path(Error::InvalidCertificate(
            CertificateError::BadSignature | CertificateError::UnknownIssuer)));
        is_forged && seen.roots_named(&seen.leaf)
    });
    AuthorityBroughtAlong: Accepts(|seen| {
        seen.issuer().is_some_and(|issuer| issuer.is_ca() && issuer.subject() == issuer.issuer())
    });
    CertificateSignedByLeaf: Accepts(|seen| {
        let may_sign = |issuer| usage_of(issuer).is_some_and(KeyUsage::key_cert_sign);
        seen.issuer().is_some_and(|issuer| !issuer.is_ca() && !may_sign(issuer))
    });
    IntermediateThatIsNoAuthority: Accepts(|seen| {
        seen.issuer().is_some_and(|issuer| !issuer.is_ca() && usage_of(issuer).is_some_and(KeyUsage::key_cert_sign))
    });
    IntermediateWithoutCertSign: Accepts(|seen| {
        seen.issuer().is_some_and(|issuer| issuer.is_ca() && !usage_of(issuer).is_some_and(KeyUsage::key_cert_sign))
    });
    ExpiredIntermediate: Accepts(|seen| {
        seen.issuer().is_some_and(|issuer| issuer.validity().not_after.timestamp() < seen.now)
    });
    IntermediateTooDeep: Accepts(|seen| seen.issuers.len() == 2);
    NameOutsideConstraints: Accepts(|seen| {
        seen.constraints().is_some_and(|limits| limits.permitted_subtrees.is_some())
    });
    NameInExcludedSubtree: Accepts(|seen| {
        seen.constraints().is_some_and(|limits| limits.excluded_subtrees.is_some())
    });
    StolenCertificate: Signature13;
    StolenCertificateInTls12: Signature12;

    // The leaf.
    ExpiredCertificate: Accepts(|seen| seen.leaf.validity().not_after.timestamp() < seen.now);
    CertificateNotYetValid: Accepts(|seen| seen.leaf.validity().not_before.timestamp() > seen.now);
    AuthorityAsClient: Accepts(|seen| seen.leaf.is_ca());
    LeafThatSignsCertificates: Accepts(|seen| !seen.leaf.is_ca() && seen.usage().is_some_and(KeyUsage::key_cert_sign));
    LeafThatSignsRevocations: Accepts(|seen| seen.usage().is_some_and(KeyUsage::crl_sign));
    LeafWithoutSignature: Accepts(|seen| seen.usage().is_some_and(|usage| !usage.digital_signature()));
    LeafWithoutKeyUsage: Accepts(|seen| seen.usage().is_none());
    CertificateForServers: Accepts(|seen| {
        seen.extended().is_some_and(|usage| usage.server_auth && !usage.client_auth)
    });
    CertificateForAnything: Accepts(|seen| seen.extended().is_some_and(|usage| usage.any));
    CertificateForMail: Accepts(|seen| seen.extended().is_some_and(|usage| usage.email_protection));
    CertificateWithoutName: Accepts(|seen| !seen.has_names() && !seen.has_no_path());
    CertificateWithoutSpiffeId: Accepts(|seen| seen.has_names() && seen.uris().is_empty());
    NamesInTwoExtensions: Accepts(|seen| {
        let names = x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
        seen.leaf.extensions().iter().filter(|extension| extension.oid == names).count() == 2
    });
    UnknownCriticalExtension: Accepts(|seen| {
        let is_unknown = |extension: &X509Extension<'_>| {
            matches!(extension.parsed_extension(), ParsedExtension::UnsupportedExtension { .. })
        };
        seen.leaf.extensions().iter().any(|extension| extension.critical && is_unknown(extension))
    });
    TwoSpiffeIds: Accepts(|seen| {
        matches!(seen.uris()[..], [one, other] if one.starts_with("spiffe:") && other.starts_with("spiffe:"))
    });
    SpiffeIdBesideUrl: Accepts(|seen| seen.uris().iter().any(|uri| uri.starts_with("https:")));
    SpiffeIdInCapitals: Accepts(|seen| seen.id().bytes().any(|byte| byte.is_ascii_uppercase()));
    SpiffeIdWithoutPath: Accepts(|seen| seen.id() == DOMAIN);
    SpiffeIdWithParent: Accepts(|seen| seen.id().contains("/../"));
    SpiffeIdWithSlashes: Accepts(|seen| seen.id().contains("//"));
    SpiffeIdWithPort: Accepts(|seen| seen.id().contains(':'));
    SpiffeIdWithUser: Accepts(|seen| seen.id().contains('@'));
    SpiffeIdWithQuery: Accepts(|seen| seen.id().contains('?'));
    SpiffeIdWithEscape: Accepts(|seen| seen.id().contains('%'));
    CertificateOfOtherDomain: Accepts(|seen| seen.id().starts_with("other.example/"));
    DomainWithSuffix: Accepts(|seen| seen.id().starts_with("bakery.example."));
    DomainWithPrefix: Accepts(|seen| seen.id().contains("-bakery.example/"));

    // Sessions.
    ResumedSession: Resumes13;
    ResumedSessionInTls12: Resumes12;
    KeptAfterChangeOfRoots: KeepsConnections;

    // The binding of a token.
    StolenBoundToken: Binding(|seen| {
        // Compared only if a proxy forwards a certificate, and not with the thumbprint of an authority.
        let is_thumbprint = seen.bound_to().is_some_and(|text| URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == 32));
        let own = seen.chain.first().map(sha256).unwrap_or_default();
        let is_similar = seen.bound_to().is_some_and(|text| text.eq_ignore_ascii_case(&own));
        let is_root = seen.roots.iter().any(|root| seen.bound_to() == Some(&sha256(root)));
        let is_alone = seen.headers.len() == 3 && seen.chain.len() == 1;
        is_thumbprint && !is_similar && !is_root && is_alone && !seen.was_used && !is_current_owner(seen)
    });
    StolenAfterUse: Remembers;
    BoundToAuthority: Binding(|seen| {
        seen.roots.iter().any(|root| seen.chain.contains(root) && seen.bound_to() == Some(&sha256(root)))
    });
    ThumbprintInOtherCase: Binding(|seen| {
        leaf(seen).is_some_and(|own| seen.bound_to().is_some_and(|text| text != own && text.eq_ignore_ascii_case(&own)))
    });
    ThumbprintInHex: Binding(|seen| {
        let hex: String = digest(seen).iter().map(|byte| format!("{byte:02x}")).collect();
        seen.bound_to() == Some(&hex)
    });
    ThumbprintPadded: Binding(|seen| seen.bound_to() == Some(&STANDARD.encode(digest(seen))));
    ThumbprintCut: Binding(|seen| {
        let part = URL_SAFE_NO_PAD.decode(seen.bound_to().unwrap_or_default()).unwrap_or_default();
        (1..32).contains(&part.len()) && digest(seen).starts_with(&part)
    });
    ThumbprintEmpty: Binding(|seen| seen.bound_to() == Some(""));
    ThumbprintAsList: Binding(|seen| {
        let own = leaf(seen).map(Value::from);
        seen.cnf["x5t#S256"].as_array().is_some_and(|list| list.iter().any(|one| Some(one) == own.as_ref()))
    });
    ThumbprintBySha1: Binding(|seen| {
        let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
        let own = seen.chain.first().map(|der| URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(algorithm, der)));
        seen.cnf["x5t"].as_str().is_some_and(|text| Some(text) == own.as_deref())
    });
    ThumbprintBesideKey: Binding(|seen| leaf(seen).is_some() && seen.bound_to() == leaf(seen).as_deref() && seen.cnf["kid"].is_string());

    // Headers that claim a certificate.
    ForgedByRfc9440: Binding(|seen| claims(seen, "Client-Cert"));
    ForgedChain: Binding(|seen| claims(seen, "Client-Cert-Chain"));
    ForgedTwice: Binding(|seen| {
        let mut values = seen.headers.iter().filter(|(name, _)| name == "Client-Cert").map(|(_, value)| value.as_str());
        values.next().is_some() && values.next().is_some_and(|value| is_of_owner(seen, value))
    });
    ForgedByEnvoy: Binding(|seen| {
        let hash = seen.header("X-Forwarded-Client-Cert").and_then(|value| value.split("Hash=").nth(1));
        hash.and_then(|rest| rest.split(';').next()).is_some_and(|hash| is_of_owner(seen, hash))
    });
    ForgedByNginx: Binding(|seen| claims(seen, "X-SSL-Client-Escaped-Cert"));
    ForgedByIngress: Binding(|seen| claims(seen, "ssl-client-cert"));
    ForgedByHaproxy: Binding(|seen| claims(seen, "X-SSL-Client-DER"));
    ForgedByTraefik: Binding(|seen| claims(seen, "X-Forwarded-Tls-Client-Cert"));
    ForgedByAmazon: Binding(|seen| claims(seen, "X-Amzn-Mtls-Clientcert-Leaf"));
    ForgedByAzure: Binding(|seen| claims(seen, "X-ARR-ClientCert"));
    ForgedByGoogle: Binding(|seen| claims(seen, "X-Client-Cert-Leaf"));
    ForgedByCloudflare: Binding(|seen| claims(seen, "Cf-Client-Cert-Der-Base64"));
    ForgedByCaddy: Binding(|seen| claims(seen, "X-Tls-Client-Certificate-Der-Base64"));
    ForgedByApache: Binding(|seen| claims(seen, "SSL_CLIENT_CERT"));
    ForgedByOthers: Binding(|seen| claims(seen, "X-Client-Cert"));
    ForgedThumbprint: Binding(|seen| claims(seen, "X-SSL-Client-Fingerprint"));
    ForgedWithUnderscores: Binding(|seen| claims(seen, "X_SSL_Client_Cert"));
    ForgedInCapitals: Binding(|seen| claims(seen, "SSL-CLIENT-CERT"));
}

/// The thumbprint of the leaf.
fn leaf(seen: &Seen<'_>) -> Option<String> {
    seen.chain.first().map(sha256)
}

fn digest(seen: &Seen<'_>) -> Vec<u8> {
    leaf(seen).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default()
}

fn is_current_owner(seen: &Seen<'_>) -> bool {
    seen.bound_to() == leaf(seen).as_deref()
}

fn claims(seen: &Seen<'_>, name: &str) -> bool {
    seen.header(name).is_some_and(|value| is_of_owner(seen, value))
}

/// Whether a header contains the certificate of the token, or its thumbprint, in any form.
fn is_of_owner(seen: &Seen<'_>, value: &str) -> bool {
    let Some(expected) = seen.bound_to().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()) else {
        return false;
    };
    let hex: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    if value == hex || seen.bound_to() == Some(value) {
        return true;
    }
    let plain =
        unescaped(value).replace("-----BEGIN CERTIFICATE-----", "").replace("-----END CERTIFICATE-----", "");
    let plain: String = plain.chars().filter(|letter| !letter.is_whitespace() && *letter != ':').collect();
    STANDARD.decode(plain).is_ok_and(|der| Some(sha256(der).as_str()) == seen.bound_to())
}

fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
