//! `service-token ca` and `service-token cert`: certificates for mutual TLS on a developer's machine.
//!
//! The authority is created for this user and machine on first use, outside of every repository, like the key of `dev`.
//! Its name starts with `dev-only.`. A release build of `service-only-tls` refuses it, so that it cannot reach
//! production unnoticed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;
use service_only::{
    claims::ServiceName,
    clock::{Clock as _, SystemClock, Timestamp},
};
use service_only_tls::{SpiffeId, TlsFiles, TrustDomain};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::dev::state_directory;
use crate::change::DryRun;
use crate::config::Lifetime;
use crate::exit::Exit;
use crate::members;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};

const CA_FILE: &str = "development-ca.crt";
const CA_KEY_FILE: &str = "development-ca.key";

/// A name that says where it is valid: nowhere else.
const DEFAULT_TRUST_DOMAIN: &str = "dev-only.internal";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the authority is valid.
const CA_LIFETIME: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);

/// How long a leaf is valid: longer than a working day, and short enough that a program learns to reload it.
const LEAF_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest validity of a leaf. A certificate for longer belongs to a real authority.
const LONGEST_LEAF: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How far the start of a validity lies in the past, for a clock that is behind.
const EARLIER: Duration = Duration::from_secs(5 * 60);

const CA_EXAMPLES: &str = "\
Examples:
  service-token ca
  curl --cacert \"$(service-token ca)\" https://localhost:8443/

Standard output contains the path of the certificate. Its key stays in the same directory, mode 0600.";

const CERT_EXAMPLES: &str = "\
Examples:
  service-token cert orders
  service-token cert orders --dns orders.local --out-dir certificates/orders
  service-token generate orders --bind-certificate \"$(service-token cert orders)/tls.crt\"

Standard output contains the path of the directory. `TlsFiles::cert_manager` reads it.";

/// Create a development certificate authority for mutual TLS on this machine
///
/// The first use generates it in your state directory, outside of every repository.
/// A release build of `service-only-tls` refuses it. For production use cert-manager, SPIRE or step-ca.
#[derive(Args, Debug)]
#[command(after_help = CA_EXAMPLES)]
pub(crate) struct CaOptions {
    /// Directory of the authority [default: $XDG_STATE_HOME/service-only or ~/.local/state/service-only]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Issue a certificate of the development authority for a service
///
/// It writes `tls.crt`, `tls.key` and `ca.crt`, as a secret of cert-manager contains them. The certificate has the
/// SPIFFE ID `spiffe://TRUST-DOMAIN/NAME`, the DNS names NAME and `localhost`, and the addresses of this machine's
/// loopback. It creates the authority on first use.
#[derive(Args, Debug)]
#[command(after_help = CERT_EXAMPLES)]
pub(crate) struct CertOptions {
    /// Name of the service
    name: ServiceName,
    /// Trust domain of the SPIFFE ID
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_TRUST_DOMAIN)]
    trust_domain: String,
    /// Another DNS name of the service (repeatable)
    #[arg(long, value_name = "NAME", value_parser = dns_name)]
    dns: Vec<String>,
    /// Lifetime of the certificate, at most 90d [default: 7d, so that a program learns to reload it]
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<Lifetime>,
    /// Directory of the authority [default: $XDG_STATE_HOME/service-only or ~/.local/state/service-only]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Directory of the three files [default: `certificates/NAME` in the directory of the authority]
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing files in --out-dir
    #[arg(long, requires = "out_dir")]
    force: bool,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run_ca(options: &CaOptions) -> Outcome<Exit> {
    if options.dry_run.dry_run {
        let (directory, is_new) = Authority::planned(options.dir.as_deref())?;
        let path = absolute(directory.join(CA_FILE));
        match options.format {
            Format::Json => {
                output::json(&json!({ "dry_run": true, "certificate": path, "would_generate": is_new }))?
            }
            Format::Text if is_new => {
                output::lines(&format!("would generate a development authority: {path}"))?
            }
            Format::Text => output::lines(&format!("nothing to do: {path} exists"))?,
        }
        return Ok(Exit::Done);
    }
    let authority = Authority::of(options.dir.as_deref())?;
    let path = absolute(authority.directory.join(CA_FILE));
    match options.format {
        Format::Json => output::json(&json!({ "certificate": path }))?,
        Format::Text => output::result(&path)?,
    }
    Ok(Exit::Done)
}

