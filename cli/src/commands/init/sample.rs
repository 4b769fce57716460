//! The configuration file that `init` writes: the example, with the answers in their places.

use std::path::Path;

use service_only::{Algorithm, claims::ServiceName};
use service_only_store::Store;

use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;

const SAMPLE: &str = include_str!("service-token.toml");

/// What the example has in place of its strict settings, with `--compatible`.
const COMPATIBLE: &str = include_str!("compatible.toml");

/// What the example says about certificates, with `--tls`.
const TLS: &str = include_str!("tls.toml");

/// The store of the sample, relative to its file.
const STORE: &str = "sqlite:service-token.db";

/// What the operator has decided; the rest stays as in the example.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) profile: Profile,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) store: Option<String>,
    pub(super) services: Vec<ServiceName>,
    /// Whether each service has a certificate that its tokens are bound to.
    pub(super) tls: bool,
}

impl Answers {
    /// The text of the file.
    pub(super) fn file(&self) -> Outcome<String> {
        self.check()?;
        let mut text = SAMPLE.to_owned();
        if self.profile == Profile::Compatible {
            let before = text.split_once("# `aud` of every token").map_or("", |(before, _)| before);
            let after = text.split_once("# The store of revocations").map_or("", |(_, after)| after);
            text = format!("{before}{COMPATIBLE}\n# The store of revocations{after}");
        }
        // A strict token has an audience; a fleet whose issuer serves nothing else can use its name.
        let strict = self.issuer.as_ref().filter(|_| self.profile == Profile::Strict);
        for (key, value) in [
            ("issuer", self.issuer.as_ref()),
            ("audience", self.audience.as_ref().or(strict)),
            ("store", self.store.as_ref()),
            ("algorithm", self.algorithm.map(|algorithm| algorithm.to_string()).as_ref()),
        ] {
            if let Some(value) = value {
                text = with(&text, key, value);
            }
        }
        if !self.services.is_empty() {
            let (before, rest) = text.split_once("[services]\n").unwrap_or((&text, ""));
            let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
            // A service that is named twice would be a repeated key, and the file could not be read.
            let mut seen = std::collections::BTreeSet::new();
            let services: Vec<_> = self
                .services
                .iter()
                .filter(|name| seen.insert(*name))
                .map(|name| format!("{} = {{}}\n", key(name)))
                .collect();
            text = format!("{before}[services]\n{}\n{after}", services.concat());
        }
        Ok(if self.tls { with_certificates(&text) } else { text })
    }

    fn check(&self) -> Outcome<()> {
        if let Some(algorithm) = self.algorithm.filter(|algorithm| algorithm.is_symmetric())
            && self.profile == Profile::Strict
        {
            return Err(Problem::usage(format!(
                "strict tokens need a key pair, and {algorithm} is an HMAC secret"
            ))
            .help("choose ES256, or pass `--compatible`"));
        }
        let Some(store) = &self.store else { return Ok(()) };
        Store::check_address(store)
            .map_err(|error| Problem::new(ProblemCode::BadConfig, format!("`--store`: {error}")))?;
        if Store::address_holds_password(store) {
            return Err(Problem::usage(
                "the address of the store contains a password, and the file is not secret",
            )
            .help("leave it out, and set it in PGPASSWORD or in the file that PGPASSFILE names"));
        }
        Ok(())
    }

    /// The address of the store for this program: a path is relative to the file.
    pub(super) fn store_beside(&self, file: &Path) -> String {
        let store = self.store.as_deref().unwrap_or(STORE);
        let folder = file.parent().unwrap_or(Path::new(""));
        match store.strip_prefix("sqlite:") {
            Some(path) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                format!("sqlite:{}", folder.join(path).display())
            }
            None => store.to_owned(),
        }
    }
}

/// The folder of a service's certificate, relative to the file.
pub(super) fn certificate_folder(service: &str) -> String {
    format!("certificates/{service}")
}

/// The services in a text of the file.
pub(super) fn listed(text: &str) -> Outcome<Vec<ServiceName>> {
    let broken = |error: &dyn std::fmt::Display| Problem::new(ProblemCode::BadConfig, error.to_string());
    let file: toml::Table = text.parse().map_err(|error| broken(&error))?;
    let services = file.get("services").and_then(toml::Value::as_table);
    let names = services.into_iter().flat_map(toml::Table::keys);
    names.map(|name| name.parse().map_err(|error| broken(&error))).collect()
}

/// The text with a certificate for each service, and with the comment about TLS.
fn with_certificates(text: &str) -> String {
    let (before, rest) = text.split_once("# The services that get a token").unwrap_or((text, ""));
    let (mut lines, mut is_entry) = (format!("{before}{TLS}\n# The services that get a token"), false);
    for line in rest.split_inclusive('\n') {
        is_entry = (is_entry || line.trim_end() == "[services]") && !line.trim().is_empty();
        match line.trim_end().split_once(" = {") {
            Some((key, settings)) if is_entry && !key.starts_with('#') => {
                let settings = settings.trim_end_matches('}').trim();
                let settings = if settings.is_empty() { String::new() } else { format!("{settings}, ") };
                let folder = certificate_folder(key.trim_matches('"'));
                lines.push_str(&format!("{key} = {{ {settings}certificate = \"{folder}/tls.crt\" }}\n"));
            }
            _ => lines.push_str(line),
        }
    }
    lines
}

/// A text that is not empty.
pub(super) fn filled(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
}

