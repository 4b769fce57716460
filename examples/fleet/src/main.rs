//! A service of a fleet. It finds the keys of its issuer by discovery, follows the revocations of the fleet's store, and
//! reports which keys it has, so that a rotation waits for it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use service_only::{
    Caller, ClosedRouter, JsonLinesAudit, RemoteJwks, TrustedIssuer, Verifier,
    closed::get,
    public, service_only,
    shutdown::{drain, shutdown_signal},
};
use service_only_store::{SqlRevocations, rotation::KeyReporter};
use tokio::net::TcpListener;

/// How long the program waits for the revocations when it starts.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// One service of a fleet
#[derive(Debug, Parser)]
struct Settings {
    /// The name of this instance in the store, such as the name of its pod
    #[arg(long, env = "SERVICE_NAME")]
    name: String,
    /// The address to listen on
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:3000")]
    listen: String,
    /// The issuer, an https URL below which the discovery document is
    #[arg(long, env = "ISSUER")]
    issuer: String,
    /// The audience that tokens must name
    #[arg(long, env = "AUDIENCE")]
    audience: String,
    /// The certificate authority of the issuer's server, in PEM [default: those of the system]
    #[arg(long, env = "AUTHORITY")]
    authority: Option<PathBuf>,
    /// The store of the fleet
    #[arg(long, env = "STORE", hide_env_values = true)]
    store: String,
    /// The longest time between two fetches of the keys
    #[arg(long, env = "REFRESH", default_value = "5m", value_parser = humantime::parse_duration)]
    refresh: Duration,
}

#[service_only(services("orders", "inventory"))]
async fn greet(caller: Caller) -> String {
    format!("hello, {}\n", caller.service())
}

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok\n"
}

fn app(verifier: Verifier) -> ClosedRouter {
    ClosedRouter::new().route("/", get(greet)).route("/healthz", get(healthz)).with_state(verifier)
}

impl Settings {
    /// Fetches the keys. The server's `Cache-Control` decides how often, between a second and `refresh`.
    async fn keys(&self) -> anyhow::Result<RemoteJwks> {
        let mut keys =
            RemoteJwks::discover(&self.issuer).refresh_between(Duration::from_secs(1), self.refresh);
        if let Some(path) = &self.authority {
            let pem = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            keys = keys.root_certificates(pem);
        }
        Ok(keys.start().await?)
    }

    async fn revocations(&self) -> anyhow::Result<SqlRevocations> {
        let revocations = SqlRevocations::of(&self.store).start()?;
        let loaded = tokio::time::timeout(LOAD_TIMEOUT, revocations.loaded()).await;
        ensure!(loaded.is_ok(), "the revocations were not read within {LOAD_TIMEOUT:?}");
        Ok(revocations)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();

    let keys = settings.keys().await?;
    let reporter = KeyReporter::of(&settings.store, &settings.name, &settings.issuer, keys.clone())
        .refresh_every(settings.refresh)
        .start()?;
    let issuer = TrustedIssuer::strict(&settings.issuer).keys(keys).audience(&settings.audience);
    let verifier = Verifier::builder()
        .trust(issuer)
        .revocation(reporter.before(settings.revocations().await?))
        .audit(JsonLinesAudit::to_writer(std::io::stdout())?)
        .build()?;

    let listener = TcpListener::bind(&settings.listen).await.context("cannot listen")?;
    let server = axum::serve(listener, app(verifier)).with_graceful_shutdown(shutdown_signal()?);
    drain(server).await.map_err(anyhow::Error::from_boxed)?;
    // The uses that were seen since the last report must not be lost.
    reporter.report().await.context("the last report was not written")
}
