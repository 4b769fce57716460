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
    ($key:literal, $text:literal, $line:literal, $max_age:literal) => {
        $crate::private::inventory::submit! {
            $crate::private::Registration {
                key: $key,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                line: $line,
                asks: $crate::private::Asks::Policy { text: $text, max_age: $max_age },
            }
        }
    };
}

/// Puts a public handler into the list of [`public_endpoints`](crate::public_endpoints).
#[doc(hidden)]
#[macro_export]
macro_rules! __register_public {
    ($key:literal, $function:literal, $reason:literal, $line:literal) => {
        $crate::private::inventory::submit! {
            $crate::private::Registration {
                key: $key,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                line: $line,
                asks: $crate::private::Asks::Nothing { function: $function, reason: $reason },
            }
        }
    };
}

/// Sixty-four bytes of text, big-endian and padded with zeros, and what follows them.
pub struct Text<const A: u128, const B: u128, const C: u128, const D: u128, Rest = ()>(
    PhantomData<fn() -> Rest>,
);

const WORD: usize = 16;
/// Three lists, of which the attribute takes at most 1024 bytes each, and a name.
const CAPACITY: usize = 4096;

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

/// What a guarded handler asks for, in a type. The text has four lines: the function, and the services,
/// the roles and the scopes by words. By its key the type finds where the handler stands.
pub struct Site<const KEY: u64, Words, const LINE: u32, const MAX_AGE: u64>(PhantomData<fn() -> Words>);

impl<const KEY: u64, Words: TypeText, const LINE: u32, const MAX_AGE: u64> Site<KEY, Words, LINE, MAX_AGE> {
    const SERVICES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 1));
    const ROLES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 2));
    const SCOPES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 3));
}

impl<const KEY: u64, Words, const LINE: u32, const MAX_AGE: u64> StaticPolicy
    for Site<KEY, Words, LINE, MAX_AGE>
where
    Words: TypeText,
{
    const POLICY: Policy<'static> = policy(
        first(&Self::SERVICES, count(line(Words::TEXT, 1))),
        first(&Self::ROLES, count(line(Words::TEXT, 2))),
        first(&Self::SCOPES, count(line(Words::TEXT, 3))),
        MAX_AGE,
    );

    fn endpoint() -> Endpoint {
        registry::endpoint(KEY).unwrap_or(Endpoint::unregistered(line(Words::TEXT, 0), LINE))
    }
}

/// The attribute refuses an empty list, so none stands for a key that was left out; `u64::MAX` seconds
/// for no age.
pub(crate) const fn policy<'a>(
    services: &'a [&'a str],
    roles: &'a [&'a str],
    scopes: &'a [&'a str],
    max_age: u64,
) -> Policy<'a> {
    let policy = Policy::any_service().scopes(scopes);
    let policy = if services.is_empty() { policy } else { policy.services(services) };
    let policy = if roles.is_empty() { policy } else { policy.roles(roles) };
    match max_age {
        u64::MAX => policy,
        seconds => policy.max_age(Duration::from_secs(seconds)),
    }
}

/// A public handler, in a type.
pub struct OpenSite<const KEY: u64, Words, const LINE: u32>(PhantomData<fn() -> Words>);

impl<const KEY: u64, Words: TypeText, const LINE: u32> StaticReason for OpenSite<KEY, Words, LINE> {
    fn reason() -> &'static str {
        registry::reason(KEY).unwrap_or_default()
    }

    fn endpoint() -> Endpoint {
        registry::endpoint(KEY).unwrap_or(Endpoint::unregistered(Words::TEXT, LINE))
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
    type Bare = Text<{ word("list\n\n\n", 0) }, 0, 0, 0>;

    #[test]
    fn texts_come_back_from_their_types() {
        assert_eq!(Long::TEXT, LONG);
        assert_eq!(Bare::TEXT, "list\n\n\n");
        assert_eq!(<() as TypeText>::TEXT, "");
    }

    #[test]
    fn what_is_no_text_lets_nobody_in() {
        type Garbled = Text<{ u128::MAX }, 0, 0, 0>;
        type Site = super::Site<7, Garbled, 7, { u64::MAX }>;
        assert_eq!(Site::POLICY.allowed_services(), Some(&["\\"][..]));
        assert!("\\".parse::<crate::ServiceName>().is_err());
    }

    #[test]
    fn a_site_carries_its_policy_and_the_name_of_its_function() {
        type Open = Site<7, Bare, 7, { u64::MAX }>;
        type Closed = Site<7, Long, 7, 60>;
        assert_eq!(Open::POLICY, Policy::any_service());
        let endpoint = Open::endpoint();
        assert_eq!((endpoint.to_string().as_str(), endpoint.line()), ("list", 7));
        assert_eq!(Closed::POLICY.allowed_services(), Some(&["orders", "gateway"][..]));
        assert_eq!(Closed::POLICY.allowed_roles(), Some(&["admin"][..]));
        let scopes = ["an:order", "a:second.scope-that-goes-on-until-it-needs-a-node", "more"];
        assert_eq!(Closed::POLICY.required_scopes(), scopes);
        assert_eq!(Closed::POLICY.allowed_age(), Some(Duration::from_secs(60)));
    }
}
