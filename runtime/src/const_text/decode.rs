//! Reads a policy from the text of a handler's type: a list per line, a value per word. Also the key of a handler.

use std::time::Duration;

use crate::{hashed::mix, policy::Policy, proof::RequiredProof};

/// The maximum number of names in one list of the attribute.
pub const MAX_NAMES: usize = 32;

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

    #[test]
    fn a_line_may_have_as_many_words_as_a_list() {
        let line: &'static str = Box::leak(["a=b"; MAX_NAMES].join(" ").into_boxed_str());
        assert_eq!((words(line), pairs(line)), (["a=b"; MAX_NAMES], [("a", "b"); MAX_NAMES]));
    }

    #[test]
    fn a_line_has_its_words_and_pairs() {
        assert_eq!((count(""), count("a"), count("a bc d")), (0, 1, 3));
        assert_eq!(words("a bc d")[..4], ["a", "bc", "d", ""]);
        assert_eq!(words("")[0], "");
        assert_eq!(
            pairs("a=b tenant={tenant} c= d e==f")[..6],
            [("a", "b"), ("tenant", "{tenant}"), ("c", ""), ("d", ""), ("e", "=f"), ("", "")]
        );
        assert_eq!(
            [line("a\n\nb", 0), line("a\n\nb", 1), line("a\n\nb", 2), line("a", 3)],
            ["a", "", "b", ""]
        );
    }

    #[test]
    fn packed_numbers_do_not_overlap() {
        let head = Head(1 << 64 | 2 << 32 | 3);
        assert_eq!((head.seed(), head.line(), head.max_age()), (1, 2, Some(Duration::from_secs(3))));
        let none = Head(u128::from(u32::MAX));
        assert_eq!((none.seed(), none.line(), none.max_age()), (0, 0, None));
    }
}
