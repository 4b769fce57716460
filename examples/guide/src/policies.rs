//! `guarding/policies.md`: what a handler can require.

use axum::extract::Path;
use service_only::{Caller, Rejection, service_only};

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

#[service_only(scopes("tenants:read"))]
async fn show_tenant(Path(tenant): Path<String>, caller: Caller) -> Result<String, Rejection> {
    if tenant != caller.service() {
        return Err(caller.refuse(format!("the tenant `{tenant}` belongs to another service")));
    }
    Ok(format!("{tenant} is whole\n"))
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
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
