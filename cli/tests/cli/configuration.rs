//! The guide to configuration says what the code says: each number, each method, and code that compiles.

use std::{error::Error, fs, path::Path, time::Duration};

use service_only::{
    Denial, Dpop, FileKeys, JsonLinesAudit, KeySet, Rejection, RemoteJwks, TrustedIssuer, Verifier,
    VerifyingKey,
    audit::WhenFull,
    claims::{Actor, Scopes, ServiceClaims, ServiceName},
    config::VerifierConfig,
    dpop::MemoryReplays,
    error::BuildError,
    issue::Issuer,
    keys::{KeyId, KeyRing},
    revocation::MemoryRevocations,
};
use service_only_client::{ClientCredentials, TokenSource, TokenSupply};
use service_only_export::MeshOptions;
use service_only_otel::Metrics;
use service_only_store::{CheckpointWriter, SqlReplays, SqlRevocations, rotation::KeyReporter};
use service_only_tls::{TlsConnector, TlsFiles, TlsServer};

const GUIDE: &str = include_str!("../../../docs/src/operations/configuration.md");

// Shown by the guide; nothing here is to be run.
#[expect(dead_code, reason = "compiled for the guide")]
fn verifier(store: &str) -> Result<Verifier, Box<dyn Error>> {
    let keys = FileKeys::jwks("/etc/service-keys/jwks.json").open()?;
    let orders = TrustedIssuer::strict("bakery-auth").keys(keys).audience("orders");
    let audit = JsonLinesAudit::builder().when_full(WhenFull::Deny).to_file("/var/log/orders/audit.jsonl")?;
    let verifier = Verifier::builder()
        .trust(orders)
        .revocation(SqlRevocations::of(store).start()?)
        .audit(audit)
        .require_audit()
        .build()?;
    Ok(verifier)
}

#[expect(dead_code, reason = "compiled for the guide")]
fn cluster(keys: RemoteJwks) -> Result<Verifier, BuildError> {
    let accounts = TrustedIssuer::kubernetes("https://kubernetes.default.svc.cluster.local")
        .keys(keys)
        .audience("orders")
        .name("system:serviceaccount:bakery:orchestrator", "tenant-deletion-orchestrator");
    Verifier::builder().trust(accounts).build()
}

#[expect(dead_code, reason = "compiled for the guide")]
async fn keys_of_the_cluster() -> Result<RemoteJwks, Box<dyn Error>> {
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let keys = RemoteJwks::url("https://kubernetes.default.svc.cluster.local/openid/v1/jwks")
        .root_certificates(std::fs::read(format!("{account}/ca.crt"))?)
        .bearer_token_file(format!("{account}/token"))
        .start()
        .await?;
    Ok(keys)
}

/// A value as the guide writes it.
trait Written {
    fn written(&self) -> String;
}

impl Written for u64 {
    fn written(&self) -> String {
        let digits = self.to_string();
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        groups.join(",")
    }
}

impl Written for u32 {
    fn written(&self) -> String {
        u64::from(*self).written()
    }
}

impl Written for usize {
    fn written(&self) -> String {
        (*self as u64).written()
    }
}

impl Written for &str {
    fn written(&self) -> String {
        (*self).to_owned()
    }
}

impl Written for Duration {
    fn written(&self) -> String {
        let ms = u64::try_from(self.as_millis()).unwrap();
        // An hour is an hour, and half a minute thirty seconds.
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
        let (unit, name) = units.into_iter().find(|(unit, _)| ms % unit == 0).unwrap();
        format!("{} {name}", (ms / unit).written())
    }
}

macro_rules! values {
    ($($value:expr),* $(,)?) => { [$((stringify!($value), $value.written())),*] };
}