pub(crate) fn run_cert(options: &CertOptions) -> Outcome<Exit> {
    let leaf = options.leaf()?;
    let (state, is_new) = Authority::planned(options.dir.as_deref())?;
    let (directory, overwrite) = match &options.out_dir {
        Some(directory) => (directory.clone(), Overwrite::of_key(options.force)),
        // A further certificate is a renewal.
        None => (state.join("certificates").join(options.name.as_str()), Overwrite::ReplaceKey),
    };
    if options.dry_run.dry_run {
        let files = certificate_files(&directory);
        new_file::check_targets(&files.each_ref().map(PathBuf::as_path), overwrite)?;
        let directory = absolute(directory);
        match options.format {
            Format::Json => output::json(&json!({
                "dry_run": true,
                "service": options.name.as_str(),
                "spiffe_id": leaf.id.as_str(),
                "directory": directory,
                "expires": members::instant(leaf.until),
                "would_generate_authority": is_new,
            }))?,
            Format::Text => {
                let and = if is_new { ", and generate a development authority" } else { "" };
                output::lines(&format!("would issue {} in {directory}{and}", leaf.id.as_str()))?;
            }
        }
        return Ok(Exit::Done);
    }
    Authority::of(options.dir.as_deref())?.issue(&leaf, &directory, overwrite)?;
    let directory = absolute(directory);
    match options.format {
        Format::Json => output::json(&json!({
            "service": options.name.as_str(),
            "spiffe_id": leaf.id.as_str(),
            "directory": directory,
            "expires": members::instant(leaf.until),
        }))?,
        Format::Text => output::result(&directory)?,
    }
    Ok(Exit::Done)
}

impl CertOptions {
    fn leaf(&self) -> Outcome<Leaf> {
        let lifetime = self.lifetime.map_or(LEAF_LIFETIME, |Lifetime(lifetime)| lifetime);
        if lifetime > LONGEST_LEAF {
            let days = LONGEST_LEAF.as_secs() / DAY.as_secs();
            return Err(Problem::usage(format!(
                "a development certificate is valid for at most {days} days"
            )));
        }
        Leaf::new(&self.name, &self.trust_domain, &self.dns, lifetime)
    }
}

/// A leaf certificate before it is signed.
pub(super) struct Leaf {
    id: SpiffeId,
    params: CertificateParams,
    until: Timestamp,
}

impl Leaf {
    /// The certificate that `cert` issues to a service without further options.
    pub(super) fn of(service: &ServiceName) -> Outcome<Self> {
        Self::new(service, DEFAULT_TRUST_DOMAIN, &[], LEAF_LIFETIME)
    }

    fn new(service: &ServiceName, trust_domain: &str, dns: &[String], lifetime: Duration) -> Outcome<Self> {
        let id = spiffe_id(service, trust_domain)?;
        let mut params = CertificateParams::default();
        let until = valid_for(&mut params, lifetime)?;
        params.distinguished_name.push(DnType::CommonName, service.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let uri = id.as_str().to_owned().try_into().map_err(|error| unissued(&error))?;
        params.subject_alt_names.push(SanType::URI(uri));
        let names = ["localhost", service.as_str()].into_iter().chain(dns.iter().map(String::as_str));
        for name in names {
            let name = name
                .to_owned()
                .try_into()
                .map_err(|error| Problem::usage(format!("`{name}` is not a DNS name: {error}")))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        params.subject_alt_names.extend(loopback.map(SanType::IpAddress));
        Ok(Self { id, params, until })
    }
}

/// A name that a client can look up. A certificate with another one would be issued, and no connection would match it.
fn dns_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_letter);
    let is_address =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    match name.len() <= 253 && name.split('.').all(is_label) && !is_address {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a DNS name; write one such as `orders.local`")),
    }
}

fn spiffe_id(service: &ServiceName, trust_domain: &str) -> Outcome<SpiffeId> {
    let refused = |error: &dyn std::fmt::Display| {
        Problem::usage(format!("`{trust_domain}` is not a trust domain: {error}"))
            .help("write one like `dev-only.internal`")
    };
    let domain: TrustDomain = trust_domain.parse().map_err(|error| refused(&error))?;
    format!("spiffe://{domain}/{service}").parse().map_err(|error| refused(&error))
}

