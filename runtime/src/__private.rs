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
    const_text::{MAX_NAMES, Name, Text, TypeText, distinct, key, scope_word, service_word},
    given::{Admit, Given, Refused, check},
    guard::{Guard, Public, StaticPolicy, StaticReason},
    registry::{Asks, Registration},
};
use crate::{
    const_text::{Head, count, first, line, policy, words},
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
    ($head:literal, $function:literal, $services:expr, $roles:expr, $scopes:expr, $issuers:expr) => {{
        $crate::__private::inventory::submit! {
            $crate::__private::Registration {
                head: $head,
                module_path: ::core::module_path!(),
                file: ::core::file!(),
                asks: $crate::__private::Asks::Lists {
                    function: $function,
                    services: $services,
                    roles: $roles,
                    scopes: $scopes,
                    issuers: $issuers,
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
/// The requirements of a guarded handler, in a type. The text has four lines: the function, and the services,
/// the roles and the scopes as words. A fifth line has the issuers, if there are any. With its key the type finds
/// the source location of the handler. `Next` is the type of the argument after the guard, if that type is only a
/// name: typed paths are found by it.
pub struct Site<const HEAD: u128, const KEY: u64, Words, Next = ()>(PhantomData<fn() -> (Words, Next)>);

impl<const HEAD: u128, const KEY: u64, Words: TypeText, Next> Site<HEAD, KEY, Words, Next> {
    const SERVICES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 1));
    const ROLES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 2));
    const SCOPES: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 3));
    const ISSUERS: [&'static str; MAX_NAMES] = words(line(Words::TEXT, 4));
}

impl<const HEAD: u128, const KEY: u64, Words: TypeText, Next: 'static> StaticPolicy
    for Site<HEAD, KEY, Words, Next>
{
    const POLICY: Policy<'static> = policy(
        first(&Self::ISSUERS, count(line(Words::TEXT, 4))),
        first(&Self::SERVICES, count(line(Words::TEXT, 1))),
        first(&Self::ROLES, count(line(Words::TEXT, 2))),
        first(&Self::SCOPES, count(line(Words::TEXT, 3))),
        Head(HEAD).max_age(),
    );

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
