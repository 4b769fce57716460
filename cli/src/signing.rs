//! Resolves options and configuration to an issuer, and a service's entry to its token.
//!
//! Every command that signs uses this module, with one rule. If the command line names a key, a configuration
//! is read only if the command line names it too. Otherwise `service-token.toml` in the current directory
//! supplies what is missing. An option always overrides the file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use service_only::{
    Algorithm,
    claims::ServiceName,
    clock::{Clock as _, SystemClock, Timestamp},
    issue::{Issuer, MintedToken},
};

use crate::acceptance::{Acceptance, Asked};
use crate::certificate;
use crate::config::{Config, DEFAULT_FILE, DEFAULT_ROLE, Lifetime, ScopeToken, ServiceEntry};
use crate::dpop_key;
use crate::key_file::{KeySource, SecretEncoding};
use crate::known;
use crate::option_values::{algorithm_parser, key_name, role};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::service_token::ServiceToken;
use crate::store::{Recorded, RegistryOptions};
use crate::unlock::UnlockOptions;

/// Which key signs, and in whose name.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SigningOptions {
    /// Configuration file [default: `service-token.toml`, unless --key names a key]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Private key file [default: the configuration's]
    #[arg(long, value_name = "FILE", requires = "algorithm")]
    pub(crate) key: Option<PathBuf>,
    /// Algorithm of the key in --key
    #[arg(long, value_name = "ALG", requires = "key", value_parser = algorithm_parser())]
    pub(crate) algorithm: Option<Algorithm>,
    /// Key id of the key in --key [default: the RFC 7638 thumbprint, which is computed from the key]
    #[arg(long, value_name = "KID", allow_hyphen_values = true, value_parser = key_name, requires = "key")]
    pub(crate) kid: Option<String>,
    /// Encoding of the HMAC secret in --key [default: raw]
    #[arg(long, value_name = "ENCODING", requires = "key")]
    pub(crate) secret_encoding: Option<SecretEncoding>,
    #[command(flatten)]
    pub(crate) unlock: UnlockOptions,
    /// Issuer (`iss`) of the token [default: the configuration's]
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
}

/// Properties of the token that the configuration does not set.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TokenOptions {
    /// Lifetime of the tokens, such as `30d` [default: the configuration's; else 365d, because a token
    /// without automatic renewal must not expire unnoticed, or 1h if strict]. Prefer 90d or less
    #[arg(long, value_name = "DURATION")]
    pub(crate) lifetime: Option<Lifetime>,
    /// Profile of the token [default: the configuration's, else compatible]
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(crate) profile: Option<Profile>,
    /// Audience (`aud`) of the token [default: the configuration's]
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,
    /// Role of the service [default: the configuration's, else admin]
    #[arg(long, value_name = "ROLE", value_parser = role, conflicts_with = "all")]
    pub(crate) role: Option<String>,
    /// Scope of the token (repeatable) [default: the configuration's]
    #[arg(long, value_name = "SCOPE", conflicts_with = "all")]
    pub(crate) scope: Vec<ScopeToken>,
    /// Bind the token to the certificate in FILE, PEM: it works only over a connection with this certificate
    /// [default: the configuration's, else none]
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) bind_certificate: Option<PathBuf>,
    /// Bind the token to the public key in FILE, PEM or JWK: it works only with proofs of this key (DPoP)
    /// [default: the configuration's, else none]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "bind_certificate"])]
    pub(crate) bind_dpop_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) refused: RefusedTokens,
}

/// What happens to a token that `verify` refuses with the same configuration.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct RefusedTokens {
    /// Mint the token even if `verify` refuses it with the same configuration, because of its issuer,
    /// audience, lifetime, profile or key. Only for a verifier with other settings
    #[arg(long)]
    pub(crate) dangerously_mint_refused: bool,
}

