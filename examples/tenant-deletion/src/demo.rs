//! The whole demonstration in one process, as a newcomer first sees it. Each step checks its result, so a
//! successful run proves the claims.

mod attempts;
mod compromised;
mod gateway_key;
mod platform;
mod state;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use comfy_table::{Cell, CellAlignment, Color};
use service_only::JsonLinesAudit;

use self::attempts::Bound;
use self::gateway_key::GatewayKey;
use self::platform::{Platform, SERVE_PORT, Trust};
use self::state::{StateDir, shown};
use crate::audit_table::{self, Rows};
use crate::authority::Authority;
use crate::catalogue::{self, ORCHESTRATOR};
use crate::certificates::Certificates;
use crate::cli::Demo;
use crate::gateway::GATEWAY;
use crate::orchestrator::{self, Client, Incomplete, Patience, Report};
use crate::serve::Shutdown;
use crate::tenant::{LEAVING, STAYING, TenantId};
use crate::terminal::Terminal;
use crate::tls;

const AUDIT_LOG: &str = "audit.jsonl";
const HEADER_FILE: &str = "orchestrator.header";
const TLS_FOLDER: &str = "tls";

/// Runs the demonstration.
pub async fn run(options: Demo) -> anyhow::Result<()> {
    let mut terminal = Terminal::stdout();
    let state = StateDir::create(options.state_dir)?;
    let shutdown = Shutdown::at_signal()?;
    let audit = JsonLinesAudit::to_file(state.file(AUDIT_LOG)).context("cannot open the audit log")?;
    let (authority, gateway_key) = (Authority::new()?, GatewayKey::new()?);
    let certificates = Certificates::new(state.file(TLS_FOLDER));
    let bound =
        Bound { orchestrator: certificates.issue(ORCHESTRATOR)?, orders: certificates.issue("orders")? };
    for part in catalogue::names().chain([GATEWAY]).filter(|part| *part != "orders") {
        certificates.issue(part)?;
    }
    let token = authority.service(ORCHESTRATOR, &bound.orchestrator)?;
    state.write("jwks.json", &authority.jwks()?)?;
    state.write("gateway.key", &gateway_key.pem()?)?;
    state.write("gateway-jwks.json", &gateway_key.jwks()?)?;
    state.write("orchestrator.token", &token)?;
    state.write(HEADER_FILE, &format!("Authorization: Bearer {token}\n"))?;

    let port = if options.serve { SERVE_PORT } else { 0 };
    let trust = Trust { authority: &authority, gateway_key: &gateway_key, certificates: &certificates };
    let platform = Platform::start(&state, &trust, audit.clone(), port, shutdown).await?;
    terminal.heading(
        "Started",
        format_args!(
            "twelve services with a database and a certificate each, and the gateway at {}",
            platform.gateway
        ),
    )?;

    let tls = tls::open(&certificates.folder(ORCHESTRATOR))?;
    let client = Client::new(&format!("https://{}", platform.gateway), &token, &tls, Patience::default())?;
    let preview = orchestrator::preview(&client, LEAVING.id).await;
    ensure!(preview.complete, "a service did not answer the preview");

    terminal.heading("Refused", "eight attempts to delete a tenant, through the gateway and past it")?;
    attempts::refuse_all(&authority, &bound, &platform, &mut terminal).await?;

    delete(&client, &platform, &mut terminal).await?;

    tokio::task::spawn_blocking(move || audit.flush()).await??;
    terminal.heading("Audit", "one record per decision, read back from the log; by kind")?;
    audit_table::print(&audit_table::read(&state.file(AUDIT_LOG))?, Rows::Kinds, &mut terminal)?;

    files(&state, &mut terminal)?;
    if options.serve {
        serving(&state, &platform, &mut terminal)?;
        platform.asked_to_stop().await;
        terminal.line("\nStopping.")?;
    } else {
        next(&state, &mut terminal)?;
    }
    platform.stop().await;
    Ok(())
}

