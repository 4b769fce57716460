//! `guarding/policies.md`: services that are known only at run time. It is a separate program, because its handler keeps every verifier
//! without the set from building.

use axum::{Router, routing::delete};
use service_only::{
    KeySet, Verifier,
    error::BuildError,
    service_only,
    shutdown::{drain, shutdown_signal},
};

#[service_only(services("gateway", @deleters))]
async fn remove_stock() -> &'static str {
    "removed\n"
}

fn verifier_with_a_set(keys: KeySet, deleters: Vec<String>) -> Result<Verifier, BuildError> {
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys);
    builder.service_set("deleters", deleters).build()
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/stock", delete(remove_stock)).with_state(verifier)
}

/// The arguments are the services that may remove the stock.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let keys = KeySet::from_jwks_file("jwks.json")?;
    let verifier = verifier_with_a_set(keys, std::env::args().skip(1).collect())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    drain(axum::serve(listener, app(verifier)).with_graceful_shutdown(shutdown_signal()?)).await
}

#[cfg(test)]
mod tests {
    use service_only::{
        Algorithm,
        issue::{Issuer, SigningKey},
    };
    use service_only_testkit::{assert_allowed, assert_denied, call};

    use super::*;

    #[tokio::test]
    async fn services_of_a_set_are_replaced_at_run_time() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = KeySet::from(key.verifying_key());
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
        let [gateway, sales, orders] = ["gateway", "sales", "orders"]
            .map(|name| issuer.token_for(name).mint().unwrap().as_str().to_owned());

        let verifier = verifier_with_a_set(keys, vec!["sales".to_owned()]).unwrap();
        let app = call(app(verifier.clone()));
        assert_allowed!(app.delete("/stock").bearer(&gateway).await);
        assert_allowed!(app.delete("/stock").bearer(&sales).await);
        assert_denied!(app.delete("/stock").bearer(&orders).await, 403);

        verifier.replace_service_set("deleters", ["orders"]).unwrap();
        assert_denied!(app.delete("/stock").bearer(&sales).await, 403);
        assert_allowed!(app.delete("/stock").bearer(&orders).await);
    }
}
