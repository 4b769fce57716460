//! A server with mutual TLS that was written by hand, without `service-only-tls`, and may have one hole. Its guard is
//! the handmade verifier of the other broken services, with a check of bound tokens.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, RwLock},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use axum::{Router, body::Body, routing::any};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Request;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, HandshakeKind, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use serde_json::Value;
use service_only_testkit::{TestAuthority, TestCa, TestCertificate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    hole::{Hole, Kind},
    rules::{Presented, Refusal},
};
use crate::broken::{
    flaw::Flaw,
    verifier::{self, HandMade},
};

/// The state of the server, which all connections share.
#[derive(Debug)]
pub(super) struct Server {
    hole: Option<Kind>,
    provider: Arc<CryptoProvider>,
    /// The authority that stays, and the one that may be withdrawn.
    roots: RwLock<Vec<TestCa>>,
    used: Mutex<HashSet<String>>,
}

/// A request, its token and its connection.
pub(super) struct Seen<'r> {
    /// The headers, as they were sent.
    pub(super) headers: &'r [(String, String)],
    pub(super) cnf: &'r Value,
    /// The certificates of the client, with the leaf first; empty without one.
    pub(super) chain: &'r [Vec<u8>],
    /// The roots of the server.
    pub(super) roots: Vec<Vec<u8>>,
    /// Whether its owner has sent the token before.
    pub(super) was_used: bool,
}

impl Seen<'_> {
    /// The thumbprint in the token, as text.
    pub(super) fn bound_to(&self) -> Option<&str> {
        self.cnf["x5t#S256"].as_str()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

pub(super) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref()))
}

impl Server {
    pub(super) fn new(ca: &TestCa, withdrawn: &TestCa, hole: Option<&Hole>) -> Arc<Self> {
        Arc::new(Self {
            hole: hole.map(|hole| hole.kind),
            provider: Arc::new(default_provider()),
            roots: RwLock::new(vec![ca.clone(), withdrawn.clone()]),
            used: Mutex::default(),
        })
    }

    /// Trusts the second root, or withdraws it.
    pub(super) fn trust(&self, root: &TestCa, is_trusted: bool) {
        let mut roots = self.roots.write().unwrap();
        roots.truncate(1);
        if is_trusted {
            roots.push(root.clone());
        }
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        let roots = self.roots.read().unwrap();
        roots.iter().map(|ca| CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap().to_vec()).collect()
    }

