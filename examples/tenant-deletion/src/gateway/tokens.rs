//! The gateway's own tokens. The caller's token ends at the gateway, and each service gets one that no other service
//! accepts.

use std::sync::Arc;

use http::HeaderValue;
use service_only::Identity;
use service_only::issue::{IssueError, Issuer, SigningKey};

use super::GATEWAY;

/// Mints a token for each request: for a minute, for the one service that receives the request, bound to the
/// gateway's certificate. The caller is its subject, and `act` names the gateway (RFC 8693 section 4.1).
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
pub struct Tokens(Issuer);

impl Tokens {
    /// Signs as `issuer` with `key`.
    pub fn new(issuer: &str, key: impl Into<Arc<SigningKey>>) -> Result<Self, IssueError> {
        Ok(Self(Issuer::builder().issuer(issuer).key(key).build()?))
    }

    /// The `Authorization` of a request to `service`. `certificate` is the thumbprint of the connection's.
    pub(crate) fn authorization(
        &self,
        caller: &Identity,
        service: &str,
        certificate: [u8; 32],
    ) -> Result<HeaderValue, IssueError> {
        let request = self.0.on_behalf_of(caller, GATEWAY).audience(service);
        let token = request.bind_certificate(certificate).mint()?;
        // A token is base64url, so it is always a valid header value.
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str()))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        Ok(value)
    }
}
