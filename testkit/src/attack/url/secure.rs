//! Connections with TLS: those of the control, and those that an attack opens with another certificate.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    client::{ResolvesClientCert, Resumption, WebPkiServerVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Remote, keeps_connection};
use crate::{
    attack::{
        likeness::Reply,
        target::{Message, ReadBody, Unanswered},
    },
    tls::{Certificates, Connection, First, Kept, Session, TestCertificate, Trust},
};

/// The client of an attack over TLS.
#[derive(Debug)]
pub(super) struct Client {
    /// The host of the URL, without its port.
    host: String,
    certificates: Arc<Certificates>,
}

type Exchanged = io::Result<Result<Reply, Unanswered>>;

impl Client {
    pub(super) fn new(authority: &str, certificates: Arc<Certificates>) -> Self {
        let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        Self { host: host.to_owned(), certificates }
    }

    /// Sends a request over a new connection, or over the one that an earlier request has left.
    pub(super) async fn exchange(
        &self,
        remote: &Remote,
        stream: TcpStream,
        message: &Message,
        read: ReadBody,
    ) -> Exchanged {
        match &message.connection {
            None => {
                let own = Connection {
                    certificate: self.certificates.own().cloned(),
                    only_tls12: false,
                    session: None,
                };
                match self.open(stream, &own).await? {
                    Ok(mut stream) => remote.converse(&mut stream, message, read).await,
                    Err(refused) => Ok(Err(refused)),
                }
            }
            Some(connection @ Connection { session: Some(session), .. }) => {
                self.of_session(remote, stream, (connection, session), message, read).await
            }
            Some(connection) => Ok(match self.open(stream, connection).await {
                Ok(Ok(mut stream)) => match remote.converse(&mut stream, message, read).await {
                    Ok(answer) => turned_away(answer),
                    Err(error) => Err(Unanswered::TurnedAway(error.to_string())),
                },
                Ok(Err(not_sent)) => Err(not_sent),
                Err(error) => Err(Unanswered::TurnedAway(error.to_string())),
            }),
        }
    }

    /// The first request of a session, or the one that continues it.
    async fn of_session(
        &self,
        remote: &Remote,
        stream: TcpStream,
        (connection, session): (&Connection, &Session),
        message: &Message,
        read: ReadBody,
    ) -> Exchanged {
        if session.is_first {
            session.state.keep(self.first(remote, stream, connection, message).await);
            return Ok(Err(Unanswered::Closed("a first request has no verdict".to_owned())));
        }
        let kept = match session.state.take() {
            First::Answered(kept) => kept,
            First::TurnedAway(why) => return Ok(Err(Unanswered::TurnedAway(why))),
            First::Unanswered => {
                return Ok(Err(Unanswered::NotSent(
                    "the first request of the session got no answer".to_owned(),
                )));
            }
        };
        let _withdrawn = session.trust.as_ref().map(Withdrawn::new);
        let answer = match (session.how, kept) {
            (Kept::Connection, Some(mut stream)) => remote.converse(&mut stream, message, read).await,
            (Kept::Connection, None) => {
                return Ok(Err(Unanswered::TurnedAway("the service keeps no connection".to_owned())));
            }
            (Kept::Resumed, _) => match self.open(stream, connection).await {
                Ok(Ok(mut stream)) => {
                    let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                    // While the root is trusted, a full handshake is right.
                    if !is_resumed && session.trust.is_none() {
                        return Ok(Err(Unanswered::TurnedAway("the session is not resumed".to_owned())));
                    }
                    remote.converse(&mut stream, message, read).await
                }
                Ok(Err(not_sent)) => return Ok(Err(not_sent)),
                Err(error) => Err(error),
            },
        };
        Ok(match answer {
            Ok(answer) => turned_away(answer),
            Err(error) => Err(Unanswered::TurnedAway(error.to_string())),
        })
    }

    async fn first(
        &self,
        remote: &Remote,
        stream: TcpStream,
        connection: &Connection,
        message: &Message,
    ) -> First {
        let mut stream = match self.open(stream, connection).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return First::Unanswered,
            Err(error) => return First::TurnedAway(error.to_string()),
        };
        match remote.converse(&mut stream, message, ReadBody::Yes).await {
            Ok(Ok(reply)) if reply.status.is_success() => {
                First::Answered(keeps_connection(message).then(|| Box::new(stream) as _))
            }
            Ok(_) => First::Unanswered,
            Err(error) => First::TurnedAway(error.to_string()),
        }
    }

    /// Completes a handshake. An error of the connection is the service's; an answer is the client's.
    async fn open(
        &self,
        stream: TcpStream,
        connection: &Connection,
    ) -> io::Result<Result<TlsStream<TcpStream>, Unanswered>> {
        let not_sent = |why: String| Ok(Err(Unanswered::NotSent(why)));
        let config = match self.config(connection) {
            Ok(config) => Arc::new(config),
            Err(error) => return not_sent(error),
        };
        let config = match &connection.session {
            Some(session) => Arc::clone(session.state.config.get_or_init(|| config)),
            None => config,
        };
        let Ok(name) = ServerName::try_from(self.host.clone()) else {
            return not_sent("the host of the URL is not a name of a server".to_owned());
        };
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(Ok(stream)),
            Err(error) => {
                let own = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
                match own {
                    Some(rustls::Error::InvalidCertificate(why)) => {
                        not_sent(format!("the certificate of the service is refused: {why:?}"))
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn config(&self, connection: &Connection) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        for der in self.certificates.roots() {
            let root = CertificateDer::from(der.clone());
            roots.add(root).map_err(|error| format!("a root cannot be used: {error}"))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| error.to_string())?;
        let versions: &[_] = match connection {
            Connection { only_tls12: true, .. } => &[&TLS12],
            Connection { session: Some(_), .. } => &[&TLS13],
            _ => &[&TLS13, &TLS12],
        };
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).map_err(|error| error.to_string())?;
        let builder = builder.with_webpki_verifier(verifier);
        let mut config = match &connection.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(Presented::new(certificate)?)),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = match &connection.session {
            Some(Session { how: Kept::Resumed, .. }) => Resumption::in_memory_sessions(8),
            _ => Resumption::disabled(),
        };
        Ok(config)
    }
}

/// After a handshake of TLS 1.3, the service verifies the certificate and may close the connection.
fn turned_away(answer: Result<Reply, Unanswered>) -> Result<Reply, Unanswered> {
    answer.map_err(|unanswered| match unanswered {
        Unanswered::Closed(why) => Unanswered::TurnedAway(why),
        other => other,
    })
}

/// A root that is withdrawn until this is dropped.
struct Withdrawn<'t>(&'t Trust);

impl<'t> Withdrawn<'t> {
    fn new(trust: &'t Trust) -> Self {
        trust(false);
        Self(trust)
    }
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        (self.0)(true);
    }
}

/// A certificate that is always presented, whether the service asks for its authority or not. The key need not be the one
/// of the certificate.
#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl Presented {
    fn new(certificate: &TestCertificate) -> Result<Self, String> {
        let chain = certificate.chain().iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes())
            .map_err(|_| "the private key cannot be read".to_owned())?;
        let key = aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| "the private key is of a kind that TLS does not use".to_owned())?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Presented {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
