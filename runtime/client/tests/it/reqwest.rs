//! Middleware of reqwest, against a server on loopback.

use http::StatusCode;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use service_only_client::AttachToken;
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
    ClientBuilder::new(client).with(attach.client_uses_no_proxy()).build()
}

/// As the README shows it.
fn of_the_readme() -> Result<ClientWithMiddleware, Box<dyn std::error::Error>> {
    let tokens = TokenSource::file("/var/run/service-token/token").open()?;
    let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
    let client = attach.client(reqwest::Client::builder())?;
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
async fn without_another_token_the_refusal_is_returned() {
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
async fn a_redirect_to_another_host_does_not_carry_the_token() {
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

#[tokio::test]
async fn a_request_fails_until_a_lazy_source_has_its_token_and_is_never_sent_without_it() {
    let bakery = Bakery::new();
    let token = bakery.token();
    fs::remove_file(bakery.path()).unwrap();
    let origin = serve(&bakery).await;
    let lazy = TokenSource::file(bakery.path()).poll_every(Duration::from_secs(3600)).start_lazily().unwrap();
    let attach = AttachToken::from(lazy).to(&origin).unwrap();
    let client = attach.client(reqwest::Client::builder()).unwrap();
    let error = client.get(format!("{origin}/stock")).send().await.unwrap_err();
    let error = format!("{error:?}");
    assert!(error.contains("token: ") && error.contains("No such file"), "{error}");
    assert!(bakery.arrived().is_empty());
    // Others are not held up.
    let elsewhere = format!("{}/stock", origin.replace("127.0.0.1", "localhost"));
    assert_eq!(client.get(elsewhere).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    bakery.mount(&token);
    let response = client.get(format!("{origin}/stock")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "the first request after it was written");
}

#[cfg(unix)]
#[tokio::test]
async fn requests_continue_while_the_file_is_unresponsive() {
    let bakery = Bakery::new();
    let origin = serve(&bakery).await;
    bakery.mount(&bakery.token());
    let client = client(&bakery, &origin);
    fs::remove_file(bakery.path()).unwrap();
    if !std::process::Command::new("mkfifo").arg(bakery.path()).status().is_ok_and(|done| done.success()) {
        return;
    }
    let started = std::time::Instant::now();
    for _ in 0..20 {
        let response = client.get(format!("{origin}/stock")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// Runs a test of this file again in a process whose environment names a proxy.
fn again(test: &str, variables: &[(&str, String)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("over_reqwest::{test}"), "--nocapture"])
        .env("SERVICE_ONLY_AGAIN", test);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let variables = variables.iter().map(|(name, value)| (name, value));
    let output = command.envs(variables).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_environment_never_gets_the_token() {
    const TEST: &str = "a_proxy_of_the_environment_never_gets_the_token";
    if !std::env::var("SERVICE_ONLY_AGAIN").is_ok_and(|again| again == TEST) {
        let proxy = Bakery::new();
        let url = serve(&proxy).await;
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            again(TEST, &[(name, url.clone())]);
        }
        assert!(!proxy.arrived().is_empty(), "the requests without a token pass the proxy");
        assert!(proxy.arrived().iter().all(Option::is_none), "{:?}", proxy.arrived());
        return;
    }
    let bakery = Bakery::new();
    bakery.mount(&bakery.token());
    let origin = serve(&bakery).await;
    let attach = || AttachToken::from(bakery.source()).to(&origin).unwrap();
    let stock = format!("{origin}/stock");
    let plain = ClientBuilder::new(reqwest::Client::new()).with(attach()).build();
    let error = story(&plain.get(&stock).send().await.unwrap_err());
    assert!(error.contains("`http_proxy`") && error.contains("`AttachToken::client`"), "{error}");
    // No token, no harm.
    let elsewhere = format!("{}/stock", origin.replace("127.0.0.1", "localhost"));
    assert!(plain.get(elsewhere).send().await.is_ok());
    let safe = attach().client(reqwest::Client::builder()).unwrap();
    assert_eq!(safe.get(&stock).send().await.unwrap().status(), StatusCode::OK);
    let own = reqwest::Client::builder().no_proxy().build().unwrap();
    let own = ClientBuilder::new(own).with(attach().client_uses_no_proxy()).build();
    assert_eq!(own.get(&stock).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_in_no_proxy_gets_the_token_without_the_proxy() {
    const TEST: &str = "a_host_in_no_proxy_gets_the_token_without_the_proxy";
    if !std::env::var("SERVICE_ONLY_AGAIN").is_ok_and(|again| again == TEST) {
        let proxy = "http://127.0.0.1:1".to_owned();
        again(TEST, &[("http_proxy", proxy), ("no_proxy", "127.0.0.1".to_owned())]);
        return;
    }
    let bakery = Bakery::new();
    bakery.mount(&bakery.token());
    let origin = serve(&bakery).await;
    let attach = AttachToken::from(bakery.source()).to(&origin).unwrap();
    let client = ClientBuilder::new(reqwest::Client::new()).with(attach).build();
    let response = client.get(format!("{origin}/stock")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// All that an error says, cause by cause.
fn story(error: &reqwest_middleware::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
