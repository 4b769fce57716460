//! `service-token serve`: publishes the JWK set over HTTPS, with discovery, health and metrics.
//!
//! It reads public halves only: the private key may be on another machine. `publication` reads what is published, `pages`
//! answers a request, and `crate::listener` accepts connections within limits.

mod metrics;
mod pages;
mod publication;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use service_only::shutdown::shutdown_signal;

use self::metrics::Metrics;
use self::pages::Pages;
use self::publication::{Publication, Timing};
use crate::config::{Config, DEFAULT_FILE};
use crate::database;
use crate::exit::Exit;
use crate::listener::certificate::Certificate;
use crate::listener::{Limits, Listener, Transport};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::StoreOptions;

const EXAMPLES: &str = "\
Exit codes: 0 ended by SIGTERM or Ctrl-C, 2 usage, files or the address, 4 the store
cannot be used.

Examples:
  service-token serve
  service-token serve --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key
  service-token serve --listen 127.0.0.1:9464 --metrics";

/// Serve the JWK set and its discovery document over HTTPS, until SIGTERM or SIGINT
///
/// It answers `/.well-known/jwks.json`, and `/.well-known/openid-configuration` if the issuer is an https URL. The set is
/// the one that `rotate` publishes: the keys of the store, and the other keys of the set file. It needs no private key, so
/// several replicas can run on other machines with the same PostgreSQL. `/healthz` and `/readyz` report its state.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeOptions {
    /// Configuration file [default: `service-token.toml`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOptions,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Certificate chain in PEM, read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM, read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Answer `/metrics` too: it names every service and key to each client that can reach the port
    #[arg(long)]
    metrics: bool,
    /// Listen without TLS on an address that other machines can reach. An attacker on the network can then replace
    /// the keys
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    dangerously_allow_http: bool,
}

pub(crate) fn run(options: &ServeOptions) -> Outcome<Exit> {
    let config = Config::find(options.config.as_deref(), true)?.ok_or_else(|| {
        Problem::usage(format!("no configuration: `{DEFAULT_FILE}` does not exist here"))
            .help("name one with `--config FILE`; `service-token init` writes one")
    })?;
    options.check_transport()?;
    config.rotation.settings.check().map_err(|why| {
        Problem::new(ProblemCode::BadConfig, why.to_string())
            .at(format!("{}: `[rotation]`", config.path.display()))
    })?;
    database::run(options.serve(&config))
}

impl ServeOptions {
    fn check_transport(&self) -> Outcome<()> {
        if self.tls_cert.is_some() || self.listen.ip().is_loopback() || self.dangerously_allow_http {
            return Ok(());
        }
        let reason =
            format!("`{}` can be reached from other machines, but no certificate is configured", self.listen);
        Err(Problem::usage(reason).help(
            "pass `--tls-cert FILE --tls-key FILE`; behind a proxy on this machine, listen on 127.0.0.1",
        ))
    }

    async fn serve(&self, config: &Config) -> Outcome<Exit> {
        let timing = Timing::of(&config.rotation.settings);
        let store = self.store.url(Some(config));
        let publication = Publication::start(config, store.clone(), timing).await?;
        let certificate = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(Certificate::of_server(cert, key)?),
            _ => None,
        };
        let metrics = self.metrics.then(|| Metrics::new(config, store));
        let publication = Arc::new(publication);
        let pages = Pages::new(&config.issuer, Arc::clone(&publication), certificate.clone(), metrics);
        let transport = certificate.map_or(Transport::Plain, Transport::Tls);
        let listener = Listener::bind(self.listen, transport, Limits::DEFAULT).await?;
        output::result(&format!("serving {}", listener.url()))?;
        if !pages.has_discovery() {
            output::note(&format!(
                "the issuer `{}` is not an https URL, so it has no discovery document; configure the URL of the set in each verifier",
                config.issuer
            ));
        }
        let ended = shutdown_signal()
            .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot catch signals: {error}")))?;
        let refresh = publication::follow(publication, timing.refresh);
        tokio::select! {
            () = listener.run(Arc::new(pages).service(), ended) => {}
            () = refresh => {}
        }
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests;
