//! The attributes `#[service_only]` and `#[public]`: which handlers need a calling service, and which need no caller.
//!
//! This crate knows syntax only. It parses the attribute and the item, checks both, and adds a hidden first argument
//! or a first statement to the function. The crate `service-only` defines what these do with a request. It re-exports
//! the attributes, so depend on that crate.

use proc_macro::TokenStream;

mod args;
mod check;
mod diagnostics;
mod expand;
mod item;
mod rules;
mod tokens;

use rules::Attribute;

/// Guards a handler: only authenticated services that meet its policy can call it.
///
/// The handler runs if the `Verifier` accepts the caller's token and the claims satisfy every key below. The guard
/// refuses every other request before the framework extracts any other argument, so an unauthenticated body is never
/// parsed. Each decision writes one audit event.
///
/// # Keys
///
/// All keys are optional, in any order. Without keys, every authenticated service can call the handler.
///
/// | key | the caller must have | example |
/// | --- | --- | --- |
/// | `services(..)` | one of these names | `services("orders", "billing")` |
/// | `actors(..)` | one of these parties that acts for it | `actors("gateway")` |
/// | `roles(..)` | one of these roles | `roles("admin")` |
/// | `scopes(..)` | all of these scopes | `scopes("tenants:read", "tenants:delete")` |
/// | `any_scope(..)` | one of these scopes | `any_scope("tenants:read", "tenants:admin")` |
/// | `claims(..)` | these claims | `claims(tenant = "{tenant}", region = "eu")` |
/// | `issuers(..)` | a token of one of these issuers | `issuers("https://mill.example")` |
/// | `max_age = ".."` | a token issued at most this long ago | `max_age = "24h"` |
/// | `proof = ".."` | a key that only the caller has, by this proof | `proof = "mtls"` |
///
/// One more key requires nothing: `crate = my_platform::service_only` is the path of a renamed or re-exported
/// `service_only`.
///
/// - A service name is 1 to 253 ASCII letters, digits, `-`, `_`, `.`. It starts and ends with a letter or digit.
/// - A role and a scope are scope-tokens (RFC 6749 section 3.3): printable ASCII without space, `"` and `\`.
/// - An issuer is the `iss` of a trusted issuer of the verifier: printable ASCII without space, `"` and `\`.
/// - An actor is the `sub` of `act` in the token (RFC 8693 section 4.1), such as a gateway that mints a token for each
///   request: printable ASCII without space, `"` and `\`. Only the current actor decides. An actor with an `iss` of
///   another issuer is another party. Without the key, a caller may call itself or through an actor.
/// - A scope has no `*`: scopes are compared byte for byte, without patterns, in the attribute and in the token.
/// - A claim is compared as text, byte for byte, with a literal or with the path parameter in braces. A claim that is
///   absent, or not a string, is refused. Only a handler has path parameters. A closed router panics at the start if the
///   path of a handler lacks the parameter; another router refuses every caller of the handler.
/// - An age is a duration in whole seconds, such as `"90s"`, `"15min"`, `"24h"` or `"7days"`. The limit is 366 days:
///   a token lives for 365 days by default, so a longer age would refuse nothing.
/// - A proof is `"mtls"` (the certificate of the connection), `"dpop"` (the header `DPoP`) or `"any"` of them. A bearer
///   token, which anyone can use who holds it, is refused with 401. Without the key, a bearer token is accepted.
/// - `services(@deleters)` allows the services of a set that the `Verifier` has, by the name `deleters`. The program can
///   replace the set at run time. A verifier without the set does not build.
/// - A list has 1 to 32 distinct values and at most 1024 bytes.
/// - A value of a list is a literal or the path of a constant of type `&str`, such as `services("gateway",
///   names::ORDERS)`. The compiler evaluates a constant and checks it like a literal. A constant has at most 256 bytes,
///   and an attribute has at most 32 constants. An attribute cannot use `Self::ORDERS`: write the name of the type.
///
/// The `Verifier` configures which issuers are trusted, by which keys and for which audience. `issuers(..)` selects
/// some of those.
///
/// # Where it goes
///
/// - **A handler**: a function without `self`, free or in an `impl` block. It can be generic, take up to 15 arguments
///   and return any type. The attribute adds a hidden first argument, which the framework extracts before all others.
/// - **A function that takes a `&Caller` or a `&ServiceClaims`**, such as a job or the consumer of a queue. It can be
///   sync or async, with or without `self`. The attribute checks that argument before the body, and returns `Err` if
///   the policy is not met. The return type is a `Result` whose error implements `From<Denial>`.
/// - **An `impl` block**, of a type or of a trait, above `#[async_trait]`. The attribute guards every method:
///   - by its `&Caller` or `&ServiceClaims`;
///   - else, if the method is `async` and takes `self`, by its first argument, a framework's request;
///   - else, without `self` and in a block of a type, by the hidden argument.
///
///   A method that has none of these is an error. A method's own `#[service_only(..)]` replaces the policy of the
///   block. `#[public(reason = "..")]` removes the guard of one method.
///
/// Bodies, return types and other attributes stay unchanged. Put `#[instrument]` above or below. Put `#[async_trait]`
/// and `#[debug_handler]` below.
///
/// ## `&Caller` or `&ServiceClaims`
///
/// A `Caller` is proof that a verifier accepted a token. The verifier that accepted it also records the decision. The
/// attribute does not compare verifiers: if several verifiers trust different parties, do not let two parties use the
/// same service name.
///
/// `ServiceClaims` are data that any code can build. The attribute compares their times and applies the policy, but it
/// cannot check a signature: the code that passes the claims must have done so. The audit event shows the service as
/// unverified. It goes to the default sink, where no `require_audit` applies.
///
/// # Other attributes
///
/// An attribute below this one sees the guarded function and may rewrite it. The body uses the guard by a hygienic
/// name and by a type that no other handler has. The result does not compile if the other attribute
///
/// - drops, renames or replaces the hidden argument,
/// - copies or moves the body into a function without it,
/// - puts another argument before it, so that another extractor would run first,
/// - drops the other attributes of the function: one of them checks the order of the arguments
///   (`cargo build` reports this, `cargo check` does not).
///
/// Put such an attribute above `#[service_only]`. An attribute that wraps the body in a block, a closure or an inner
/// function with the same arguments works above and below.
///
/// One case is not checked. An attribute can keep the guarded function with all its attributes, and call it from a
/// second function with another order of arguments. The guard then still decides before the body runs, but other
/// extractors can run before the guard.
///
/// # What it cannot guard
///
/// - **Default trait methods that the block does not override** are **not** guarded. Write them in the block. The
///   attribute on a trait's own default method guards that body only: an `impl` that overrides it needs its own guard.
/// - **A function that an attribute above rewrites without its attributes** is **not** guarded. Such an attribute runs
///   first and receives `#[service_only]` as a part of the function. A closed router (`service_only::ClosedRouter`)
///   rejects the handler.
/// - **An attribute below that caches results**, such as `cached`, also caches the check. It returns to an
///   unauthenticated client what it computed for a service. Put caching attributes above `#[service_only]`.
///
/// # Compile errors
///
/// The attribute reports all mistakes together, each at its own token. These are errors:
///
/// - an unknown or repeated key, an empty list, a value that no token can carry;
/// - a function that is guarded twice, or guarded and public;
/// - a macro call in a guarded `impl` block, because its methods are not visible;
/// - `#[cfg]` on the argument that the guard checks;
/// - a second argument of type `&Caller` or `&ServiceClaims`.
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
    expand::guard(Attribute::ServiceOnly, attribute.into(), item.into()).into()
}

