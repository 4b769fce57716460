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

pub use crate::guard::{Guard, StaticPolicy};
use crate::policy::{Endpoint, Policy};

/// Sixty-four bytes of text, big-endian and padded with zeros, and what follows them.
pub struct Text<const A: u128, const B: u128, const C: u128, const D: u128, Rest = ()>(
    PhantomData<fn() -> Rest>,
);

/// The `n`-th sixteen bytes of a text as a word of a [`Text`]. Of a text that is longer than 128
/// bytes, only `module_path!()` can be one, the words past the eighth are never asked for.
pub const fn word(text: &str, n: usize) -> u128 {
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

const WORD: usize = 16;
/// The attribute takes lists of at most this many bytes.
const CAPACITY: usize = 2048;

/// A text in a type.
pub trait TypeText: 'static {
    /// The text.
    const BUFFER: Buffer;
    /// The text as a string.
    const TEXT: &'static str = Self::BUFFER_REF.as_str();
    /// The text in a place that lives forever.
    const BUFFER_REF: &'static Buffer = &Self::BUFFER;
    /// The text's parts, which are separated by spaces, and padding.
    const PARTS: [&'static str; MAX_NAMES] = parts(Self::TEXT);
    /// The text's parts.
    const LIST: &'static [&'static str] = first(&Self::PARTS, count(Self::TEXT));
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
            // A module path in other letters may be cut within one; a name that is shown in the
            // audit is all that suffers.
            Err(error) => match std::str::from_utf8(text.split_at(error.valid_up_to()).0) {
                Ok(text) => text,
                Err(_) => "",
            },
        }
    }
}

const fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
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

const fn parts(text: &'static str) -> [&'static str; MAX_NAMES] {
    let mut parts = [""; MAX_NAMES];
    let (mut rest, mut part) = (text, 0);
    while part < count(text) {
        let bytes = rest.as_bytes();
        let mut end = 0;
        while end < bytes.len() && bytes[end] != b' ' {
            end += 1;
        }
        parts[part] = rest.split_at(end).0;
        if end < bytes.len() {
            rest = rest.split_at(end + 1).1;
        }
        part += 1;
    }
    parts
}

const fn first(parts: &'static [&'static str; MAX_NAMES], count: usize) -> &'static [&'static str] {
    parts.split_at(count).0
}

/// Where a guarded handler stands and what it asks for, in a type.
#[expect(clippy::type_complexity, reason = "the types are only names")]
pub struct Site<Module, Function, const LINE: u32, Services, Roles, Scopes, const MAX_AGE: u64>(
    PhantomData<fn() -> (Module, Function, Services, Roles, Scopes)>,
);

impl<Module, Function, const LINE: u32, Services, Roles, Scopes, const MAX_AGE: u64> StaticPolicy
    for Site<Module, Function, LINE, Services, Roles, Scopes, MAX_AGE>
where
    Module: TypeText,
    Function: TypeText,
    Services: TypeText,
    Roles: TypeText,
    Scopes: TypeText,
{
    const POLICY: Policy<'static> = {
        // The attribute refuses an empty list, so none stands for a key that was left out.
        let policy = Policy::any_service().scopes(Scopes::LIST);
        let policy = if Services::LIST.is_empty() { policy } else { policy.services(Services::LIST) };
        let policy = if Roles::LIST.is_empty() { policy } else { policy.roles(Roles::LIST) };
        match MAX_AGE {
            u64::MAX => policy,
            seconds => policy.max_age(Duration::from_secs(seconds)),
        }
    };
    const ENDPOINT: Endpoint = Endpoint::new(Module::TEXT, Function::TEXT, LINE);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Short = Text<{ word("delete_tenant", 0) }, 0, 0, 0>;
    type Two = Text<{ word("orders gateway", 0) }, 0, 0, 0>;
    const LONG: &str = "a-very-long-service-name.that-goes-on-and-on.until-it-needs-a-second-node of-words";
    type Long = Text<
        { word(LONG, 0) },
        { word(LONG, 1) },
        { word(LONG, 2) },
        { word(LONG, 3) },
        Text<{ word(LONG, 4) }, { word(LONG, 5) }, { word(LONG, 6) }, { word(LONG, 7) }>,
    >;

    #[test]
    fn texts_come_back_from_their_types() {
        assert_eq!(Short::TEXT, "delete_tenant");
        assert_eq!(Long::TEXT, LONG);
        assert_eq!(<() as TypeText>::TEXT, "");
    }

    #[test]
    fn lists_come_back_from_their_types() {
        assert_eq!(Two::LIST, ["orders", "gateway"]);
        assert_eq!(Long::LIST, LONG.split(' ').collect::<Vec<_>>());
        assert!(<() as TypeText>::LIST.is_empty());
    }

    #[test]
    fn a_site_carries_its_policy_and_endpoint() {
        type Open = Site<Short, Short, 7, (), (), (), { u64::MAX }>;
        type Closed = Site<Short, Short, 7, Two, Short, Long, 60>;
        assert_eq!(Open::POLICY, Policy::any_service());
        let endpoint = Open::ENDPOINT;
        assert_eq!(endpoint.to_string(), "delete_tenant::delete_tenant");
        let parts = (endpoint.module_path(), endpoint.function(), endpoint.line());
        assert_eq!(parts, ("delete_tenant", "delete_tenant", 7));
        assert_eq!(Closed::POLICY.allowed_services(), Some(&["orders", "gateway"][..]));
        assert_eq!(Closed::POLICY.allowed_roles(), Some(&["delete_tenant"][..]));
        assert_eq!(Closed::POLICY.required_scopes().len(), 2);
        assert_eq!(Closed::POLICY.allowed_age(), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_module_path_that_is_cut_within_a_letter_stays_text() {
        const PATH: &str = "aaaaaaaaaaaaaaaé";
        type Cut = Text<{ word(PATH, 0) }, 0, 0, 0>;
        assert_eq!(Cut::TEXT, "aaaaaaaaaaaaaaa");
    }
}
