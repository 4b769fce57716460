//! Which requests get the token, and with what they are sent again.

use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};

use super::{InvalidOrigin, TokenSource, origin::Origin};

/// Puts the token of a [`TokenSource`] on requests to named services, and on no others. As a layer of
/// tower with the feature `client-tower`, as middleware of reqwest with `client-reqwest`.
///
/// A request to anybody else, or one that has an `Authorization` header already, passes unchanged. An
/// answer of 401 makes the source read its file again; if that holds another token, the request is sent
/// once more, with it. A request whose body is gone by then is not; the next one has the new token.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until a client has it"]
pub struct AttachToken {
    pub(super) tokens: TokenSource,
    recipients: Vec<Origin>,
}

/// For nobody yet; see [`AttachToken::to`].
impl From<TokenSource> for AttachToken {
    fn from(tokens: TokenSource) -> Self {
        Self { tokens, recipients: Vec::new() }
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

    /// Puts the token on a request, if it is for a recipient; gives what was put on.
    pub(super) fn attach(&self, target: &Uri, headers: &mut HeaderMap) -> Option<HeaderValue> {
        if headers.contains_key(AUTHORIZATION) {
            return None;
        }
        if !Origin::of(target).is_some_and(|origin| self.recipients.contains(&origin)) {
            tracing::debug!(target: "service_only", host = target.host(), "no token is sent: the origin is not a recipient");
            return None;
        }
        let authorization = self.tokens.authorization();
        headers.insert(AUTHORIZATION, authorization.clone());
        Some(authorization)
    }
}
