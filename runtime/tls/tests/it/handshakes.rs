//! Which peers a handshake accepts. Each class breaks one property of a valid peer.

use std::{fs, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, HandshakeKind,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use service_only::clock::{Clock, Timestamp};
use service_only_testkit::{
    TestCa, TestCertificate,
    tls::{
        LeafDraft,
        rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose},
    },
};
use service_only_tls::{RefusalCode, Role, Tls, TlsEvent, TlsFiles};

use crate::fleet::{DOMAIN, Failed, Member, applied, id, meet, shake, wall_clock, write};

/// A client that accepts every server, and presents any certificate.
fn careless(certificate: Option<&TestCertificate>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)));
    Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let (chain, key) = parts(certificate);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

fn parts(certificate: &TestCertificate) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = certificate.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
    (chain, PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap())
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The code with which the server refuses a client; `None` if it accepts it.
fn verdict(files: TlsFiles, certificate: &TestCertificate) -> Option<RefusalCode> {
    let (sender, codes) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let tls = files.observe(move |event| {
        if let TlsEvent::PeerRefused { role: Role::Client, code, .. } = event {
            sender.lock().unwrap().send(*code).unwrap();
        }
    });
    match shake(careless(Some(certificate)), tls.open().unwrap().server_config(), "localhost") {
        Ok(_) => None,
        Err(Failed::Server(_)) => Some(codes.try_recv().unwrap()),
        Err(Failed::Client(error)) => panic!("the client refused: {error}"),
    }
}

type Break = for<'c> fn(LeafDraft<'c>) -> LeafDraft<'c>;

/// The classes of client certificates that a server refuses, and the rule that must do so.
const CLASSES: &[(&str, RefusalCode, Break)] = &[
    ("expired", RefusalCode::Expired, |leaf| leaf.expired()),
    ("not yet valid", RefusalCode::NotYetValid, |leaf| leaf.not_yet_valid()),
    ("an authority as a leaf", RefusalCode::CertificateAuthority, |leaf| leaf.as_authority()),
    ("a leaf that may sign certificates", RefusalCode::CertificateAuthority, |leaf| {
        leaf.key_usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign])
    }),
    ("a leaf that may sign revocation lists", RefusalCode::CertificateAuthority, |leaf| {
        leaf.key_usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign])
    }),
    ("no digital signature", RefusalCode::Usage, |leaf| leaf.key_usage(&[KeyUsagePurpose::KeyAgreement])),
    ("no key usage", RefusalCode::Usage, |leaf| leaf.key_usage(&[])),
    ("for servers only", RefusalCode::Usage, |leaf| {
        leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::ServerAuth])
    }),
    ("any extended usage", RefusalCode::Usage, |leaf| {
        leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::Any])
    }),
    ("for another protocol", RefusalCode::Usage, |leaf| {
        leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::EmailProtection])
    }),
    ("no name", RefusalCode::Names, |leaf| leaf.without_names()),
    ("no SPIFFE ID", RefusalCode::Names, |leaf| leaf.without_names().dns("orders")),
    ("two SPIFFE IDs", RefusalCode::Names, |leaf| leaf.spiffe_id("spiffe://bakery.example/billing")),
    ("a SPIFFE ID and a URL", RefusalCode::Names, |leaf| leaf.spiffe_id("https://bakery.example")),
    ("an upper-case scheme", RefusalCode::Names, |leaf| {
        leaf.without_names().spiffe_id("SPIFFE://bakery.example/orders")
    }),
    ("no path", RefusalCode::Names, |leaf| leaf.without_names().spiffe_id("spiffe://bakery.example")),
    ("a parent in the path", RefusalCode::Names, |leaf| {
        leaf.without_names().spiffe_id("spiffe://bakery.example/a/../orders")
    }),
    ("a port in the trust domain", RefusalCode::Names, |leaf| {
        leaf.without_names().spiffe_id("spiffe://bakery.example:1/orders")
    }),
    ("another trust domain", RefusalCode::NoRoots, |leaf| {
        leaf.without_names().spiffe_id("spiffe://partner.example/orders")
    }),
    ("a trust domain that begins like the own", RefusalCode::NoRoots, |leaf| {
        leaf.without_names().spiffe_id("spiffe://bakery.example.evil/orders")
    }),
];

