//! `encrypting.md`: mutual TLS between services.

use std::{error::Error, path::Path};

use axum::Router;
use service_only::{
    KeySet, Proof, Verifier,
    error::BuildError,
    issue::{IssueError, Issuer, MintedToken},
};
use service_only_tls::{Certificate, InvalidSpiffeId, Tls, TlsError, TlsFiles, TlsServer};
use tokio::net::TcpListener;

async fn serve(router: Router, folder: &Path) -> Result<(), Box<dyn Error>> {
    let tls = TlsFiles::cert_manager(folder).open()?;
    let listener = TcpListener::bind("0.0.0.0:8443").await?;
    TlsServer::new(tls).serve(listener, router, std::future::pending()).await?;
    Ok(())
}

fn client(tls: &Tls) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured((*tls.client_config()).clone())
        .https_only(true)
        .build()
}

fn health(tls: &Tls) -> Result<String, TlsError> {
    let status = tls.status();
    let text = format!("revision {} is valid until {}", status.revision, status.not_after);
    status.error.map_or(Ok(text), Err)
}

fn bound(issuer: &Issuer, certificate: &Certificate) -> Result<MintedToken, IssueError> {
    issuer.token_for("orders").bind_certificate(*certificate.thumbprint()).mint()
}

fn proven(keys: KeySet) -> Result<Verifier, BuildError> {
    Verifier::builder().issuer("bakery-auth").keys(keys).require_proof(Proof::Mtls).build()
}

fn behind(gateway: &str, tls: Tls) -> Result<TlsServer, InvalidSpiffeId> {
    TlsServer::new(tls).trust_forwarded_from(gateway)
}
