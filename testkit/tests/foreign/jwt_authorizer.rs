//! A service as one writes it with jwt-authorizer, after its documentation. Not part of the workspace:
//!
//! axum = "0.7", jwt-authorizer = "0.15", serde = "1" with `derive`, tokio = "1" with `full`

use axum::{Router, http::StatusCode, routing::get};
use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, JwtClaims, Validation};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    #[serde(rename = "type")]
    kind: String,
    is_service: bool,
    service: String,
    #[serde(default)]
    scope: String,
}

async fn stock(JwtClaims(claims): JwtClaims<Claims>) -> Result<&'static str, StatusCode> {
    let service = claims.kind == "service" && claims.is_service && claims.service == "orders";
    let scope = claims.scope.split(' ').any(|scope| scope == "stock:read");
    if service && scope { Ok("12 loaves") } else { Err(StatusCode::FORBIDDEN) }
}

#[tokio::main]
async fn main() {
    let validation = Validation::new().iss(&["bakery-auth"]).aud(&["stock"]).nbf(true).leeway(0);
    let builder = JwtAuthorizer::from_jwks("jwks.json").validation(validation);
    let authorizer: Authorizer<Claims> = builder.build().await.unwrap();
    let app = Router::new().route("/stock", get(stock)).layer(authorizer.into_layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await.unwrap();
    axum::serve(listener, app).await.unwrap();
}
