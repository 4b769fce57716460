//! `guarding/users-and-services.md`: handlers for users, and for services and users.

use axum::extract::Path;
use service_only::{Identity, Rejection, User, callers, users_only};

#[users_only(roles("manager"))]
async fn rename_tenant(Path(tenant): Path<String>, user: User) -> String {
    format!("{tenant} renamed by {}\n", user.id().unwrap_or("a user without an id"))
}

#[callers(users(roles("manager")), services("billing", scopes("tenants:read")))]
async fn tenant_plan(Path(tenant): Path<String>, caller: Identity) -> String {
    match caller {
        Identity::Service(service) => format!("the plan of {tenant}, for {}\n", service.service()),
        _ => format!("the plan of {tenant}\n"),
    }
}

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
    async fn users_and_services_meet_policies_of_their_own() {
        let authority = TestAuthority::new();
        let app = Router::new()
            .route("/rename/{tenant}", get(rename_tenant))
            .route("/plan/{tenant}", get(tenant_plan))
            .with_state(authority.verifier());
        let app = call(app).audit(authority.audit());
        let manager = authority.user("mia").role("manager");
        let billing = authority.service("billing").scope("tenants:read");
        assert_eq!(app.get("/rename/t-1").bearer(manager.token()).await.text(), "t-1 renamed by mia\n");
        assert_denied!(app.get("/rename/t-1").bearer(billing.token()).await, 403);
        assert_eq!(app.get("/plan/t-1").bearer(manager.token()).await.text(), "the plan of t-1\n");
        assert_eq!(
            app.get("/plan/t-1").bearer(billing.token()).await.text(),
            "the plan of t-1, for billing\n"
        );
        assert_denied!(app.get("/plan/t-1").bearer(authority.user("max").token()).await, 403);
    }

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
