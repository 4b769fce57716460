//! reqwest: middleware of `reqwest-middleware`.

use http::{Extensions, StatusCode, Uri, header::AUTHORIZATION};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use super::AttachToken;

#[async_trait::async_trait]
impl Middleware for AttachToken {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let target: Option<Uri> = request.url().as_str().parse().ok();
        let sent = target.and_then(|target| self.attach(&target, request.headers_mut()));
        let Some(sent) = sent else { return next.run(request, extensions).await };
        let again = request.try_clone();
        let response = next.clone().run(request, extensions).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match (self.tokens.another_than(&sent).await, again) {
            (Some(newer), Some(mut again)) => {
                again.headers_mut().insert(AUTHORIZATION, newer);
                next.run(again, extensions).await
            }
            _ => Ok(response),
        }
    }
}
