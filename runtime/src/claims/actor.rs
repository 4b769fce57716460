//! The party that acts for the subject of a token (RFC 8693 section 4.1).

use std::{error::Error, fmt};

use serde::Serialize;

use super::ServiceClaims;
use crate::json::Tree;

const MAX_CLAIM_LENGTH: usize = ServiceClaims::MAX_CLAIM_LENGTH;

/// The party that acts for the subject of a token: the claim `act` of RFC 8693 section 4.1.
///
/// A gateway that mints a token for each service names itself as the actor, and the original caller stays the subject.
/// A policy with `actors(..)` compares the current actor. It does not use prior actors, as the RFC requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Actor(Box<Party>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Party {
    sub: String,
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
    prior: Option<Actor>,
}

impl Actor {
    /// The maximum number of actors in one token: the current one and those before it. A request that crosses more
    /// gateways is refused.
    pub const MAX_DEPTH: usize = 4;

    /// An actor with this name, known to the issuer of the token.
    ///
    /// ```
    /// use service_only::claims::Actor;
    ///
    /// let actor = Actor::new("gateway")?.after(Actor::new("edge")?)?;
    /// assert_eq!((actor.name(), actor.prior().map(Actor::name)), ("gateway", Some("edge")));
    /// # Ok::<(), service_only::claims::InvalidActor>(())
    /// ```
    ///
    /// # Errors
    /// When the name is empty or longer than
    /// [`ServiceClaims::MAX_CLAIM_LENGTH`](super::ServiceClaims::MAX_CLAIM_LENGTH).
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidActor> {
        Self::of(name.into(), None)
    }

    fn of(sub: String, issuer: Option<String>) -> Result<Self, InvalidActor> {
        let longest = sub.len().max(issuer.as_ref().map_or(0, String::len));
        if sub.is_empty() || longest > MAX_CLAIM_LENGTH {
            return Err(InvalidActor("an object whose `sub` names a party, in at most 4096 bytes"));
        }
        Ok(Self(Box::new(Party { sub, issuer, prior: None })))
    }

    /// The same actor, which acts after another one.
    ///
    /// # Errors
    /// When there are more than [`Actor::MAX_DEPTH`] actors.
    pub fn after(mut self, prior: Self) -> Result<Self, InvalidActor> {
        self.0.prior = Some(prior);
        match self.chain().count() <= Self::MAX_DEPTH {
            true => Ok(self),
            false => Err(InvalidActor("at most four actors deep")),
        }
    }

    /// The same actor, whose name belongs to this issuer unless it has one.
    #[cfg(feature = "issue")]
    pub(crate) fn known_to(mut self, issuer: &str) -> Self {
        self.0.issuer.get_or_insert_with(|| issuer.to_owned());
        self
    }

    /// The name of the party: `sub`.
    pub fn name(&self) -> &str {
        &self.0.sub
    }

    /// The issuer that knows the party by its name: `iss`. `None` means the issuer of the token.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// The actor before this one. It may not decide about access (RFC 8693 section 4.1).
    pub fn prior(&self) -> Option<&Self> {
        self.0.prior.as_ref()
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.prior())
    }

    /// Reads the claim. Members that do not name a party have no meaning here (RFC 8693 section 4.1).
    pub(crate) fn read(claim: Tree) -> Result<Self, InvalidActor> {
        const EXPECTED: InvalidActor =
            InvalidActor("an object with `sub`, a string, and `iss` and `act` at most once");
        let (mut parties, mut next) = (Vec::new(), Some(claim));
        while let Some(level) = next.take() {
            let Tree::Object(members) = level else { return Err(EXPECTED) };
            let (mut sub, mut issuer) = (None, None);
            for (name, value) in members {
                let is_first = match (name.as_str(), value) {
                    ("sub", Tree::Text(text)) => sub.replace(text).is_none(),
                    ("iss", Tree::Text(text)) => issuer.replace(text).is_none(),
                    ("act", value) => next.replace(value).is_none(),
                    ("sub" | "iss", _) => false,
                    _ => true,
                };
                if !is_first {
                    return Err(EXPECTED);
                }
            }
            parties.push(Self::of(sub.ok_or(EXPECTED)?, issuer)?);
            if parties.len() == Self::MAX_DEPTH && next.is_some() {
                return Err(InvalidActor("at most four actors deep"));
            }
        }
        let mut innermost_first = parties.into_iter().rev();
        let innermost = innermost_first.next().ok_or(EXPECTED)?;
        innermost_first.try_fold(innermost, |prior, actor| actor.after(prior))
    }
}

