//! Named sets of services that a program knows only at run time. A policy refers to a set by its name, so the list of
//! endpoints stays complete.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;

use crate::{claims::ServiceName, denial::quoted};

/// The maximum number of services in one set, see [`Verifier::MAX_SET`](crate::Verifier::MAX_SET).
pub(crate) const MAX_SET: usize = 10_000;

/// The sets of one verifier. Their names never change; their services can.
#[derive(Default)]
pub(crate) struct Sets(BTreeMap<String, ArcSwap<BTreeSet<String>>>);

/// The name of a set in the services of a policy: `deleters` of `@deleters`.
pub(crate) fn set_name(word: &str) -> Option<&str> {
    word.strip_prefix('@')
}

impl Sets {
    /// Adds a set.
    ///
    /// # Errors
    /// When the name is taken, or a service name is invalid.
    pub(crate) fn add(&mut self, name: String, services: Vec<String>) -> Result<(), ServiceSetError> {
        if self.0.contains_key(&name) {
            return Err(ServiceSetError::Repeated(quoted(&name)));
        }
        let services = checked(&name, services)?;
        self.0.insert(name, ArcSwap::from_pointee(services));
        Ok(())
    }

    /// Replaces the services of a set. Decisions that have begun use the earlier ones.
    ///
    /// # Errors
    /// When the verifier has no such set, or a service name is invalid. The set then stays the same.
    pub(crate) fn replace(&self, name: &str, services: Vec<String>) -> Result<(), ServiceSetError> {
        let set = self.0.get(name).ok_or_else(|| ServiceSetError::Unknown(quoted(name)))?;
        set.store(Arc::new(checked(name, services)?));
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether one of the sets that the words name contains the service. An unknown set contains none.
    pub(crate) fn contain(&self, words: &[&str], service: &str) -> bool {
        let sets = words.iter().filter_map(|word| self.0.get(set_name(word)?));
        sets.into_iter().any(|set| set.load().contains(service))
    }
}

fn checked(name: &str, services: Vec<String>) -> Result<BTreeSet<String>, ServiceSetError> {
    if services.len() > MAX_SET {
        return Err(ServiceSetError::TooMany(quoted(name), services.len()));
    }
    let is_name = |service: &String| service.parse::<ServiceName>().is_ok();
    if let Some(bad) = services.iter().find(|service| !is_name(service)) {
        return Err(ServiceSetError::ServiceName(quoted(name), quoted(bad)));
    }
    Ok(services.into_iter().collect())
}

impl fmt::Debug for Sets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a set of services cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceSetError {
    /// The verifier has no set of this name.
    Unknown(String),
    /// Two sets have this name.
    Repeated(String),
    /// The set has a name that no service can have.
    ServiceName(String, String),
    /// The set has more services than [`Verifier::MAX_SET`](crate::Verifier::MAX_SET).
    TooMany(String, usize),
}

impl fmt::Display for ServiceSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(set) => write!(
                f,
                "the verifier has no set `{set}`; add it with `VerifierBuilder::service_set` before `build`"
            ),
            Self::Repeated(set) => write!(f, "the set `{set}` was added twice; put all services into one"),
            Self::ServiceName(set, service) => {
                write!(f, "`{service}` in the set `{set}` is not a service name")
            }
            Self::TooMany(set, count) => {
                write!(
                    f,
                    "the set `{set}` has {count} services, and the limit is {MAX_SET}; require a role or a scope"
                )
            }
        }
    }
}

impl Error for ServiceSetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets() -> Sets {
        let mut sets = Sets::default();
        sets.add("deleters".to_owned(), vec!["billing".to_owned()]).unwrap();
        sets
    }

    #[test]
    fn a_set_is_found_by_its_name_and_an_unknown_one_contains_no_service() {
        let sets = sets();
        assert!(sets.contain(&["orders", "@deleters"], "billing"));
        for words in [&["@deleters"][..], &["deleters"], &["@others"], &["@"], &[]] {
            assert_eq!(sets.contain(words, "billing"), words == ["@deleters"], "{words:?}");
            assert!(!sets.contain(words, "orders"));
        }
    }

    #[test]
    fn a_set_is_replaced_only_by_valid_services() {
        let sets = sets();
        sets.replace("deleters", vec!["orders".to_owned()]).unwrap();
        assert!(sets.contain(&["@deleters"], "orders") && !sets.contain(&["@deleters"], "billing"));
        let unknown = sets.replace("others", Vec::new()).unwrap_err();
        assert_eq!(unknown, ServiceSetError::Unknown("others".to_owned()));
        assert!(sets.replace("deleters", vec!["two words".to_owned()]).is_err());
        assert!(sets.replace("deleters", vec!["a".to_owned(); MAX_SET + 1]).is_err());
        assert!(sets.contain(&["@deleters"], "orders"));
        sets.replace("deleters", vec!["a".to_owned(); MAX_SET]).unwrap();
        sets.replace("deleters", Vec::new()).unwrap();
        assert!(!sets.contain(&["@deleters"], "orders"));
    }

    #[test]
    fn a_verifier_has_the_sets_that_were_added() {
        let sets = sets();
        assert!(sets.has("deleters") && !sets.has("others") && !sets.has("@deleters"));
        assert_eq!(format!("{sets:?}"), r#"{"deleters"}"#, "the names, without the services");
    }

    #[test]
    fn an_error_names_the_set_and_the_next_step() {
        let unknown = sets().replace("others", Vec::new()).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "the verifier has no set `others`; add it with `VerifierBuilder::service_set` before `build`"
        );
        let bad = sets().replace("deleters", vec!["two words".to_owned()]).unwrap_err().to_string();
        assert_eq!(bad, "`two words` in the set `deleters` is not a service name");
    }

    #[test]
    fn a_name_is_added_once() {
        assert!(sets().add("deleters".to_owned(), Vec::new()).is_err());
    }
}
