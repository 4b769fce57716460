//! Everything that the attribute's generated code may name. Not part of the public interface: it
//! changes with the attribute, whose version is pinned.
//!
//! A policy must travel in a type, because the guard is only an argument of the handler, and the
//! attribute cannot put a type of its own beside the handler: within an `impl` block there is no
//! place for one. So texts are written into const generics, sixteen bytes a word, and read back
//! here when compiling.

#![expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiling, where an index out of bounds is an error"
)]

use std::{marker::PhantomData, time::Duration};

#[doc(hidden)]
pub use inventory;

pub use crate::{
    __register_guarded as register_guarded, __register_public as register_public,
    given::{Admit, Given, Refused, check},
    guard::{Guard, Public, StaticPolicy, StaticReason},
    recorder::Draft,
    registry::{Asks, Registration},
};
use crate::{
    policy::{Endpoint, Policy},
    registry,
};

/// Puts a guarded handler into the list of [`endpoints`](crate::endpoints).
#[doc(hidden)]
#[macro_export]
macro_rules! __register_guarded {
    ($head:literal, $text:literal) => {
        $crate::private::inventory::submit! {
            $crate::private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::private::Asks::Policy($text),
            }
        }
    };
}

/// Puts a public handler into the list of [`public_endpoints`](crate::public_endpoints).
#[doc(hidden)]
#[macro_export]
macro_rules! __register_public {
    ($head:literal, $function:literal, $reason:literal) => {
        $crate::private::inventory::submit! {
            $crate::private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::private::Asks::Nothing { function: $function, reason: $reason },
            }
        }
    };
}

/// Sixty-four bytes of text, big-endian and padded with zeros, and what follows them. Words that are left out are
/// padding: each that is written costs the compiler.
pub struct Text<const A: u128, const B: u128 = 0, const C: u128 = 0, const D: u128 = 0, Rest = ()>(
    PhantomData<fn() -> Rest>,
);

const WORD: usize = 16;
/// Four lists, of which the attribute takes at most 1024 bytes each, and a name.
const CAPACITY: usize = 5120;

/// A text in a type.
pub trait TypeText: 'static {
    /// The text.
    const BUFFER: Buffer;
    /// The text in a place that lives forever.
    const BUFFER_REF: &'static Buffer = &Self::BUFFER;
    /// The text as a string.
    const TEXT: &'static str = Self::BUFFER_REF.as_str();
}

/// Names that one list of the attribute may have.
pub const MAX_NAMES: usize = 32;

impl TypeText for () {
    const BUFFER: Buffer = Buffer { bytes: [0; CAPACITY], length: 0 };
}

impl<const A: u128, const B: u128, const C: u128, const D: u128, Rest: TypeText> TypeText
    for Text<A, B, C, D, Rest>
{
    const BUFFER: Buffer = Rest::BUFFER.prefixed([A, B, C, D]);
}

/// Asks for a service, a role and a scope that no token can have the names of.
const NOBODY: &str = "\n\\\n\\\n\\";

/// A text while it is put together when compiling.
#[derive(Copy, Clone)]
pub struct Buffer {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Buffer {
    const fn prefixed(&self, words: [u128; 4]) -> Self {
        let mut buffer = Self { bytes: [0; CAPACITY], length: 0 };
        let mut index = 0;
        while index < words.len() * WORD {
            let byte = words[index / WORD].to_be_bytes()[index % WORD];
            if byte != 0 {
                buffer.bytes[buffer.length] = byte;
                buffer.length += 1;
            }
            index += 1;
        }
        let mut rest = 0;
        while rest < self.length {
            buffer.bytes[buffer.length] = self.bytes[rest];
            buffer.length += 1;
            rest += 1;
        }
        buffer
    }

