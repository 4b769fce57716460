//! Runs each part as its own process: builds it from its flags, runs it, and stops it on a signal.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use axum::Router;
use service_only::issue::SigningKey;
use service_only::verifier::VerifierBuilder;
use service_only::{Algorithm, JsonLinesAudit, KeySet, Proof, Verifier};
use service_only_tls::Tls;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::audit_table::{self, Rows};
use crate::cli::{AuditArgs, Command, Format, GatewayArgs, OrchestrateArgs, ServiceArgs, Trust};
use crate::gateway::{GATEWAY, Gateway, Limits, Tokens, Upstreams};
use crate::orchestrator::{self, Client, Consent, Incomplete, Patience, Report};
use crate::serve::{self, Shutdown};
use crate::store::{Contents, Store};
use crate::terminal::Terminal;
use crate::tls;

/// The exit code if everything was done.
pub const DONE: ExitCode = ExitCode::SUCCESS;

/// A service failed, or the consent was refused: run the command again.
const INCOMPLETE: u8 = 1;

/// A usage or configuration error: nothing was done.
pub const COULD_NOT: u8 = 2;

/// No service has or had a record of the tenant.
const UNKNOWN_TENANT: u8 = 3;

/// Writes the log to standard error: JSON for the parts that run in a cluster, text for people. `RUST_LOG`
/// sets the level.
pub fn log_to_stderr(command: Option<&Command>) {
    let server = matches!(command, Some(Command::Service(_) | Command::Gateway(_)));
    // Log lines would break a progress bar.
    let batch = matches!(command, Some(Command::Orchestrate(_))) && !std::io::stderr().is_terminal();
    let default = if server || batch { "info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if server {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
}

/// Runs one service until a signal.
pub async fn service(args: ServiceArgs) -> anyhow::Result<()> {
    // The token is for this service only, and came over the connection of its certificate.
    let expect = |verifier: VerifierBuilder| verifier.audience(args.name.name).require_proof(Proof::Mtls);
    let (verifier, audit) = verifier(&args.trust, expect)?;
    let tls = tls::open(&args.tls)?;
    let contents = if args.demo_data { Contents::Demonstration } else { Contents::Empty };
    let store = Store::open(args.name, &args.database, contents)?;
    run(args.name.name, args.listen, crate::service::router(store, verifier), tls, audit).await
}

/// Runs the gateway until a signal.
pub async fn gateway(args: GatewayArgs) -> anyhow::Result<()> {
    let expect = |verifier: VerifierBuilder| match &args.audience {
        Some(audience) => verifier.audience(audience),
        None => verifier,
    };
    let (verifier, audit) = verifier(&args.trust, expect)?;
    let upstreams = Upstreams::parse(args.upstreams.iter().map(String::as_str))?;
    if !upstreams.missing().is_empty() {
        tracing::warn!(missing = upstreams.missing().join(","), "these services are not routed");
    }
    let limits = Limits { body: args.max_body, upstream: args.upstream_timeout, ..Limits::default() };
    let key = || -> anyhow::Result<_> {
        let pem = Zeroizing::new(std::fs::read(&args.signing_key)?);
        Ok(SigningKey::from_pem(Algorithm::ES256, &pem)?)
    };
    let key = key().with_context(|| format!("signing key `{}`", args.signing_key.display()))?;
    let tokens = Tokens::new(&args.own_issuer, key)?;
    let tls = tls::open(&args.tls)?;
    let gateway = Gateway::new(verifier, tokens, tls.clone(), upstreams, limits);
    run(GATEWAY, args.listen, gateway.router(), tls, audit).await
}

/// Deletes one tenant, or previews it.
pub async fn orchestrate(args: OrchestrateArgs) -> anyhow::Result<ExitCode> {
    let consent = if args.yes { Consent::Given } else { Consent::Ask };
    if !args.preview_only {
        consent.can_be_had()?;
    }
    let patience = Patience { attempts: args.attempts, pause: args.pause, timeout: args.timeout };
    let tls = tls::open(&args.tls)?;
    let client = Client::with_token_file(&args.gateway, &args.token_file, &tls, patience)?;
    let mut terminal = Terminal::stdout();
    let preview = orchestrator::preview(&client, args.tenant).await;
    if preview.complete && !preview.knows_the_tenant() {
        return unknown(&preview, args.format, &mut terminal);
    }
    let incomplete = if args.partial { Incomplete::DeleteTheRest } else { Incomplete::Stop };
    if !args.preview_only && !preview.complete && incomplete == Incomplete::Stop {
        let _ = writeln!(
            std::io::stderr(),
            "nothing was deleted, because a preview failed; repair the service, or delete in the others with `--partial`"
        );
        return finish(&preview, args.format, &mut terminal);
    }
    if args.preview_only {
        return finish(&preview, args.format, &mut terminal);
    }
    if preview.found() == 0 {
        return finish(&preview.settled(), args.format, &mut terminal);
    }
    if consent == Consent::Ask {
        // The preview belongs to the question, not to the result.
        preview.print(&mut Terminal::stderr())?;
    }
    if !consent.obtain(&preview).await? {
        terminal.line("Nothing was deleted.")?;
        return Ok(ExitCode::from(INCOMPLETE));
    }
    finish(&orchestrator::delete(&client, preview, incomplete).await, args.format, &mut terminal)
}

/// Prints an audit log.
pub fn audit(args: &AuditArgs) -> anyhow::Result<()> {
    let rows = if args.all { Rows::Decisions } else { Rows::Kinds };
    Ok(audit_table::print(&audit_table::read(&args.file)?, rows, &mut Terminal::stdout())?)
}

/// Prints on standard error why the process failed.
pub fn complain(error: &anyhow::Error) {
    // If standard error is closed, no output is possible.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}

/// Reports a tenant that no service knows. Twelve zeros would look like a completed deletion.
fn unknown(preview: &Report, format: Format, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        terminal.line(serde_json::to_string_pretty(preview)?)?;
    }
    let (tenant, trace) = (preview.tenant_id, &preview.trace_id);
    let _ = writeln!(
        std::io::stderr(),
        "error: no service has or had a record of the tenant {tenant}; check the id (trace {trace})"
    );
    Ok(ExitCode::from(UNKNOWN_TENANT))
}

fn finish(report: &Report, format: Format, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => terminal.line(serde_json::to_string_pretty(report)?)?,
        Format::Text => report.print(terminal)?,
    }
    if report.complete {
        return Ok(DONE);
    }
    let failed = report.failed().map(|line| line.service).collect::<Vec<_>>().join(", ");
    // Use standard error, because the report above may be JSON.
    let _ = writeln!(std::io::stderr(), "not done: {failed}; run it again to finish the rest");
    Ok(ExitCode::from(INCOMPLETE))
}

