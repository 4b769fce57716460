//! `service-token attack`: tests whether a running service accepts what it must refuse.
//!
//! The test kit has the catalogue, the requests and the judgement. This module has the key that signs the
//! spoiled tokens, and the limits against an accidental attack: only loopback unless the operator names the
//! host, and a maximum of requests.

mod certificates;
mod endpoint;
mod host;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use service_only::{
    claims::ServiceName,
    clock::{Clock, SystemClock},
    error::BuildError,
    issue::SigningKey,
    routes::RouteTable,
};
use service_only_testkit::{Attack, AttackReport, Control, TestAuthority, TokenDraft};

use self::certificates::CertificateOptions;
use self::endpoint::{Endpoint, Parameter};
use super::endpoints;
use crate::config::{Config, DEFAULT_ROLE, ScopeToken};
use crate::exit::Exit;
use crate::instant::Seconds;
use crate::key_file;
use crate::known;
use crate::option_values::role;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::signing::{self, SigningOptions};

const EXAMPLES: &str = "\
Examples:
  service-token attack --url http://127.0.0.1:8000 --service orders --endpoint 'GET /stock'
  service-token attack --url http://127.0.0.1:8000 --service orchestrator --scope tenants:delete \\
      --key key.pem --algorithm ES256 --issuer bakery-auth --endpoint 'DELETE /tenant/7'
  service-token attack --url http://127.0.0.1:8000 --service any --routes orders.json --format html
  service-token attack --url https://localhost:8443 --service orders --endpoint 'GET /stock' \\
      --cert tls.crt --cert-key tls.key --cacert ca.crt --cakey ca.key
  service-token attack --url http://127.0.0.1:8000 --service orders --endpoint 'GET /stock' \\
      --dpop https://stock.internal

Exit codes: 0 nothing got in, 1 something got in or broke the service, 2 usage, or the attack
proves nothing because the valid token was refused, 4 nothing listens at the URL.";

/// Attack a running service with all known hostile tokens and requests
///
/// Signs tokens with the key that the service trusts, breaks one property of each, and reports
/// which requests the service accepted. It sends a valid token first and last. If the service
/// refuses the valid token, the attack proves nothing. An accepted request runs the endpoint, so
/// attack only a service whose data may be lost.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AttackOptions {
    /// The service, such as `http://127.0.0.1:8000`; for `https`, name its roots with --cacert
    #[arg(long, value_name = "URL")]
    url: String,
    /// A method and a path that the service answers with success (repeatable)
    #[arg(long, value_name = "ENDPOINT", required_unless_present = "routes")]
    endpoint: Vec<Endpoint>,
    /// Attack every guarded route of this table, in the format that `endpoints` reads
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Value for a path parameter: `NAME=VALUE` (repeatable)
    #[arg(long, value_name = "PAIR")]
    parameter: Vec<Parameter>,
    /// Service that may call the endpoints; with --routes, the table names it for each route
    #[arg(long, value_name = "NAME")]
    service: ServiceName,
    /// Role of the service
    #[arg(long, value_name = "ROLE", value_parser = role, default_value = DEFAULT_ROLE)]
    role: String,
    /// Scope that the endpoints require (repeatable)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<ScopeToken>,
    /// Audience that the service expects [default: the configuration's]
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Profile of the tokens that the service expects [default: the configuration's, else compatible]
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// The endpoints accept any service, so skip the attacks of other services
    #[arg(long)]
    any_service: bool,
    /// The service's keys have key ids, as in a JWK set, so it must refuse an unknown `kid`.
    /// A single secret or PEM has no key id to compare [default with --jwks-private: yes]
    #[arg(long)]
    named_keys: bool,
    /// JSON body that the endpoints need
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    /// Leeway of the service, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    leeway: Seconds,
    /// Confirm the host of --url, if it is not this machine
    #[arg(long, value_name = "HOST")]
    allow_host: Option<String>,
    /// Maximum number of requests; an endpoint takes about 2,000
    #[arg(long, value_name = "COUNT", default_value_t = Attack::MAX_REQUESTS, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    max_requests: usize,
    #[command(flatten)]
    certificates: CertificateOptions,
    /// Bind the tokens to a new key, and send each with a proof of DPoP for this URL of the service
    #[arg(long, value_name = "URL")]
    dpop: Option<String>,
    /// A nonce that the service no longer accepts, for a proof that the service must refuse
    #[arg(long, value_name = "NONCE", requires = "dpop")]
    stale_nonce: Option<String>,
    #[command(flatten)]
    signing: SigningOptions,
    /// Private JWK set or JWK, instead of --key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "config", "algorithm", "kid", "secret_encoding"])]
    jwks_private: Option<PathBuf>,
    /// Key id of the signing key in --jwks-private [default: the only key]
    #[arg(long, value_name = "KID", allow_hyphen_values = true, requires = "jwks_private")]
    jwks_kid: Option<String>,
    /// Format of the report
    #[arg(long, value_enum, default_value_t)]
    format: AttackFormat,
}

