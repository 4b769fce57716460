//! `guarding/users-and-services.md`: a handler for services and users.

use service_only::{Identity, Rejection};

async fn whoami(identity: Identity) -> Result<String, Rejection> {
    match identity {
        Identity::Service(caller) => Ok(format!("the service {}\n", caller.service())),
        Identity::User(user) => Ok(format!("the user {}\n", user.id().unwrap_or("without an id"))),
        other => Err(other.refuse("neither a service nor a user")),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use service_only_testkit::{TestAuthority, assert_denied, call};

    use super::*;

    #[tokio::test]
    async fn services_and_users_are_accepted_and_others_refused() {
        let authority = TestAuthority::new();
        let app = Router::new().route("/whoami", get(whoami)).with_state(authority.verifier());
        let app = call(app).audit(authority.audit());
        let response = app.get("/whoami").bearer(authority.service("orders").token()).await;
        assert_eq!(response.text(), "the service orders\n");
        let response = app.get("/whoami").bearer(authority.user("anna").token()).await;
        assert_eq!(response.text(), "the user anna\n");
        assert_denied!(app.get("/whoami").await, 401);
    }
}
