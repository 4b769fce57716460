//! `guarding/policies.md`: what a handler can require.

use axum::extract::Path;
use service_only::{
    Caller, Claims, KeySet, Rejection, Verifier, claims::Actor, error::BuildError, rejection::RefusalBody,
    service_only,
};

mod names {
    pub(crate) const ORDERS: &str = "orders";
}

#[service_only(
    services("gateway", names::ORDERS),
    roles("admin", "operator"),
    scopes("stock:read"),
    max_age = "24h"
)]
async fn stock() -> &'static str {
    "12 loaves\n"
}

fn verifier_with_bodies(keys: KeySet) -> Result<Verifier, BuildError> {
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys);
    let builder = builder.refusal_body(|refusal| {
        let text = match refusal.header("accept-language") {
            Some(languages) if languages.starts_with("de") => "Kein Zugriff",
            _ => "No access",
        };
        RefusalBody::new("application/json", format!(r#"{{"error":"{text}"}}"#))
    });
    builder.build()
}

#[service_only(services("orders"), proof = "mtls")]
async fn refund() -> &'static str {
    "refunded\n"
}

#[service_only(services("billing"), claims(tenant_id = "{tenant}"))]
async fn invoices(Path(tenant): Path<String>) -> String {
    format!("the invoices of {tenant}\n")
}

#[derive(serde::Deserialize)]
struct Tenant {
    tenant_id: String,
}

#[service_only(services("billing"))]
async fn totals(tenant: Claims<Tenant>) -> String {
    format!("the totals of {}\n", tenant.tenant_id)
}

#[service_only(scopes("tenants:read"))]
async fn show_tenant(Path(tenant): Path<String>, caller: Caller) -> Result<String, Rejection> {
    if tenant != caller.service() {
        return Err(caller.refuse(format!("the tenant `{tenant}` belongs to another service")));
    }
    Ok(format!("{tenant} is whole\n"))
}

#[service_only(services("tenant-deletion-orchestrator"), actors("gateway"))]
async fn count_records(caller: Caller) -> String {
    let actor = caller.actor().map_or("nothing", Actor::name);
    format!("{} asks through {actor}\n", caller.service())
}

/// Only administrators of tenants, with a token of the last hour.
macro_rules! tenant_admin_only {
    ($($handler:item)*) => {
        $(
            #[service_only(roles("admin"), scopes("tenants:delete"), max_age = "1h")]
            $handler
        )*
    };
}

tenant_admin_only! {
    async fn archive_tenant(Path(tenant): Path<String>, caller: Caller) -> String {
        format!("{tenant} archived for {}\n", caller.service())
    }

    async fn restore_tenant(Path(tenant): Path<String>) -> String {
        format!("{tenant} restored\n")
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        routing::{get, post},
    };
    use service_only::routes::{endpoints, policy_of};
    use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, assert_denied, call};

    use super::*;

    #[tokio::test]
    async fn each_requirement_of_the_policy_is_enforced() {
        let authority = TestAuthority::new();
        let app = Router::new().route("/stock", get(stock)).with_state(authority.verifier());
        let app = call(app).audit(authority.audit());
        let valid = authority.service("orders").role("operator").scope("stock:read");
        assert_allowed!(app.get("/stock").bearer(valid.token()).await);
        for refused in [
            authority.service("sales").role("operator").scope("stock:read"),
            authority.service("orders").role("reader").scope("stock:read"),
            authority.service("orders").role("operator"),
            valid.issued_ago(std::time::Duration::from_secs(25 * 3600)),
        ] {
            assert_denied!(app.get("/stock").bearer(refused.token()).await, 403);
        }
    }

    #[tokio::test]
    async fn every_handler_of_a_named_policy_is_guarded_and_listed() {
        let authority = TestAuthority::new();
        let app = Router::new()
            .route("/{tenant}/archive", post(archive_tenant))
            .route("/{tenant}/restore", post(restore_tenant));
        let app = call(app.with_state(authority.verifier())).audit(authority.audit());
        let admin = authority.service("orchestrator").role("admin").scope("tenants:delete");
        for path in ["/t-1/archive", "/t-1/restore"] {
            assert_allowed!(app.post(path).bearer(admin.token()).await);
            for refused in [
                authority.service("orchestrator").role("admin"),
                authority.service("orchestrator").role("reader").scope("tenants:delete"),
                admin.clone().issued_ago(std::time::Duration::from_secs(2 * 3600)),
            ] {
                assert_denied!(app.post(path).bearer(refused.token()).await, 403);
            }
            assert_denied!(app.post(path).await, 401);
        }
        assert_eq!(policy_of(archive_tenant), policy_of(restore_tenant));
        for name in ["archive_tenant", "restore_tenant"] {
            let listed = endpoints();
            let own = listed.iter().find(|guarded| guarded.endpoint().function() == name).unwrap();
            assert_eq!(own.policy(), &policy_of(restore_tenant));
            assert!(own.endpoint().to_string().ends_with(&format!("::policies::{name}")));
        }
    }

    #[tokio::test]
    async fn claims_of_the_token_select_the_tenant() {
        let authority = TestAuthority::new();
        let app = Router::new().route("/{tenant}", get(invoices)).route("/totals", get(totals));
        let app = call(app.with_state(authority.verifier())).audit(authority.audit());
        let billing = authority.service("billing").claim("tenant_id", "t-1");
        assert_allowed!(app.get("/t-1").bearer(billing.token()).await);
        assert_denied!(app.get("/t-2").bearer(billing.token()).await, 403);
        assert_eq!(app.get("/totals").bearer(billing.token()).await.text(), "the totals of t-1\n");
        assert_denied!(app.get("/totals").bearer(authority.service("billing").token()).await, 403);
    }

    #[tokio::test]
    async fn refusal_by_the_handler_is_recorded() {
        let authority = TestAuthority::new();
        let app = Router::new().route("/tenants/{id}", get(show_tenant)).with_state(authority.verifier());
        let app = call(app).audit(authority.audit());
        let orders = authority.service("orders").scope("tenants:read");
        assert_allowed!(app.get("/tenants/orders").bearer(orders.token()).await);
        assert_denied!(app.get("/tenants/sales").bearer(orders.token()).await, 403);
        assert_audited!(authority.audit(), deny, code = "refused");
    }
}