    const fn as_str(&'static self) -> &'static str {
        let (text, _) = self.bytes.split_at(self.length);
        match std::str::from_utf8(text) {
            Ok(text) => text,
            // The attribute writes text. What is none lets nobody in.
            Err(_) => NOBODY,
        }
    }
}

/// The `n`-th line of a text; none is empty.
const fn line(text: &'static str, n: usize) -> &'static str {
    part(text, b'\n', n)
}

/// What stands before the `n`-th separator, and after the one before it.
const fn part(text: &'static str, separator: u8, n: usize) -> &'static str {
    let (mut rest, mut skipped) = (text, 0);
    loop {
        let bytes = rest.as_bytes();
        let mut end = 0;
        while end < bytes.len() && bytes[end] != separator {
            end += 1;
        }
        if skipped == n {
            return rest.split_at(end).0;
        }
        if end == bytes.len() {
            return "";
        }
        rest = rest.split_at(end + 1).1;
        skipped += 1;
    }
}

/// The words of a line.
const fn words(line: &'static str) -> [&'static str; MAX_NAMES] {
    let mut words = [""; MAX_NAMES];
    let mut word = 0;
    while word < count(line) {
        words[word] = part(line, b' ', word);
        word += 1;
    }
    words
}

const fn count(line: &str) -> usize {
    let bytes = line.as_bytes();
    if bytes.is_empty() {
        return 0;
    }
    let (mut count, mut index) = (1, 0);
    while index < bytes.len() {
        if bytes[index] == b' ' {
            count += 1;
        }
        index += 1;
    }
    count
}

const fn first(words: &'static [&'static str; MAX_NAMES], count: usize) -> &'static [&'static str] {
    words.split_at(count).0
}

/// The numbers of a handler in one const argument: its key, the line of its name, and the age in seconds that its
/// policy allows, `u32::MAX` for any.
#[derive(Copy, Clone)]
pub(crate) struct Head(pub(crate) u128);

impl Head {
    pub(crate) const fn key(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub(crate) const fn line(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn max_age(self) -> Option<Duration> {
        match self.0 as u32 {
            u32::MAX => None,
            seconds => Some(Duration::from_secs(seconds as u64)),
        }
    }
}

/// What a guarded handler asks for, in a type. The text has four lines: the function, and the services,
/// the roles and the scopes by words; and a fifth with the issuers, where it asks for some. By the key in its head the type finds where the handler stands.
pub struct Site<const HEAD: u128, Words>(PhantomData<fn() -> Words>);

impl<const HEAD: u128, Words: TypeText> Site<HEAD, Words> {
    const SERVICES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 1));
    const ROLES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 2));
    const SCOPES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 3));
    const ISSUERS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 4));
}

impl<const HEAD: u128, Words: TypeText> StaticPolicy for Site<HEAD, Words> {
    const POLICY: Policy<'static> = policy(
        first(&Self::ISSUERS, count(line(Words::TEXT, 4))),
        first(&Self::SERVICES, count(line(Words::TEXT, 1))),
        first(&Self::ROLES, count(line(Words::TEXT, 2))),
        first(&Self::SCOPES, count(line(Words::TEXT, 3))),
        Head(HEAD).max_age(),
    );

    fn endpoint() -> Endpoint {
        endpoint(Head(HEAD), || line(Words::TEXT, 0))
    }
}

fn endpoint(head: Head, function: impl FnOnce() -> &'static str) -> Endpoint {
    registry::endpoint(head.key()).unwrap_or_else(|| Endpoint::unregistered(function(), head.line()))
}

/// The attribute refuses an empty list, so none stands for a key that was left out.
pub(crate) const fn policy<'a>(
    issuers: &'a [&'a str],
    services: &'a [&'a str],
    roles: &'a [&'a str],
    scopes: &'a [&'a str],
    max_age: Option<Duration>,
) -> Policy<'a> {
    let policy = Policy::any_service().scopes(scopes);
    let policy = if issuers.is_empty() { policy } else { policy.issuers(issuers) };
    let policy = if services.is_empty() { policy } else { policy.services(services) };
    let policy = if roles.is_empty() { policy } else { policy.roles(roles) };
    match max_age {
        None => policy,
        Some(max_age) => policy.max_age(max_age),
    }
}

/// A public handler, in a type.
pub struct OpenSite<const HEAD: u128, Words>(PhantomData<fn() -> Words>);

