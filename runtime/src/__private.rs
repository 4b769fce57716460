//! The items that the attribute's generated code may name. They are not part of the public interface and
//! change with the attribute, whose version is pinned.
//!
//! [`Site`] is the type of a handler's guard: it carries the policy as texts, see `const_text`.

#![expect(missing_debug_implementations, reason = "types without a value")]
#![expect(clippy::panic, reason = "evaluated at compile time, where a panic is an error")]

use std::marker::PhantomData;

#[doc(hidden)]
pub use inventory;
#[doc(hidden)]
pub use service_only_macros::__sealed as sealed;

pub use crate::{
    __register_guarded as register_guarded, __register_public as register_public, __unsealed as unsealed,
    const_text::{
        Name, Text, TypeText,
        decode::{MAX_NAMES, key},
        distinct, name_word, scope_word, service_word,
    },
    given::{Admit, Given, Refused, check},
    guard::{Guard, Public, StaticPolicy, StaticReason},
    registry::{Asks, Registration},
};
use crate::{
    const_text::decode::{
        Admits, Head, Lists, Singles, count, first, first_pairs, line, pairs, policy, proof, seconds, words,
    },
    policy::{Endpoint, Policy},
    registry,
};

/// Puts a guarded handler into the list of [`endpoints`](crate::routes::endpoints).
#[doc(hidden)]
#[macro_export]
macro_rules! __register_guarded {
    ($head:literal, $text:literal) => {{
        $crate::__private::inventory::submit! {
            $crate::__private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::__private::Asks::Policy($text),
            }
        }
        $crate::__private::key($head, ::core::module_path!())
    }};
    ($head:literal, $function:literal, $($list:expr),+) => {{
        $crate::__private::inventory::submit! {
            $crate::__private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::__private::Asks::Lists {
                    function: $function,
                    lists: &[$($list),+],
                },
            }
        }
        $crate::__private::key($head, ::core::module_path!())
    }};
}

/// Puts a public handler into the list of [`public_endpoints`](crate::routes::public_endpoints).
#[doc(hidden)]
#[macro_export]
macro_rules! __register_public {
    ($head:literal, $function:literal, $reason:literal) => {{
        $crate::__private::inventory::submit! {
            $crate::__private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::__private::Asks::Nothing { function: $function, reason: $reason },
            }
        }
        $crate::__private::key($head, ::core::module_path!())
    }};
}

/// Generates the statement that uses a guard, until the seal has checked the function that other attributes have
/// left. A function that stays unsealed does not compile once code is generated for it. `#[debug_handler]` writes the
/// body into functions that are only type-checked. They bind each argument by `panic!()`, and the compiler evaluates
/// no constant after that.
#[doc(hidden)]
#[macro_export]
macro_rules! __unsealed {
    ($($statement:tt)*) => {
        $($statement)*
        const { $crate::__private::rewritten() };
    };
}

/// Evaluated if a macro has rewritten a function without its other attributes, among them the seal.
///
/// A function that keeps its attributes compiles:
///
/// ```
/// #[service_only::service_only]
/// #[rewriting::wrapped]
/// async fn wrapped(_: String) {}
///
/// drop(wrapped);
/// ```
pub const fn rewritten() {
    panic!(
        "an attribute below `#[service_only]` has rewritten this function and dropped its other attributes, so the order of its arguments cannot be checked; put that attribute above `#[service_only]`"
    )
}

/// The type of one handler's guard. The guard of another handler does not compile:
///
/// ```compile_fail,E0308
/// #[service_only::service_only]
/// #[rewriting::retyped(service_only::__private::Guard<service_only::__private::Site<7, 7, service_only::__private::Text<7>>>)]
/// async fn list() {}
/// ```
///
/// ```compile_fail,E0308
/// #[service_only::public(reason = "a test")]
/// #[rewriting::retyped(service_only::__private::Guard<service_only::__private::Site<7, 7, service_only::__private::Text<7>>>)]
/// async fn list() {}
/// ```
///
/// The requirements of a guarded handler, in a type. Each line of the text is a list of words. Empty lines at its end are
/// left out.
///
/// - Line 0 is the name of the function.
/// - Lines 1 to 7 are the services, roles, scopes, issuers, alternative scopes, claims and actors.
/// - Line 8 is the required proof.
/// - Line 9 is `users` if these lines are for users, and `both` if the next lines are for users.
/// - Lines 10 to 17 are the same lists and the proof for users, and line 18 is their maximum age.
///
/// With its key the type finds the source location of the handler. `Next` is the type of the argument after the guard, if that type is only a
/// name: typed paths are found by it.
pub struct Site<const HEAD: u128, const KEY: u64, Words, Next = ()>(PhantomData<fn() -> (Words, Next)>);