async fn run(
    name: &'static str,
    listen: std::net::SocketAddr,
    router: Router,
    tls: Tls,
    audit: Option<JsonLinesAudit>,
) -> anyhow::Result<()> {
    // Install the handler before the socket opens, so that no signal during the start is missed.
    let shutdown = Shutdown::at_signal().context("cannot wait for signals")?;
    let (listener, address) = serve::bind(listen).await?;
    tracing::info!(name, %address, "listening");
    serve::serve(listener, router, tls, shutdown).await;
    tracing::info!(name, "stopped");
    if let Some(audit) = audit {
        audit.flush().context("the end of the audit log was not written")?;
    }
    Ok(())
}

fn verifier(
    trust: &Trust,
    expect: impl FnOnce(VerifierBuilder) -> VerifierBuilder,
) -> anyhow::Result<(Verifier, Option<JsonLinesAudit>)> {
    let keys =
        KeySet::from_jwks_file(&trust.jwks).with_context(|| format!("key set `{}`", trust.jwks.display()))?;
    for skipped in keys.skipped() {
        tracing::warn!(%skipped, "a key of the set cannot be used");
    }
    let builder = expect(Verifier::builder().issuer(&trust.issuer).keys(keys).realm("bakery"));
    let Some(file) = &trust.audit_log else {
        return Ok((builder.build()?, None));
    };
    let audit = JsonLinesAudit::to_file(file)
        .with_context(|| format!("cannot open the audit log `{}`", file.display()))?;
    Ok((builder.audit(audit.clone()).build()?, Some(audit)))
}