/// The path as results show it.
fn absolute(path: PathBuf) -> String {
    std::path::absolute(&path).unwrap_or(path).display().to_string()
}

/// The three files of a certificate in a directory, in the order in which they are written.
pub(super) fn certificate_files(directory: &Path) -> [PathBuf; 3] {
    ["tls.crt", "tls.key", "ca.crt"].map(|file| directory.join(file))
}

/// The authority of this machine.
pub(super) struct Authority {
    directory: PathBuf,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Signs a certificate of a new key, and writes it with its key and the root.
    pub(super) fn issue(&self, leaf: &Leaf, directory: &Path, overwrite: Overwrite) -> Outcome<()> {
        let key = KeyPair::generate().map_err(|error| unissued(&error))?;
        let certificate = leaf.params.signed_by(&key, &self.issuer).map_err(|error| unissued(&error))?;
        let (chain, key) = (certificate.pem(), pem_of(&key));
        // What a service would refuse at its start replaces nothing.
        let files = TlsFiles::cert_manager(directory);
        files.check_contents(chain.as_bytes(), &key, self.pem.as_bytes()).map_err(|error| {
            Problem::new(ProblemCode::BadKey, error.to_string()).help(format!(
                "if the authority has expired, or the clock was wrong when it was generated, remove `{CA_FILE}` and \
                 `{CA_KEY_FILE}` in `{}`; the next run creates a new one",
                self.directory.display()
            ))
        })?;
        new_file::private_directory(directory)?;
        let [chain_file, key_file, roots_file] = certificate_files(directory);
        let files = [
            NewFile::public(chain_file, chain),
            NewFile::secret(key_file, key),
            NewFile::public(roots_file, self.pem.clone()),
        ];
        new_file::write_all(&files, overwrite)
    }

    /// The directory of the authority, and whether its first use would create it.
    fn planned(directory: Option<&Path>) -> Outcome<(PathBuf, bool)> {
        let directory = directory.map(Path::to_owned).map_or_else(state_directory, Ok)?;
        let is_new = !directory.join(CA_KEY_FILE).exists();
        Ok((directory, is_new))
    }

    /// Reads the authority, or creates it on first use.
    pub(super) fn of(directory: Option<&Path>) -> Outcome<Self> {
        let (directory, is_new) = Self::planned(directory)?;
        let (certificate, key_file) = (directory.join(CA_FILE), directory.join(CA_KEY_FILE));
        if is_new {
            let key = KeyPair::generate().map_err(|error| unissued(&error))?;
            let mut params = name_of_authority();
            valid_for(&mut params, CA_LIFETIME)?;
            let root = params.self_signed(&key).map_err(|error| unissued(&error))?;
            new_file::private_directory(&directory)?;
            let files = [NewFile::secret(&key_file, pem_of(&key)), NewFile::public(&certificate, root.pem())];
            new_file::write_all(&files, Overwrite::Refuse)?;
            output::note(&format!("generated a development authority: `{}`", certificate.display()));
        }
        let key = Zeroizing::new(read(&key_file)?);
        let key = KeyPair::from_pem(&key).map_err(|error| {
            let reason = format!("`{}` is not the key of an authority: {error}", key_file.display());
            Problem::new(ProblemCode::BadKey, reason)
                .help("remove both files of the authority; the next run creates a new one")
        })?;
        let pem = read(&certificate)?;
        Ok(Self { directory, pem, issuer: Issuer::new(name_of_authority(), key) })
    }
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| Problem::io("read", path, &error))
}

/// The name and usages of the authority. The same for each run, so that leaf certificates name it as their issuer.
fn name_of_authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("{}service-only", TlsFiles::DEVELOPMENT_PREFIX);
    params.distinguished_name.push(DnType::CommonName, name);
    // It signs leaf certificates, and no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Sets the validity, and returns its end.
fn valid_for(params: &mut CertificateParams, lifetime: Duration) -> Outcome<Timestamp> {
    let now = SystemClock.now();
    let until = now.plus(lifetime);
    let date =
        |time: Timestamp| OffsetDateTime::from_unix_timestamp(time.unix()).map_err(|error| unissued(&error));
    (params.not_before, params.not_after) = (date(now.minus(EARLIER))?, date(until)?);
    Ok(until)
}

fn pem_of(key: &KeyPair) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(key.serialize_pem().into_bytes())
}

fn unissued(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::BadKey, format!("no certificate: {error}"))
}