impl<const HEAD: u128, const KEY: u64, Words: TypeText, Next> Site<HEAD, KEY, Words, Next> {
    const SERVICES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 1));
    const ROLES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 2));
    const SCOPES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 3));
    const ISSUERS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 4));
    const ANY_SCOPE: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 5));
    const CLAIMS: [(&'static str, &'static str); MAX_NAMES] = pairs(line(Words::TEXT, 6));
    const ACTORS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 7));
    const OWN: Policy<'static> = policy(
        Lists {
            services: first(&Self::SERVICES, count(line(Words::TEXT, 1))),
            roles: first(&Self::ROLES, count(line(Words::TEXT, 2))),
            scopes: first(&Self::SCOPES, count(line(Words::TEXT, 3))),
            issuers: first(&Self::ISSUERS, count(line(Words::TEXT, 4))),
            any_scope: first(&Self::ANY_SCOPE, count(line(Words::TEXT, 5))),
            claims: first_pairs(&Self::CLAIMS, count(line(Words::TEXT, 6))),
            actors: first(&Self::ACTORS, count(line(Words::TEXT, 7))),
        },
        Singles { max_age: Head(HEAD).max_age(), proof: proof(line(Words::TEXT, 8)) },
    );
    const USER_SERVICES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 10));
    const USER_ROLES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 11));
    const USER_SCOPES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 12));
    const USER_ISSUERS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 13));
    const USER_ANY_SCOPE: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 14));
    const USER_CLAIMS: [(&'static str, &'static str); MAX_NAMES] = pairs(line(Words::TEXT, 15));
    const USER_ACTORS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 16));
    const USERS: Policy<'static> = policy(
        Lists {
            services: first(&Self::USER_SERVICES, count(line(Words::TEXT, 10))),
            roles: first(&Self::USER_ROLES, count(line(Words::TEXT, 11))),
            scopes: first(&Self::USER_SCOPES, count(line(Words::TEXT, 12))),
            issuers: first(&Self::USER_ISSUERS, count(line(Words::TEXT, 13))),
            any_scope: first(&Self::USER_ANY_SCOPE, count(line(Words::TEXT, 14))),
            claims: first_pairs(&Self::USER_CLAIMS, count(line(Words::TEXT, 15))),
            actors: first(&Self::USER_ACTORS, count(line(Words::TEXT, 16))),
        },
        Singles { max_age: seconds(line(Words::TEXT, 18)), proof: proof(line(Words::TEXT, 17)) },
    )
    .of_users();
    const USERS_REF: &'static Policy<'static> = &Self::USERS;
}

impl<const HEAD: u128, const KEY: u64, Words: TypeText, Next: 'static> StaticPolicy
    for Site<HEAD, KEY, Words, Next>
{
    const POLICY: Policy<'static> = match Admits::named(line(Words::TEXT, 9)) {
        Admits::Services => Self::OWN,
        Admits::Users => Self::OWN.of_users(),
        Admits::Both => Self::OWN.or_users(Self::USERS_REF),
    };

    fn endpoint() -> Endpoint {
        endpoint(KEY, HEAD, || line(Words::TEXT, 0))
    }
}

fn endpoint(key: u64, head: u128, function: impl FnOnce() -> &'static str) -> Endpoint {
    registry::endpoint(key).unwrap_or_else(|| Endpoint::unregistered(function(), Head(head).line()))
}

/// The name and the reason of a public handler, in a type.
pub struct OpenSite<const HEAD: u128, const KEY: u64, Words, Next = ()>(PhantomData<fn() -> (Words, Next)>);

impl<const HEAD: u128, const KEY: u64, Words: TypeText, Next: 'static> StaticReason
    for OpenSite<HEAD, KEY, Words, Next>
{
    fn reason() -> &'static str {
        registry::reason(KEY).unwrap_or_default()
    }

    fn endpoint() -> Endpoint {
        endpoint(KEY, HEAD, || Words::TEXT)
    }
}
