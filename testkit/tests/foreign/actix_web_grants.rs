//! A service as one writes it with actix-web-grants and jsonwebtoken, after their documentation. Not part
//! of the workspace:
//!
//! actix-web = "4", actix-web-grants = "4.1", actix-web-httpauth = "0.8", serde = "1" with `derive`,
//! jsonwebtoken = "11" with `aws_lc_rs` and `use_pem`

use std::collections::HashSet;

use actix_web::{App, Error, HttpServer, dev::ServiceRequest, error::ErrorUnauthorized, get};
use actix_web_grants::{GrantsMiddleware, protect};
use actix_web_httpauth::extractors::bearer::BearerAuth;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "type")]
    kind: String,
    is_service: bool,
    service: String,
    #[serde(default)]
    scope: String,
}

async fn grants(request: &mut ServiceRequest) -> Result<HashSet<String>, Error> {
    let bearer = request.extract::<BearerAuth>().await.map_err(|_| ErrorUnauthorized("no token"))?;
    let key = DecodingKey::from_ec_pem(&std::fs::read("public.pem")?).map_err(ErrorUnauthorized)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&["bakery-auth"]);
    validation.set_audience(&["stock"]);
    validation.leeway = 0;
    let token = decode::<Claims>(bearer.token(), &key, &validation);
    let claims = token.map_err(|_| ErrorUnauthorized("invalid token"))?.claims;
    let service = claims.kind == "service" && claims.is_service && claims.service == "orders";
    let scope = claims.scope.split(' ').any(|scope| scope == "stock:read");
    Ok(if service && scope { HashSet::from(["SERVICE".to_owned()]) } else { HashSet::new() })
}

#[get("/stock")]
#[protect("SERVICE")]
async fn stock() -> &'static str {
    "12 loaves"
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| App::new().wrap(GrantsMiddleware::with_extractor(grants)).service(stock))
        .bind(("127.0.0.1", 8000))?
        .run()
        .await
}