/// Which services get a token.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServiceChoice {
    /// Name of the service
    #[arg(required_unless_present_any = ["all", "missing"], conflicts_with = "all")]
    pub(crate) name: Option<ServiceName>,
    /// Every service of the configuration file
    #[arg(long)]
    pub(crate) all: bool,
    /// Every service of the configuration file that has no valid token in the registry
    #[arg(long, conflicts_with_all = ["all", "name", "role", "scope"])]
    pub(crate) missing: bool,
    /// Accept a NAME that the configuration does not list
    #[arg(long, requires = "name", conflicts_with_all = ["all", "missing"])]
    pub(crate) allow_unlisted: bool,
}

/// Recorded tokens, and what was prepared to write them out.
pub(crate) struct Minted<R> {
    tokens: Vec<ServiceToken>,
    ready: R,
}

impl ServiceChoice {
    /// Whether the configuration names the services, so that there may be any number of tokens.
    pub(crate) fn several(&self) -> bool {
        self.all || self.missing
    }
}

impl<R> Minted<R> {
    /// Writes the tokens out. If that fails, the error names the recorded tokens that no service received.
    pub(crate) fn hand_out(
        self,
        how: impl FnOnce(&[ServiceToken], R) -> Outcome<()>,
    ) -> Outcome<Vec<ServiceToken>> {
        let handed = how(&self.tokens, self.ready).and_then(|()| match output::is_closed() {
            true => Err(Problem::new(ProblemCode::Io, "the reader of standard output has closed the pipe")),
            false => Ok(()),
        });
        handed.map_err(|problem| {
            let names = self.tokens.iter().map(|made| {
                format!("`{}` of `{}`", made.token.claims().jti.as_deref().unwrap_or_default(), made.service)
            });
            let names = names.collect::<Vec<_>>().join(", ");
            problem.and(format!(
                "these tokens were minted and may be in the registry, but not all were written out: {names}"
            ))
        })?;
        Ok(self.tokens)
    }
}

/// Mints one token for each chosen service, warns about long lifetimes, and records the tokens.
pub(crate) fn mint<R>(
    signing: &SigningOptions,
    choice: &ServiceChoice,
    options: &TokenOptions,
    registry: &RegistryOptions,
    ready: impl Fn(&[ServiceToken]) -> Outcome<R>,
) -> Outcome<Minted<R>> {
    let config = Config::find(signing.config.as_deref(), signing.key.is_none())?;
    let services = chosen(choice, config.as_ref(), registry)?;
    mint_for(services, signing, config.as_ref(), options, registry, ready)
}

/// Does the same for services of a configuration that already have tokens.
pub(crate) fn mint_again<R>(
    config: &Config,
    services: BTreeMap<ServiceName, ServiceEntry>,
    options: &TokenOptions,
    registry: &RegistryOptions,
    ready: impl Fn(&[ServiceToken]) -> Outcome<R>,
) -> Outcome<Minted<R>> {
    mint_for(services, &SigningOptions::default(), Some(config), options, registry, ready)
}

/// Mints tokens in memory, checks that they could be recorded, and hands none out.
pub(crate) fn attempt(
    signing: &SigningOptions,
    choice: &ServiceChoice,
    options: &TokenOptions,
    registry: &RegistryOptions,
) -> Outcome<Vec<ServiceToken>> {
    let config = Config::find(signing.config.as_deref(), signing.key.is_none())?;
    let services = chosen(choice, config.as_ref(), registry)?;
    attempt_for(&services, signing, config.as_ref(), options, registry)
}

/// Does the same for services of a configuration that already have tokens.
pub(crate) fn try_again(
    config: &Config,
    services: BTreeMap<ServiceName, ServiceEntry>,
    options: &TokenOptions,
    registry: &RegistryOptions,
) -> Outcome<Vec<ServiceToken>> {
    attempt_for(&services, &SigningOptions::default(), Some(config), options, registry)
}

fn attempt_for(
    services: &BTreeMap<ServiceName, ServiceEntry>,
    signing: &SigningOptions,
    config: Option<&Config>,
    options: &TokenOptions,
    registry: &RegistryOptions,
) -> Outcome<Vec<ServiceToken>> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let issuer = issuer(signing, config, options)?;
    let acceptance = Acceptance::of(&asked(signing, options), config, &issuer);
    let tokens = all(&issuer, services, options)?;
    acceptance.check(&tokens)?;
    registry.check(config, &tokens, acceptance.other_key.as_ref())?;
    warn_of_long_lives(&tokens);
    Ok(tokens)
}

