//! `service-token verify`: would a service accept this token?
//!
//! The runtime makes the decision, as for a guarded handler. This module takes the keys and the expectations
//! from options and configuration, and prints the answer.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::PathBuf;

use clap::Args;
use service_only::{Algorithm, Policy, claims::ServiceName, clock::Timestamp};
use zeroize::Zeroizing;

use super::batch;
use crate::certificate;
use crate::config::{Config, Lifetime, ScopeToken};
use crate::exit::Exit;
use crate::expectations::Expectations;
use crate::instant::{Instant, Seconds};
use crate::keys::KeyOptions;
use crate::option_values::{algorithm_parser, role};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::store::AskedStore;
use crate::unlisted::is_listed;
use crate::verdict::Answer;

/// The limit for standard input. Longer input is not a token, and the part that was read is enough to refuse
/// it.
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

/// Options that every case of a batch sets itself.
const EACH_CASE_SAYS: [&str; 16] = [
    "config",
    "key_source",
    "secret_encoding",
    "issuer",
    "audience",
    "algorithms",
    "profile",
    "leeway",
    "now",
    "service",
    "role",
    "scope",
    "max_age",
    "certificate",
    "store",
    "no_store",
];

const EXAMPLES: &str = "\
Examples:
  service-token verify - < orders.token
  service-token verify --jwks jwks.json --issuer bakery-auth --scope orders:read - < orders.token
  JWT_SECRET=… service-token verify --secret-env JWT_SECRET --issuer bakery-auth - < orders.token
  service-token verify --batch cases.jsonl

Exit codes: 0 accepted, 1 not authentic (401), 2 usage or configuration, 3 forbidden (403), 4 the store
cannot be used.";

/// Verify a token as a service would
///
/// Without a key option, issuer, audience and key come from `service-token.toml`. If a store is
/// configured, its prepared and retiring keys are accepted too, and its revocations are checked.
/// Secrets come from a file or the environment, never from an argument, because every user of the
/// machine can read arguments in `ps`. For the same reason, prefer `-` to a TOKEN argument.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyOptions {
    /// The token, or `-` to read it from standard input, unchanged except for one final line ending (LF or CRLF)
    #[arg(value_name = "TOKEN", required_unless_present = "batch", conflicts_with = "batch")]
    token: Option<OsString>,
    /// Verify JSON lines `{"id", "config", "token"}` from FILE or `-`, and print one result per line
    #[arg(long, value_name = "FILE", conflicts_with_all = EACH_CASE_SAYS)]
    batch: Option<PathBuf>,
    /// Configuration file [default: `service-token.toml`, unless an option names a key]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    store: AskedStore,
    /// The issuer (`iss`) that the token must have
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// The audience that the token must name; without it, a token with an audience is refused
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// Algorithms to accept, such as `HS256,ES256` [default: the algorithms of the keys]
    #[arg(long, value_name = "ALGS", value_delimiter = ',', value_parser = algorithm_parser())]
    algorithms: Vec<Algorithm>,
    /// Profile that the token must meet [default: the configuration's, else compatible]
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Leeway in seconds for clocks that differ; 0 by default, because a leeway extends every token
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    leeway: Seconds,
    /// Verify at this instant, in seconds since 1970 or RFC 3339 [default: now]
    #[arg(long, value_name = "UNIX", allow_negative_numbers = true)]
    now: Option<Instant>,
    /// Allow only this service (repeatable, or separated by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    service: Vec<ServiceName>,
    /// Allow only this role (repeatable: any of them)
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Vec<String>,
    /// Require this scope (repeatable: all of them)
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<ScopeToken>,
    /// Maximum age of the token, such as `24h`
    #[arg(long, value_name = "DURATION")]
    max_age: Option<Lifetime>,
    /// PEM file with the certificate of the caller's connection, for a token that is bound to a certificate
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &VerifyOptions) -> Outcome<Exit> {
    if let Some(source) = &options.batch {
        return batch::run(source);
    }
    let argument = options.token.as_deref().unwrap_or_default();
    let answer = match token_bytes(argument).and_then(|token| options.decide(&token)) {
        Ok(answer) => answer,
        // Programs ask for JSON, and they need an answer in every case.
        Err(problem) if options.format == Format::Json => {
            output::problem(&problem);
            output::json(&Answer::config_error(&problem))?;
            return Ok(problem.code().exit());
        }
        Err(problem) => return Err(problem),
    };
    match options.format {
        Format::Json => output::json(&answer)?,
        Format::Text => answer.print()?,
    }
    Ok(answer.exit())
}

