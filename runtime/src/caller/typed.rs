//! The claims of the caller as a type of the program, as an argument of a handler.

use std::{fmt, ops::Deref, sync::Arc};

#[cfg(any(feature = "actix", feature = "axum"))]
use serde::de::DeserializeOwned;

#[cfg(any(feature = "actix", feature = "axum"))]
use super::Identity;
#[cfg(any(feature = "actix", feature = "axum"))]
use crate::rejection::Rejection;

/// The claims of a verified caller as a type of your program: an argument of a handler of axum or actix.
///
/// On a guarded handler, the claims are those of the caller that the guard has admitted. On another handler, this
/// argument alone authenticates the request, as a [`Caller`](crate::Caller) does. A token whose claims do not have the type
/// is refused with 403, and the audit record of the request has the code
/// [`claim_not_allowed`](crate::error::Code::ClaimNotAllowed).
///
/// The token cache keeps the value: requests whose token is in the cache of their thread share it. Each other request
/// builds its own, and so do all requests if a program reads the claims of one token as several types. For a claim that a
/// token may lack, use an `Option`.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```text")]
/// use service_only::{Claims, service_only};
///
/// #[derive(serde::Deserialize)]
/// struct Tenant {
///     tenant_id: String,
/// }
///
/// #[service_only(services("billing"))]
/// async fn invoices(tenant: Claims<Tenant>) -> String {
///     format!("the invoices of {}", tenant.tenant_id)
/// }
/// ```
pub struct Claims<T> {
    value: Arc<T>,
    /// Keeps the attempt open until the handler ends, if the handler has no guard.
    #[cfg(any(feature = "actix", feature = "axum"))]
    _identity: Identity,
}

impl<T> Claims<T> {
    /// Reads the claims of an admitted identity, or refuses it.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn of(identity: Identity) -> Result<Self, Rejection>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        match identity.claims_as() {
            Ok(value) => Ok(Self { value, _identity: identity }),
            Err(error) => Err(identity.refuse_claims(&error)),
        }
    }

    /// The shared value.
    pub fn shared(&self) -> Arc<T> {
        Arc::clone(&self.value)
    }
}

impl<T> Deref for Claims<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Claims<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claims").field(&self.value).finish()
    }
}
