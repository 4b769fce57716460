//! What both programs do: at each line from the driver, a batch of requests, and the nanoseconds of one.

use std::{
    io::{BufRead, Write},
    time::Instant,
};

use axum::{Router, body::Body, http::Request, routing::MethodRouter};
use futures_util::FutureExt;
use service_only::{Algorithm, Verifier, audit::NoAudit};
use tower::Service;

use crate::common::tokens;

const BATCH: u32 = 200;

pub fn answer(count: usize, handler: MethodRouter<Verifier>) {
    assert_eq!(service_only::routes::endpoints().len(), count, "every handler is registered");
    let key = tokens::signing_key(Algorithm::HS256);
    let verifier = tokens::verifier(key.verifying_key(), NoAudit);
    let header = format!("Bearer {}", tokens::token(&tokens::issuer(key), tokens::SERVICE));
    let mut router: Router = Router::new().route("/tenants/{id}", handler).with_state(verifier);
    let mut request = || {
        let request = Request::get("/tenants/7").header("authorization", &header);
        let answer = router.call(request.body(Body::empty()).unwrap()).now_or_never();
        assert!(answer.unwrap().unwrap().status().is_success());
    };
    for line in std::io::stdin().lock().lines() {
        line.unwrap();
        // What the other program left in the cache is nobody's cost.
        (0..BATCH / 10).for_each(|_| request());
        let start = Instant::now();
        (0..BATCH).for_each(|_| request());
        println!("{}", start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
        std::io::stdout().flush().unwrap();
    }
}
