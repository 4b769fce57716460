//! Encodes texts and numbers in const generics, sixteen bytes of text per word, and decodes them at compile time.
//!
//! A policy must travel in a type, because the guard is only an argument of the handler. The attribute cannot add a
//! type beside the handler, because an `impl` block cannot contain one.

#![expect(missing_debug_implementations, unnameable_types, reason = "types without a value")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "evaluated at compile time, where a panic or an index out of bounds is an error"
)]

use std::{marker::PhantomData, time::Duration};

use crate::{claims::ServiceName, hashed::mix, policy::Policy, proof::RequiredProof};

/// The value of a constant that the attribute names, encoded in words. Its maximum length is that of a service name.
pub struct Name<
    const A: u128,
    const B: u128,
    const C: u128,
    const D: u128,
    const E: u128,
    const F: u128,
    const G: u128,
    const H: u128,
    const I: u128,
    const J: u128,
    const K: u128,
    const L: u128,
    const M: u128,
    const N: u128,
    const O: u128,
    const P: u128,
    Rest = (),
>(PhantomData<fn() -> Rest>);

const NAME_WORDS: usize = 16;

/// Returns a word of a constant in `services(..)`. The first word checks all of them.
///
/// ```compile_fail,E0080
/// const TWO_WORDS: &str = "two words";
///
/// #[service_only::service_only(services("billing", TWO_WORDS))]
/// async fn list() {}
/// ```
///
/// ```compile_fail,E0080
/// const EMPTY: &str = "";
///
/// #[service_only::service_only(services(EMPTY))]
/// async fn list() {}
/// ```
///
/// ```compile_fail,E0308
/// const NUMBER: u32 = 7;
///
/// #[service_only::service_only(services(NUMBER))]
/// async fn list() {}
/// ```
pub const fn service_word(name: &str, n: usize) -> u128 {
    if n == 0 && !is_service_name(name) {
        panic!(
            "this constant is not a service name; give it 1 to 253 ASCII letters, digits, `-`, `_`, `.`, starting and ending with a letter or digit"
        );
    }
    word(name, n)
}

/// Checks the same rules as [`ServiceName`](crate::claims::ServiceName).
const fn is_service_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > ServiceName::MAX_LENGTH {
        return false;
    }
    let mut index = 0;
    while index < bytes.len() {
        let outer = index == 0 || index == bytes.len() - 1;
        let inner = !outer && matches!(bytes[index], b'-' | b'_' | b'.');
        if !bytes[index].is_ascii_alphanumeric() && !inner {
            return false;
        }
        index += 1;
    }
    true
}

/// Returns a word of a constant in `roles(..)`, `issuers(..)` or `actors(..)`. The first word checks all of them.
///
/// ```compile_fail,E0080
/// use service_only::{Caller, Denial, service_only};
///
/// const EMPTY: &str = "";
///
/// #[service_only(roles(EMPTY))]
/// fn job(_: &Caller) -> Result<(), Denial> {
///     Ok(())
/// }
/// ```
pub const fn name_word(name: &str, n: usize) -> u128 {
    if n == 0 {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_WORDS * WORD {
            panic!(
                "a constant in a list of the attribute has 1 to 256 bytes; write a longer value as a literal"
            );
        }
        let mut index = 0;
        while index < bytes.len() {
            if !matches!(bytes[index], 0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
                panic!(
                    "this constant is not a role, scope, issuer or actor; give it printable ASCII without space, `\"` and `\\`"
                );
            }
            index += 1;
        }
    }
    word(name, n)
}

/// Returns a word of a constant in `scopes(..)` or `any_scope(..)`. The first word checks all of them.
///
/// ```compile_fail,E0080
/// const TWO_WORDS: &str = "two words";
///
/// #[service_only::service_only(scopes(TWO_WORDS))]
/// async fn list() {}
/// ```
///
/// ```compile_fail,E0080
/// const PATTERN: &str = "orders:*";
///
/// #[service_only::service_only(scopes(PATTERN))]
/// async fn list() {}
/// ```
pub const fn scope_word(name: &str, n: usize) -> u128 {
    if n == 0 {
        let (bytes, mut index) = (name.as_bytes(), 0);
        while index < bytes.len() {
            if bytes[index] == b'*' {
                panic!(
                    "this constant has a `*`, and scopes are compared byte for byte, without patterns; write each scope"
                );
            }
            index += 1;
        }
    }
    name_word(name, n)
}

const fn word(text: &str, n: usize) -> u128 {
    let bytes = text.as_bytes();
    let (mut word, mut index) = ([0; WORD], 0);
    while index < WORD && n * WORD + index < bytes.len() {
        word[index] = bytes[n * WORD + index];
        index += 1;
    }
    u128::from_be_bytes(word)
}