#[test]
fn a_client_certificate_that_breaks_one_rule_is_refused_by_that_rule() {
    let ca = TestCa::new(DOMAIN);
    let server = Member::of(&ca, "server");
    let valid = || ca.leaf().spiffe_id(&id("orders"));
    assert_eq!(verdict(server.files(), &valid().issue()), None);
    for (class, code, broken) in CLASSES {
        assert_eq!(verdict(server.files(), &broken(valid()).issue()), Some(*code), "{class}");
    }
}

#[test]
fn a_client_of_another_authority_or_without_a_certificate_is_refused() {
    let (ca, other) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let server = Member::of(&ca, "server");
    let stranger = other.leaf().spiffe_id(&id("orders")).issue();
    assert_eq!(verdict(server.files(), &stranger), Some(RefusalCode::Path));
    let nothing = shake(careless(None), server.open().server_config(), "localhost");
    assert!(matches!(nothing, Err(Failed::Server(rustls::Error::NoCertificatesPresented))));
}

/// A self-signed leaf, and a leaf signed by a leaf.
#[test]
fn a_leaf_that_no_authority_signed_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let server = Member::of(&ca, "server");
    // The intermediate authority is not signed by the root.
    let unknown = TestCa::new("unknown").intermediate(DOMAIN);
    let leaf = unknown.leaf().spiffe_id(&id("orders")).issue();
    assert_eq!(verdict(server.files(), &leaf), Some(RefusalCode::Path));
}

/// webpki ignores the key usage of an authority.
#[test]
fn an_intermediate_that_may_not_sign_certificates_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let server = Member::of(&ca, "server");
    let of = |usages: &[KeyUsagePurpose]| {
        let issuing = ca.intermediate_with("issuing", |params| params.key_usages = usages.to_vec());
        verdict(server.files(), &issuing.leaf().spiffe_id(&id("orders")).issue())
    };
    assert_eq!(of(&[KeyUsagePurpose::KeyCertSign]), None);
    assert_eq!(of(&[]), None, "without the extension, every usage is allowed");
    let wrong = [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    assert_eq!(of(&wrong), Some(RefusalCode::Path));
}

#[test]
fn a_name_outside_the_constraints_of_its_authority_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let server = Member::new(&ca.leaf().issue(), &ca);
    let limited = ca.limited_to("partner", "partner.example");
    let of = |name: &str| limited.leaf().without_names().dns(name).issue();
    assert_eq!(verdict(server.files(), &of("orders.partner.example")), None);
    assert_eq!(verdict(server.files(), &of("orders.bakery.example")), Some(RefusalCode::Path));
}

#[test]
fn roots_of_a_trust_domain_verify_only_ids_of_that_domain() {
    let (ca, partner) = (TestCa::new(DOMAIN), TestCa::new("partner.example"));
    let server = Member::of(&ca, "server");
    write(server.path("partner.crt"), partner.pem());
    let files = || server.files().trust_domain("partner.example", server.path("partner.crt"));
    let theirs = |uri: &str| partner.leaf().spiffe_id(uri).issue();
    assert_eq!(verdict(files(), &theirs("spiffe://partner.example/orders")), None);
    assert_eq!(verdict(files(), &theirs(&id("orders"))), Some(RefusalCode::Path), "a name of the own domain");
    let ours = ca.leaf().spiffe_id("spiffe://partner.example/orders").issue();
    assert_eq!(verdict(files(), &ours), Some(RefusalCode::Path), "the own roots for a name of the partner");
}

