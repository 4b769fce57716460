//! Checks the values of the constants that the attribute names, which only the compiler knows.

use super::{NAME_WORDS, WORD, word};
use crate::claims::ServiceName;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    #[should_panic(expected = "the same value twice")]
    fn equal_values_of_a_list_are_refused() {
        distinct(&[&["a"], &["b", "a", "b"]]);
    }

    #[test]
    fn values_that_begin_alike_are_different() {
        for names in [["a", "ab"], ["ab", "a"], ["ab", "ac"], ["", "a"]] {
            distinct(&[&names]);
        }
        let refused = std::panic::catch_unwind(|| distinct(&[&["ab", "ab"]])).unwrap_err();
        assert!(refused.downcast_ref::<&str>().unwrap().contains("the same value twice"));
    }

    #[test]
    fn the_first_word_of_a_constant_checks_all_of_it() {
        let longest = "x".repeat(NAME_WORDS * WORD);
        let too_long = format!("{longest}x");
        let is_refused =
            |word: fn(&str, usize) -> u128, name: &str| std::panic::catch_unwind(|| word(name, 0)).is_err();
        for (name, service, role, scope) in [
            ("orders", true, true, true),
            ("orders:read", false, true, true),
            ("orders:*", false, true, false),
            ("*", false, true, false),
            ("two words", false, false, false),
            ("orders ", false, false, false),
            ("a\"b", false, false, false),
            ("a\\b", false, false, false),
            ("\u{e4}", false, false, false),
            ("\u{7f}", false, false, false),
            ("!~", false, true, true),
            ("", false, false, false),
            (&longest, false, true, true),
            (&too_long, false, false, false),
        ] {
            assert_eq!(!is_refused(service_word, name), service, "{name} as a service");
            assert_eq!(!is_refused(name_word, name), role, "{name} as a role");
            assert_eq!(!is_refused(scope_word, name), scope, "{name} as a scope");
        }
    }

    #[test]
    fn the_words_of_a_constant_are_its_bytes_in_order() {
        let name = "orders-of-the-northern-region.and-of-the-southern-one";
        for word in [service_word, name_word, scope_word] {
            let bytes: Vec<u8> = (0..NAME_WORDS).flat_map(|n| word(name, n).to_be_bytes()).collect();
            let (text, padding) = bytes.split_at(name.len());
            assert_eq!(text, name.as_bytes());
            assert!(padding.iter().all(|byte| *byte == 0), "{padding:?}");
        }
    }

    #[test]
    fn a_list_may_have_1024_bytes() {
        let half = "x".repeat(511);
        let rest = "y".repeat(512);
        distinct(&[&[&half, &rest], &[&half, &rest]]);
        let longer = "y".repeat(513);
        assert!(std::panic::catch_unwind(|| distinct(&[&[&half, &longer]])).is_err());
    }
}
