//! One comparison of a claim, and the claims that the settings of access tokens name.

use std::borrow::Cow;

use crate::{denial::quoted, json::Tree};

/// The members of a payload that the settings name.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<(String, Tree)>);

impl Members {
    pub(super) fn of(members: Vec<(String, Tree)>) -> Self {
        Self(members)
    }

    /// The one member of this name. The payload was parsed before, so no name occurs twice.
    pub(super) fn get(&self, name: &str) -> Option<&Tree> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Tree::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// One comparison of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    Is(Cow<'static, str>, Expected),
    IsNot(Cow<'static, str>, &'static [&'static str]),
    /// `claim` equals `other` followed by `suffix`.
    Equal {
        claim: Cow<'static, str>,
        other: Cow<'static, str>,
        suffix: &'static str,
    },
    Absent(Cow<'static, str>),
    /// A member of a claim that is an object.
    Within(&'static str, &'static str, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    Text(Cow<'static, str>),
    True,
}

impl Rule {
    /// Compares the claim. An absent claim, and one of another type, fails.
    pub(super) fn check(&self, members: &Members) -> Result<(), String> {
        let found = |claim: &str| match members.get(claim) {
            Some(Tree::Text(text)) => format!("`{}`", quoted(text)),
            Some(Tree::Bool(value)) => format!("`{value}`"),
            Some(_) => "not a string".to_owned(),
            None => "absent".to_owned(),
        };
        match self {
            Self::Is(claim, Expected::Text(value)) if members.text(claim) == Some(value) => Ok(()),
            Self::Is(claim, Expected::True) if members.get(claim) == Some(&Tree::Bool(true)) => Ok(()),
            Self::Is(claim, expected) => {
                let expected = match expected {
                    Expected::Text(value) => value,
                    Expected::True => "true",
                };
                Err(format!("`{claim}` is {}, expected `{expected}`", found(claim)))
            }
            Self::IsNot(claim, values) => match members.text(claim) {
                Some(value) if !values.contains(&value) => Ok(()),
                _ => Err(format!("`{claim}` is {}", found(claim))),
            },
            Self::Equal { claim, other, suffix } => match (members.text(claim), members.text(other)) {
                (Some(text), Some(other))
                    if !other.is_empty() && text.strip_suffix(suffix) == Some(other) =>
                {
                    Ok(())
                }
                _ => Err(format!(
                    "`{claim}` is {}, and `{other}` is {}{}",
                    found(claim),
                    found(other),
                    if suffix.is_empty() { String::new() } else { format!(", without `{suffix}`") }
                )),
            },
            Self::Absent(claim) => match members.get(claim) {
                None => Ok(()),
                Some(_) => Err(format!("it has the claim `{claim}`")),
            },
            Self::Within(claim, member, value) => {
                match members.get(claim).and_then(|object| object.member(member)) {
                    Some(Tree::Text(text)) if text == value => Ok(()),
                    Some(Tree::Text(text)) => {
                        Err(format!("`{claim}` is of `{}`, expected `{value}`", quoted(text)))
                    }
                    _ => Err(format!("`{claim}` has no `{member}`, expected `{value}`")),
                }
            }
        }
    }
}