#[test]
fn an_expired_root_verifies_nothing_even_if_it_expired_after_it_was_loaded() {
    let clock = wall_clock();
    let now = clock.now().unix();
    let short = TestCa::valid_from(DOMAIN, now - 60, 600);
    let long = TestCa::new(DOMAIN);
    let server = Member::new(&long.leaf().spiffe_id(&id("server")).issue(), &long);
    write(server.path("ca.crt"), format!("{}{}", long.pem(), short.pem()));
    let tls = server.files().clock(clock.clone()).open().unwrap();
    let (old, new) = (short.leaf().spiffe_id(&id("a")).issue(), long.leaf().spiffe_id(&id("b")).issue());
    let accepted = |leaf| shake(careless(Some(leaf)), tls.server_config(), "localhost").is_ok();
    assert!(accepted(&old) && accepted(&new));
    clock.advance(Duration::from_secs(601));
    assert!(!accepted(&old) && accepted(&new));
}

#[test]
fn the_server_must_have_the_called_name_or_the_configured_id() {
    let ca = TestCa::new(DOMAIN);
    let (orders, billing) = (Member::of(&ca, "orders").open(), Member::of(&ca, "billing"));
    let call = |client: &Tls, name: &str| shake(client.client_config(), orders.server_config(), name);
    let plain = billing.open();
    assert!(call(&plain, "localhost").is_ok() && call(&plain, "127.0.0.1").is_ok());
    assert!(matches!(call(&plain, "orders.example"), Err(Failed::Client(_))));
    let by_id = billing.files().server_id("orders.example", id("orders")).open().unwrap();
    assert!(call(&by_id, "orders.example").is_ok() && call(&by_id, "ORDERS.example").is_ok());
    let other = billing.files().server_id("localhost", id("billing")).open().unwrap();
    assert!(
        matches!(call(&other, "localhost"), Err(Failed::Client(_))),
        "the name fits, and the ID does not"
    );
    let foreign = billing.files().server_id("localhost", "spiffe://other.example/orders").open().unwrap();
    assert!(matches!(call(&foreign, "localhost"), Err(Failed::Client(_))), "the path fits");
}

#[test]
fn a_server_certificate_that_breaks_a_rule_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let client = Member::of(&ca, "client").open();
    for (class, broken) in [
        ("expired", (|leaf| leaf.expired()) as Break),
        ("not yet valid", |leaf| leaf.not_yet_valid()),
        ("for clients only", |leaf| leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::ClientAuth])),
        ("an authority", |leaf| leaf.as_authority()),
        ("two IDs", |leaf| leaf.spiffe_id("spiffe://bakery.example/billing")),
    ] {
        let certificate = broken(ca.leaf().spiffe_id(&id("orders"))).issue();
        let (chain, key) = parts(&certificate);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let met = shake(client.client_config(), Arc::new(server), "localhost");
        assert!(matches!(met, Err(Failed::Client(_))), "{class}");
    }
}

#[test]
fn tls_1_2_is_refused_unless_it_is_allowed() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let old = {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate = ca.leaf().spiffe_id(&id("old")).issue();
        let (chain, key) = parts(&certificate);
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_client_auth_cert(chain, key)
            .unwrap();
        Arc::new(client)
    };
    let refused = shake(Arc::clone(&old), member.open().server_config(), "localhost");
    assert!(matches!(refused, Err(Failed::Server(_))));
    let allowing = member.files().allow_tls12().open().unwrap();
    // Also with TLS 1.2, no session is resumed.
    for _ in 0..2 {
        let (client, _) = shake(Arc::clone(&old), allowing.server_config(), "localhost").unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    }
}

