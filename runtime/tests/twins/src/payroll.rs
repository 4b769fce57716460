//! Wages.
use service_only::service_only;

/// Lists them.
#[service_only(services("accounting"))]
pub async fn list() -> &'static str {
    module_path!()
}