impl VerifyOptions {
    fn now(&self) -> Option<Timestamp> {
        self.now.map(|Instant(now)| now)
    }

    fn decide(&self, token: &[u8]) -> Outcome<Answer> {
        let config = Config::find(self.config.as_deref(), !self.keys.any())?;
        let known = self.store.ask(config.as_ref(), self.now())?;
        let (revocations, ring) = known.map(|known| (known.revocations, known.ring)).unzip();
        let keys = match ring.flatten().filter(|_| !self.keys.any()) {
            Some(ring) => ring,
            None => self.keys.load(&self.algorithms, config.as_ref())?,
        };
        for skipped in keys.skipped() {
            output::note(&format!("not used: {skipped}"));
        }
        let verifier = Expectations {
            issuer: self.issuer.as_deref().or(config.as_ref().map(|config| config.issuer.as_str())),
            audience: self
                .audience
                .as_deref()
                .or(config.as_ref().and_then(|config| config.audience.as_deref())),
            algorithms: &self.algorithms,
            profile: self.profile.or(config.as_ref().and_then(|config| config.profile)).unwrap_or_default(),
            leeway: self.leeway.0,
            now: self.now(),
            revocations,
        }
        .verifier(keys)?;

        let services: Vec<&str> = self.service.iter().map(ServiceName::as_str).collect();
        let roles: Vec<&str> = self.role.iter().map(String::as_str).collect();
        let scopes: Vec<&str> = self.scope.iter().map(|ScopeToken(scope)| scope.as_str()).collect();
        let mut policy = Policy::any_service();
        if !services.is_empty() {
            policy = policy.services(&services);
        }
        if !roles.is_empty() {
            policy = policy.roles(&roles);
        }
        if !scopes.is_empty() {
            policy = policy.scopes(&scopes);
        }
        if let Some(Lifetime(age)) = self.max_age {
            policy = policy.max_age(age);
        }
        let certificate = self.certificate.as_deref().map(certificate::read).transpose()?;
        let peer = certificate.as_ref().map(certificate::presented);
        let answer = Answer::of(&verifier, peer.as_ref(), &policy, token);
        let own =
            config.as_ref().filter(|config| self.issuer.as_ref().is_none_or(|own| *own == config.issuer));
        let own = own.filter(|config| !config.services.is_empty()).zip(answer.service());
        if let Some((config, service)) = own.filter(|(config, service)| !is_listed(config, service)) {
            let place = config.path.display();
            output::warning(&format!(
                "`{place}` does not list the service `{service}`; add it, or revoke its tokens"
            ));
        }
        Ok(answer)
    }
}

/// The token of an argument: the argument itself, or for `-` standard input without one final line ending, LF
/// or CRLF.
pub(crate) fn token_bytes(argument: &OsStr) -> Outcome<Zeroizing<Vec<u8>>> {
    const REMEDY: &str = "pipe one token into `-`, as in `service-token verify - < orders.token`";
    if argument.is_empty() {
        // This happens with an unset variable, as in `verify "$TOKEN"`.
        return Err(Problem::usage("the TOKEN argument is empty, expected a token").help(REMEDY));
    }
    if argument != "-" {
        return Ok(Zeroizing::new(argument.as_encoded_bytes().to_vec()));
    }
    let mut token = Zeroizing::new(Vec::with_capacity(16 * 1024));
    io::stdin()
        .lock()
        .take(MAX_TOKEN_BYTES)
        .read_to_end(&mut token)
        .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot read standard input: {error}")))?;
    if token.last() == Some(&b'\n') {
        token.pop();
        if token.last() == Some(&b'\r') {
            token.pop();
        }
    }
    if token.is_empty() {
        return Err(Problem::usage("standard input is empty, expected a token").help(REMEDY));
    }
    if let Some(what) = beside_a_token(&token) {
        output::note(&format!("standard input {what}; a token is one line of three parts, and nothing else"));
    }
    Ok(token)
}

/// What standard input has besides a token. It is verified as it is; the reason of a refusal names a position only.
fn beside_a_token(input: &[u8]) -> Option<&'static str> {
    let begins =
        |with: &str| input.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
    if input.starts_with(b"\xef\xbb\xbf") {
        Some("begins with a byte order mark")
    } else if input.contains(&0) {
        Some("has a zero byte, as UTF-16 has")
    } else if begins("bearer ") || begins("authorization:") {
        Some("begins like a header")
    } else if begins("{") || begins("[") || begins("\"") || begins("'") {
        Some("begins with a quotation mark or a bracket")
    } else if input.iter().any(u8::is_ascii_whitespace) {
        Some("has white space or several lines")
    } else {
        None
    }
}