#[test]
fn no_session_is_resumed() {
    let ca = TestCa::new(DOMAIN);
    let tls = Member::of(&ca, "orders").open();
    let client = careless(Some(&ca.leaf().spiffe_id(&id("client")).issue()));
    for _ in 0..3 {
        // The careless client would resume, and is never offered a ticket.
        let (client, server) = shake(Arc::clone(&client), tls.server_config(), "localhost").unwrap();
        assert!(matches!(
            client.handshake_kind(),
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
        ));
        assert!(server.handshake_kind() != Some(HandshakeKind::Resumed));
        assert_eq!(client.tls13_tickets_received(), 0);
        let (own, _) = meet(&tls, &tls).unwrap();
        assert!(own.handshake_kind() != Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_client_without_a_certificate_is_accepted_if_configured_and_has_no_identity() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let tls = member.files().allow_clients_without_certificate().open().unwrap();
    let (_, server) = shake(careless(None), tls.server_config(), "localhost").unwrap();
    assert!(tls.client_certificate(&server).is_none());
    // A wrong certificate is not the same as none.
    let stranger = TestCa::new(DOMAIN).leaf().spiffe_id(&id("orders")).issue();
    assert!(shake(careless(Some(&stranger)), tls.server_config(), "localhost").is_err());
}

#[test]
fn the_certificate_of_a_client_is_known_after_the_handshake_and_verified_again_after_each_change_of_roots() {
    let (ca, next) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let server = Member::of(&ca, "server");
    let tls = server.open();
    let orders = ca.leaf().spiffe_id(&id("orders")).issue();
    let (_, connection) = shake(careless(Some(&orders)), tls.server_config(), "localhost").unwrap();
    let peer = tls.client_certificate(&connection).unwrap();
    assert_eq!(peer.spiffe_id(), Some(&*id("orders")));
    assert_eq!(peer.thumbprint()[..], orders.thumbprint()[..]);
    assert_eq!(peer.forwarded_by(), None);
    let now = service_only::clock::SystemClock.now();
    assert!(peer.is_valid_at(now) && peer.is_valid_at(peer.not_after()));
    assert!(!peer.is_valid_at(Timestamp::from_unix(peer.not_after().unix() + 1)));

    // Both roots, then the new one only.
    let both = format!("{}{}", ca.pem(), next.pem());
    write(server.path("ca.crt"), &both);
    applied(&tls, 2);
    assert!(peer.is_valid_at(now), "its root is still trusted");
    let own = next.leaf().spiffe_id(&id("server")).issue();
    write(server.path("tls.crt"), own.chain_pem());
    write(server.path("tls.key"), own.key_pem());
    applied(&tls, 3);
    write(server.path("ca.crt"), next.pem());
    applied(&tls, 4);
    assert!(!peer.is_valid_at(now), "its root is gone");
    assert!(tls.client_certificate(&connection).is_none());
    assert!(shake(careless(Some(&orders)), tls.server_config(), "localhost").is_err());
    fs::write(server.path("ca.crt"), both).unwrap();
    applied(&tls, 5);
    assert!(peer.is_valid_at(now), "its root is back");
}

#[test]
fn configurations_stay_the_same_and_present_the_current_certificate() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let tls = member.open();
    let (server, client) = (tls.server_config(), tls.client_config());
    let next = ca.leaf().spiffe_id(&id("orders-2")).issue();
    next.write_cert_manager(member.folder.path(), &ca).unwrap();
    applied(&tls, 2);
    assert!(Arc::ptr_eq(&server, &tls.server_config()) && Arc::ptr_eq(&client, &tls.client_config()));
    let (client, server) = shake(client, server, "localhost").unwrap();
    for chain in [client.peer_certificates(), server.peer_certificates()] {
        assert_eq!(chain.unwrap()[0].as_ref(), next.der());
    }
}

#[test]
fn a_server_without_roots_asks_for_no_certificate_and_its_client_side_refuses_every_server() {
    let ca = TestCa::new(DOMAIN);
    let (orders, billing) = (Member::of(&ca, "orders"), Member::of(&ca, "billing").open());
    let lone = TlsFiles::server_certificate(orders.path("tls.crt"), orders.path("tls.key")).open().unwrap();
    for client in [careless(None), billing.client_config()] {
        let (_, server) = shake(client, lone.server_config(), "localhost").unwrap();
        assert!(server.peer_certificates().is_none());
        assert!(lone.client_certificate(&server).is_none());
    }
    assert!(matches!(meet(&lone, &billing), Err(Failed::Client(_))));
}
