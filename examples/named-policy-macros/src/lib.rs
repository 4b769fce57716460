//! A policy with its own attribute name, for many handlers. The attribute only writes `#[service_only(..)]`,
//! so all checks of `#[service_only]` also apply here.

use proc_macro::TokenStream;
use quote::quote;

/// Accepts only services that administrate tenants: the role `admin`, the scope `tenants:delete`, and a token
/// issued within the last hour. You can add further keys of `#[service_only]`.
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
/// You cannot override a key that the attribute already sets:
///
/// ```compile_fail
/// use named_policy_macros::tenant_admin_only;
///
/// // error: `roles` is repeated; put all values into one list
/// #[tenant_admin_only(roles("operator"))]
/// async fn delete_tenant() {}
/// ```
///
/// Nor can a guarded handler be public, or guarded twice:
///
/// ```compile_fail
/// use named_policy_macros::tenant_admin_only;
/// use service_only::public;
///
/// // error: `delete_tenant` cannot be both `#[service_only]` and `#[public]`; keep one
/// #[tenant_admin_only]
/// #[public(reason = "the address is secret")]
/// async fn delete_tenant() {}
/// ```
#[proc_macro_attribute]
pub fn tenant_admin_only(further: TokenStream, item: TokenStream) -> TokenStream {
    let (further, item) = (proc_macro2::TokenStream::from(further), proc_macro2::TokenStream::from(item));
    let policy = quote!(roles("admin"), scopes("tenants:delete"), max_age = "1h");
    quote!(#[::service_only::service_only(#policy, #further)] #item).into()
}