/// Why a value does not name an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidActor(&'static str);

impl InvalidActor {
    /// What was expected.
    pub(crate) fn expected(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for InvalidActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the actor of a token is {}", self.0)
    }
}

impl Error for InvalidActor {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Actor, InvalidActor> {
        Actor::read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_invalid_actor_says_what_was_expected() {
        let error = read("7").unwrap_err();
        assert!(error.expected().starts_with("an object with `sub`"), "{}", error.expected());
        assert_eq!(error.to_string(), format!("the actor of a token is {}", error.expected()));
    }

    #[test]
    fn actors_are_read_with_those_before_them() {
        let json =
            r#"{"sub":"gateway","act":{"sub":"edge","iss":"https://edge.example","act":{"sub":"cdn"}}}"#;
        let actor = read(json).unwrap();
        let edge = actor.prior().unwrap();
        assert_eq!((actor.name(), actor.issuer()), ("gateway", None));
        assert_eq!((edge.name(), edge.issuer()), ("edge", Some("https://edge.example")));
        assert_eq!(edge.prior().map(Actor::name), Some("cdn"));
        assert_eq!(read(&serde_json::to_string(&actor).unwrap()), Ok(actor));
    }

    #[test]
    fn members_that_name_no_party_are_ignored() {
        assert_eq!(read(r#"{"sub":"gateway","exp":1,"client_id":"g"}"#), Actor::new("gateway"));
    }

    #[test]
    fn value_that_names_no_party_is_refused() {
        for json in [
            r#""gateway""#,
            "null",
            "[]",
            "{}",
            r#"[{"sub":"gateway"}]"#,
            r#"{"sub":""}"#,
            r#"{"sub":7}"#,
            r#"{"sub":["gateway"]}"#,
            r#"{"iss":"https://edge.example"}"#,
            r#"{"sub":"gateway","iss":7}"#,
            r#"{"sub":"gateway","act":"edge"}"#,
            r#"{"sub":"gateway","act":null}"#,
            r#"{"sub":"gateway","act":{}}"#,
            r#"{"sub":"gateway","sub":"gateway"}"#,
            r#"{"sub":"gateway","iss":"a","iss":"a"}"#,
            r#"{"sub":"gateway","act":{"sub":"a"},"act":{"sub":"a"}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn at_most_four_actors_are_read_and_built() {
        let nested = |depth: usize| {
            let inner = |inner: String, _| format!(r#"{{"sub":"a","act":{inner}}}"#);
            (1..depth).fold(r#"{"sub":"a"}"#.to_owned(), inner)
        };
        let deepest = read(&nested(Actor::MAX_DEPTH)).unwrap();
        assert_eq!(deepest.chain().count(), Actor::MAX_DEPTH);
        for depth in [Actor::MAX_DEPTH + 1, 100] {
            assert_eq!(read(&nested(depth)), Err(InvalidActor("at most four actors deep")));
        }
        assert!(Actor::new("b").unwrap().after(deepest).is_err());
    }

    #[test]
    fn name_has_a_limit() {
        assert!(Actor::new("a".repeat(MAX_CLAIM_LENGTH)).is_ok());
        assert!(Actor::new("a".repeat(MAX_CLAIM_LENGTH + 1)).is_err());
        let long = "a".repeat(MAX_CLAIM_LENGTH + 1);
        assert!(read(&format!(r#"{{"sub":"a","iss":"{long}"}}"#)).is_err());
    }
}
