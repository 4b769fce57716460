//! Handlers of actix-web, above and below the attribute that routes them.

use actix_web::{App, HttpResponse, get, post, web};
use service_only::{Caller, public, service_only};

#[get("/stock")]
#[service_only(services("orders"))]
async fn below(caller: Caller) -> String {
    caller.service().to_owned()
}

#[service_only(scopes("stock:write"))]
#[post("/stock")]
async fn above(rows: web::Json<Vec<String>>) -> HttpResponse {
    HttpResponse::Ok().body(rows.len().to_string())
}

#[service_only]
async fn routed() -> &'static str {
    "12 loaves"
}

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok"
}

fn main() {
    let _ = App::new()
        .service(below)
        .service(above)
        .route("/routed", web::get().to(routed))
        .route("/healthz", web::get().to(healthz));
}
