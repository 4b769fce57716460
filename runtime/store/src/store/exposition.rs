//! The registry and the journal in Prometheus' text format: a file for node_exporter, or the body of a
//! response. Prometheus counts in seconds, so this module does too.
//!
//! The data changes only when a program mints, so the minting program writes it. No verifying service needs
//! the database for it. The database counts the tokens of each service, so memory does not grow with the registry, and
//! the count of a service has a limit, so neither does the time.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use service_only::{
    __satellite::{OTHERS, escaped},
    clock::Timestamp,
    keys::{KeyId, KeyState},
};

use super::{
    KeyRecord, PruneRecord, Store, StoreError,
    counts::{LastRow, WITHIN, Within},
};

/// The number of services with their own label; all others share the label `(others)`.
const MAX_SERVICES: usize = 1_000;

impl Store {
    /// The issuer's tokens and keys at `now`, in Prometheus' text format. It has the number of tokens that
    /// expire within each time (counted up to 1,000 for a service), the expiry and lifetime of each service's last valid
    /// token, and the state and age of each key.
    ///
    /// `listed` names the services that need a token, such as those of a configuration. A listed service without a
    /// valid token has the count 0. Any other service without one has no count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn exposition(
        &self,
        issuer: &str,
        listed: &[&str],
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let mut registry = Registry {
            valid: self.valid_tokens(issuer, now.unix()).await?,
            last: self.last_of_services(issuer).await?,
            expired: self.expired(issuer, now.unix()).await?,
            pruned: self.pruned(issuer).await?,
        };
        for service in listed {
            registry.valid.entry((*service).to_owned()).or_default();
        }
        let keys = self.keys(issuer).await?;
        let revoked = self.revoked_keys(issuer).await?;
        Ok(exposition(issuer, &registry, &keys, &revoked, now.unix()))
    }
}

/// What the registry has of an issuer.
#[derive(Default)]
struct Registry {
    /// With zeros for a listed service that has none.
    valid: BTreeMap<String, Within>,
    /// Sorted by service.
    last: Vec<LastRow>,
    expired: i64,
    pruned: Option<PruneRecord>,
}

fn exposition(issuer: &str, registry: &Registry, keys: &[KeyRecord], revoked: &[String], now: i64) -> String {
    let mut text = Text::of(issuer);
    let services = Services::of(registry, now);
    text.head(
        "service_only_registry_tokens",
        "gauge",
        "Valid tokens that expire within this time, at most 1000 of a service",
    );
    for (service, counts) in &services.left {
        for ((within, _), count) in WITHIN.iter().zip(counts) {
            text.line("service_only_registry_tokens", &[("service", service), ("within", within)], *count);
        }
    }
    let expiry = "service_only_registry_token_expiry_timestamp_seconds";
    text.head(expiry, "gauge", "When the last token of a service expires");
    for (service, last) in &services.last {
        text.line(expiry, &[("service", service)], last.expires_at);
    }
    let lifetime = "service_only_registry_token_lifetime_seconds";
    text.head(lifetime, "gauge", "Lifetime of the last token of a service");
    for (service, last) in &services.last {
        text.line(lifetime, &[("service", service)], last.lifetime);
    }
    let expired = "service_only_registry_expired_tokens";
    text.head(expired, "gauge", "Expired tokens that the registry still has, at most 100000");
    text.line(expired, &[], registry.expired);
    let pruned = "service_only_registry_pruned_tokens_total";
    text.head(pruned, "counter", "Expired tokens that were removed from the registry");
    text.line(pruned, &[], registry.pruned.map_or(0, |made| i64::try_from(made.tokens).unwrap_or(i64::MAX)));
    if let Some(made) = registry.pruned {
        let at = "service_only_registry_last_prune_timestamp_seconds";
        text.head(at, "gauge", "When an expired token was last removed from the registry");
        text.line(at, &[], made.pruned_at.unix());
    }
    text.head("service_only_key_state", "gauge", "1 for the current state of a key");
    for key in keys {
        text.line("service_only_key_state", &[("kid", &kid(key)), ("state", state(key, revoked))], 1);
    }
    text.head("service_only_key_age_seconds", "gauge", "Time since a key was prepared");
    for key in keys.iter().filter(|key| key.retired_at.is_none()) {
        let age = now.saturating_sub(key.prepared_at.unix()).max(0);
        text.line("service_only_key_age_seconds", &[("kid", &kid(key))], age);
    }
    text.into_lines()
}

/// `revoked`, or the state of the journal. A retired key stays `retired`: the alert about the use of a retired key must
/// also find one that leaked.
fn state(key: &KeyRecord, revoked: &[String]) -> &'static str {
    if key.state != KeyState::Retired && revoked.contains(&key.kid) { "revoked" } else { key.state.as_str() }
}

/// Escapes the key id as the verifiers do in their metrics, so that the two can be joined.
fn kid(key: &KeyRecord) -> Cow<'_, str> {
    escaped(&key.kid, KeyId::MAX_LENGTH)
}

/// The token of a service that expires last.
#[derive(Clone, Copy)]
struct Last {
    expires_at: i64,
    lifetime: i64,
}

struct Services<'t> {
    last: BTreeMap<&'t str, Last>,
    left: BTreeMap<&'t str, [i64; WITHIN.len()]>,
}

