//! Where the tokens of a supply come from.

use std::fmt;
#[cfg(any(feature = "oauth", feature = "issue"))]
use std::sync::Arc;

#[cfg(feature = "issue")]
use service_only::issue::Issuer;

#[cfg(feature = "oauth")]
use crate::oauth::Endpoint;
use crate::{
    error::{TokenError, TokenErrorKind},
    token::Sendable,
};

/// The origin of tokens.
pub(crate) enum Minter {
    /// The token endpoint of a provider.
    #[cfg(feature = "oauth")]
    Endpoint(Arc<Endpoint>),
    /// An issuer in this process.
    #[cfg(feature = "issue")]
    Issuer {
        issuer: Arc<Issuer>,
        service: String,
        scopes: Vec<String>,
        /// The thumbprint of the key that the tokens are bound to.
        key: Option<[u8; 32]>,
    },
    /// One token, for tests.
    Fixed(Sendable),
}

impl Minter {
    /// Checks once that tokens can be minted.
    #[cfg(feature = "issue")]
    pub(crate) fn check(&self) -> Result<(), TokenError> {
        self.mint(None).map(drop)
    }

    /// Returns a token without a request to a provider.
    pub(crate) fn mint(&self, audience: Option<&str>) -> Result<Sendable, TokenError> {
        match self {
            #[cfg(feature = "oauth")]
            Self::Endpoint(_) => {
                Err(TokenErrorKind::Configuration("a token endpoint is called in a task".to_owned()).into())
            }
            #[cfg(feature = "issue")]
            Self::Issuer { issuer, service, scopes, key } => {
                let request = issuer.token_for(service).scopes(scopes);
                let request = match key {
                    Some(thumbprint) => request.bind_key(*thumbprint),
                    None => request,
                };
                let request = match audience {
                    Some(audience) => request.audience(audience),
                    None => request,
                };
                let not_minted =
                    |why: String| TokenErrorKind::NotMinted(format!("no token for `{service}`: {why}"));
                let token = request.mint().map_err(|error| not_minted(error.to_string()))?;
                let token = crate::token::sendable(token.as_str().as_bytes());
                Ok(token.map_err(|why| not_minted(why.to_owned()))?)
            }
            Self::Fixed(token) => {
                if let Some(audience) = audience.filter(|_| !token.audiences.is_empty()) {
                    token.check_audience(audience).map_err(TokenErrorKind::WrongAudience)?;
                }
                Ok(token.clone())
            }
        }
    }
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "oauth")]
            Self::Endpoint(endpoint) => endpoint.fmt(f),
            #[cfg(feature = "issue")]
            Self::Issuer { issuer, service, .. } => {
                f.debug_struct("Issuer").field("issuer", issuer).field("service", service).finish()
            }
            Self::Fixed(_) => f.write_str("Fixed"),
        }
    }
}