/// Checks lists with constants, which only the compiler can do: no value is repeated, and none is too long.
///
/// ```compile_fail,E0080
/// const ORDERS: &str = "orders";
///
/// #[service_only::service_only(services("orders", ORDERS))]
/// async fn list() {}
/// ```
pub const fn distinct(lists: &[&[&str]]) {
    let mut list = 0;
    while list < lists.len() {
        let names = lists[list];
        let (mut this, mut length) = (0, 0);
        while this < names.len() {
            length += names[this].len() + 1;
            let mut other = 0;
            while other < this {
                if equal(names[this], names[other]) {
                    panic!(
                        "a list of the attribute has the same value twice: a constant is equal to another value; keep one"
                    );
                }
                other += 1;
            }
            this += 1;
        }
        if length > 1025 {
            panic!(
                "a list of the attribute has more than 1024 bytes of text; give the callers one role or scope to ask for"
            );
        }
        list += 1;
    }
}

const fn equal(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut index = 0;
    while index < left.len() && index < right.len() && left[index] == right[index] {
        index += 1;
    }
    index == left.len() && index == right.len()
}

/// Sixty-four bytes of text, big-endian and padded with zeros, followed by `Rest`. Words that are left out are
/// padding, because each word that is written adds compile time.
pub struct Text<const A: u128, const B: u128 = 0, const C: u128 = 0, const D: u128 = 0, Rest = ()>(
    PhantomData<fn() -> Rest>,
);

const WORD: usize = 16;
/// The capacity of a buffer. The attribute accepts at most 4128 bytes in its lists, and a name.
const CAPACITY: usize = 5120;

/// A text that is encoded in a type.
pub trait TypeText: 'static {
    /// The text.
    const BUFFER: Buffer;
    /// The text with a `'static` lifetime.
    const BUFFER_REF: &'static Buffer = &Self::BUFFER;
    /// The text as a string.
    const TEXT: &'static str = Self::BUFFER_REF.as_str();
}

/// The maximum number of names in one list of the attribute.
pub const MAX_NAMES: usize = 32;

impl TypeText for () {
    const BUFFER: Buffer = Buffer { bytes: [0; CAPACITY], length: 0 };
}

impl<const A: u128, const B: u128, const C: u128, const D: u128, Rest: TypeText> TypeText
    for Text<A, B, C, D, Rest>
{
    const BUFFER: Buffer = Rest::BUFFER.prefixed(&[A, B, C, D]);
}

impl<
    const A: u128,
    const B: u128,
    const C: u128,
    const D: u128,
    const E: u128,
    const F: u128,
    const G: u128,
    const H: u128,
    const I: u128,
    const J: u128,
    const K: u128,
    const L: u128,
    const M: u128,
    const N: u128,
    const O: u128,
    const P: u128,
    Rest: TypeText,
> TypeText for Name<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Rest>
{
    const BUFFER: Buffer = Rest::BUFFER.prefixed(&[A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P]);
}

/// A policy that no caller can meet: no token can have these names of a service, a role and a scope.
const NOBODY: &str = "\n\\\n\\\n\\";

/// A text that is being built at compile time.
#[derive(Copy, Clone)]
pub struct Buffer {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Buffer {
    const fn prefixed(&self, words: &[u128]) -> Self {
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
            // The attribute writes valid text. Anything else refuses every caller.
            Err(_) => NOBODY,
        }
    }
}

/// Returns the `n`-th line of a text. No line is empty.
pub(crate) const fn line(text: &'static str, n: usize) -> &'static str {
    part(text, b'\n', n)
}

/// Returns the part of a text between the `n`-th separator and the one before it.
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

/// Splits a line into its words.
pub(crate) const fn words(line: &'static str) -> [&'static str; MAX_NAMES] {
    let mut words = [""; MAX_NAMES];
    let mut word = 0;
    while word < count(line) {
        words[word] = part(line, b' ', word);
        word += 1;
    }
    words
}

pub(crate) const fn count(line: &str) -> usize {
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

pub(crate) const fn first(
    words: &'static [&'static str; MAX_NAMES],
    count: usize,
) -> &'static [&'static str] {
    words.split_at(count).0
}

/// Computes the key of a handler in the program's list. The key covers everything by which a record or the list
/// identifies the handler. `head` covers the package, the file, the position in it, the name and the policy, see the
/// attribute; only the compiler knows the module. So two handlers with the same key have the same name.
pub const fn key(head: u128, module_path: &str) -> u64 {
    let mut key = Head(head).seed();
    let (bytes, mut index) = (module_path.as_bytes(), 0);
    while index < bytes.len() {
        key = mix(key, bytes[index] as u64);
        index += 1;
    }
    mix(key, bytes.len() as u64)
}

