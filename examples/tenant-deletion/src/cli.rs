//! The command line: an environment variable can also set each flag, because containers are configured this
//! way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::catalogue::Service;
use crate::gateway::Limits;
use crate::orchestrator::Patience;
use crate::tenant::TenantId;

/// Deletes a tenant of a bakery platform from twelve services that only the orchestrator may ask.
///
/// Without a command it shows the whole job: starts the services and the gateway on free loopback
/// ports, refuses eight attempts, deletes one tenant and shows that the other is whole.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to run; nothing runs the demonstration
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The demonstration's options
    #[command(flatten)]
    pub demo: Demo,
}

/// Options of the demonstration.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the gateway and the services running afterwards, until Ctrl-C
    #[arg(long)]
    pub serve: bool,
    /// Where the databases, keys and the audit log go [default: `tenant-deletion/` in the target directory]
    #[arg(long, value_name = "DIR", env = "DEMO_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
}

/// The parts of the platform, each in a separate process.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One of the twelve services
    Service(ServiceArgs),
    /// The reverse proxy in front of them
    Gateway(GatewayArgs),
    /// Delete a tenant: preview, ask, delete, report
    ///
    /// Exits with 0 when every service is done, with 1 when one failed or you did not confirm (run it
    /// again to finish the rest), with 2 when it could not start, with 3 when no service knows the tenant.
    Orchestrate(OrchestrateArgs),
    /// Print an audit log as a table
    Audit(AuditArgs),
}

/// Options of a service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Which of the twelve
    #[arg(env = "SERVICE")]
    pub name: &'static Service,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", env = "LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Its SQLite file, created when it does not exist
    #[arg(long, value_name = "FILE", env = "DATABASE")]
    pub database: PathBuf,
    /// Fill a new database with the demonstration's two tenants
    #[arg(long, env = "DEMO_DATA")]
    pub demo_data: bool,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`
    #[arg(long, value_name = "DIR", env = "TLS_DIR")]
    pub tls: PathBuf,
    /// Whose tokens are accepted: the gateway's, for this service only
    #[command(flatten)]
    pub trust: Trust,
}

/// Options of the gateway.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", env = "LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Where a service listens: `orders=https://orders:8443`; once for each, or separated by commas
    #[arg(
        long = "upstream",
        value_name = "NAME=URL",
        env = "UPSTREAMS",
        value_delimiter = ',',
        required = true
    )]
    pub upstreams: Vec<String>,
    /// How long a service may take to answer before the client gets 504
    #[arg(long, value_name = "TIME", env = "UPSTREAM_TIMEOUT", default_value = "10s", value_parser = humantime::parse_duration)]
    pub upstream_timeout: Duration,
    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES", env = "MAX_BODY", default_value_t = Limits::default().body)]
    pub max_body: usize,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`
    #[arg(long, value_name = "DIR", env = "TLS_DIR")]
    pub tls: PathBuf,
    /// The private key of the gateway's own tokens: ES256, PEM
    #[arg(long, value_name = "FILE", env = "SIGNING_KEY_FILE")]
    pub signing_key: PathBuf,
    /// The issuer of the gateway's own tokens
    #[arg(long, value_name = "ISSUER", env = "GATEWAY_ISSUER")]
    pub own_issuer: String,
    /// The audience that a caller's token must name; without it, tokens with an audience are refused
    #[arg(long, value_name = "AUDIENCE", env = "TOKEN_AUDIENCE")]
    pub audience: Option<String>,
    /// Whose tokens are accepted
    #[command(flatten)]
    pub trust: Trust,
}

/// Whose tokens are accepted. Neither issuer nor keys have a default.
#[derive(Debug, Args)]
pub struct Trust {
    /// The issuer's public keys, a JWK set
    #[arg(long, value_name = "FILE", env = "JWKS_FILE")]
    pub jwks: PathBuf,
    /// The issuer, compared with `iss`
    #[arg(long, value_name = "ISSUER", env = "TOKEN_ISSUER")]
    pub issuer: String,
    /// Append the audit trail to this file, as JSON lines; without it, it goes to the log
    #[arg(long, value_name = "FILE", env = "AUDIT_LOG")]
    pub audit_log: Option<PathBuf>,
}

/// Options of the orchestrator.
#[derive(Debug, Args)]
pub struct OrchestrateArgs {
    /// The tenant to delete, a UUID
    #[arg(env = "TENANT_ID")]
    pub tenant: TenantId,
    /// The gateway, `https://HOST:PORT`
    #[arg(long, value_name = "URL", env = "GATEWAY_URL")]
    pub gateway: String,
    /// A file that holds the orchestrator's token
    #[arg(long, value_name = "FILE", env = "TOKEN_FILE")]
    pub token_file: PathBuf,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`: the token is bound to this certificate
    #[arg(long, value_name = "DIR", env = "TLS_DIR")]
    pub tls: PathBuf,
    /// Delete without asking
    #[arg(long)]
    pub yes: bool,
    /// Count and delete nothing
    #[arg(long, conflicts_with = "yes")]
    pub preview_only: bool,
    /// Delete in the services that answered, even if the preview of another one failed
    #[arg(long, conflicts_with = "preview_only")]
    pub partial: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text, env = "REPORT_FORMAT")]
    pub format: Format,
    /// How often a service is asked before it counts as failed
    #[arg(long, value_name = "N", env = "RETRY_ATTEMPTS", default_value_t = Patience::default().attempts, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub attempts: u32,
    /// The pause before the second attempt; it doubles from attempt to attempt
    #[arg(long, value_name = "TIME", env = "RETRY_PAUSE", default_value = "250ms", value_parser = humantime::parse_duration)]
    pub pause: Duration,
    /// How long one attempt may take
    #[arg(long, value_name = "TIME", env = "ATTEMPT_TIMEOUT", default_value = "15s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The log, JSON lines
    pub file: PathBuf,
    /// A row for each decision, instead of one for each kind with its count
    #[arg(long)]
    pub all: bool,
}

/// How a report is printed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Text,
    /// One JSON object.
    Json,
}
