//! What rustls asks during a handshake. Every answer comes from the current material.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    time_provider::TimeProvider,
};
use service_only::{
    __satellite::WatchedFile,
    clock::{Clock, Timestamp},
};

use crate::{
    files::{FileSet, TlsEvent},
    names::SpiffeId,
    rules::{Refusal, RefusalCode, Role},
};

/// The certificate that this service presents.
pub(super) struct Ours {
    files: WatchedFile<FileSet>,
    presents: bool,
}

impl Ours {
    pub(super) fn new(files: WatchedFile<FileSet>, presents: bool) -> Self {
        Self { files, presents }
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.presents.then(|| Arc::clone(&self.files.current().content.own))
    }
}

impl ResolvesServerCert for Ours {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current()
    }

    fn has_certs(&self) -> bool {
        self.presents
    }
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ours")
    }
}

/// Verifies peers with the current roots.
pub(super) struct Peers {
    files: WatchedFile<FileSet>,
    provider: Arc<CryptoProvider>,
    /// The SPIFFE IDs of servers by the name under which they are called.
    servers: HashMap<String, SpiffeId>,
    mandatory: bool,
}

impl Peers {
    pub(super) fn new(
        files: WatchedFile<FileSet>,
        provider: Arc<CryptoProvider>,
        servers: HashMap<String, SpiffeId>,
        mandatory: bool,
    ) -> Self {
        Self { files, provider, servers, mandatory }
    }

    /// Checks that a server is authentic, and the one that was called.
    fn verify_server(
        &self,
        called: &ServerName<'_>,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let current = self.files.current();
        let (leaf, parsed) = current.content.verify_server(der, intermediates, timestamp(now))?;
        let Some(expected) = self.servers.get(&*called.to_str().to_ascii_lowercase()) else {
            return verify_server_name(&parsed, called).map_err(|error| Refusal::path(&error));
        };
        // The whole ID: an equal path in another trust domain is another workload.
        if leaf.spiffe_id.as_ref() == Some(expected) {
            return Ok(());
        }
        let found = leaf.spiffe_id.as_ref().map_or("no SPIFFE ID", SpiffeId::as_str);
        Err(Refusal::new(RefusalCode::WrongServer, format!("the server has {found}, expected {expected}")))
    }

    fn refused(&self, role: Role, refusal: Refusal) -> Error {
        let Refusal { code, reason } = &refusal;
        tracing::debug!(target: "service_only", ?role, code = code.as_str(), reason = &**reason, "the certificate of a peer is refused");
        (self.files.contents().observer.0)(&TlsEvent::PeerRefused { role, code: *code, reason });
        refusal.into()
    }

    fn verify_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Peers {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// Names no roots: they would be those of the start of the process.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.files.current().content.verify_peer(
            end_entity,
            intermediates,
            Role::Client,
            timestamp(now),
        ) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => Err(self.refused(Role::Client, refusal)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify_server(server_name, end_entity, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refusal) => Err(self.refused(Role::Server, refusal)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peers")
    }
}

fn timestamp(now: UnixTime) -> Timestamp {
    Timestamp::from_unix(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// The clock of the material as the one of rustls.
pub(super) struct Time(pub(super) Arc<dyn Clock>);

impl TimeProvider for Time {
    /// A time before 1970 cannot be expressed, and every handshake then fails.
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.now().unix()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