/// The numbers of a handler, packed into one const argument: the seed of its key, the line of its name, and the
/// maximum age in seconds that its policy allows, `u32::MAX` for any.
#[derive(Copy, Clone)]
pub(crate) struct Head(pub(crate) u128);

impl Head {
    const fn seed(self) -> u64 {
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

/// Splits the words of a line at their first `=`.
pub(crate) const fn pairs(line: &'static str) -> [(&'static str, &'static str); MAX_NAMES] {
    let words = words(line);
    let mut pairs = [("", ""); MAX_NAMES];
    let mut index = 0;
    while index < count(line) {
        let name = part(words[index], b'=', 0);
        let value = match name.len() < words[index].len() {
            true => words[index].split_at(name.len() + 1).1,
            false => "",
        };
        pairs[index] = (name, value);
        index += 1;
    }
    pairs
}

pub(crate) const fn first_pairs(
    pairs: &'static [(&'static str, &'static str); MAX_NAMES],
    count: usize,
) -> &'static [(&'static str, &'static str)] {
    pairs.split_at(count).0
}

/// An age in seconds; `None` for an empty line.
pub(crate) const fn seconds(line: &str) -> Option<Duration> {
    let bytes = line.as_bytes();
    if bytes.is_empty() {
        return None;
    }
    let (mut seconds, mut index) = (0, 0);
    while index < bytes.len() {
        seconds = seconds * 10 + (bytes[index] - b'0') as u64;
        index += 1;
    }
    Some(Duration::from_secs(seconds))
}

/// The proof of a line; `None` for an empty line. Any other word than those of the attribute is a defect of it, which must
/// not become a policy without a proof.
pub(crate) const fn proof(line: &str) -> Option<RequiredProof> {
    match line.as_bytes() {
        b"" => None,
        b"mtls" => Some(RequiredProof::Mtls),
        b"dpop" => Some(RequiredProof::Dpop),
        b"any" => Some(RequiredProof::Any),
        _ => panic!("this is not a proof"),
    }
}

/// The lists of a policy.
#[derive(Copy, Clone, Default)]
pub(crate) struct Lists<'a> {
    pub(crate) services: &'a [&'a str],
    pub(crate) roles: &'a [&'a str],
    pub(crate) scopes: &'a [&'a str],
    pub(crate) issuers: &'a [&'a str],
    pub(crate) any_scope: &'a [&'a str],
    pub(crate) claims: &'a [(&'a str, &'a str)],
    pub(crate) actors: &'a [&'a str],
}

/// The single values of a policy.
#[derive(Copy, Clone, Default)]
pub(crate) struct Singles {
    pub(crate) max_age: Option<Duration>,
    pub(crate) proof: Option<RequiredProof>,
}

/// Who a policy is for, by the word in its text.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Admits {
    Services,
    Users,
    Both,
}

impl Admits {
    /// Any other text is for services, like the text of a policy without the word.
    pub(crate) const fn named(line: &str) -> Self {
        match line.as_bytes() {
            b"users" => Self::Users,
            b"both" => Self::Both,
            _ => Self::Services,
        }
    }
}