/// Guards a handler for users: only authenticated users that meet its policy can call it. A service gets 403.
///
/// It works like [`macro@service_only`], on the same items and with the same guarantees. Its keys are `actors(..)`,
/// `roles(..)`, `scopes(..)`, `any_scope(..)`, `claims(..)`, `issuers(..)`, `max_age`, `proof` and `crate`. The handler takes the user as an
/// argument of type `User`, and a function without a framework as `&User`.
///
/// # Example
///
/// ```ignore
/// use service_only::{User, users_only};
///
/// #[users_only(roles("manager"))]
/// async fn rename_tenant(Path(id): Path<Uuid>, user: User) -> Result<Json<Tenant>, ApiError> {
///     // ...
/// }
/// ```
#[proc_macro_attribute]
pub fn users_only(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::guard(Attribute::UsersOnly, attribute.into(), item.into()).into()
}

/// Guards a handler for users and for services, with one policy for each kind.
///
/// It works like [`macro@service_only`], on the same items and with the same guarantees. The handler takes the caller as an
/// argument of type `Identity`, and a function without a framework as `&Identity`.
///
/// # Keys
///
/// | key | who may call | example |
/// | --- | --- | --- |
/// | `users` | every user | `users` |
/// | `users(..)` | users with all of these | `users(roles("manager"), scopes("tenants:write"))` |
/// | `services` | every service | `services` |
/// | `services(..)` | one of the named services, with all of these | `services("billing", max_age = "24h")` |
///
/// Both kinds are required. In the parentheses are the keys of [`macro@users_only`].
///
/// # Example
///
/// ```ignore
/// use service_only::{Identity, callers};
///
/// #[callers(users(roles("manager")), services("billing"))]
/// async fn show_tenant(Path(id): Path<Uuid>, caller: Identity) -> Result<Json<Tenant>, ApiError> {
///     // ...
/// }
/// ```
#[proc_macro_attribute]
pub fn callers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::guard(Attribute::Callers, attribute.into(), item.into()).into()
}

/// Checks what other attributes have made of a guarded function. `#[service_only]` adds it below all others, so it
/// expands last.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn __sealed(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::sealed(item.into()).into()
}

/// Marks a handler that needs no caller, with the reason.
///
/// A closed router (`service_only::ClosedRouter`) accepts guarded and public handlers only, so every open route of a
/// program has this attribute. The reason is for reviewers, and the program's list of endpoints shows it. A public
/// handler authenticates no request and writes no audit event.
///
/// # Keys
///
/// | key | meaning |
/// | --- | --- |
/// | `reason = ".."` | why the handler needs no caller; 1 to 256 bytes on one line |
/// | `crate = ..` | the path of the crate `service_only`, if it is renamed or re-exported |
///
/// # Compile errors
///
/// - a missing or empty reason, or a key of `#[service_only]`;
/// - a handler that is guarded too;
/// - a handler that takes a `Caller`, a `&Caller` or `&ServiceClaims`;
/// - a method with `self`, outside of a `#[service_only]` block. The block recognizes `#[public]` by this name: under
///   another name it is an error.
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
