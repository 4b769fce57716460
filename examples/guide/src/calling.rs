//! `calling.md`: the token on outgoing requests.

use std::error::Error;

use reqwest_middleware::ClientWithMiddleware;
use service_only_client::{AttachToken, TokenSource};

fn client() -> Result<ClientWithMiddleware, Box<dyn Error>> {
    let tokens = TokenSource::file("/var/run/service-token/token").open()?;
    let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
    Ok(attach.client(reqwest::Client::builder())?)
}

fn with_provider() -> Result<ClientWithMiddleware, Box<dyn Error>> {
    let tokens = TokenSource::client_credentials("https://sso.bakery.example/realms/bakery")
        .client_id("billing")
        .secret_file("/var/run/secrets/billing/client-secret")
        .start()?;
    let attach = AttachToken::from(tokens)
        .to("https://orders.bakery.example")?
        .audience("orders")
        .to("https://stock.bakery.example")?
        .audience("stock");
    Ok(attach.client(reqwest::Client::builder())?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_client_with_a_provider_starts_without_asking_it() {
        assert!(super::with_provider().is_ok());
    }

    #[test]
    fn service_without_its_token_does_not_start() {
        assert!(super::client().unwrap_err().to_string().starts_with("/var/run/service-token/token: "));
    }
}