    /// Serves on a port until the test ends.
    pub(super) async fn start(
        self: &Arc<Self>,
        authority: &TestAuthority,
        own: &TestCertificate,
    ) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(self.config(own)));
        let guard = HandMade::new(authority, Some(Flaw::BindingIgnored), None);
        let guard = Router::new().fallback(any(verifier::handle)).with_state(guard);
        let server = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (server, acceptor, guard) = (Arc::clone(&server), acceptor.clone(), guard.clone());
                tokio::spawn(async move { server.serve(&acceptor, stream, guard).await });
            }
        });
        address
    }

    fn config(self: &Arc<Self>, own: &TestCertificate) -> ServerConfig {
        let versions: &[_] = match self.hole {
            Some(Kind::Resumes13) => &[&TLS13],
            _ => &[&TLS13, &TLS12],
        };
        let chain = own.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::from_pem_slice(own.key_pem().as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(Arc::new(Verifier(Arc::clone(self))))
            .with_single_cert(chain, key)
            .unwrap();
        config.session_storage = match self.hole {
            Some(Kind::Resumes12 | Kind::Resumes13) => ServerSessionMemoryCache::new(64),
            _ => Arc::new(NoServerSessionStorage {}),
        };
        config.send_tls13_tickets = if matches!(self.hole, Some(Kind::Resumes13)) { 2 } else { 0 };
        config
    }

    async fn serve(&self, acceptor: &TlsAcceptor, stream: TcpStream, guard: Router) {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|der| der.to_vec()).collect();
        // Whoever resumes sessions trusts them.
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        let mut received = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = received.windows(4).position(|end| end == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                    return;
                }
            };
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end);
            let (status, body) = self.answer(&head, (&chain, is_resumed), guard.clone()).await;
            let length = body.len();
            let response = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n{body}");
            if stream.write_all(response.as_bytes()).await.is_err() || head.contains("Connection: close") {
                let _ = stream.shutdown().await;
                return;
            }
        }
    }

    async fn answer(&self, head: &str, connection: (&[Vec<u8>], bool), guard: Router) -> (u16, String) {
        let mut lines = head.lines();
        let mut start = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Body::empty()) else { return (400, String::new()) };
        let response = guard.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        if status != 200 {
            return (status, String::new());
        }
        let token = headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value);
        if !token.is_some_and(|token| self.is_bound(token, &headers, connection)) {
            return (401, String::new());
        }
        (200, String::from_utf8_lossy(&body).into_owned())
    }

    /// Whether the connection proves the binding of an authentic token.
    fn is_bound(
        &self,
        token: &str,
        headers: &[(String, String)],
        (chain, is_resumed): (&[Vec<u8>], bool),
    ) -> bool {
        let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
        let claims: Value = serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default();
        let Some(cnf) = claims.get("cnf") else { return true };
        let was_used = self.used.lock().unwrap().contains(token);
        let seen = Seen { headers, cnf, chain, roots: self.roots(), was_used };
        if let Some(Kind::Binding(accepts)) = self.hole
            && accepts(&seen)
        {
            return true;
        }
        let Some(leaf) = chain.first() else { return false };
        let is_own = seen.bound_to() == Some(sha256(leaf).as_str());
        if matches!(self.hole, Some(Kind::Remembers)) && was_used && !is_own {
            return true;
        }
        let is_only = cnf.as_object().is_some_and(|members| members.len() == 1);
        let is_proven = is_only && is_own && (is_resumed || self.is_current(chain));
        if is_proven {
            self.used.lock().unwrap().insert(token.to_owned());
        }
        is_proven
    }

    /// Whether the roots of now verify the certificate of a connection.
    fn is_current(&self, chain: &[Vec<u8>]) -> bool {
        if matches!(self.hole, Some(Kind::KeepsConnections)) {
            return true;
        }
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let (leaf, intermediates) = chain.split_first().unwrap();
        self.verify(leaf, intermediates, UnixTime::now()).is_ok()
    }

    /// Path and rules, or the hole.
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let path = self.path(leaf, intermediates, now).map_err(Refusal::Path);
        let refusal = match path.and_then(|()| Presented::check(leaf, intermediates)) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        match (refusal, self.hole) {
            (refusal, Some(Kind::Accepts(accepts)))
                if Presented::with(leaf, intermediates, &refusal, self.roots(), now, accepts) =>
            {
                Ok(())
            }
            (Refusal::Path(error), _) => Err(error),
            (Refusal::Rule(why), _) => Err(Error::General(why.to_owned())),
        }
    }

    fn path(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        for root in self.roots() {
            roots.add(root.into()).unwrap();
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .unwrap();
        verifier.verify_client_cert(leaf, intermediates, now).map(drop)
    }
}

/// What rustls asks about a client.
#[derive(Debug)]
struct Verifier(Arc<Server>);

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.0.hole.is_some_and(Kind::needs_no_certificate)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify(leaf, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.0.hole, Some(Kind::Signature12)) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if matches!(self.0.hole, Some(Kind::Signature13)) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        // webpki cannot read some certificates that a hole accepts.
        if matches!(self.0.hole, Some(Kind::Accepts(_))) {
            let (_, leaf) = X509Certificate::from_der(certificate).unwrap();
            let key = &leaf.public_key().subject_public_key.data;
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
            let is_valid = key.verify(message, signature.signature()).is_ok();
            return if is_valid {
                Ok(HandshakeSignatureValid::assertion())
            } else {
                Err(Error::General("a forged signature".to_owned()))
            };
        }
        let algorithms = &self.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}
