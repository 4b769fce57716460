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
/// Four full lists and a name make about 70 nested nodes of text. The compiler's default recursion limit is 128.
pub(crate) const MAX_LIST_BYTES: usize = 1024;
/// Enough for one sentence.
pub(crate) const MAX_REASON_BYTES: usize = 256;
pub(crate) const MAX_AGE_DAYS: u64 = 366;

/// The attribute that is being expanded. A handler has only one of the two.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    ServiceOnly,
    Public,
}

impl Attribute {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServiceOnly => "#[service_only]",
            Self::Public => "#[public]",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceOnly => "service_only",
            Self::Public => "public",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::ServiceOnly => Self::Public,
            Self::Public => Self::ServiceOnly,
        }
    }
}

/// One value of a list.
pub(crate) enum Value {
    Text(LitStr),
    /// The path of a `&str` constant, such as `names::ORDERS`. The compiler evaluates it after the expansion.
    Constant(Path),
}

/// A key of the attribute.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Services,
    Roles,
    Scopes,
    Issuers,
    MaxAge,
    Crate,
}

impl Key {
    pub(crate) const ALL: [Self; 6] =
        [Self::Services, Self::Roles, Self::Scopes, Self::Issuers, Self::MaxAge, Self::Crate];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Roles => "roles",
            Self::Scopes => "scopes",
            Self::Issuers => "issuers",
            Self::MaxAge => "max_age",
            Self::Crate => "crate",
        }
    }

    pub(crate) fn named(name: &Ident) -> Option<Self> {
        Self::ALL.into_iter().find(|key| name == key.as_str())
    }
}

/// Why a text is not a value of a list.
pub(crate) enum Fault {
    /// It has a space, as if it were several values.
    SeveralInOne,
    /// In words that follow a comma.
    Other(String),
}

/// The fault of a value. A message suggests only values without one.
pub(crate) fn fault_of(key: Key, name: &str) -> Option<Fault> {
    match key {
        Key::Services => service_name_fault(name).map(Fault::Other),
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