/// The text with a value for the first line of this key, which may be a comment.
fn with(text: &str, key: &str, value: &str) -> String {
    let mut is_set = false;
    let lines = text.lines().map(|line| {
        let named = line.strip_prefix("# ").unwrap_or(line).split_once(" = ");
        if !is_set && named.is_some_and(|(name, _)| name == key) {
            is_set = true;
            format!("{key} = {}\n", toml::Value::String(value.to_owned()))
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// The name as a key of TOML.
fn key(name: &ServiceName) -> String {
    let name = name.as_str();
    // A dot would make a table of it.
    if name.contains('.') { toml::Value::String(name.to_owned()).to_string() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, DEFAULT_FILE};

    fn load(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DEFAULT_FILE);
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    fn plain(profile: Profile) -> Answers {
        Answers {
            profile,
            issuer: None,
            audience: None,
            algorithm: None,
            store: None,
            services: Vec::new(),
            tls: false,
        }
    }

    fn full(profile: Profile) -> Answers {
        Answers {
            issuer: Some("mill \"auth\"".to_owned()),
            algorithm: Some(Algorithm::EdDSA),
            store: Some("sqlite:tokens/mill.db".to_owned()),
            services: ["flour", "mill.eu"].map(|name| name.parse().unwrap()).into(),
            ..plain(profile)
        }
    }

    #[test]
    fn sample_is_a_valid_configuration_of_a_strict_fleet() {
        let answers = plain(Profile::Strict);
        let config = load(&answers.file().unwrap());
        assert_eq!((config.services.len(), config.profile), (2, Some(Profile::Strict)));
        assert_eq!(config.audience.as_deref(), Some("bakery"));
        assert_eq!(config.store, Some(answers.store_beside(&config.path)), "`init` creates it");
    }

    #[test]
    fn compatible_sample_keeps_the_defaults_of_the_first_services() {
        let config = load(&plain(Profile::Compatible).file().unwrap());
        assert_eq!((config.profile, config.audience), (Some(Profile::Compatible), None));
        assert_eq!(config.lifetime, Some(Duration::from_secs(365 * 86_400)));
    }

    #[test]
    fn every_commented_line_of_the_sample_is_valid_too() {
        for profile in [Profile::Strict, Profile::Compatible] {
            let text = plain(profile).file().unwrap();
            let uncommented: String = text
                .lines()
                .map(|line| match line.strip_prefix("# ") {
                    Some(entry) if entry.contains(" = ") || entry.starts_with('[') => format!("{entry}\n"),
                    _ => format!("{line}\n"),
                })
                .collect();
            let config = load(&uncommented);
            assert_eq!(config.services.len(), 14);
            assert!(config.audience.is_some() && config.key.kid.is_some());
        }
    }

    #[test]
    fn answers_are_in_the_file() {
        for profile in [Profile::Strict, Profile::Compatible] {
            let config = load(&full(profile).file().unwrap());
            assert_eq!((config.issuer.as_str(), config.key.algorithm), ("mill \"auth\"", Algorithm::EdDSA));
            let audience = (profile == Profile::Strict).then_some("mill \"auth\"");
            assert_eq!((config.profile, config.audience.as_deref()), (Some(profile), audience));
            assert!(config.store.unwrap().ends_with("/tokens/mill.db"));
            let services: Vec<_> = config.services.keys().map(ServiceName::as_str).collect();
            assert_eq!(services, ["flour", "mill.eu"]);
        }
        let named = Answers { audience: Some("mill".to_owned()), ..full(Profile::Compatible) };
        assert_eq!(load(&named.file().unwrap()).audience.as_deref(), Some("mill"));
    }

    #[test]
    fn each_service_has_the_certificate_that_its_tokens_are_bound_to() {
        for answers in [plain(Profile::Strict), plain(Profile::Compatible), full(Profile::Strict)] {
            let text = Answers { tls: true, ..answers.clone() }.file().unwrap();
            let config = load(&text);
            assert_eq!(listed(&text).unwrap(), config.services.keys().cloned().collect::<Vec<_>>());
            assert_eq!(listed(&text).unwrap().len(), 2);
            for (name, service) in &config.services {
                let file = service.certificate.as_ref().unwrap();
                assert!(file.ends_with(format!("certificates/{name}/tls.crt")), "{file:?}");
            }
            let without = load(&answers.file().unwrap());
            for (name, service) in without.services {
                assert_eq!(service.certificate, None, "{name}");
                let (role, scopes) = (&config.services[&name].role, &config.services[&name].scopes);
                assert_eq!((role, scopes), (&service.role, &service.scopes), "{name}");
            }
            assert!(text.contains("cert-manager") && !answers.file().unwrap().contains("cert-manager"));
        }
    }

    #[test]
    fn secret_of_hmac_and_password_are_refused() {
        let refusal = |answers: Answers| answers.file().unwrap_err().to_string();
        let secret = Answers { algorithm: Some(Algorithm::HS256), ..plain(Profile::Strict) };
        assert!(refusal(secret.clone()).contains("key pair"));
        assert!(Answers { profile: Profile::Compatible, ..secret }.file().is_ok());
        let store = Some("postgres://me:hunter2@db/tokens".to_owned());
        let message = refusal(Answers { store, ..plain(Profile::Strict) });
        assert!(message.contains("PGPASSWORD") && !message.contains("hunter2"), "{message}");
    }
}
