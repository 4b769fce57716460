//! `service-token dashboard`: the reports on the audit log and the store in a browser.
//!
//! This module has the options and what they require of each other: elsewhere than on this machine, the pages are behind a
//! client certificate or a token. `site` has the pages.

mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hyper_util::service::TowerToHyperService;
use service_only::claims::ServiceName;
use service_only::keys::FileKeys;
use service_only::routes::{Access as RouteAccess, Requirements};
use service_only::shutdown::shutdown_signal;
use service_only::{JsonLinesAudit, ServiceOnlyLayer, TrustedIssuer, Verifier};
use service_only_store::SqlRevocations;
use tokio::sync::watch;
use tokio::time::timeout;

use self::site::App;
use self::site::access::{Access, Required};
use self::site::integrity::Integrity;
use self::site::log::{Log, Settings};
use self::site::registry::Registry;
use self::site::revocation::Revoker;

use crate::change::By;
use crate::commands::audit::{files, tree};
use crate::commands::endpoints;
use crate::config::{Config, Lifetime};
use crate::database;
use crate::exit::Exit;
use crate::listener::certificate::Certificate;
use crate::listener::{Limits, Listener, Transport};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::store::StoreAndConfig;

/// How long the program waits for the first read of the store, and for its revocations.
const FIRST_READ: Duration = Duration::from_secs(5);

/// A page with new decisions stays open for as long as a person looks at it. After this time the browser connects again.
const CONNECTION: Duration = Duration::from_secs(3600);

/// Open connections: a browser has up to six.
const CONNECTIONS: usize = 256;

/// How long requests may take after a signal to end.
const DRAIN: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Exit codes: 0 ended by SIGTERM or Ctrl-C, 2 usage, files or the address.

