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
    /// Absent, or this text.
    IsOrAbsent(&'static str, &'static str),
    /// `claim` equals `other` followed by `suffix`.
    Equal {
        claim: Cow<'static, str>,
        other: Cow<'static, str>,
        suffix: &'static str,
    },
    /// `claim` equals one of two others.
    EqualEither {
        claim: &'static str,
        others: [&'static str; 2],
    },
    Absent(Cow<'static, str>),
    /// Present, with any value.
    Present(&'static str),
    /// A text that starts with this one.
    Starts(&'static str, String),
    /// Absent, or of another start.
    StartsNot(&'static str, &'static str),
    /// A member of a claim that is an object.
    Within(&'static str, &'static str, String),
    /// No member of this name in a claim that is an object.
    AbsentWithin(&'static str, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    Text(Cow<'static, str>),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of two texts, in any case.
    Either([&'static str; 2]),
    True,
}

impl Rule {
    /// Whether a token meets the rule only by a claim that it has, whose value the provider writes for machines alone.
    pub(super) fn is_mark(&self) -> bool {
        matches!(self, Self::Is(..) | Self::Equal { .. } | Self::EqualEither { .. } | Self::Within(..))
    }

    /// The claims that the rule reads.
    pub(super) fn claims(&self) -> Vec<&str> {
        match self {
            Self::Is(claim, _) | Self::Absent(claim) => vec![&**claim],
            Self::Equal { claim, other, .. } => vec![&**claim, &**other],
            Self::EqualEither { claim, others: [one, other] } => vec![*claim, *one, *other],
            Self::IsOrAbsent(claim, _)
            | Self::Present(claim)
            | Self::Starts(claim, _)
            | Self::StartsNot(claim, _)
            | Self::Within(claim, ..)
            | Self::AbsentWithin(claim, _) => vec![*claim],
        }
    }

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
            Self::Is(claim, Expected::OneOf(values))
                if members.text(claim).is_some_and(|text| values.contains(&text)) =>
            {
                Ok(())
            }
            Self::Is(claim, Expected::True) if members.get(claim) == Some(&Tree::Bool(true)) => Ok(()),
            Self::Is(claim, Expected::Either(values))
                if members
                    .text(claim)
                    .is_some_and(|text| values.iter().any(|value| value.eq_ignore_ascii_case(text))) =>
            {
                Ok(())
            }
            Self::Is(claim, expected) => {
                let expected = match expected {
                    Expected::Text(value) => format!("`{value}`"),
                    Expected::OneOf(values) => format!("`{}`", values.join("` or `")),
                    Expected::Either([one, other]) => format!("`{one}` or `{other}`"),
                    Expected::True => "`true`".to_owned(),
                };
                Err(format!("`{claim}` is {}, expected {expected}", found(claim)))
            }
            Self::IsOrAbsent(claim, value) => match members.get(claim) {
                None => Ok(()),
                Some(Tree::Text(text)) if text == value => Ok(()),
                Some(_) => Err(format!("`{claim}` is {}, expected `{value}` or none", found(claim))),
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
            Self::EqualEither { claim, others } => {
                let own = members.text(claim).filter(|own| !own.is_empty());
                if own.is_some_and(|own| others.iter().any(|other| members.text(other) == Some(own))) {
                    return Ok(());
                }
                let [one, other] = others.map(|other| format!("`{other}` is {}", found(other)));
                Err(format!("`{claim}` is {}, {one}, and {other}", found(claim)))
            }
            Self::Absent(claim) => match members.get(claim) {
                None => Ok(()),
                Some(_) => Err(format!("it has the claim `{claim}`")),
            },
            Self::Present(claim) => match members.get(claim) {
                Some(_) => Ok(()),
                None => Err(format!("it has no claim `{claim}`")),
            },
            Self::Starts(claim, start) => match members.text(claim) {
                Some(text) if text.starts_with(start) => Ok(()),
                _ => Err(format!("`{claim}` is {}, expected `{start}…`", found(claim))),
            },
            Self::StartsNot(claim, start) => match members.get(claim) {
                None => Ok(()),
                Some(Tree::Text(text)) if !text.starts_with(start) => Ok(()),
                Some(_) => {
                    Err(format!("`{claim}` is {}, expected none that starts with `{start}`", found(claim)))
                }
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
            Self::AbsentWithin(claim, member) => {
                match members.get(claim).is_some_and(|object| object.has_member(member)) {
                    false => Ok(()),
                    true => Err(format!("`{claim}` has the member `{member}`")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read_named;

    const CLAIMS: [&str; 4] = ["a", "b", "flag", "object"];

    fn check(rule: &Rule, payload: &str) -> Result<(), String> {
        rule.check(&Members::of(read_named(payload.as_bytes(), &CLAIMS).unwrap()))
    }

    #[test]
    fn a_rule_is_met_by_its_value_and_by_no_other() {
        let text = Rule::Is("a".into(), Expected::Text("x".into()));
        let truth = Rule::Is("flag".into(), Expected::True);
        let either = Rule::Is("a".into(), Expected::Either(["Bearer", "DPoP"]));
        let optional = Rule::IsOrAbsent("a", "x");
        let one_of = Rule::Is("a".into(), Expected::OneOf(&["x", "y"]));
        let equal = |suffix| Rule::Equal { claim: "a".into(), other: "b".into(), suffix };
        let absent = Rule::Absent("a".into());
        let within = Rule::Within("object", "account", "7".to_owned());
        let either_claim = Rule::EqualEither { claim: "a", others: ["b", "flag"] };
        let present = Rule::Present("a");
        let starts = Rule::Starts("a", "role/".to_owned());
        let starts_not = Rule::StartsNot("a", "service-");
        let absent_within = Rule::AbsentWithin("object", "user");
        for (rule, good, bad) in [
            (&text, vec![r#"{"a":"x"}"#], vec!["{}", r#"{"a":"X"}"#, r#"{"a":["x"]}"#, r#"{"b":"x"}"#]),
            (
                &truth,
                vec![r#"{"flag":true}"#],
                vec!["{}", r#"{"flag":false}"#, r#"{"flag":"true"}"#, r#"{"flag":1}"#, r#"{"flag":null}"#],
            ),
            (
                &either,
                vec![r#"{"a":"Bearer"}"#, r#"{"a":"dpop"}"#],
                vec!["{}", r#"{"a":"ID"}"#, r#"{"a":""}"#, r#"{"a":["DPoP"]}"#, r#"{"a":null}"#],
            ),
            (
                &optional,
                vec!["{}", r#"{"a":"x"}"#],
                vec![r#"{"a":"X"}"#, r#"{"a":""}"#, r#"{"a":["x"]}"#, r#"{"a":null}"#],
            ),
            (
                &one_of,
                vec![r#"{"a":"x"}"#, r#"{"a":"y"}"#],
                vec!["{}", r#"{"a":"z"}"#, r#"{"a":"X"}"#, r#"{"a":""}"#, r#"{"a":["x"]}"#, r#"{"a":null}"#],
            ),
            (
                &equal(""),
                vec![r#"{"a":"x","b":"x"}"#],
                vec![r#"{"a":"x","b":"y"}"#, r#"{"a":"","b":""}"#, "{}", r#"{"a":"x"}"#, r#"{"b":"x"}"#],
            ),
            (
                &equal("@clients"),
                vec![r#"{"a":"x@clients","b":"x"}"#],
                vec![r#"{"a":"x","b":"x"}"#, r#"{"a":"@clients","b":""}"#, r#"{"a":"y@clients","b":"x"}"#],
            ),
            (&absent, vec!["{}", r#"{"b":"x"}"#], vec![r#"{"a":"x"}"#, r#"{"a":null}"#, r#"{"a":false}"#]),
            (
                &within,
                vec![r#"{"object":{"account":"7"}}"#, r#"{"object":{"account":"7","b":"8"}}"#],
                vec![
                    "{}",
                    r#"{"object":{}}"#,
                    r#"{"object":{"account":"8"}}"#,
                    r#"{"object":{"account":7}}"#,
                    r#"{"object":"7"}"#,
                    r#"{"object":["7"]}"#,
                ],
            ),
            (
                &either_claim,
                vec![r#"{"a":"x","b":"x"}"#, r#"{"a":"x","b":"y","flag":"x"}"#, r#"{"a":"x","flag":"x"}"#],
                vec![
                    "{}",
                    r#"{"a":"x"}"#,
                    r#"{"b":"x","flag":"x"}"#,
                    r#"{"a":"","b":"","flag":""}"#,
                    r#"{"a":"x","b":"X","flag":"x "}"#,
                    r#"{"a":["x"],"b":["x"]}"#,
                ],
            ),
            (&present, vec![r#"{"a":"x"}"#, r#"{"a":null}"#], vec!["{}", r#"{"b":"x"}"#]),
            (
                &starts,
                vec![r#"{"a":"role/x"}"#],
                vec!["{}", r#"{"a":"Role/x"}"#, r#"{"a":" role/x"}"#, r#"{"a":["role/x"]}"#, r#"{"a":null}"#],
            ),
            (
                &starts_not,
                vec!["{}", r#"{"a":"anna"}"#, r#"{"a":"a-service-"}"#],
                vec![r#"{"a":"service-"}"#, r#"{"a":"service-x"}"#, r#"{"a":["anna"]}"#, r#"{"a":null}"#],
            ),
            (
                &absent_within,
                vec!["{}", r#"{"object":{}}"#, r#"{"object":{"account":"7"}}"#, r#"{"user":"u"}"#],
                vec![
                    r#"{"object":{"user":"u"}}"#,
                    r#"{"object":{"user":null}}"#,
                    r#"{"object":{"user":["u"]}}"#,
                    r#"{"object":{"account":"7","user":""}}"#,
                    r#"{"object":{"user":"u","user":"v"}}"#,
                ],
            ),
        ] {
            for payload in good {
                assert_eq!(check(rule, payload), Ok(()), "{rule:?} {payload}");
            }
            for payload in bad {
                assert!(check(rule, payload).is_err(), "{rule:?} {payload}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_value_that_was_found_and_the_expected_one() {
        let text = Rule::Is("a".into(), Expected::Text("x".into()));
        let truth = Rule::Is("flag".into(), Expected::True);
        let within = Rule::Within("object", "account", "7".to_owned());
        let suffixed = Rule::Equal { claim: "a".into(), other: "b".into(), suffix: "@c" };
        for (rule, payload, reason) in [
            (&text, r#"{"a":"y"}"#, "`a` is `y`, expected `x`"),
            (&text, r#"{"a":true}"#, "`a` is `true`, expected `x`"),
            (&text, r#"{"a":7}"#, "`a` is not a string, expected `x`"),
            (&truth, "{}", "`flag` is absent, expected `true`"),
            (&within, r#"{"object":{"account":"8"}}"#, "`object` is of `8`, expected `7`"),
            (&within, "{}", "`object` has no `account`, expected `7`"),
            (
                &Rule::Is("a".into(), Expected::Either(["Bearer", "DPoP"])),
                r#"{"a":"ID"}"#,
                "`a` is `ID`, expected `Bearer` or `DPoP`",
            ),
            (&Rule::IsOrAbsent("a", "x"), r#"{"a":"y"}"#, "`a` is `y`, expected `x` or none"),
            (&suffixed, r#"{"a":"x","b":"x"}"#, "`a` is `x`, and `b` is `x`, without `@c`"),
            (&Rule::Absent("a".into()), r#"{"a":"x"}"#, "it has the claim `a`"),
            (
                &Rule::Is("a".into(), Expected::OneOf(&["x", "y"])),
                r#"{"a":"z"}"#,
                "`a` is `z`, expected `x` or `y`",
            ),
            (
                &Rule::EqualEither { claim: "a", others: ["b", "flag"] },
                r#"{"a":"x","b":"y"}"#,
                "`a` is `x`, `b` is `y`, and `flag` is absent",
            ),
            (&Rule::Present("a"), "{}", "it has no claim `a`"),
            (
                &Rule::Starts("a", "role/".to_owned()),
                r#"{"a":"user/x"}"#,
                "`a` is `user/x`, expected `role/…`",
            ),
            (
                &Rule::StartsNot("a", "service-"),
                r#"{"a":"service-x"}"#,
                "`a` is `service-x`, expected none that starts with `service-`",
            ),
            (
                &Rule::AbsentWithin("object", "user"),
                r#"{"object":{"user":"u"}}"#,
                "`object` has the member `user`",
            ),
        ] {
            assert_eq!(check(rule, payload), Err(reason.to_owned()), "{rule:?} {payload}");
        }
    }
}
