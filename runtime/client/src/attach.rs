//! Decides which requests get the token, and which are sent again with a new one.

#[cfg(any(feature = "reqwest", feature = "tower"))]
use http::HeaderValue;
use http::{HeaderMap, Uri, header::AUTHORIZATION};

#[cfg(feature = "reqwest")]
use crate::proxies::Proxies;
use crate::{InvalidOrigin, LazyTokenSource, TokenSource, TokenSupply, origin::Origin};
#[cfg(any(feature = "reqwest", feature = "tower"))]
use crate::{TokenError, TokenFileError, signing::Signing};

/// Adds the token of a [`TokenSource`] or a [`TokenSupply`] to requests to named services, and to no others. It is a tower layer
/// with the feature `tower`, and reqwest middleware with `reqwest`.
///
/// - A request to another origin, or one that already has an `Authorization` header, is sent unchanged.
/// - If there is no token for a request, the request fails before it is sent.
/// - After a 401 response the source reads its file again, or obtains another token. If it then has another token, the
///   request is sent once more with this token. If the body of the request is already consumed, the request is not sent
///   again, and the next request has the new token.
///
/// If a layer of a tower client follows redirects, put that layer around this one. Each redirect is then compared with
/// the recipients.
///
/// A proxy can read a token that is sent over plain HTTP. `AttachToken::client` creates a reqwest client that uses no
/// proxy.
#[derive(Debug, Clone)]
#[must_use = "it does nothing until you add it to a client"]
pub struct AttachToken {
    pub(crate) tokens: Tokens,
    recipients: Vec<Recipient>,
    /// The audience of recipients that have none of their own.
    audience: Option<String>,
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) signing: Signing,
    #[cfg(feature = "reqwest")]
    pub(crate) proxies: Proxies,
}

/// Where the tokens come from.
#[derive(Debug, Clone)]
pub(crate) enum Tokens {
    File(LazyTokenSource),
    Supply(TokenSupply),
}

/// A callee that gets the token.
#[derive(Debug, Clone)]
struct Recipient {
    origin: Origin,
    audience: Option<String>,
}

/// The recipient of a request, which owns nothing of the request.
#[derive(Debug, Clone)]
pub(crate) struct Addressed {
    pub(crate) audience: Option<String>,
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
        Tokens::File(tokens).into()
    }
}

/// Without recipients; add them with [`AttachToken::to`].
impl From<TokenSupply> for AttachToken {
    fn from(tokens: TokenSupply) -> Self {
        Tokens::Supply(tokens).into()
    }
}

impl From<Tokens> for AttachToken {
    fn from(tokens: Tokens) -> Self {
        Self {
            tokens,
            recipients: Vec::new(),
            audience: None,
            #[cfg(any(feature = "reqwest", feature = "tower"))]
            signing: Signing::default(),
            #[cfg(feature = "reqwest")]
            proxies: Proxies::of_environment(),
        }
    }
}

impl AttachToken {
    /// Sends the token to this origin, such as `http://orders:8000`. Call it again to add another origin. You cannot
    /// send the token to all origins, because any service that receives a token can use it.
    ///
    /// # Errors
    /// When the text is not exactly a scheme, a host and a port.
    pub fn to(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        let audience = self.audience.clone();
        self.recipients.push(Recipient { origin: origin.parse()?, audience });
        Ok(self)
    }

    /// Sets the audience of the recipient that was added last. If no recipient was added yet, it sets the audience of
    /// all recipients that you add later. A [`TokenSupply`] obtains a token for this audience. A token from a file must
    /// contain the audience. Give each recipient its own audience: otherwise a recipient could send your token to
    /// another one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        let audience = Some(audience.into());
        match self.recipients.last_mut() {
            Some(last) => last.audience = audience,
            None => self.audience = audience,
        }
        self
    }

    /// Signs a proof with this key for each request (RFC 9449), and sends the token with the scheme DPoP. The tokens must be
    /// bound to the key, as those of [`TokenSource::issuer_for_key`] are. Another issuer binds them to
    /// [`DpopKey::thumbprint`](service_only::issue::DpopKey::thumbprint).
    ///
    /// If a server requires a nonce, the request is sent once more, with a proof that contains the nonce.
    #[cfg(all(feature = "issue", any(feature = "reqwest", feature = "tower")))]
    pub fn dpop(self, key: impl Into<std::sync::Arc<service_only::issue::DpopKey>>) -> Self {
        Self { signing: Signing::Dpop(crate::signing::Dpop::new(key.into())), ..self }
    }

    /// The recipient of a request that gets a token: its origin is a recipient's, and it has no other credentials.
    pub(crate) fn addressed(&self, target: &Uri, headers: &HeaderMap) -> Option<Addressed> {
        if headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let origin = Origin::of(target);
        let recipient = self.recipients.iter().find(|recipient| Some(&recipient.origin) == origin.as_ref());
        if recipient.is_none() {
            tracing::debug!(target: "service_only", host = target.host(), "no token is sent: the origin is not a recipient");
        }
        recipient.map(|recipient| Addressed { audience: recipient.audience.clone() })
    }
}

/// Why a request gets no token.
#[cfg(any(feature = "reqwest", feature = "tower"))]
#[derive(Debug)]
pub(crate) enum NoToken {
    File(TokenFileError),
    Supply(TokenError),
}

#[cfg(any(feature = "reqwest", feature = "tower"))]
impl Tokens {
    pub(crate) async fn authorization_now(&self, recipient: &Addressed) -> Result<HeaderValue, NoToken> {
        let audience = recipient.audience.as_deref();
        match self {
            Self::File(file) => file.authorization_now(audience).await.map_err(NoToken::File),
            Self::Supply(supply) => supply.authorization_for(audience).await.map_err(NoToken::Supply),
        }
    }

    pub(crate) async fn another_than(
        &self,
        sent: &HeaderValue,
        recipient: &Addressed,
    ) -> Option<HeaderValue> {
        let audience = recipient.audience.as_deref();
        match self {
            Self::File(file) => {
                file.another_than(sent).await?;
                // The newer token may be for another audience.
                file.authorization_now(audience).await.ok()
            }
            Self::Supply(supply) => supply.another_than(sent, audience).await,
        }
    }
}