#[test]
fn guide_contains_every_default_and_limit_with_its_value() {
    let values = values![
        Verifier::DEFAULT_CACHED_TOKENS,
        ClientCredentials::DEFAULT_TIMEOUT,
        TokenSupply::DEFAULT_RENEWAL_PERCENT,
        ClientCredentials::MAX_CREDENTIAL_BYTES,
        ClientCredentials::MAX_RESPONSE_BYTES,
        TokenSupply::MAX_AUDIENCES,
        TokenSupply::MAX_PAUSE,
        TokenSupply::MAX_RETRY_AFTER,
        JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT,
        Issuer::DEFAULT_LIFETIME,
        RemoteJwks::DEFAULT_MAX_RESPONSE_BYTES,
        SqlRevocations::DEFAULT_MAX_SILENCE,
        RemoteJwks::DEFAULT_MAX_STALENESS,
        Metrics::DEFAULT_NAMES,
        FileKeys::DEFAULT_POLL_INTERVAL,
        JsonLinesAudit::DEFAULT_QUEUE,
        RemoteJwks::DEFAULT_MAX_KEYS,
        KeyReporter::DEFAULT_INTERVAL,
        CheckpointWriter::DEFAULT_INTERVAL,
        SqlRevocations::DEFAULT_POLL_INTERVAL,
        RemoteJwks::DEFAULT_TIMEOUT,
        MeshOptions::DEFAULT_TRUST_DOMAIN,
        RemoteJwks::DEFAULT_UNKNOWN_KID_INTERVAL,
        RemoteJwks::DEFAULT_UNKNOWN_KID_WAIT,
        JsonLinesAudit::DEFAULT_WRITE_TIMEOUT,
        Issuer::LONG_LIFETIME,
        Actor::MAX_DEPTH,
        ServiceClaims::MAX_AUDIENCES,
        Rejection::MAX_BODY_LENGTH,
        Verifier::MAX_CACHED_TOKENS,
        ServiceClaims::MAX_CLAIM_LENGTH,
        Verifier::MAX_JSON_DEPTH,
        Verifier::MAX_JSON_MEMBERS,
        KeySet::MAX_JWKS_BYTES,
        KeySet::MAX_KEYS,
        KeySet::MAX_KEYS_PER_KID,
        FileKeys::MAX_BYTES,
        KeyId::MAX_LENGTH,
        Verifier::MAX_ISSUED_AHEAD,
        Verifier::MAX_LEEWAY,
        Issuer::MAX_LIFETIME,
        Metrics::MAX_SERIES,
        JsonLinesAudit::MAX_QUEUE,
        Denial::MAX_QUOTED,
        Dpop::DEFAULT_MAX_AGE,
        Dpop::MAX_AHEAD,
        Dpop::MAX_ID_LENGTH,
        Dpop::MAX_PROOF_LENGTH,
        KeyRing::MAX_RETIRED,
        MemoryReplays::DEFAULT_CAPACITY,
        MemoryReplays::MAX_CAPACITY,
        SqlReplays::CLOCK_DIFFERENCE,
        SqlReplays::DEFAULT_CAPACITY,
        SqlReplays::DEFAULT_WAIT,
        SqlReplays::MAX_CAPACITY,
        SqlReplays::MAX_WAIT,
        MemoryRevocations::MAX_REVOCATIONS,
        VerifierConfig::MAX_BYTES,
        VerifyingKey::MAX_RSA_BITS,
        Verifier::MAX_SET,
        Scopes::MAX,
        ServiceName::MAX_LENGTH,
        TokenSource::MAX_FILE_BYTES,
        TlsFiles::MAX_FILE_BYTES,
        TlsFiles::MAX_CHAIN,
        TlsFiles::MAX_ROOTS,
        TlsServer::DEFAULT_HANDSHAKE_TIMEOUT,
        TlsServer::DEFAULT_MAX_CONNECTIONS,
        TlsConnector::DEFAULT_TIMEOUT,
        Verifier::MAX_TOKEN_LENGTH,
        VerifyingKey::MIN_RSA_BITS,
        VerifyingKey::MIN_RSA_EXPONENT,
        TokenSource::REREAD_INTERVAL,
        Issuer::STRICT_LIFETIME,
    ];
    for (name, value) in &values {
        assert!(GUIDE.contains(&format!("`{name}` ({value})")), "`{name}` ({value})");
    }
    let mut sources = Vec::new();
    for crate_folder in ["", "client", "export", "otel", "store", "tls"] {
        collect(&source(&format!("{crate_folder}/src")), &mut sources);
    }
    let code: String = sources.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let consts =
        code.lines().filter_map(|line| line.trim_start().strip_prefix("pub const ")?.split(':').next());
    let bounds: Vec<_> = consts
        .filter(|name| ["DEFAULT_", "MAX_", "MIN_"].iter().any(|start| name.starts_with(start)))
        // Of what the attribute emits, and of what only the crates beside `service-only` use.
        .filter(|name| !["MAX_NAMES", "MAX_READ", "MIN_POLL_INTERVAL"].contains(name))
        // A list of names.
        .filter(|name| *name != "DEFAULT_ALGORITHMS")
        // Of an experimental feature.
        .filter(|name| *name != "DEFAULT_MAX_LIFETIME")
        .collect();
    assert!(bounds.len() > 30, "only {} were found", bounds.len());
    for name in bounds {
        let is_known = values.iter().any(|(known, _)| known.rsplit("::").next() == Some(name));
        assert!(is_known, "`{name}` is not in the guide");
    }
}

