//! Reads the policy of a handler from the handler's type, and prints tables of policies for review.

use std::fmt;

use crate::{
    columns::{Optional, Row, aligned, head, rows},
    guard::{Guard, StaticPolicy},
    policy::Policy,
    registry::GuardedEndpoint,
};

/// A function that `#[service_only]` guards, with up to 15 arguments besides the guard.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not guarded",
    label = "this function has no policy",
    note = "put `#[service_only]` above it",
    note = "where it is given its caller, as jobs and methods are, `endpoints()` has its policy"
)]
pub trait GuardedHandler<Arguments> {
    /// The handler and what it requires of its caller.
    fn guarded() -> GuardedEndpoint;
}

/// Returns the policy of a guarded handler.
///
/// The policy is read from the type of the handler, so it is the policy that the guard enforces. If the handler is
/// generic, pass it with its types, such as `list::<AppState>`. A function that takes its caller as an argument does
/// not have such a type. For such a function, see [`endpoints`](crate::routes::endpoints).
///
/// ```
/// use service_only::{service_only, routes::policy_of};
///
/// #[service_only(scopes("tenants:delete"))]
/// async fn delete_tenant() {}
///
/// assert_eq!(policy_of(delete_tenant).required_scopes(), ["tenants:delete"]);
/// ```
///
/// A function without the attribute does not compile here:
///
/// ```compile_fail,E0277
/// async fn delete_tenant() {}
///
/// service_only::routes::policy_of(delete_tenant);
/// ```
pub fn policy_of<H, Arguments>(handler: H) -> Policy<'static>
where
    H: GuardedHandler<Arguments>,
{
    *guarded(handler).policy()
}

/// Returns a guarded handler with its source location and its policy.
pub fn guarded<H, Arguments>(_: H) -> GuardedEndpoint
where
    H: GuardedHandler<Arguments>,
{
    H::guarded()
}

macro_rules! guarded_handlers {
    ($($argument:ident)*) => {
        impl<F, R, P, $($argument,)*> GuardedHandler<(Guard<P>, $($argument,)*)> for F
        where
            F: FnOnce(Guard<P>, $($argument),*) -> R,
            P: StaticPolicy,
        {
            fn guarded() -> GuardedEndpoint {
                GuardedEndpoint::new(P::endpoint(), P::POLICY)
            }
        }
    };
}

guarded_handlers!();
guarded_handlers!(A);
guarded_handlers!(A B);
guarded_handlers!(A B C);
guarded_handlers!(A B C D);
guarded_handlers!(A B C D E);
guarded_handlers!(A B C D E G);
guarded_handlers!(A B C D E G H);
guarded_handlers!(A B C D E G H I);
guarded_handlers!(A B C D E G H I J);
guarded_handlers!(A B C D E G H I J K);
guarded_handlers!(A B C D E G H I J K L);
guarded_handlers!(A B C D E G H I J K L M);
guarded_handlers!(A B C D E G H I J K L M N);
guarded_handlers!(A B C D E G H I J K L M N O);
guarded_handlers!(A B C D E G H I J K L M N O Q);

/// A table of policies, as text for a review or a snapshot. It omits line numbers, so that moving a handler does not
/// change the output.
///
/// ```
/// use service_only::{policy_table, service_only};
///
/// #[service_only(services("billing", "orders"), scopes("tenants:read"), max_age = "24h")]
/// async fn show_tenant() {}
///
/// #[service_only(roles("admin"))]
/// async fn delete_tenant() {}
///
/// let table = policy_table![show_tenant, delete_tenant].to_string();
/// let words: Vec<_> = table.lines().nth(2).unwrap().split_whitespace().skip(1).collect();
/// assert_eq!(words, ["billing", "orders", "any", "tenants:read", "86400s"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTable(Vec<GuardedEndpoint>);

/// Creates the [`PolicyTable`] of some guarded handlers. For those of the whole program, use
/// `PolicyTable::from_iter(endpoints())`.
#[macro_export]
macro_rules! policy_table {
    ($($handler:expr),* $(,)?) => {
        <$crate::routes::PolicyTable as ::core::iter::FromIterator<_>>::from_iter([$($crate::routes::guarded($handler)),*])
    };
}

impl FromIterator<GuardedEndpoint> for PolicyTable {
    fn from_iter<T: IntoIterator<Item = GuardedEndpoint>>(endpoints: T) -> Self {
        Self(endpoints.into_iter().collect())
    }
}

impl fmt::Display for PolicyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || self.0.iter().flat_map(|guarded| rows(guarded.policy()).map(move |row| (guarded, row)));
        let optional = Optional::of(all().map(|(_, row)| row.needs()));
        let cells = |(guarded, row): (&GuardedEndpoint, Row<'_, &str>)| {
            [guarded.endpoint().to_string()].into_iter().chain(row.cells(optional)).collect()
        };
        aligned(f, &head(["endpoint"], optional), all().map(cells))
    }
}
