//! The attribute `#[service_only]`: a handler that only other services may call.
//!
//! This crate knows syntax and nothing else. It reads the attribute and the signature, checks both,
//! and puts one hidden argument first, whose type carries the policy, or one statement. What these do with
//! a request is said in the crate `service-only`, which re-exports the attribute and is the one to depend on.

use proc_macro::TokenStream;

mod args;
mod check;
mod diagnostics;
mod expand;
mod item;
mod tokens;

/// Lets only authenticated services call a handler, and of those only the ones its keys admit.
///
/// The handler runs for a caller whose token the `Verifier` accepted and whose claims satisfy every key
/// below. Everyone else is refused before any other argument is extracted, so nothing of a stranger's
/// request is parsed, and each decision leaves one audit event.
///
/// # Keys
///
/// All are optional, in any order. Without keys, every authenticated service may call.
///
/// | key | admits | example |
/// | --- | --- | --- |
/// | `services(..)` | a caller with one of these names | `services("orders", "billing")` |
/// | `roles(..)` | a caller with one of these roles | `roles("admin")` |
/// | `scopes(..)` | a caller with all of these scopes | `scopes("tenants:read", "tenants:delete")` |
/// | `issuers(..)` | a token of one of these issuers | `issuers("https://mill.example")` |
/// | `max_age = ".."` | a token issued at most this long ago | `max_age = "24h"` |
/// | `crate = ..` | (no one: it names the path of the crate `service_only`, for a renamed or re-exported one) | `crate = my_platform::service_only` |
///
/// - A service name is 1 to 253 ASCII letters, digits, `-`, `_`, `.`, starting and ending with a letter or
///   digit.
/// - A role and a scope are scope-tokens of RFC 6749 section 3.3: printable ASCII without space, `"` and `\`.
/// - An issuer is the `iss` that the verifier trusts it by, printable ASCII without space, `"` and `\`.
/// - An age is a duration in words, `"90s"`, `"15min"`, `"24h"`, `"7days"`, in whole seconds, of at most 366
///   days: a token lives for 365 days by default, so a longer age would refuse nothing.
/// - A list has 1 to 32 values, none of them twice, 1024 bytes in all.
/// - A value of a list is a literal or the path of a constant of type `&str`, such as `services("gateway",
///   names::ORDERS)`. The compiler evaluates a constant and checks it like a literal. It has at most 256 bytes, and an
///   attribute has at most 32 constants. `Self::ORDERS` is not known in an attribute: write the name of the type.
///
/// Which issuers are trusted, by which keys and for which audience: that is said once, on the `Verifier`. `issuers(..)`
/// asks for some of those.
///
/// # What it goes on
///
/// - **A handler**: a function without `self`, free or in an `impl` block; it may be generic, take up to 15 arguments
///   and return anything. It gets one hidden argument in front, which the framework extracts before all others.
/// - **A function that no framework calls**, such as the consumer of a queue: one that takes a `&Caller` or a
///   `&ServiceClaims`, sync or async, with `self` or without. It is checked before the body, and a refusal is
///   returned, so the function returns a `Result` whose error is made from a `Denial`. A `Caller` is proof, and
///   what is decided about it is recorded where its verifier records; it may be of any verifier of the program, so
///   where verifiers trust several parties, give their services names that no two share. `ServiceClaims` are data
///   that anyone may build: their times are compared again, their signature is the caller's word, and the record
///   shows their name as unverified. It goes to the default sink, and no verifier's `require_audit` is known there.
/// - **An `impl` block**, of a type or of a trait, above `#[async_trait]`: every method in it is guarded. One that
///   takes a `&Caller` or `&ServiceClaims` is checked by it; an `async` one with `self` by its first argument, a
///   framework's request; one without `self` gets the hidden argument. A method's own `#[service_only(..)]`
///   replaces the policy of the block, `#[public(reason = "..")]` takes the method out of it. A method that
///   cannot be guarded is an error.
///
/// Bodies, return types and other attributes stay as they are. `#[instrument]` may stand above or below;
/// `#[async_trait]` and `#[debug_handler]` stand below.
///
/// # Other attributes
///
/// An attribute below this one sees the guarded function and may rewrite it. The body uses the guard by a hygienic
/// name and by a type that no other handler has. So it does not compile if the attribute
///
/// - drops, renames or replaces the hidden argument,
/// - copies or moves the body into a function without it,
/// - puts another argument before it, so that another extractor would run first,
/// - drops the other attributes of the function: among them is the one that checks the order of the arguments
///   (`cargo build` reports this, `cargo check` does not).
///
/// Put such an attribute above `#[service_only]`. What wraps the body in a block, a closure or an inner function with
/// the same arguments works below and above.
///
/// The order is not checked where an attribute leaves the guarded function as it is, with its attributes, and calls
/// it from one of its own that takes the arguments in another order. The guard still decides before the body runs.
///
/// # What it does not see
///
/// - **A method that a block inherits.** One that the trait has a body for, and the guarded block does not write,
///   is not in the block and is **open**: write it there. The other way round, the attribute on a trait's own method
///   guards that body alone, and an `impl` that overrides it is as open as it is written: guard the block.
/// - **An attribute above that drops it.** It runs first and receives `#[service_only]` as a part of the function.
///   If it writes the function without its attributes, the function is **open**. A closed router
///   (`service_only::ClosedRouter`) does not take such a handler.
/// - **An attribute that remembers answers**, such as `cached`. What stands below this one wraps the check as well,
///   and gives a stranger what was answered to a service. It belongs above: it has then done its work when the
///   check is put first.
///
/// # What it refuses
///
/// Everything that would make a policy look stricter or laxer than it is, at compile time and at the token
/// that says it: an unknown or repeated key, an empty list, a value that no token could carry, a function that
/// is guarded twice, a macro in a guarded `impl` block, an argument that is checked and may be left out by `#[cfg]`,
/// a second argument that says who calls.
///
/// # Example
///
/// ```ignore
/// use service_only::{service_only, Caller};
///
/// #[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"), max_age = "24h")]
/// async fn delete_tenant(Path(id): Path<Uuid>, caller: Caller) -> Result<Json<Summary>, ApiError> {
///     tracing::info!(tenant = %id, by = caller.service(), "deleting");
///     // ...
/// }
///
/// #[service_only(scopes("tenants:delete"))]
/// fn consume(message: &Message, caller: &Caller) -> Result<(), JobError> {
///     // `JobError: From<Denial>`
/// }
///
/// #[service_only(services("gateway"))]
/// #[tonic::async_trait]
/// impl Tenants for Server {
///     async fn show(&self, request: Request<Id>) -> Result<Response<Tenant>, Status> {
///         // ...
///     }
///
///     #[service_only(services("gateway"), roles("admin"))]
///     async fn delete(&self, request: Request<Id>) -> Result<Response<()>, Status> {
///         // ...
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn service_only(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::service_only(attribute.into(), item.into()).into()
}

