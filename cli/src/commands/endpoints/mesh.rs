//! The mesh options, from the command line or from `service-token.toml`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use service_only::routes::RouteTable;
use service_only_export::MeshOptions;

use super::refused;
use crate::config::Config;
use crate::instant::Seconds;
use crate::key_file;
use crate::known;
use crate::problem::{Outcome, Problem, ProblemCode};

/// For the formats `istio` and `envoy`; the issuer and its keys have no default.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of the formats istio and envoy")]
pub(crate) struct MeshArguments {
    /// Configuration file that names issuer and audience [default: `service-token.toml`, unless --issuer]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The issuer (`iss`) that tokens must have
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// `https` URL at which the proxy fetches the public keys
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<String>,
    /// JWK set file whose public keys become part of the output
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Audience of the service (repeatable); without it, a token with an audience is denied
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// Leeway in seconds for clocks that differ, as on the verifier [default: 0]
    #[arg(long, value_name = "SECONDS")]
    leeway: Option<Seconds>,
    /// Namespace of the workload, and of callers without a --principal
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Label that selects the workload (repeatable) [default: app=SERVICE]
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<Pair>,
    /// Trust domain of callers without a --principal [default: cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: Option<String>,
    /// Principal of a calling service (repeatable) [default: DOMAIN/ns/NAMESPACE/sa/SERVICE]
    #[arg(long, value_name = "SERVICE=PRINCIPAL")]
    principal: Vec<Pair>,
}

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
struct Pair {
    name: String,
    value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("write a name and a value with `=` between"),
        }
    }
}

impl MeshArguments {
    /// Whether the command line has any mesh option.
    pub(crate) fn any(&self) -> bool {
        let one = [&self.issuer, &self.jwks_uri, &self.namespace, &self.trust_domain];
        let many = [&self.label, &self.principal];
        one.iter().any(|option| option.is_some())
            || many.iter().any(|option| !option.is_empty())
            || self.config.is_some()
            || self.jwks.is_some()
            || self.leeway.is_some()
            || !self.audience.is_empty()
    }

    pub(crate) fn options(&self, table: &RouteTable) -> Outcome<MeshOptions> {
        self.check_principals(table)?;
        let config = Config::find(self.config.as_deref(), self.issuer.is_none())?;
        let issuer = self.issuer.as_deref().or(config.as_ref().map(|config| config.issuer.as_str()));
        let issuer = issuer.ok_or_else(|| {
            Problem::new(ProblemCode::BadConfig, "no issuer is expected")
                .help("pass `--issuer ISSUER`, the `iss` that tokens must have")
        })?;
        let mut mesh = self.keyed(issuer)?;
        let configured = config.as_ref().and_then(|config| config.audience.clone());
        let audiences =
            if self.audience.is_empty() { configured.into_iter().collect() } else { self.audience.clone() };
        for audience in audiences {
            mesh = mesh.audience(audience);
        }
        if let Some(Seconds(leeway)) = self.leeway {
            mesh = mesh.leeway(leeway);
        }
        if let Some(namespace) = &self.namespace {
            mesh = mesh.namespace(namespace);
        }
        if let Some(trust_domain) = &self.trust_domain {
            mesh = mesh.trust_domain(trust_domain);
        }
        for label in &self.label {
            mesh = mesh.label(&label.name, &label.value);
        }
        for principal in &self.principal {
            mesh = mesh.principal(&principal.name, &principal.value);
        }
        Ok(mesh)
    }

    /// A principal for a service that no route accepts is a typing error: the intended service would keep its
    /// default.
    fn check_principals(&self, table: &RouteTable) -> Outcome<()> {
        let services = table.routes().iter().filter_map(|route| route.access().for_services());
        let allowed = services.filter_map(|services| services.services.as_deref());
        let names: BTreeSet<&str> = allowed.flatten().map(String::as_str).collect();
        match self.principal.iter().find(|pair| !names.contains(pair.name.as_str())) {
            None => Ok(()),
            Some(Pair { name, .. }) => {
                let reason =
                    format!("`--principal` names `{name}`, and no route allows a service of that name");
                Err(known::unknown(reason, name, names))
            }
        }
    }

    fn keyed(&self, issuer: &str) -> Outcome<MeshOptions> {
        let mesh = match (&self.jwks_uri, &self.jwks) {
            (Some(uri), _) => MeshOptions::with_jwks_uri(issuer, uri),
            (None, Some(path)) => {
                let set = key_file::read(path)?;
                MeshOptions::with_jwks(issuer, &String::from_utf8_lossy(&set))
            }
            (None, None) => {
                return Err(Problem::usage("the mesh has no keys to check tokens with")
                    .help("pass `--jwks-uri https://…`, or `--jwks FILE` for the set that `service-token jwks` prints"));
            }
        };
        mesh.map_err(|error| refused(&error))
    }
}
