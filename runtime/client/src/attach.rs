//! Decides which requests get the token, and which are sent again with a new one.

use http::{HeaderMap, Uri, header::AUTHORIZATION};

#[cfg(feature = "reqwest")]
use crate::proxies::Proxies;
use crate::{InvalidOrigin, LazyTokenSource, TokenSource, origin::Origin};

/// Adds the token of a [`TokenSource`] to requests to named services, and to no others. It is a tower layer
/// with the feature `tower`, and reqwest middleware with `reqwest`.
///
/// A request to another origin, or one that already has an `Authorization` header, passes unchanged. After a
/// 401 response the source rereads its file. If the file has another token, the request is sent once more
/// with that token. A request whose body is already consumed is not sent again; the next request has the new
/// token.
///
/// A proxy can read what passes over plain HTTP. `AttachToken::client` creates a reqwest client that uses no
/// proxy.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until you add it to a client"]
pub struct AttachToken {
    pub(crate) tokens: LazyTokenSource,
    recipients: Vec<Origin>,
    #[cfg(feature = "reqwest")]
    pub(crate) proxies: Proxies,
}

/// Without recipients; add them with [`AttachToken::to`].
impl From<TokenSource> for AttachToken {
    fn from(tokens: TokenSource) -> Self {
        tokens.file.into()
    }
}

/// Without recipients; add them with [`AttachToken::to`]. Requests to them fail until the token exists.
impl From<LazyTokenSource> for AttachToken {
    fn from(tokens: LazyTokenSource) -> Self {
        Self {
            tokens,
            recipients: Vec::new(),
            #[cfg(feature = "reqwest")]
            proxies: Proxies::of_environment(),
        }
    }
}

impl AttachToken {
    /// Sends the token to this origin, such as `http://orders:8000`; call it again for another one. There is
    /// no option for all origins, because any service that receives a token can use it.
    ///
    /// # Errors
    /// When the text is not exactly a scheme, a host and a port.
    pub fn to(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.recipients.push(origin.parse()?);
        Ok(self)
    }

    /// Whether a request gets the token: it is for a recipient, and has no other credentials.
    pub(crate) fn is_for(&self, target: &Uri, headers: &HeaderMap) -> bool {
        if headers.contains_key(AUTHORIZATION) {
            return false;
        }
        let is_recipient = Origin::of(target).is_some_and(|origin| self.recipients.contains(&origin));
        if !is_recipient {
            tracing::debug!(target: "service_only", host = target.host(), "no token is sent: the origin is not a recipient");
        }
        is_recipient
    }
}
