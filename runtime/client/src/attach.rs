//! Which requests get the token, and with what they are sent again.

use http::{HeaderMap, Uri, header::AUTHORIZATION};

#[cfg(feature = "reqwest")]
use crate::proxies::Proxies;
use crate::{InvalidOrigin, LazyTokenSource, TokenSource, origin::Origin};

/// Puts the token of a [`TokenSource`] on requests to named services, and on no others. As a layer of
/// tower with the feature `tower`, as middleware of reqwest with `reqwest`.
///
/// A request to anybody else, or one that has an `Authorization` header already, passes unchanged. An
/// answer of 401 makes the source read its file again; if that holds another token, the request is sent
/// once more, with it. A request whose body is gone by then is not; the next one has the new token.
///
/// A proxy reads what passes over plain HTTP. `AttachToken::client` makes a client of reqwest that uses none.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until a client has it"]
pub struct AttachToken {
    pub(crate) tokens: LazyTokenSource,
    recipients: Vec<Origin>,
    #[cfg(feature = "reqwest")]
    pub(crate) proxies: Proxies,
}

/// For nobody yet; see [`AttachToken::to`].
impl From<TokenSource> for AttachToken {
    fn from(tokens: TokenSource) -> Self {
        tokens.file.into()
    }
}

/// Without recipients; add them with [`AttachToken::to`]. Requests to them fail until the token is there.
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
    /// Sends the token to this origin, such as `http://orders:8000`; may be said again for another. There
    /// is no way to say "everybody": whoever gets a token can use it.
    ///
    /// # Errors
    /// When the text is more or less than a scheme, a host and a port.
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
