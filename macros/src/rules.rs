//! The vocabulary of the attribute and its limits, which parsing, checks and messages share.

use std::time::Duration;

use proc_macro2::{Delimiter, Ident, Literal, TokenTree};
use syn::{LitStr, Path};

pub(crate) const MAX_SERVICE_NAME_BYTES: usize = 253;
pub(crate) const MAX_NAMES: usize = 32;
/// Each constant is a level of a nested type, like a node of text.
pub(crate) const MAX_CONSTANTS: usize = 32;
/// The written arguments of a handler, without the hidden one.
pub(crate) const MAX_EXTRACTORS: usize = 15;
pub(crate) const MAX_LIST_BYTES: usize = 1024;
/// All lists of an attribute and a name make about 70 nested nodes of text. The compiler's default recursion limit is
/// 128.
pub(crate) const MAX_TEXT_BYTES: usize = 4128;
/// Enough for one sentence.
pub(crate) const MAX_REASON_BYTES: usize = 256;
pub(crate) const MAX_AGE_DAYS: u64 = 366;
/// The values of `proof`.
pub(crate) const PROOFS: [&str; 3] = ["mtls", "dpop", "any"];

/// The attribute that is being expanded. A handler has only one of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    ServiceOnly,
    UsersOnly,
    Callers,
    Public,
}

impl Attribute {
    pub(crate) const ALL: [Self; 4] = [Self::ServiceOnly, Self::UsersOnly, Self::Callers, Self::Public];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServiceOnly => "#[service_only]",
            Self::UsersOnly => "#[users_only]",
            Self::Callers => "#[callers]",
            Self::Public => "#[public]",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceOnly => "service_only",
            Self::UsersOnly => "users_only",
            Self::Callers => "callers",
            Self::Public => "public",
        }
    }

    pub(crate) fn others(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |other| *other != self)
    }

    pub(crate) fn rank(self) -> u8 {
        self as u8
    }

    /// The argument that identifies the caller of a function without a framework.
    pub(crate) fn caller(self) -> &'static str {
        match self {
            Self::UsersOnly => "&User",
            Self::Callers => "&Identity",
            Self::ServiceOnly | Self::Public => "&Caller",
        }
    }

    /// The keys of the attribute.
    pub(crate) fn keys(self) -> &'static [Key] {
        match self {
            Self::Callers => &[Key::Users, Key::Services, Key::Crate],
            Self::UsersOnly => &[
                Key::Actors,
                Key::Roles,
                Key::Scopes,
                Key::AnyScope,
                Key::Claims,
                Key::Issuers,
                Key::MaxAge,
                Key::Proof,
                Key::Crate,
            ],
            Self::ServiceOnly | Self::Public => &Key::ALL,
        }
    }
}

/// One value of a list.
pub(crate) enum Value {
    Text(LitStr),
    /// The path of a `&str` constant, such as `names::ORDERS`. The compiler evaluates it after the expansion.
    Constant(Path),
    /// A set of services that the verifier has, such as `@deleters`.
    Set(Ident),
}

/// A key of the attribute.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Services,
    Actors,
    Roles,
    Scopes,
    AnyScope,
    Claims,
    Issuers,
    MaxAge,
    Proof,
    Crate,
    /// Of `#[callers]` only.
    Users,
}

impl Key {
    /// The keys of `#[service_only]`.
    pub(crate) const ALL: [Self; 10] = [
        Self::Services,
        Self::Actors,
        Self::Roles,
        Self::Scopes,
        Self::AnyScope,
        Self::Claims,
        Self::Issuers,
        Self::MaxAge,
        Self::Proof,
        Self::Crate,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Actors => "actors",
            Self::Roles => "roles",
            Self::Scopes => "scopes",
            Self::AnyScope => "any_scope",
            Self::Claims => "claims",
            Self::Issuers => "issuers",
            Self::MaxAge => "max_age",
            Self::Proof => "proof",
            Self::Crate => "crate",
            Self::Users => "users",
        }
    }

    pub(crate) fn named(name: &Ident) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Users]).find(|key| name == key.as_str())
    }
}

/// Why a text is not a value of a list.
pub(crate) enum Fault {
    /// It has a space, as if it were several values.
    SeveralInOne,
    /// It has a `*`, which matches only itself.
    Wildcard,
    /// In words that follow a comma.
    Other(String),
}

