//! Finds a token, a key or an audit record by its id, or by a unique beginning of it, as tables show it.

use service_only_store::{Store, TokenFilter};

use crate::config::Config;
use crate::problem::{Outcome, Problem};
use crate::store::refused;

/// A shorter beginning is a typing error more often than an id.
const LEAST: usize = 4;

/// The maximum number of candidates that an error lists.
const LISTED: usize = 5;

/// The number of candidates that a search collects: one more than an error lists.
const COLLECTED: usize = LISTED + 1;

/// The `jti` of a token of the registry. An id that is not the beginning of another is returned unchanged. As a UUID,
/// it may also be in upper case, with `urn:uuid:` before it, or with white space around it (RFC 9562 section 4).
pub(crate) async fn token(store: &Store, issuer: Option<&str>, id: &str) -> Outcome<String> {
    let filter =
        TokenFilter { issuer: issuer.map(str::to_owned), jti: Some(id.to_owned()), ..TokenFilter::default() };
    let exact = store.tokens_after(&filter, None, 1).await.map_err(|error| refused(&error))?;
    if !exact.is_empty() || id.len() < LEAST {
        return Ok(id.to_owned());
    }
    // One more than an error lists.
    let by = async |id: &str| store.tokens_by_prefix(issuer, id, 6).await.map_err(|error| refused(&error));
    let mut found = by(id).await?;
    let folded = id.trim().to_ascii_lowercase();
    let folded = folded.strip_prefix("urn:uuid:").unwrap_or(&folded);
    if found.is_empty() && folded != id && folded.len() >= LEAST {
        found = by(folded).await?;
    }
    let mut candidates: Vec<(String, String)> =
        found.into_iter().map(|listed| (listed.token.jti, listed.token.service)).collect();
    candidates.dedup_by(|one, other| one.0 == other.0);
    let described = candidates.iter().map(|(jti, service)| format!("`{jti}` of `{service}`"));
    ambiguous("tokens", id, &described.collect::<Vec<_>>())?;
    Ok(candidates.pop().map_or_else(|| id.to_owned(), |(jti, _)| jti))
}

/// The id of a key of the issuer. An id that is not the beginning of another is returned unchanged.
pub(crate) async fn key(store: &Store, config: Option<&Config>, issuer: &str, id: &str) -> Outcome<String> {
    let mut known = store.key_names(issuer).await.map_err(|error| refused(&error))?;
    let configured = config.filter(|config| config.issuer == issuer);
    known.extend(configured.and_then(|config| config.key.kid.clone()));
    unique("keys", id, known)
}

/// Whether a search for an audit record collects this one. `known` is the number of records that it has collected.
pub(crate) fn is_candidate(record: &str, id: &str, known: usize) -> bool {
    record == id || (record.starts_with(id) && known < COLLECTED)
}

/// The id of an audit record, of those that a search has collected. An id that is not the beginning of another is
/// returned unchanged.
pub(crate) fn record(id: &str, known: impl IntoIterator<Item = String>) -> Outcome<String> {
    unique("records", id, known)
}

fn unique(what: &str, id: &str, known: impl IntoIterator<Item = String>) -> Outcome<String> {
    let mut known: Vec<String> = known.into_iter().filter(|name| name.starts_with(id)).collect();
    if id.len() < LEAST || known.iter().any(|name| name == id) {
        return Ok(id.to_owned());
    }
    known.sort();
    known.dedup();
    ambiguous(what, id, &known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>())?;
    Ok(known.pop().unwrap_or_else(|| id.to_owned()))
}

fn ambiguous(what: &str, id: &str, candidates: &[String]) -> Outcome<()> {
    if candidates.len() < 2 {
        return Ok(());
    }
    let listed = candidates.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if candidates.len() > LISTED { ", and others" } else { "" };
    Err(Problem::usage(format!("the ids of several {what} begin with `{id}`"))
        .help(format!("write more of the id: {listed}{more}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str) -> Result<String, String> {
        let known = ["2026-01", "2026-02", "2026-021", "NzbLsXh8uDCc"].map(str::to_owned);
        unique("keys", id, known).map_err(|problem| problem.to_string())
    }

    #[test]
    fn unique_beginning_names_the_key() {
        assert_eq!(named("NzbL").as_deref(), Ok("NzbLsXh8uDCc"));
        assert_eq!(
            named("2026-02").as_deref(),
            Ok("2026-02"),
            "a whole name is not the beginning of another"
        );
        for unchanged in ["Nzb", "nzbl", "2027"] {
            assert_eq!(named(unchanged).as_deref(), Ok(unchanged));
        }
    }

    #[test]
    fn ambiguous_beginning_lists_the_candidates() {
        let message = named("2026-0").unwrap_err();
        assert_eq!(
            message,
            "the ids of several keys begin with `2026-0`; write more of the id: `2026-01`, `2026-02`, `2026-021`"
        );
    }
}