impl<const HEAD: u128, Words: TypeText> StaticReason for OpenSite<HEAD, Words> {
    fn reason() -> &'static str {
        registry::reason(Head(HEAD).key()).unwrap_or_default()
    }

    fn endpoint() -> Endpoint {
        endpoint(Head(HEAD), || Words::TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the attribute computes it.
    const fn word(text: &str, n: usize) -> u128 {
        let bytes = text.as_bytes();
        let (mut word, mut index) = (0, 0);
        while index < WORD {
            word <<= 8;
            let at = n * WORD + index;
            if at < bytes.len() {
                word |= bytes[at] as u128;
            }
            index += 1;
        }
        word
    }

    const LONG: &str =
        "list\norders gateway\nadmin\nan:order a:second.scope-that-goes-on-until-it-needs-a-node more";
    type Long = Text<
        { word(LONG, 0) },
        { word(LONG, 1) },
        { word(LONG, 2) },
        { word(LONG, 3) },
        Text<{ word(LONG, 4) }, { word(LONG, 5) }, { word(LONG, 6) }, { word(LONG, 7) }>,
    >;
    type Bare = Text<{ word("list\n\n\n", 0) }>;

    /// As the attribute writes it.
    const fn head(key: u64, line: u32, max_age: u32) -> u128 {
        (key as u128) << 64 | (line as u128) << 32 | max_age as u128
    }

    #[test]
    fn texts_come_back_from_their_types() {
        assert_eq!(Long::TEXT, LONG);
        assert_eq!(Bare::TEXT, "list\n\n\n");
        assert_eq!(<() as TypeText>::TEXT, "");
    }

    #[test]
    fn numbers_share_a_head_without_touching() {
        let head = Head(head(1, 2, 3));
        assert_eq!((head.key(), head.line(), head.max_age()), (1, 2, Some(Duration::from_secs(3))));
        let none = Head(u128::from(u32::MAX));
        assert_eq!((none.key(), none.line(), none.max_age()), (0, 0, None));
    }

    #[test]
    fn what_is_no_text_lets_nobody_in() {
        type Garbled = Text<{ u128::MAX }, 0, 0, 0>;
        type Site = super::Site<{ head(7, 7, u32::MAX) }, Garbled>;
        assert_eq!(Site::POLICY.allowed_services(), Some(&["\\"][..]));
        assert!("\\".parse::<crate::ServiceName>().is_err());
    }

    #[test]
    fn a_site_carries_the_issuers_where_it_asks_for_some() {
        const ISSUERS: &str = "list\n\n\n\nbakery-auth https://mill.example/realms/a";
        type Words =
            Text<{ word(ISSUERS, 0) }, { word(ISSUERS, 1) }, { word(ISSUERS, 2) }, { word(ISSUERS, 3) }>;
        type Asking = Site<{ head(7, 7, u32::MAX) }, Words>;
        let issuers = ["bakery-auth", "https://mill.example/realms/a"];
        assert_eq!(Asking::POLICY, Policy::any_service().issuers(&issuers));
        assert_eq!(Site::<{ head(7, 7, u32::MAX) }, Bare>::POLICY.allowed_issuers(), None);
    }

    #[test]
    fn a_site_carries_its_policy_and_the_name_of_its_function() {
        type Open = Site<{ head(7, 7, u32::MAX) }, Bare>;
        type Closed = Site<{ head(u64::MAX, u32::MAX, 60) }, Long>;
        assert_eq!(Open::POLICY, Policy::any_service());
        let endpoint = Open::endpoint();
        assert_eq!((endpoint.to_string().as_str(), endpoint.line()), ("list", 7));
        assert_eq!(Closed::endpoint().line(), u32::MAX);
        assert_eq!(Closed::POLICY.allowed_services(), Some(&["orders", "gateway"][..]));
        assert_eq!(Closed::POLICY.allowed_roles(), Some(&["admin"][..]));
        let scopes = ["an:order", "a:second.scope-that-goes-on-until-it-needs-a-node", "more"];
        assert_eq!(Closed::POLICY.required_scopes(), scopes);
        assert_eq!(Closed::POLICY.allowed_age(), Some(Duration::from_secs(60)));
    }
}