impl<'t> Services<'t> {
    fn of(registry: &'t Registry, now: i64) -> Self {
        let last = registry.last.iter().map(|(service, ..)| service.as_str());
        let all: BTreeSet<&str> = registry.valid.keys().map(String::as_str).chain(last).collect();
        let named: BTreeSet<&str> = all.into_iter().take(MAX_SERVICES).collect();
        let label = |service: &'t str| if named.contains(service) { service } else { OTHERS };
        let mut own = Self { last: BTreeMap::new(), left: BTreeMap::new() };
        for (service, issued_at, expires_at) in &registry.last {
            let Some(lifetime) = expires_at.checked_sub(*issued_at) else { continue };
            // A service without a new token is reported for one more lifetime of its last token, and then
            // dropped.
            if now.saturating_sub(*expires_at) < lifetime {
                let found = Last { expires_at: *expires_at, lifetime };
                let last = own.last.entry(label(service)).or_insert(found);
                if found.expires_at > last.expires_at {
                    *last = found;
                }
            }
        }
        for (service, Within(within)) in &registry.valid {
            let sums = own.left.entry(label(service)).or_default();
            sums.iter_mut().zip(within).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        own
    }
}

/// The lines of an exposition, each with the issuer as its first label.
pub(crate) struct Text<'i> {
    issuer: &'i str,
    lines: String,
}

impl<'i> Text<'i> {
    pub(crate) fn of(issuer: &'i str) -> Self {
        Self { issuer, lines: String::new() }
    }

    pub(crate) fn into_lines(self) -> String {
        self.lines
    }

    // Writing to a `String` cannot fail.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.lines, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: i64) {
        let _ = write!(self.lines, "{name}{{issuer=\"{}\"", quoted(self.issuer));
        for (label, text) in labels {
            let _ = write!(self.lines, ",{label}=\"{}\"", quoted(text));
        }
        let _ = writeln!(self.lines, "}} {value}");
    }
}

/// The value of a label, in which three characters are escaped.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn registry(last: &[(&str, i64, i64)]) -> Registry {
        let last =
            last.iter().map(|(service, issued, ends)| ((*service).to_owned(), NOW + issued, NOW + ends));
        let last: Vec<LastRow> = last.collect();
        let valid = last.iter().filter(|(.., expires_at)| *expires_at > NOW);
        let valid = valid.map(|(service, ..)| (service.clone(), Within([1; WITHIN.len()]))).collect();
        Registry { valid, last, ..Registry::default() }
    }

    fn lines(registry: &Registry, keys: &[KeyRecord]) -> Vec<String> {
        let text = exposition("bakery-auth", registry, keys, &["leaked".to_owned()], NOW);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn the_last_token_of_a_service_is_exported_until_it_has_expired_long_ago() {
        let registry = registry(&[("forgotten", -300, -200), ("gone", -300, -100), ("orders", 0, 600)]);
        let found = lines(&registry, &[]);
        let expiry = |service: &str, at: i64| {
            let labels = format!("{{issuer=\"bakery-auth\",service=\"{service}\"}} ");
            format!("service_only_registry_token_expiry_timestamp_seconds{labels}{}", NOW + at)
        };
        assert!(
            found.contains(&expiry("orders", 600)) && found.contains(&expiry("gone", -100)),
            "{found:#?}"
        );
        assert!(!found.iter().any(|line| line.contains("forgotten")));
        assert!(found.iter().any(|line| line.contains("lifetime") && line.ends_with("\"orders\"} 600")));
    }

    #[test]
    fn a_key_has_a_state_and_an_age_unless_it_is_retired_and_a_revoked_key_is_not_active() {
        let key = |kid: &str, state, retired_at| KeyRecord {
            issuer: "bakery-auth".to_owned(),
            kid: kid.to_owned(),
            algorithm: "ES256".to_owned(),
            state,
            file: None,
            public_jwk: None,
            prepared_at: Timestamp::from_unix(NOW - 77),
            active_at: None,
            retiring_at: None,
            retired_at,
            expires_at: None,
        };
        let keys = [
            key("a\"\\\n", KeyState::Active, None),
            key("b", KeyState::Retired, Some(Timestamp::from_unix(NOW))),
            key("leaked", KeyState::Active, None),
        ];
        assert_eq!(
            lines(&Registry::default(), &keys),
            [
                r#"service_only_registry_expired_tokens{issuer="bakery-auth"} 0"#,
                r#"service_only_registry_pruned_tokens_total{issuer="bakery-auth"} 0"#,
                r#"service_only_key_state{issuer="bakery-auth",kid="a\"\\\\\\u{a}",state="active"} 1"#,
                r#"service_only_key_state{issuer="bakery-auth",kid="b",state="retired"} 1"#,
                r#"service_only_key_state{issuer="bakery-auth",kid="leaked",state="revoked"} 1"#,
                r#"service_only_key_age_seconds{issuer="bakery-auth",kid="a\"\\\\\\u{a}"} 77"#,
                r#"service_only_key_age_seconds{issuer="bakery-auth",kid="leaked"} 77"#,
            ]
        );
    }

    #[test]
    fn services_beyond_the_limit_are_counted_together() {
        let names: Vec<_> = (0..MAX_SERVICES + 5).map(|n| format!("s{n:05}")).collect();
        let tokens: Vec<_> = names.iter().map(|name| (name.as_str(), 0, 60)).collect();
        let found = lines(&registry(&tokens), &[]);
        let others: Vec<_> = found.iter().filter(|line| line.contains(OTHERS)).collect();
        assert_eq!(others.len(), WITHIN.len() + 2);
        assert!(others[0].ends_with(" 5"));
    }
}