/// The fault of a value. A message suggests only values without one.
pub(crate) fn fault_of(key: Key, name: &str) -> Option<Fault> {
    match key {
        Key::Services => service_name_fault(name).map(Fault::Other),
        Key::Scopes | Key::AnyScope if name.contains('*') && !name.contains(' ') => Some(Fault::Wildcard),
        _ => token_fault(name),
    }
}

fn service_name_fault(name: &str) -> Option<String> {
    let outer = |c: char| !c.is_ascii_alphanumeric();
    if name.is_empty() {
        Some("it is empty".to_owned())
    } else if let Some(c) = name.chars().find(|c| outer(*c) && !matches!(c, '-' | '_' | '.')) {
        Some(format!("it has {c:?}"))
    } else if name.len() > MAX_SERVICE_NAME_BYTES {
        Some(format!("it has {} characters", name.len()))
    } else if name.starts_with(outer) {
        Some("it does not start with a letter or digit".to_owned())
    } else if name.ends_with(outer) {
        Some("it does not end with a letter or digit".to_owned())
    } else {
        None
    }
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`. Issuers, which RFC 7519 section 2 calls
/// StringOrURI, are limited to the same characters, because spaces separate the values of a list.
fn token_fault(name: &str) -> Option<Fault> {
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    match name.chars().find(|c| !allowed(*c)) {
        Some(' ') => Some(Fault::SeveralInOne),
        Some(c) => Some(Fault::Other(format!("it has {c:?}"))),
        None if name.is_empty() => Some(Fault::Other("it is empty".to_owned())),
        None => None,
    }
}

/// The fault of a claim's name in `claims(..)`. In the type of a policy, `=` ends the name.
pub(crate) fn claim_name_fault(name: &str) -> Option<Fault> {
    match name.contains('=') {
        true => Some(Fault::Other("it has '='".to_owned())),
        false => token_fault(name),
    }
}

/// The fault of a value in `claims(..)`: a text, or the name of a path parameter in braces.
pub(crate) fn claim_value_fault(value: &str) -> Option<Fault> {
    match path_parameter(value) {
        Some(name) if is_parameter_name(name) => None,
        Some(_) => Some(Fault::Other("the braces contain no name of a path parameter".to_owned())),
        None if value.contains(['{', '}']) => {
            Some(Fault::Other("a path parameter in braces is the whole value".to_owned()))
        }
        None => token_fault(value),
    }
}

/// The name in `{name}`.
pub(crate) fn path_parameter(value: &str) -> Option<&str> {
    value.strip_prefix('{')?.strip_suffix('}')
}

fn is_parameter_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(inner)
}

/// Whether `max_age` accepts a text.
pub(crate) fn is_age(age: &str) -> bool {
    let is_allowed = |age: Duration| {
        !age.is_zero() && age.subsec_nanos() == 0 && age.as_secs() <= MAX_AGE_DAYS * 24 * 60 * 60
    };
    humantime::parse_duration(age).is_ok_and(is_allowed)
}

/// A token as a literal, if it is one. A macro by example wraps a literal in an invisible group.
pub(crate) fn literal(token: &TokenTree) -> Option<Literal> {
    match token {
        TokenTree::Literal(literal) => Some(literal.clone()),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut tokens = group.stream().into_iter();
            match (tokens.next(), tokens.next()) {
                (Some(token), None) => literal(&token),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_of_whole_seconds_up_to_a_leap_year() {
        for age in ["1s", "24h", "366days", "1d 2h 3s"] {
            assert!(is_age(age), "{age}");
        }
        for age in ["0s", "1ms", "1500ms", "366days 1s", "367days", "100000days", "24"] {
            assert!(!is_age(age), "{age}");
        }
    }

    #[test]
    fn a_path_parameter_is_named_like_an_identifier_or_with_hyphens() {
        for name in ["a", "_", "_a", "tenant_id", "tenant-id", "a1"] {
            assert!(is_parameter_name(name), "{name}");
        }
        for name in ["", "1", "1a", "-a", "é", "a.b", "*a", ":a"] {
            assert!(!is_parameter_name(name), "{name}");
        }
    }
}
