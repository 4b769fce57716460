//! `calling.md`: the token on outgoing requests.

use std::error::Error;

use reqwest_middleware::ClientWithMiddleware;
use service_only_client::{AttachToken, TokenSource};

fn client() -> Result<ClientWithMiddleware, Box<dyn Error>> {
    let tokens = TokenSource::file("/var/run/service-token/token").open()?;
    let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
    Ok(attach.client(reqwest::Client::builder())?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn service_without_its_token_does_not_start() {
        assert!(super::client().unwrap_err().to_string().starts_with("/var/run/service-token/token: "));
    }
}