Examples:
  service-token dashboard audit.jsonl
  service-token dashboard logs/*/audit.jsonl* --endpoints orders.json --endpoints stock.json
  service-token dashboard audit.jsonl --allow-revoke --by ann
  service-token dashboard audit.jsonl --listen 0.0.0.0:9443 --tls-cert tls.crt --tls-key tls.key --tls-roots ca.crt
  service-token dashboard audit.jsonl --listen 0.0.0.0:9443 --tls-cert tls.crt --tls-key tls.key \\
      --host audit.example --allow-user-role auditor";

/// Show the audit log, the tokens and the keys in a browser
///
/// The pages have the reports of `usage`, `unused`, `anomalies`, `explain`, `audit verify` and `keys`, also as JSON. The
/// log is read once and then followed, also across a rotation. Only this machine reaches the pages, unless clients need a
/// certificate (--tls-roots) or a token (--allow-service, --allow-user-role).
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DashboardOptions {
    /// Audit files, also those of several services; plain ones are followed, gzip and zstd are read once
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9400")]
    listen: SocketAddr,
    /// A name in the address of the pages, if it is not the address of --listen (repeatable). Other names are refused
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Certificate chain of the server in PEM, read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM, read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Require a client certificate that these roots verify, in PEM, read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_roots: Option<PathBuf>,
    /// Admit only the client with this SPIFFE ID (repeatable) [default: every client with a certificate]
    #[arg(long, value_name = "ID", requires = "tls_roots")]
    allow_client: Vec<String>,
    /// Require a token, and admit this service (repeatable). A proxy in front sends the token
    #[arg(long, value_name = "NAME")]
    allow_service: Vec<ServiceName>,
    /// Require a token, and admit users with this role (repeatable)
    #[arg(long, value_name = "ROLE")]
    allow_user_role: Vec<String>,
    /// JWK set for the tokens of --allow-service and --allow-user-role, read again when it changes
    /// [default: the set that `rotate` publishes]
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Accept tokens without TLS on an address that other machines can reach. Every machine on the way can read them
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "tls_roots"])]
    dangerously_allow_http: bool,
    /// Let people revoke tokens on the pages, with a reason that is recorded
    #[arg(long)]
    allow_revoke: bool,
    #[command(flatten)]
    by: By,
    /// The table of a program as JSON, as `service-token endpoints` reads it; repeatable
    #[arg(long, value_name = "TABLE")]
    endpoints: Vec<PathBuf>,
    /// The time without a call after which a grant is unused
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    window: Lifetime,
    /// The share of the window that the records must cover, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    min_coverage: u8,
    /// Report of `service-token attack --format json`; repeatable
    #[arg(long, value_name = "FILE")]
    attack_report: Vec<PathBuf>,
    /// Public key of the log, or a file with it, for the verification
    /// [default: the key beside the log, which a person who can write the log can replace]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    store: StoreAndConfig,
}

pub(crate) fn run(options: &DashboardOptions) -> Outcome<Exit> {
    options.check_protection()?;
    database::run(options.serve())
}

impl DashboardOptions {
    fn needs_token(&self) -> bool {
        !self.allow_service.is_empty() || !self.allow_user_role.is_empty()
    }

    fn required(&self) -> Required {
        let clients = self.allow_client.iter().cloned().collect();
        Required { certificate: self.tls_roots.is_some().then_some(clients), token: self.needs_token() }
    }

    /// Refuses an address that other machines can reach, if nothing protects the pages there.
    fn check_protection(&self) -> Outcome<()> {
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        let address = self.listen;
        if !self.needs_token() && self.tls_roots.is_none() {
            let reason = format!(
                "`{address}` can be reached from other machines, and nothing protects the pages there"
            );
            return Err(Problem::usage(reason).help(
                "require a client certificate with `--tls-cert FILE --tls-key FILE --tls-roots FILE`, or a token with `--allow-service NAME` or `--allow-user-role ROLE`; or listen on 127.0.0.1",
            ));
        }
        if self.tls_cert.is_none() && !self.dangerously_allow_http {
            let reason = format!(
                "`{address}` can be reached from other machines, and tokens would be sent without TLS"
            );
            return Err(Problem::usage(reason).help(
                "pass `--tls-cert FILE --tls-key FILE`; behind a proxy on this machine, listen on 127.0.0.1",
            ));
        }
        Ok(())
    }

    async fn serve(&self) -> Outcome<Exit> {
        let config = self.store.configuration()?;
        let registry = self.store.url(config.as_ref()).map(|url| Registry::new(url, config)).map(Arc::new);
        if self.allow_revoke && registry.is_none() {
            return Err(Problem::usage("`--allow-revoke` needs a store, and none is named")
                .help("pass `--store URL`"));
        }
        let key = self.key.as_deref().map(tree::public_key).transpose()?;
        let tables = self.endpoints.iter().map(|path| endpoints::read(path)).collect::<Outcome<Vec<_>>>()?;
        let transport = self.transport()?;
        let guard = self.guard(registry.as_deref()).await?;
        let settings =
            Settings { tables, window: self.window.0, min_coverage: f64::from(self.min_coverage) / 100.0 };
        let files = files::logs(&self.files)?;
        let log = Log::follow(files.clone(), settings)?;
        let grant = {
            let log = log.clone();
            move |tokens| log.grant(tokens)
        };
        if let Some(registry) = &registry {
            // The first page already shows the store.
            let _ = timeout(FIRST_READ, registry.refresh(&grant)).await;
        }
        let store = registry.as_ref().map(|registry| registry.url.clone());
        let integrity = Integrity::follow(&files, key, store);
        let listener = Listener::bind(self.listen, transport, Self::limits()).await?;
        let operator = self.by.name().unwrap_or_else(|| "unknown".to_owned());
        let access = Access::new(self.required(), self.listen, &self.host, operator);
        let revoker = self.allow_revoke.then(|| Revoker::new(self.store.clone())).transpose()?;
        let (end, ending) = watch::channel(false);
        let app = App::new(
            log.clone(),
            registry.clone(),
            integrity,
            access,
            revoker,
            self.attack_report.clone(),
            ending,
        );
        let service = TowerToHyperService::new(site::router(&Arc::new(app), guard));
        let ended = shutdown_signal()
            .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot catch signals: {error}")))?;
        let ended = async {
            ended.await;
            end.send_replace(true);
        };
        output::result(&format!("serving {}", listener.url()))?;
        let follow = async {
            match registry {
                Some(registry) => registry.follow(grant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = listener.run(service, ended) => {}
            () = follow => {}
        }
        log.stop();
        Ok(Exit::Done)
    }

    fn limits() -> Limits {
        Limits { connections: CONNECTIONS, connection: CONNECTION, drain: DRAIN, ..Limits::DEFAULT }
    }

    fn transport(&self) -> Outcome<Transport> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(Transport::Plain) };
        let certificate = match &self.tls_roots {
            None => Certificate::of_server(cert, key),
            Some(roots) => Certificate::with_roots(cert, key, roots),
        };
        certificate.map(Transport::Tls)
    }

    /// The guard of this project, if tokens are required.
    async fn guard(&self, registry: Option<&Registry>) -> Outcome<Option<ServiceOnlyLayer>> {
        if !self.needs_token() {
            return Ok(None);
        }
        let config = registry.and_then(|registry| registry.config.as_ref());
        let own = match config {
            Some(_) => None,
            None => self.store.configuration()?,
        };
        let config = config.or(own.as_ref()).ok_or_else(|| {
            Problem::usage("a token needs a trusted issuer, and no configuration names one")
                .help("name one with `--config FILE`; `service-token init` writes one")
        })?;
        let mut builder = Verifier::builder().trust(self.trusted(config)?);
        if let Some(registry) = registry {
            let revocations =
                SqlRevocations::of(&registry.url).start().map_err(|error| database::refused(&error))?;
            // Tokens are refused until they are loaded.
            let _ = timeout(FIRST_READ, revocations.loaded()).await;
            builder = builder.revocation(revocations);
        }
        let audit = JsonLinesAudit::to_writer(std::io::stderr())
            .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot record decisions: {error}")))?;
        let verifier = builder
            .audit(audit)
            .build()
            .map_err(|error| Problem::new(ProblemCode::BadConfig, error.to_string()))?;
        let policy = self.policy().to_policy();
        Ok(policy.map(|policy| ServiceOnlyLayer::new(verifier, policy).endpoint(module_path!(), "dashboard")))
    }

    fn trusted(&self, config: &Config) -> Outcome<TrustedIssuer> {
        let issuer = match config.profile.unwrap_or_default() {
            Profile::Compatible => TrustedIssuer::compatible(&config.issuer),
            Profile::Strict => TrustedIssuer::strict(&config.issuer),
        };
        let issuer = match &config.audience {
            Some(audience) => issuer.audience(audience),
            None => issuer,
        };
        let set = self.jwks.clone().unwrap_or_else(|| config.rotation.jwks.clone());
        if self.jwks.is_none() && !set.exists() {
            return Ok(issuer.keys(config.key.load()?.verifying_key()));
        }
        let keys = FileKeys::jwks(&set)
            .open()
            .map_err(|error| Problem::key(&error).at(format!("`{}`", set.display())))?;
        Ok(issuer.keys(keys))
    }

    /// Who may see the pages. An empty list refuses every caller of its kind.
    fn policy(&self) -> RouteAccess {
        let (mut services, mut users) = (Requirements::default(), Requirements::default());
        services.services = Some(self.allow_service.iter().map(ToString::to_string).collect());
        users.roles = Some(self.allow_user_role.clone());
        match (self.allow_service.is_empty(), self.allow_user_role.is_empty()) {
            (true, _) => RouteAccess::Users(users),
            (_, true) => RouteAccess::ServiceOnly(services),
            _ => RouteAccess::Callers { services, users },
        }
    }
}