/// Stands below all other attributes of a guarded function, where `#[service_only]` has put it, and checks what they
/// have made of the function.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn __sealed(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::sealed(item.into()).into()
}

/// Says that anybody may call a handler, and why.
///
/// A closed router (`service_only::ClosedRouter`) takes guarded handlers and public ones, and nothing else; so
/// the routes of a program that are open to strangers are those that say so. The reason is for the person who
/// reviews it, and stands in the program's list of endpoints. A public handler authenticates nobody and leaves
/// no audit event.
///
/// # Keys
///
/// | key | says |
/// | --- | --- |
/// | `reason = ".."` | why anybody may call; 1 to 256 bytes on one line |
/// | `crate = ..` | the path of the crate `service_only`, for a renamed or re-exported one |
///
/// # What it refuses
///
/// A missing or an empty reason, a key of `#[service_only]`, a handler that is guarded as well, and one that takes a
/// `Caller`, a `&Caller` or `&ServiceClaims`, and so asks who calls. A method with `self` can be public only within
/// an `impl` block that is `#[service_only]`, which knows `#[public]` by this name; under another it is an error.
///
/// # Example
///
/// ```ignore
/// use service_only::public;
///
/// #[public(reason = "load balancers have no token")]
/// async fn healthz() -> &'static str {
///     "ok"
/// }
/// ```
#[proc_macro_attribute]
pub fn public(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::public(attribute.into(), item.into()).into()
}