/// Previews and deletes one tenant, and shows that the other one is unchanged.
async fn delete(client: &Client, platform: &Platform, terminal: &mut Terminal) -> anyhow::Result<()> {
    let before = counts(platform, STAYING.id)?;
    let started = Instant::now();
    let preview = orchestrator::preview(client, LEAVING.id).await;
    ensure!(preview.complete, "a service did not answer the preview");
    let found = preview.found();
    let report = orchestrator::delete(client, preview, Incomplete::Stop).await;
    let took = started.elapsed();
    let after = counts(platform, STAYING.id)?;
    let left = counts(platform, LEAVING.id)?;

    terminal.heading(
        "Deleted",
        format_args!(
            "{found} records of {}, previewed and deleted as {ORCHESTRATOR} in {} ms",
            LEAVING.name,
            took.as_millis()
        ),
    )?;
    let staying = [format!("{}, before", STAYING.name), "after".to_owned()];
    let [staying_before, staying_after] = &staying;
    let mut table = terminal.table(&["service", "found", "deleted", "left", staying_before, staying_after]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (((line, before), after), left) in report.services.iter().zip(&before).zip(&after).zip(&left) {
        table.add_row([
            Cell::new(line.service),
            Cell::new(line.found.unwrap_or_default()),
            Cell::new(line.deleted.unwrap_or_default()).fg(Color::Green),
            Cell::new(left),
            Cell::new(before),
            Cell::new(after),
        ]);
    }
    let sum = |counts: &[u64]| counts.iter().sum::<u64>();
    table.add_row([
        Cell::new("in all"),
        Cell::new(found),
        Cell::new(report.deleted()).fg(Color::Green),
        Cell::new(sum(&left)),
        Cell::new(sum(&before)),
        Cell::new(sum(&after)),
    ]);
    terminal.print_table(&table)?;
    check(&report, found, sum(&left), before == after)
}

fn check(report: &Report, found: u64, left: u64, whole: bool) -> anyhow::Result<()> {
    ensure!(report.complete, "a service did not delete the tenant");
    ensure!(
        found > 0 && report.deleted() == found,
        "{found} records were found and {} deleted",
        report.deleted()
    );
    ensure!(left == 0, "{left} records of the deleted tenant are left");
    ensure!(whole, "the other tenant has lost records");
    Ok(())
}

/// Counts in the databases directly, not through the endpoints that are demonstrated.
fn counts(platform: &Platform, tenant: TenantId) -> anyhow::Result<Vec<u64>> {
    platform.services.iter().map(|running| Ok(running.store.count(tenant)?.total)).collect()
}

fn files(state: &StateDir, terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.heading("Files", shown(state.path()))?;
    terminal.line("  *.db                 a SQLite database for each service")?;
    terminal.line("  audit.jsonl          the audit log, one JSON object a line")?;
    terminal.line("  tls/                 certificate, key and roots of each part, for a day")?;
    terminal.line("  jwks.json            the public key of the tokens that the gateway accepts")?;
    terminal.line("  gateway.key          the key of its own tokens")?;
    terminal.line("  gateway-jwks.json    that of the gateway's own tokens, all that a service accepts")?;
    terminal
        .line("  orchestrator.token   its token, for an hour; orchestrator.header is the same for curl")?;
    Ok(())
}

fn next(state: &StateDir, terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.heading("Next", "every row of the audit; or keep it running, and ask from a second terminal")?;
    let log = for_shell(&state.file(AUDIT_LOG));
    terminal.line(format_args!("  cargo run -p tenant-deletion -- audit --all {log}"))?;
    terminal.line("  cargo run -p tenant-deletion -- --serve")?;
    terminal.line(curl(state, SERVE_PORT))?;
    Ok(())
}

fn serving(state: &StateDir, platform: &Platform, terminal: &mut Terminal) -> anyhow::Result<()> {
    terminal.heading("Serving", "until Ctrl-C")?;
    terminal.line(format_args!("  {:<16} https://{}", GATEWAY, platform.gateway))?;
    for running in &platform.services {
        terminal.line(format_args!("  {:<16} https://{}", running.service.name, running.address))?;
    }
    terminal.heading("Try", "in a second terminal")?;
    terminal.line(curl(state, platform.gateway.port()))?;
    Ok(())
}

/// The curl command reads the token from a file: on the command line, the list of processes would show it.
fn curl(state: &StateDir, port: u16) -> String {
    let header = for_shell(&state.file(HEADER_FILE));
    let folder = state.file(TLS_FOLDER).join(ORCHESTRATOR);
    let [roots, certificate, key] =
        ["ca.crt", "tls.crt", "tls.key"].map(|file| for_shell(&folder.join(file)));
    let url = format!("https://localhost:{port}/api/v1/orders/tenant/{}/deletion-preview", STAYING.id);
    format!("  curl -H @{header} --cacert {roots} --cert {certificate} --key {key} {url}")
}

/// A path for a command that you can copy, even if it has spaces.
fn for_shell(path: &Path) -> String {
    let path = shown(path);
    shlex::try_quote(&path).map_or_else(|_| path.clone(), std::borrow::Cow::into_owned)
}
