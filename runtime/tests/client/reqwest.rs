//! Middleware of reqwest, against a server on loopback.

use http::StatusCode;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use service_only::AttachToken;
use tokio::net::TcpListener;

use super::*;

async fn serve(bakery: &Bakery) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = bakery.app();
    tokio::spawn(async move { axum::serve(listener, app).await });
    origin
}

fn client(bakery: &Bakery, origin: &str) -> ClientWithMiddleware {
    let attach = AttachToken::from(bakery.source()).to(origin).unwrap();
    // A proxy that the environment names is not for a server of this test.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    ClientBuilder::new(client).with(attach).build()
}

/// As the README shows it.
fn of_the_readme() -> Result<ClientWithMiddleware, Box<dyn std::error::Error>> {
    let tokens = TokenSource::file("/var/run/service-token/token").open()?;
    let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(attach).build();
    Ok(client)
}

#[test]
fn without_its_token_a_service_does_not_start() {
    let error = of_the_readme().unwrap_err().to_string();
    assert!(error.starts_with("/var/run/service-token/token: "), "{error}");
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_with_the_renewed_token() {
    let bakery = Bakery::new();
    let origin = serve(&bakery).await;
    let client = client(&bakery, &origin);
    let new = bakery.token();
    bakery.mount(&new);
    let response = client.post(format!("{origin}/stock")).body("rye").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "orders sent 3");
    assert_eq!(bakery.arrived().len(), 2);
    assert_eq!(bakery.arrived()[1], bearer(&new));
}

#[tokio::test]
async fn without_another_token_the_refusal_is_the_answer() {
    let bakery = Bakery::new();
    let origin = serve(&bakery).await;
    let response = client(&bakery, &origin).get(format!("{origin}/stock")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_a_recipient_gets_no_token() {
    let bakery = Bakery::new();
    bakery.mount(&bakery.token());
    let origin = serve(&bakery).await;
    let response = client(&bakery, "http://stock").get(format!("{origin}/stock")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived(), [None]);
}

#[tokio::test]
async fn a_redirect_to_somebody_else_does_not_take_the_token_along() {
    let bakery = Bakery::new();
    bakery.mount(&bakery.token());
    let elsewhere = serve(&bakery).await;
    let target = format!("{}/stock", elsewhere.replace("127.0.0.1", "localhost"));
    let app = Router::new()
        .route("/moved", any(move || async move { axum::response::Redirect::temporary(&target) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let response = client(&bakery, &origin).get(format!("{origin}/moved")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived(), [None]);
}