#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum AttackFormat {
    /// The causes, then what got in, for people.
    #[default]
    Text,
    /// Every class at every endpoint, for programs.
    Json,
    /// The report as an HTML page.
    Html,
    /// Class by endpoint, to keep and compare.
    Matrix,
}

pub(crate) fn run(options: &AttackOptions) -> Outcome<Exit> {
    let url = &options.url;
    let attack = Attack::at(url).map_err(|error| Problem::usage(format!("`--url`: {error}")))?;
    host::check(url, options.allow_host.as_deref())?;
    let attack = options.prepare(attack)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::new(ProblemCode::Io, format!("cannot start: {error}")))?;
    let report = runtime.block_on(attack.report());
    options.write(&report)?;
    match report.unreachable() {
        // An attack that got in before weighs more.
        Some(why) if report.holes().next().is_none() => {
            Err(Problem::new(ProblemCode::Unavailable, format!("`{url}` cannot be reached: {why}"))
                .help("start the service, or correct `--url`"))
        }
        _ => Ok(exit(&report)),
    }
}

impl AttackOptions {
    fn prepare(&self, attack: Attack) -> Outcome<Attack> {
        let mut attack =
            attack.as_caller(self.caller()?).leeway(self.leeway.0).max_requests(self.max_requests);
        for Endpoint { method, target } in &self.endpoint {
            attack = attack.endpoint(method.clone(), target);
        }
        let table = self.routes.as_deref().map(endpoints::read).transpose()?;
        if let Some(table) = &table {
            attack = attack.routes(table);
        }
        self.check_parameters(table.as_ref())?;
        if let Some(certificates) = self.certificates.load(&self.url)? {
            attack = attack.certificates(certificates);
        }
        if let Some(nonce) = &self.stale_nonce {
            attack = attack.stale_nonce(nonce);
        }
        for Parameter { name, value } in &self.parameter {
            attack = attack.parameter(name, value);
        }
        if let Some(body) = &self.body {
            attack = attack.body("application/json", body);
        }
        if self.named_keys || self.jwks_private.is_some() {
            attack = attack.named_keys();
        }
        if attack.endpoints() == 0 {
            return Err(Problem::usage("the table has no guarded route, so no attack is possible"));
        }
        Ok(if self.any_service { attack.any_service() } else { attack })
    }

    /// An unknown parameter name is a typing error: the parameter that was meant would keep its default
    /// value.
    fn check_parameters(&self, table: Option<&RouteTable>) -> Outcome<()> {
        let routes = table.into_iter().flat_map(RouteTable::routes).map(|route| route.path());
        let paths = routes.chain(self.endpoint.iter().map(|endpoint| endpoint.target.as_str()));
        let names = paths.flat_map(|path| path.split('{').skip(1)).filter_map(|rest| rest.split('}').next());
        let names: BTreeSet<&str> = names.map(|name| name.trim_start_matches('*')).collect();
        match self.parameter.iter().find(|parameter| !names.contains(parameter.name.as_str())) {
            None => Ok(()),
            Some(Parameter { name, .. }) => {
                Err(known::unknown(format!("no path has a parameter `{name}`"), name, names))
            }
        }
    }

