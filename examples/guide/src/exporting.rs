//! `exporting.md`: who may call what, as data.

use service_only::{ClosedRouter, Verifier, closed::get, service_only};
use service_only_export::{self as export, ExportError, GuardedHandlers, MeshOptions};
use utoipa::OpenApi;

#[service_only(services("shop"), scopes("orders:read"))]
async fn list_orders() -> &'static str {
    "order 7\n"
}

fn app(verifier: Verifier) -> ClosedRouter {
    ClosedRouter::new().route("/orders", get(list_orders)).with_state(verifier)
}

fn table(verifier: Verifier) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&app(verifier).routes("orders"))
}

fn istio(verifier: Verifier) -> Result<String, ExportError> {
    let mesh = MeshOptions::with_jwks_uri("bakery-auth", "https://auth.bakery.example/jwks.json")?
        .namespace("bakery");
    export::istio(&app(verifier).routes("orders"), &mesh)
}

#[utoipa::path(get, path = "/invoices", responses((status = 200, description = "The invoices.")))]
#[service_only(services("shop"), scopes("invoices:read"))]
async fn list_invoices() -> &'static str {
    "invoice 7\n"
}

#[derive(OpenApi)]
#[openapi(paths(list_invoices), modifiers(&GuardedHandlers))]
struct Document;

#[cfg(test)]
mod tests {
    use service_only_testkit::TestAuthority;

    use super::*;

    #[test]
    fn document_shows_the_scope_and_the_refusals() {
        let document = Document::openapi();
        assert!(GuardedHandlers.unmatched(&document).is_empty());
        let document = serde_json::to_value(document).unwrap();
        let operation = &document["paths"]["/invoices"]["get"];
        assert_eq!(operation["security"][0]["serviceToken"][0], "invoices:read");
        assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
    }

    #[test]
    fn table_and_policy_name_the_caller() {
        let verifier = TestAuthority::new().verifier();
        assert!(table(verifier.clone()).unwrap().contains(r#""shop""#));
        assert!(istio(verifier).unwrap().contains("cluster.local/ns/bakery/sa/shop"));
    }
}
