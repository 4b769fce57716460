//! The layer around a client of tower; the client is the service itself.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use service_only_client::{AttachToken, ResendBody, TokenAttached};
use tower::{Layer, Service, ServiceExt};

use super::*;

/// Any body that is sent again becomes axum's on its way.
fn client<B>(
    bakery: &Bakery,
    source: TokenSource,
) -> TokenAttached<
    impl Service<Request<B>, Response = Response<Body>, Error = std::convert::Infallible, Future: Send>
    + Clone
    + Send
    + use<B>,
>
where
    B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let app = bakery.app();
    let inner = tower::service_fn(move |request: Request<B>| app.clone().oneshot(request.map(Body::new)));
    AttachToken::from(source).to("http://stock:8000").unwrap().layer(inner)
}

fn request<B>(target: &str, body: B) -> Request<B> {
    Request::put(target).body(body).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_with_the_renewed_token() {
    let bakery = Bakery::new();
    let client = client(&bakery, bakery.source());
    let old = fs::read_to_string(bakery.path()).unwrap();
    let new = bakery.token();
    bakery.mount(&new);
    let response =
        client.oneshot(request("http://stock:8000/stock", Full::new(Bytes::from("rye")))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "orders sent 3");
    assert_eq!(bakery.arrived(), [bearer(old.trim_end()), bearer(&new)]);
    assert!(bakery.seen.lock().unwrap().iter().all(|seen| seen.method == Method::PUT));
}

#[tokio::test]
async fn a_request_is_not_sent_again_when_the_file_has_no_other_token() {
    let bakery = Bakery::new();
    let client = client(&bakery, bakery.source());
    let response = client.oneshot(request("http://stock:8000/stock", Empty::new())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived().len(), 1);
}

#[tokio::test]
async fn a_request_is_sent_twice_at_most() {
    let bakery = Bakery::new();
    let client = client(&bakery, bakery.source());
    bakery.mount(&bakery.refused_token());
    let response = client.oneshot(request("http://stock:8000/stock", Empty::new())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived().len(), 2);
}

#[tokio::test]
async fn a_request_with_a_consumed_body_is_sent_once_and_the_next_one_has_the_new_token() {
    let bakery = Bakery::new();
    let client = client(&bakery, bakery.source());
    let new = bakery.token();
    bakery.mount(&new);
    let stream = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("rye")]));
    let refused = client.clone().oneshot(request("http://stock:8000/stock", stream)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let next = client.oneshot(request("http://stock:8000/stock", Body::empty())).await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
    assert_eq!(bakery.arrived().len(), 2);
    assert_eq!(bakery.arrived()[1], bearer(&new));
}

#[tokio::test]
async fn only_the_recipients_get_the_token() {
    let bakery = Bakery::new();
    bakery.mount(&bakery.token());
    let client = client(&bakery, bakery.source());
    for target in [
        "http://stock/stock",
        "http://stock:8001/stock",
        "https://stock:8000/stock",
        "http://stock.evil:8000/stock",
        "http://stock:8000@evil/stock",
        "/stock",
    ] {
        let response = client.clone().oneshot(request(target, Empty::new())).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{target}");
    }
    assert!(bakery.arrived().iter().all(Option::is_none));
}

#[tokio::test]
async fn an_existing_authorization_header_is_kept_and_its_refusal_is_not_retried() {
    let bakery = Bakery::new();
    let client = client(&bakery, bakery.source());
    bakery.mount(&bakery.token());
    let mut request = request("http://stock:8000/stock", Empty::new());
    request.headers_mut().insert(AUTHORIZATION, "Basic YTpi".parse().unwrap());
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bakery.arrived(), [Some("Basic YTpi".to_owned())]);
}

#[test]
fn a_repeated_body_is_unchanged() {
    assert!(Body::empty().again().is_some());
    assert!(Body::from("rye").again().is_none(), "axum's body does not say what it is made of");
    assert_eq!(Bytes::from("rye").again().unwrap(), "rye");
    assert!(Empty::<Bytes>::new().again().is_some());
}

#[tokio::test]
async fn a_request_fails_until_a_lazy_source_has_its_token_and_is_never_sent_without_it() {
    let bakery = Bakery::new();
    let token = bakery.token();
    fs::remove_file(bakery.path()).unwrap();
    let lazy = TokenSource::file(bakery.path()).poll_every(Duration::from_secs(3600)).start_lazily().unwrap();
    let app = bakery.app();
    let inner = tower::service_fn(move |request: Request<Body>| app.clone().oneshot(request));
    let client = AttachToken::from(lazy).to("http://stock:8000").unwrap().layer(inner);
    let stock = || request("http://stock:8000/stock", Body::empty());
    let error = client.clone().oneshot(stock()).await.unwrap_err();
    assert!(error.downcast_ref::<service_only_client::TokenFileError>().is_some(), "{error}");
    assert!(error.to_string().contains("No such file") && bakery.arrived().is_empty(), "{error}");
    let elsewhere = client.clone().oneshot(request("http://other/stock", Body::empty())).await.unwrap();
    assert_eq!(elsewhere.status(), StatusCode::UNAUTHORIZED);
    bakery.mount(&token);
    assert_eq!(client.oneshot(stock()).await.unwrap().status(), StatusCode::OK);
}
