//! Support for reqwest: middleware for `reqwest-middleware`, and a client that sends the token through no
//! proxy.

use std::{error::Error, fmt};

use http::{Extensions, HeaderValue, StatusCode, Uri};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{AttachToken, attach::NoToken, proxies::Proxies};

impl AttachToken {
    /// Creates a reqwest client that sends the token and uses no proxy, neither from the environment
    /// (`http_proxy`, `all_proxy`) nor from the builder.
    ///
    /// # Errors
    /// As [`reqwest::ClientBuilder::build`].
    pub fn client(self, settings: reqwest::ClientBuilder) -> reqwest::Result<ClientWithMiddleware> {
        let client = settings.no_proxy().build()?;
        Ok(ClientBuilder::new(client).with(self.client_uses_no_proxy()).build())
    }

    /// Declares that the client below this middleware uses no proxy for plain HTTP. Without this declaration, a request
    /// over plain HTTP fails if the environment sets a proxy for it, because the proxy could read the token. The
    /// middleware cannot see a proxy that your code sets on the client.
    pub fn client_uses_no_proxy(mut self) -> Self {
        self.proxies = Proxies(None);
        self
    }
}

impl AttachToken {
    fn sign(&self, token: &HeaderValue, target: &Uri, request: &mut Request) -> Result<()> {
        let method = request.method().clone();
        let signed = self.signing.sign(token, &method, target, request.headers_mut());
        signed.map_err(reqwest_middleware::Error::middleware)
    }
}

/// The error that a proxy of the environment would read the token.
#[derive(Debug)]
struct ProxyReadsToken {
    host: String,
}

impl fmt::Display for ProxyReadsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the token is not sent to `{}`: the proxy of the environment variable `http_proxy` or `all_proxy` would read it; \
             create the client with `AttachToken::client`, which uses no proxy, or name the host in `no_proxy`",
            self.host
        )
    }
}

impl Error for ProxyReadsToken {}

#[async_trait::async_trait]
impl Middleware for AttachToken {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let target: Option<Uri> = request.url().as_str().parse().ok();
        let recipient = target.as_ref().and_then(|target| self.addressed(target, request.headers()));
        let (Some(target), Some(recipient)) = (target, recipient) else {
            return next.run(request, extensions).await;
        };
        if self.proxies.read(&target) {
            let host = target.host().unwrap_or_default().to_owned();
            return Err(reqwest_middleware::Error::middleware(ProxyReadsToken { host }));
        }
        let sent = self.tokens.authorization_now(&recipient).await.map_err(|none| match none {
            NoToken::File(error) => reqwest_middleware::Error::middleware(error),
            NoToken::Supply(error) => reqwest_middleware::Error::middleware(error),
        })?;
        self.sign(&sent, &target, &mut request)?;
        let again = request.try_clone();
        let response = next.clone().run(request, extensions).await?;
        let needs_nonce = self.signing.needs_nonce(&target, response.status(), response.headers());
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let newer = match needs_nonce {
            true => Some(sent),
            false => self.tokens.another_than(&sent, &recipient).await,
        };
        match (newer, again) {
            (Some(token), Some(mut again)) => {
                self.sign(&token, &target, &mut again)?;
                let response = next.run(again, extensions).await?;
                self.signing.needs_nonce(&target, response.status(), response.headers());
                Ok(response)
            }
            _ => Ok(response),
        }
    }
}