fn all(
    issuer: &Issuer,
    services: &BTreeMap<ServiceName, ServiceEntry>,
    options: &TokenOptions,
) -> Outcome<Vec<ServiceToken>> {
    let tokens = services.iter().map(|(service, entry)| {
        let token = mint_one(issuer, service, entry, options)?;
        Ok(ServiceToken { service: service.clone(), token })
    });
    tokens.collect()
}

fn mint_for<R>(
    services: BTreeMap<ServiceName, ServiceEntry>,
    signing: &SigningOptions,
    config: Option<&Config>,
    options: &TokenOptions,
    registry: &RegistryOptions,
    ready: impl Fn(&[ServiceToken]) -> Outcome<R>,
) -> Outcome<Minted<R>> {
    if services.is_empty() {
        return Ok(Minted { ready: ready(&[])?, tokens: Vec::new() });
    }
    let issuer = issuer(signing, config, options)?;
    let acceptance = Acceptance::of(&asked(signing, options), config, &issuer);
    loop {
        let tokens = all(&issuer, &services, options)?;
        acceptance.check(&tokens)?;
        let ready = ready(&tokens)?;
        match registry.record(config, &tokens, acceptance.other_key.as_ref())? {
            Recorded::Done => {
                warn_of_long_lives(&tokens);
                return Ok(Minted { tokens, ready });
            }
            // Tokens of this second are revoked, so a token issued now would be useless; the next second is
            // not revoked.
            Recorded::RevokedUpTo(second) => wait_until_over(second),
        }
    }
}

fn wait_until_over(second: Timestamp) {
    let next = second.plus(Duration::from_secs(1));
    std::thread::sleep(next.since(SystemClock.now()).unwrap_or_default());
}

/// The key that the options or the configuration name.
pub(crate) fn key_source(signing: &SigningOptions, config: Option<&Config>) -> Outcome<KeySource> {
    match (&signing.key, signing.algorithm, config) {
        (Some(path), Some(algorithm), _) => Ok(KeySource {
            path: path.clone(),
            algorithm,
            kid: signing.kid.clone(),
            encoding: signing.secret_encoding.unwrap_or(SecretEncoding::Raw),
            unlock: signing.unlock.unlock(),
            device: None,
        }),
        (_, _, Some(config)) => {
            signing.unlock.apply(&config.key.unlock);
            Ok(config.key.clone())
        }
        _ => Err(Problem::usage(format!("no signing key: `{DEFAULT_FILE}` does not exist in this directory"))
            .help("write one with `service-token init`, name one with `--config FILE`, or pass `--key FILE --algorithm ALG --issuer ISSUER`")),
    }
}

fn issuer(signing: &SigningOptions, config: Option<&Config>, options: &TokenOptions) -> Outcome<Issuer> {
    let name = signing
        .issuer
        .as_deref()
        .or(config.map(|config| config.issuer.as_str()))
        .filter(|name| !name.is_empty());
    let source = key_source(signing, config)?;
    let name = name.ok_or_else(|| {
        Problem::usage("no issuer").help("pass `--issuer ISSUER`, the `iss` that verifiers expect")
    })?;

    let mut builder = Issuer::builder().issuer(name).key(source.load()?);
    let profile = profile(config, options);
    let lifetime = lifetime(config, options);
    let audience = audience(config, options);
    if profile == Profile::Strict {
        if audience.is_none() {
            return Err(Problem::usage("a strict token needs an audience, and none is named")
                .help("pass `--audience AUDIENCE`, or write `audience` into the configuration"));
        }
        builder = builder.strict();
    }
    if let Some(lifetime) = lifetime {
        builder = builder.lifetime(lifetime);
    }
    if let Some(audience) = audience {
        builder = builder.audience(audience);
    }
    builder.build().map_err(|error| Problem::usage(error.to_string()))
}

pub(crate) fn profile(config: Option<&Config>, options: &TokenOptions) -> Profile {
    options.profile.or(config.and_then(|config| config.profile)).unwrap_or_default()
}