    fn key_of_set(&self, path: &Path) -> Outcome<SigningKey> {
        key_file::warn_if_others_can_read(path);
        let keys = SigningKey::from_private_jwks(&key_file::read(path)?);
        let keys = keys.map_err(|error| Problem::key(&error).at(format!("`{}`", path.display())))?;
        let names: Vec<_> = keys.iter().map(|key| key.kid().to_string()).collect();
        let named = |key: &SigningKey| self.jwks_kid.as_deref().is_none_or(|kid| key.kid().as_str() == kid);
        let mut keys = keys.into_iter().filter(named);
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => {
                let reason = format!("{}: no key has the `kid` of --jwks-kid", path.display());
                Err(known::unknown(
                    reason,
                    self.jwks_kid.as_deref().unwrap_or_default(),
                    names.iter().map(String::as_str),
                ))
            }
            (Some(_), Some(_)) => Err(Problem::usage(format!("{}: several keys", path.display()))
                .help("choose the signing key with `--jwks-kid KID`")),
        }
    }

    /// The token that the service accepts, before the attack spoils it.
    fn caller(&self) -> Outcome<TokenDraft> {
        let named = self.signing.key.is_some() || self.jwks_private.is_some();
        let config = Config::find(self.signing.config.as_deref(), !named)?;
        let key = match &self.jwks_private {
            Some(path) => self.key_of_set(path)?,
            None => signing::key_source(&self.signing, config.as_ref())?.load()?,
        };
        let issuer = self.signing.issuer.as_deref().or(config.as_ref().map(|config| config.issuer.as_str()));
        let issuer = issuer.filter(|issuer| !issuer.is_empty()).ok_or_else(|| {
            Problem::usage("no issuer").help("pass `--issuer ISSUER`, the `iss` that the service expects")
        })?;
        let audience =
            self.audience.as_deref().or(config.as_ref().and_then(|config| config.audience.as_deref()));
        let mut authority = TestAuthority::from_key(key).issuer(issuer);
        authority.clock().set(SystemClock.now());
        if let Some(audience) = audience {
            authority = authority.audience(audience);
        }
        if let Some(url) = &self.dpop {
            authority = authority.dpop(url);
            if let Err(error @ BuildError::Dpop(_)) = authority.verifier_builder().build() {
                return Err(Problem::usage(format!("`--dpop`: {error}")));
            }
        }
        let scopes = self.scope.iter().map(|ScopeToken(scope)| scope);
        let profile = self.profile.or(config.as_ref().and_then(|config| config.profile)).unwrap_or_default();
        let draft = match (profile, audience) {
            (Profile::Compatible, _) => authority.service(self.service.as_str()),
            (Profile::Strict, Some(_)) => authority.strict_service(self.service.as_str()),
            (Profile::Strict, None) => {
                return Err(Problem::usage("a strict token needs an audience")
                    .help("pass `--audience AUDIENCE`, the one that the service expects"));
            }
        };
        let draft = draft.role(&self.role).scopes(scopes);
        Ok(match self.dpop {
            Some(_) => draft.proven_by(&authority.dpop_key()),
            None => draft,
        })
    }

    fn write(&self, report: &AttackReport) -> Outcome<()> {
        match self.format {
            AttackFormat::Text => match output::columns() {
                Some(columns) => output::lines(&format!("{report:columns$}")),
                None => output::lines(&report.to_string()),
            },
            AttackFormat::Json => output::json(report),
            AttackFormat::Html => output::result_bytes(report.html().as_bytes()),
            AttackFormat::Matrix => output::lines(report.matrix().to_string().trim_end()),
        }
    }
}

/// An accepted attack outweighs an inconclusive one: the first is certain.
fn exit(report: &AttackReport) -> Exit {
    let proves = |control: &Control| matches!(control, Control::Passes(_));
    if report.is_clean() {
        Exit::Done
    } else if report.holes().next().is_some() {
        Exit::Found
    } else {
        let unproven = report.endpoints().iter().filter(|endpoint| !proves(endpoint.control())).count();
        output::warning(&format!("{unproven} endpoints are not proven to be safe"));
        Exit::Misuse
    }
}
