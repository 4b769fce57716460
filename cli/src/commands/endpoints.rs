//! `service-token endpoints`: shows who may call what, from the route table of a program.
//!
//! The input is the program's `RouteTable` as JSON. The runtime exports it. This module adds the options that
//! a mesh needs, and two own formats: a table for the terminal, and the changes since another table.

mod diff;
mod mesh;
pub(crate) mod text;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use service_only::routes::RouteTable;
use service_only_export::{self as export, ExportError, MeshOption};

use self::mesh::MeshArguments;
use crate::exit::Exit;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::now;
use crate::{key_file, redact};

const EXAMPLES: &str = "\
Examples:
  orders --endpoints | service-token endpoints -
  service-token endpoints orders.json --format markdown
  service-token endpoints orders.json --format istio --jwks-uri https://auth.example/jwks.json \\
      --namespace bakery | kubectl apply -f -
  service-token endpoints orders.json --diff released.json

Exit codes: 0 done, 2 usage or a file that is not a table, 10 `--diff` found a rule that admits more callers.

The table is the program's `RouteTable`, written with `serde_json::to_string(&table)`.";

/// Far larger than any table.
const MAX_TABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Show who may call what, or export it to a mesh, to OpenAPI or to documentation
///
/// Reads the table of routes that a program writes. The output for `istio` and `envoy` allows only
/// what the code allows, as far as a mesh can express it. A comment in the output lists the checks
/// that remain in the code.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EndpointsOptions {
    /// The table as JSON, or `-` to read it from standard input
    #[arg(value_name = "FILE")]
    table: PathBuf,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: EndpointsFormat,
    /// Print what was added, removed, loosened, tightened or changed since this older table, as `text` or
    /// `json`. The exit code is 10 if a rule admits a caller that the older table refused
    #[arg(long, value_name = "OLD")]
    diff: Option<PathBuf>,
    /// Version of the API in OpenAPI's `info`
    #[arg(long, value_name = "VERSION", default_value = "0.1.0")]
    api_version: String,
    #[command(flatten)]
    mesh: MeshArguments,
}

#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum EndpointsFormat {
    /// A table for the terminal.
    #[default]
    Text,
    /// The table as it was read.
    Json,
    /// A table for a README.
    Markdown,
    /// A flowchart of callers and endpoints.
    Mermaid,
    /// An OpenAPI 3.1 document, as JSON.
    Openapi,
    /// A `RequestAuthentication` and an `AuthorizationPolicy`.
    Istio,
    /// The HTTP filters `jwt_authn` and `rbac`.
    Envoy,
}

pub(crate) fn run(options: &EndpointsOptions) -> Outcome<Exit> {
    let for_mesh = matches!(options.format, EndpointsFormat::Istio | EndpointsFormat::Envoy);
    if !for_mesh && options.mesh.any() {
        return Err(Problem::usage("the command has mesh options, but the format is not a mesh format")
            .help("add `--format istio` or `--format envoy`, or leave the mesh options out"));
    }
    let table = read(&options.table)?;
    if let Some(old) = &options.diff {
        return compare(&read(old)?, &table, options.format);
    }
    match options.format {
        EndpointsFormat::Text => text::table(&table).print(now())?,
        EndpointsFormat::Json => output::pretty_json(&table)?,
        EndpointsFormat::Markdown => output::result_bytes(export::markdown(&table).as_bytes())?,
        EndpointsFormat::Mermaid => output::result_bytes(export::mermaid(&table).as_bytes())?,
        EndpointsFormat::Openapi => {
            let text = export::openapi(&table, &options.api_version).map_err(|error| refused(&error))?;
            output::pretty_json(&parse::<serde_json::Value>(&options.table, text.as_bytes())?)?;
        }
        EndpointsFormat::Istio => exported(export::istio(&table, &options.mesh.options(&table)?))?,
        EndpointsFormat::Envoy => exported(export::envoy(&table, &options.mesh.options(&table)?))?,
    }
    Ok(Exit::Done)
}

fn compare(old: &RouteTable, new: &RouteTable, format: EndpointsFormat) -> Outcome<Exit> {
    let changes = diff::changes(old, new);
    match format {
        EndpointsFormat::Text => changes.iter().try_for_each(|change| output::result(&change.line()))?,
        EndpointsFormat::Json => output::json(&changes)?,
        _ => {
            return Err(Problem::usage("`--diff` writes text or JSON")
                .help("pass `--format text` or `--format json`"));
        }
    }
    let admits_more = changes.iter().any(|change| change.admits_more);
    Ok(if admits_more { Exit::Loosened } else { Exit::Done })
}

fn exported(text: Result<String, ExportError>) -> Outcome<()> {
    output::result_bytes(text.map_err(|error| refused(&error))?.as_bytes())
}

/// The problem of a failed export, with the option that would help, if there is one.
fn refused(error: &ExportError) -> Problem {
    let problem = Problem::new(ProblemCode::BadConfig, error.to_string());
    match error {
        ExportError::Option { option: MeshOption::Namespace, .. } => {
            problem.help("pass `--namespace NAMESPACE`")
        }
        ExportError::Option { option: MeshOption::Label, .. } => {
            problem.help("select the workload: `--label app=NAME`")
        }
        ExportError::Route { .. } => {
            problem.help("nothing was written, because the output would not express the policy")
        }
        _ => problem,
    }
}

pub(crate) fn read(path: &Path) -> Outcome<RouteTable> {
    if path.as_os_str() != "-" {
        return parse(path, &key_file::read(path)?);
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_TABLE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot read standard input: {error}")))?;
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::usage("standard input is empty, expected a table of routes")
            .help("pipe the table of a program, as in `orders --endpoints | service-token endpoints -`"));
    }
    parse(path, &bytes)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Outcome<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let reason = format!("this is not a table of routes: {}", redact::foreign(&error.to_string()));
        Problem::new(ProblemCode::BadConfig, reason)
            .at(format!("`{}`", path.display()))
            .help("write it with `serde_json::to_string(&table)` of a `service_only::routes::RouteTable`")
    })
}