/// Decodes a policy. The attribute refuses an empty list, so an empty line means that the list was left out.
pub(crate) const fn policy<'a>(lists: Lists<'a>, Singles { max_age, proof }: Singles) -> Policy<'a> {
    let Lists { services, roles, scopes, issuers, any_scope, claims, actors } = lists;
    let policy = Policy::any_service().scopes(scopes).claims(claims);
    let policy = if issuers.is_empty() { policy } else { policy.issuers(issuers) };
    let policy = if services.is_empty() { policy } else { policy.services(services) };
    let policy = if roles.is_empty() { policy } else { policy.roles(roles) };
    let policy = if any_scope.is_empty() { policy } else { policy.any_scope(any_scope) };
    let policy = if actors.is_empty() { policy } else { policy.actors(actors) };
    let policy = match proof {
        None => policy,
        Some(proof) => policy.proof(proof),
    };
    match max_age {
        None => policy,
        Some(max_age) => policy.max_age(max_age),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        __private::{Site, rewritten},
        guard::StaticPolicy,
    };

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

    /// Packs the numbers as the attribute writes them.
    const fn head(key: u64, line: u32, max_age: u32) -> u128 {
        (key as u128) << 64 | (line as u128) << 32 | max_age as u128
    }

    #[test]
    fn texts_are_unchanged_after_a_round_trip_through_types() {
        assert_eq!(Long::TEXT, LONG);
        assert_eq!(Bare::TEXT, "list\n\n\n");
        assert_eq!(<() as TypeText>::TEXT, "");
    }

    #[test]
    fn a_constant_is_a_service_name_exactly_if_the_runtime_takes_it_for_one() {
        let longest = "x".repeat(ServiceName::MAX_LENGTH);
        let too_long = "x".repeat(ServiceName::MAX_LENGTH + 1);
        let names = [
            "a",
            "7",
            "a-b_c.d",
            "A--b..c__9",
            &longest,
            &too_long,
            "",
            "-a",
            "a-",
            ".",
            "a b",
            "\u{e4}",
            "a/b",
        ];
        for name in names {
            assert_eq!(is_service_name(name), name.parse::<crate::claims::ServiceName>().is_ok(), "{name}");
        }
        assert!(is_service_name(&longest) && !is_service_name(&too_long));
    }

    #[test]
    fn a_constant_is_unchanged_after_a_round_trip_through_its_type() {
        const ORDERS: &str =
            "orders-of-the-northern-region.and-of-the-southern-one.and-of-all-others-that-there-are";
        const fn w(n: usize) -> u128 {
            service_word(ORDERS, n)
        }
        type Rest = Text<{ word(" billing\n\n", 0) }>;
        type Named = Name<
            { w(0) },
            { w(1) },
            { w(2) },
            { w(3) },
            { w(4) },
            { w(5) },
            { w(6) },
            { w(7) },
            { w(8) },
            { w(9) },
            { w(10) },
            { w(11) },
            { w(12) },
            { w(13) },
            { w(14) },
            { w(15) },
            Rest,
        >;
        type Words = Text<{ word("list\n", 0) }, 0, 0, 0, Named>;
        type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
        assert_eq!(Asking::POLICY.allowed_services(), Some(&[ORDERS, "billing"][..]));
    }

    #[test]
    #[should_panic(expected = "put that attribute above `#[service_only]`")]
    fn a_constant_of_a_function_without_its_seal_panics() {
        rewritten();
    }

    #[test]
    #[should_panic(expected = "the same value twice")]
    fn equal_values_of_a_list_are_refused() {
        distinct(&[&["a"], &["b", "a", "b"]]);
    }

    #[test]
    fn a_list_may_have_1024_bytes() {
        let half = "x".repeat(511);
        let rest = "y".repeat(512);
        distinct(&[&[&half, &rest], &[&half, &rest]]);
        let longer = "y".repeat(513);
        assert!(std::panic::catch_unwind(|| distinct(&[&[&half, &longer]])).is_err());
    }

    #[test]
    fn packed_numbers_do_not_overlap() {
        let head = Head(head(1, 2, 3));
        assert_eq!((head.seed(), head.line(), head.max_age()), (1, 2, Some(Duration::from_secs(3))));
        let none = Head(u128::from(u32::MAX));
        assert_eq!((none.seed(), none.line(), none.max_age()), (0, 0, None));
    }

    #[test]
    fn an_invalid_text_type_allows_no_caller() {
        type Garbled = Text<{ u128::MAX }, 0, 0, 0>;
        type Site = crate::__private::Site<{ head(7, 7, u32::MAX) }, 7, Garbled>;
        assert_eq!(Site::POLICY.allowed_services(), Some(&["\\"][..]));
        assert!("\\".parse::<crate::claims::ServiceName>().is_err());
    }

    #[test]
    fn a_site_contains_the_required_issuers() {
        const ISSUERS: &str = "list\n\n\n\nbakery-auth https://mill.example/realms/a";
        type Words =
            Text<{ word(ISSUERS, 0) }, { word(ISSUERS, 1) }, { word(ISSUERS, 2) }, { word(ISSUERS, 3) }>;
        type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
        let issuers = ["bakery-auth", "https://mill.example/realms/a"];
        assert_eq!(Asking::POLICY, Policy::any_service().issuers(&issuers));
        assert_eq!(Site::<{ head(7, 7, u32::MAX) }, 7, Bare>::POLICY.allowed_issuers(), None);
    }

    #[test]
    fn a_site_contains_the_required_actors_of_services_and_users() {
        const BOTH: &str = "list\norders\n\n\n\n\n\ngateway edge\n\nboth\n\nmanager\n\n\n\n\ncdn\n\n60";
        type Words = Text<{ word(BOTH, 0) }, { word(BOTH, 1) }, { word(BOTH, 2) }, { word(BOTH, 3) }>;
        type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
        let users = Policy::any_user().roles(&["manager"]).actors(&["cdn"]).max_age(Duration::from_secs(60));
        let services = Policy::any_service().services(&["orders"]).actors(&["gateway", "edge"]);
        assert_eq!(Asking::POLICY, services.or_users(&users));
    }

    #[test]
    fn a_site_contains_its_policy_and_the_name_of_its_function() {
        type Open = Site<{ head(7, 7, u32::MAX) }, 7, Bare>;
        type Closed = Site<{ head(u64::MAX, u32::MAX, 60) }, 8, Long>;
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
