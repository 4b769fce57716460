//! Who may call what, written for others: for the mesh, which enforces it a second time, and for
//! people and tools, who read it.
//!
//! Each function takes a [`RouteTable`](service_only::routes::RouteTable) and gives text. [`istio`] and [`envoy`]
//! never allow what the code would deny, as far as the proxy can say it; what it cannot say stands in
//! the output as a comment and is left to the code. A path is matched as the router matches it: where
//! two routes fit, the narrower one decides, for the mesh too. What the table does not list is denied; a
//! `HEAD` that axum answers for `GET` is to be listed like any method.
//!
//! ```
//! use service_only::{Policy, routes::{Access, Route, RouteTable}};
//! use service_only_export as export;
//!
//! const ORCHESTRATOR: Policy<'static> = Policy::any_service().services(&["orchestrator"]);
//! let table = RouteTable::new("orders")
//!     .route(Route::new(["DELETE"], "/tenants/{id}", Access::from(&ORCHESTRATOR)));
//!
//! assert!(export::markdown(&table).contains("| `DELETE` | `/tenants/{id}` |"));
//!
//! let mesh = export::MeshOptions::with_jwks_uri("bakery-auth", "https://auth.example/jwks.json")?
//!     .namespace("bakery");
//! assert!(export::istio(&table, &mesh)?.contains("- cluster.local/ns/bakery/sa/orchestrator"));
//! # Ok::<(), export::ExportError>(())
//! ```

mod envoy;
mod error;
mod istio;
mod markdown;
mod mermaid;
mod openapi;
mod options;
mod plan;
mod template;
mod yaml;

pub use self::{
    envoy::{ENVOY_VERSION, envoy},
    error::ExportError,
    istio::{ISTIO_VERSION, istio},
    markdown::markdown,
    mermaid::mermaid,
    openapi::openapi,
    options::{DEFAULT_TRUST_DOMAIN, MeshOptions},
};

/// A text as a YAML value that every reader takes for this text: in quotes where YAML 1.1, which kubectl and
/// PyYAML read, or YAML 1.2 could take it for a number, a date, a truth value or nothing.
///
/// ```
/// use service_only_export::yaml_text;
///
/// assert_eq!(yaml_text("bakery"), "bakery");
/// assert_eq!(yaml_text("no"), r#""no""#);
/// assert_eq!(yaml_text("1e3"), r#""1e3""#);
/// ```
pub fn yaml_text(text: &str) -> String {
    yaml::text(text)
}
