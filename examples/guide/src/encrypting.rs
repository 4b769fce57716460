//! `encrypting.md`: mutual TLS between services.

use std::{error::Error, path::Path};

use axum::Router;
use service_only::{
    Dpop, Identity, KeySet, Proof, TrustedIssuer, Verifier,
    error::BuildError,
    issue::{DelegatedToken, DpopKey, IssueError, Issuer, MintedToken},
    shutdown::shutdown_signal,
};
use service_only_client::{AttachToken, InvalidOrigin, TokenSource};
use service_only_tls::{Certificate, InvalidSpiffeId, Tls, TlsError, TlsFiles, TlsServer};
use tokio::net::TcpListener;

async fn serve(router: Router, folder: &Path) -> Result<(), Box<dyn Error>> {
    let tls = TlsFiles::cert_manager(folder).open()?;
    let listener = TcpListener::bind("0.0.0.0:8443").await?;
    TlsServer::new(tls).serve(listener, router, shutdown_signal()?).await?;
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

fn of_the_agent() -> Result<Tls, TlsError> {
    TlsFiles::workload_api("/run/spire/agent-sockets/spire-agent.sock").open()
}

fn bound(issuer: &Issuer, certificate: &Certificate) -> Result<MintedToken, IssueError> {
    issuer.token_for("orders").bind_certificate(*certificate.thumbprint()).mint()
}

fn proven(keys: KeySet) -> Result<Verifier, BuildError> {
    Verifier::builder().issuer("bakery-auth").keys(keys).require_proof(Proof::Mtls).build()
}

fn with_dpop(keys: KeySet) -> Result<Verifier, BuildError> {
    Verifier::builder().issuer("bakery-auth").keys(keys).dpop(Dpop::new("https://orders.internal")).build()
}

fn bound_to_key(issuer: &Issuer, key: &DpopKey) -> Result<MintedToken, IssueError> {
    issuer.token_for("billing").bind_key(key.thumbprint()).mint()
}

fn signing_client(tokens: TokenSource, key: DpopKey) -> Result<AttachToken, InvalidOrigin> {
    Ok(AttachToken::from(tokens).to("https://orders.internal")?.dpop(key))
}

fn without_tokens() -> Result<Verifier, BuildError> {
    let domain = TrustedIssuer::spiffe_x509("bakery.example")
        .name("spiffe://bakery.example/ns/shop/sa/orders", "orders");
    Verifier::builder().trust(domain).build()
}

fn pass_on(issuer: &Issuer, caller: &Identity, own: &Certificate) -> Result<DelegatedToken, IssueError> {
    issuer.on_behalf_of(caller, "gateway").audience("orders").bind_certificate(*own.thumbprint()).mint()
}

fn behind(gateway: &str, tls: Tls) -> Result<TlsServer, InvalidSpiffeId> {
    TlsServer::new(tls).trust_forwarded_from(gateway)
}
