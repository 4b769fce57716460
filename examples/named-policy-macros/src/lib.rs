//! A policy that many handlers share, under a name of one's own. The attribute only writes
//! `#[service_only(..)]`, so everything that one checks and refuses is checked and refused here too.

use proc_macro::TokenStream;
use quote::quote;

/// Lets only the services in that administrate tenants: the role `admin`, the scope `tenants:delete`, and a
/// token of the last hour. Further keys of `#[service_only]` may be added.
///
/// ```
/// use named_policy_macros::tenant_admin_only;
/// use service_only::routes::policy_of;
///
/// #[tenant_admin_only(services("orchestrator"))]
/// async fn delete_tenant() {}
///
/// let policy = policy_of(delete_tenant);
/// assert_eq!(policy.allowed_services(), Some(&["orchestrator"][..]));
/// assert_eq!(policy.allowed_roles(), Some(&["admin"][..]));
/// ```
///
/// What the name says already cannot be said otherwise:
///
/// ```compile_fail
/// use named_policy_macros::tenant_admin_only;
///
/// // error: `roles` is repeated; put all values into one list
/// #[tenant_admin_only(roles("operator"))]
/// async fn delete_tenant() {}
/// ```
///
/// Nor is what it guards public, or guarded twice:
///
/// ```compile_fail
/// use named_policy_macros::tenant_admin_only;
/// use service_only::public;
///
/// // error: `delete_tenant` cannot be both `#[service_only]` and `#[public]`; keep one
/// #[tenant_admin_only]
/// #[public(reason = "nobody knows the address")]
/// async fn delete_tenant() {}
/// ```
#[proc_macro_attribute]
pub fn tenant_admin_only(further: TokenStream, item: TokenStream) -> TokenStream {
    let (further, item) = (proc_macro2::TokenStream::from(further), proc_macro2::TokenStream::from(item));
    let policy = quote!(roles("admin"), scopes("tenants:delete"), max_age = "1h");
    quote!(#[::service_only::service_only(#policy, #further)] #item).into()
}
