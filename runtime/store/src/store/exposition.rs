//! The registry and the journal in Prometheus' text format: a file for node_exporter, or the body of a
//! response. Prometheus counts in seconds, so this module does too.
//!
//! The data changes only when a program mints, so the minting program writes it. No verifying service needs
//! the database for it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use service_only::{
    __satellite::{OTHERS, escaped},
    clock::Timestamp,
    keys::KeyId,
};

use super::{KeyRecord, ListedToken, Store, StoreError, TokenFilter};

/// The number of services with their own label; all others share the label `(others)`.
const MAX_SERVICES: usize = 1_000;

/// The times within which expiring tokens are counted.
const WITHIN: [(&str, i64); 7] = [
    ("1h", 3_600),
    ("1d", 86_400),
    ("7d", 604_800),
    ("30d", 2_592_000),
    ("90d", 7_776_000),
    ("365d", 31_536_000),
    ("ever", i64::MAX),
];

impl Store {
    /// The issuer's tokens and keys at `now`, in Prometheus' text format. It has the number of tokens that
    /// expire within each time, the expiry and lifetime of each service's last valid token, and the state and
    /// age of each key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn exposition(&self, issuer: &str, now: Timestamp) -> Result<String, StoreError> {
        let filter = TokenFilter { issuer: Some(issuer.to_owned()), ..TokenFilter::default() };
        let (tokens, keys) = (self.tokens(&filter).await?, self.keys(issuer).await?);
        Ok(exposition(issuer, &tokens, &keys, now.unix()))
    }
}

fn exposition(issuer: &str, tokens: &[ListedToken], keys: &[KeyRecord], now: i64) -> String {
    let mut text = Text::of(issuer);
    let services = Services::of(tokens, now);
    text.head("service_only_registry_tokens", "gauge", "Valid tokens that expire within this time");
    for (service, within, count) in services.within() {
        text.line("service_only_registry_tokens", &[("service", service), ("within", within)], count);
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
    text.head("service_only_key_state", "gauge", "1 for the current state of a key");
    for key in keys {
        text.line("service_only_key_state", &[("kid", &kid(key)), ("state", key.state.as_str())], 1);
    }
    text.head("service_only_key_age_seconds", "gauge", "Time since a key was prepared");
    for key in keys.iter().filter(|key| key.retired_at.is_none()) {
        let age = now.saturating_sub(key.prepared_at.unix()).max(0);
        text.line("service_only_key_age_seconds", &[("kid", &kid(key))], age);
    }
    text.into_lines()
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
    left: BTreeMap<&'t str, Vec<i64>>,
}

impl<'t> Services<'t> {
    fn of(tokens: &'t [ListedToken], now: i64) -> Self {
        let names: BTreeSet<&str> = tokens.iter().map(|listed| listed.token.service.as_str()).collect();
        let named: BTreeSet<&str> = names.into_iter().take(MAX_SERVICES).collect();
        let mut own = Self { last: BTreeMap::new(), left: BTreeMap::new() };
        for ListedToken { token, revoked, .. } in tokens {
            let service = named.get(token.service.as_str()).copied().unwrap_or(OTHERS);
            // A revoked token needs no replacement.
            if revoked.is_some() {
                continue;
            }
            let expires_at = token.expires_at.unix();
            let Some(lifetime) = expires_at.checked_sub(token.issued_at.unix()) else { continue };
            // A service without a new token is reported for one more lifetime of its last token, and then
            // dropped.
            if now.saturating_sub(expires_at) < lifetime {
                let found = Last { expires_at, lifetime };
                let last = own.last.entry(service).or_insert(found);
                if found.expires_at > last.expires_at {
                    *last = found;
                }
            }
            if expires_at > now {
                own.left.entry(service).or_default().push(expires_at.saturating_sub(now));
            }
        }
        own
    }

    fn within(&self) -> impl Iterator<Item = (&'t str, &'static str, i64)> {
        self.left.iter().flat_map(|(service, left)| {
            WITHIN.iter().map(move |(within, seconds)| {
                let count = left.iter().filter(|left| *left <= seconds).count();
                (*service, *within, i64::try_from(count).unwrap_or(i64::MAX))
            })
        })
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
    use crate::store::TokenRecord;
    use service_only::keys::KeyState;

    const NOW: i64 = 1_767_225_600;

    fn token(service: &str, issued_at: i64, expires_at: i64) -> ListedToken {
        let token = TokenRecord {
            issuer: "bakery-auth".to_owned(),
            jti: format!("{service}-{expires_at}"),
            service: service.to_owned(),
            kid: "k1".to_owned(),
            issued_at: Timestamp::from_unix(NOW + issued_at),
            expires_at: Timestamp::from_unix(NOW + expires_at),
            note: None,
            minted_by: None,
            minted_at: Timestamp::from_unix(NOW),
        };
        ListedToken { token, revoked: None, revocations: Vec::new() }
    }

    fn lines(tokens: &[ListedToken], keys: &[KeyRecord]) -> Vec<String> {
        let text = exposition("bakery-auth", tokens, keys, NOW);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn tokens_are_counted_by_the_time_that_they_have_left() {
        let revoked = ListedToken { revoked: Some("token".to_owned()), ..token("orders", 0, 60) };
        let found = lines(&[token("orders", -60, 60), token("orders", -60, 90_000), revoked], &[]);
        let counts = ["1h", "1d", "7d", "ever"].map(|within| {
            let labels = format!("{{issuer=\"bakery-auth\",service=\"orders\",within=\"{within}\"}} ");
            let line = format!("service_only_registry_tokens{labels}");
            found.iter().find_map(|own| own.strip_prefix(&line)).unwrap().to_owned()
        });
        assert_eq!(counts, ["1", "1", "2", "2"]);
    }

    #[test]
    fn the_last_token_of_a_service_is_exported_until_it_has_expired_long_ago() {
        let longest = [token("orders", -60, 60), token("orders", 0, 600), token("gone", -300, -100)];
        let found = lines(&[&longest[..], &[token("forgotten", -300, -200)]].concat(), &[]);
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
    fn a_key_has_a_state_and_an_age_unless_it_is_retired() {
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
        ];
        assert_eq!(
            lines(&[], &keys),
            [
                r#"service_only_key_state{issuer="bakery-auth",kid="a\"\\\\\\u{a}",state="active"} 1"#,
                r#"service_only_key_state{issuer="bakery-auth",kid="b",state="retired"} 1"#,
                r#"service_only_key_age_seconds{issuer="bakery-auth",kid="a\"\\\\\\u{a}"} 77"#,
            ]
        );
    }

    #[test]
    fn services_beyond_the_limit_are_counted_together() {
        let tokens: Vec<_> = (0..MAX_SERVICES + 5).map(|n| token(&format!("s{n:05}"), 0, 60)).collect();
        let found = lines(&tokens, &[]);
        let others: Vec<_> = found.iter().filter(|line| line.contains(OTHERS)).collect();
        assert_eq!(others.len(), WITHIN.len() + 2);
        assert!(others[0].ends_with(" 5"));
    }
}