/// A file of `service-only`, or of a crate beside it by the name of its folder.
fn source(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime").join(file.trim_start_matches('/'))
}

fn collect(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The words in code of one section, without its blocks.
fn words(heading: &str) -> Vec<&'static str> {
    let (_, section) = GUIDE.split_once(&format!("\n### {heading}\n")).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let code = section.split('`').skip(1).step_by(2);
    code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect()
}

#[test]
fn guide_contains_every_builder_method_in_its_section() {
    let sections: [(&str, &[&str]); 12] = [
        ("Verifier", &["src/verifier/builder.rs"]),
        ("From a file or variables", &["src/config.rs"]),
        ("Trusted issuers", &["src/trusted.rs", "src/trusted/access.rs", "src/trusted/providers.rs"]),
        ("Keys", &["src/keys/file.rs"]),
        ("Remote keys", &["src/keys/remote.rs", "src/keys/remote/builder.rs"]),
        ("Rotating keys", &["src/keys/ring.rs", "src/issue/ring.rs"]),
        (
            "Revocation",
            &[
                "src/revocation/memory.rs",
                "store/src/revocations.rs",
                "store/src/revocations/builder.rs",
                "store/src/rotation/reporter.rs",
            ],
        ),
        ("Audit", &["src/audit/json_lines.rs", "store/src/checkpoints.rs"]),
        ("Metrics and traces", &["otel/src/metrics.rs", "otel/src/traces.rs"]),
        (
            "Calling others",
            &[
                "client/src/lib.rs",
                "client/src/attach.rs",
                "client/src/client_credentials.rs",
                "client/src/reqwest.rs",
                "client/src/supply.rs",
            ],
        ),
        ("TLS between services", &["tls/src/tls.rs", "tls/src/server.rs", "tls/src/connect.rs"]),
        ("Minting", &[]),
    ];
    for (heading, files) in sections {
        let words = words(heading);
        for file in files {
            let code = fs::read_to_string(source(file)).unwrap();
            let methods = code.lines().filter_map(|line| {
                let line = line.strip_prefix("    pub ")?;
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.split(['(', '<']).next()
            });
            let methods: Vec<_> = methods.collect();
            assert!(!methods.is_empty(), "{file}");
            for method in methods {
                assert!(words.contains(&method), "{heading}: `{method}` of {file}");
            }
        }
    }
    // Of the file that has the builder, the builder's.
    let code = fs::read_to_string(source("src/issue.rs")).unwrap();
    let (_, builder) = code.split_once("impl IssuerBuilder {").unwrap();
    for line in builder.lines().filter_map(|line| line.strip_prefix("    pub fn ")) {
        let method = line.split('(').next().unwrap();
        assert!(words("Minting").contains(&method), "Minting: `{method}`");
    }
}

#[test]
fn the_code_of_the_guide_is_compiled_here() {
    let blocks: Vec<_> =
        GUIDE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let own = include_str!("configuration.rs")
        .replace("#[expect(dead_code, reason = \"compiled for the guide\")]\n", "");
    for block in blocks {
        assert!(own.contains(block), "{block}");
    }
}