fn asked<'a>(signing: &'a SigningOptions, options: &'a TokenOptions) -> Asked<'a> {
    Asked {
        issuer: signing.issuer.as_deref(),
        audience: audience(None, options),
        profile: profile(None, options),
        names_key: signing.key.is_some(),
        is_intended: options.refused.dangerously_mint_refused,
    }
}

pub(crate) fn audience<'a>(config: Option<&'a Config>, options: &'a TokenOptions) -> Option<&'a str> {
    options.audience.as_deref().or(config.and_then(|config| config.audience.as_deref()))
}

fn lifetime(config: Option<&Config>, options: &TokenOptions) -> Option<Duration> {
    options.lifetime.map(|Lifetime(duration)| duration).or(config.and_then(|config| config.lifetime))
}

/// The services of `choice` with their entries. A name that the configuration does not list is probably a
/// typing error. Its token would be a credential that no service uses.
fn chosen(
    choice: &ServiceChoice,
    config: Option<&Config>,
    registry: &RegistryOptions,
) -> Outcome<BTreeMap<ServiceName, ServiceEntry>> {
    let Some(name) = &choice.name else {
        return match config {
            Some(config) if !config.services.is_empty() && choice.missing => registry.without_token(config),
            Some(config) if !config.services.is_empty() => Ok(config.services.clone()),
            Some(config) => Err(Problem::usage(format!("`{}` lists no service", config.path.display()))
                .help("add one under `[services]`, such as `orders = { role = \"admin\" }`")),
            None => Err(Problem::usage("`--all` and `--missing` need a configuration file")
                .help("write one with `service-token init`, or name one with `--config FILE`")),
        };
    };
    let listed = config.and_then(|config| config.services.get(name));
    match (listed, config) {
        (None, Some(config)) if !choice.allow_unlisted => {
            let reason = format!("`{name}` is not a service of `{}`", config.path.display());
            let listed = config.services.keys().map(ServiceName::as_str);
            Err(known::unknown(reason, name.as_str(), listed)
                .also("add it under `[services]`, or pass `--allow-unlisted`"))
        }
        (entry, _) => Ok(BTreeMap::from([(name.clone(), entry.cloned().unwrap_or_default())])),
    }
}

fn mint_one(
    issuer: &Issuer,
    service: &ServiceName,
    entry: &ServiceEntry,
    options: &TokenOptions,
) -> Outcome<MintedToken> {
    let refused =
        |error: service_only::issue::IssueError| Problem::usage(format!("no token for `{service}`: {error}"));
    let role = options.role.as_deref().or(entry.role.as_deref()).unwrap_or(DEFAULT_ROLE);
    let overriding: Vec<String> = options.scope.iter().map(|ScopeToken(scope)| scope.clone()).collect();
    let scopes = if overriding.is_empty() { &entry.scopes } else { &overriding };

    let mut request = issuer.token_for(service.as_str()).role(role);
    for scope in scopes {
        request = request.scope(scope.as_str());
    }
    let binding = match (&options.bind_certificate, &options.bind_dpop_key) {
        (None, None) => (&entry.certificate, &entry.dpop_key),
        chosen => chosen,
    };
    request = match binding {
        (None, None) => request,
        (Some(file), None) => request.bind_certificate(*certificate::read(file)?.thumbprint()),
        (None, Some(file)) => request.bind_key(dpop_key::thumbprint(file)?),
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                ProblemCode::BadConfig,
                format!("`{service}` has a `certificate` and a `dpop_key`, and a token has one binding"),
            )
            .help("remove one of them from the service in `service-token.toml`"));
        }
    };
    request.mint().map_err(refused)
}

fn warn_of_long_lives(tokens: &[ServiceToken]) {
    let mut by_warning = BTreeMap::<&str, Vec<&str>>::new();
    for made in tokens {
        if let Some(warning) = made.token.warning() {
            by_warning.entry(warning).or_default().push(made.service.as_str());
        }
    }
    for (warning, services) in by_warning {
        output::warning(&format!("{}: {warning}", services.join(", ")));
    }
}
