//! A service and its new token.

use service_only::{claims::ServiceName, issue::MintedToken};

/// A service and its new token.
pub(crate) struct ServiceToken {
    pub(crate) service: ServiceName,
    pub(crate) token: MintedToken,
}
